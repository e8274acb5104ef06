"""RabbitMQ's part in a worker: its queues are looked at before it starts, what was given up becomes letters while it
runs, and what it has not begun goes back when it stops."""

from typing import Any

import structlog
from celery import Celery
from celery.bootsteps import StartStopStep

from purser.errors import Misconfigured
from workers.broker.rabbitmq.dead_letter_collector import DeadLetterCollector, StoreLetter
from workers.broker.rabbitmq.topology import declare
from workers.process.shutdown import return_messages

log = structlog.get_logger(__name__)


def add_bootstep(app: Celery, keep: StoreLetter) -> None:
    """Add this part to every worker of an application; `keep` stores what was given up."""

    class RabbitPart(StartStopStep):
        """Starts after the pool, whose processes do not inherit its connection, and stops before the pool does."""

        requires = ("celery.worker.components:Pool",)

        def __init__(self, worker: Any, **kwargs: Any) -> None:
            super().__init__(worker, **kwargs)
            self._dead = DeadLetterCollector(
                lambda: app.connection_for_read(heartbeat=app.conf.broker_heartbeat), keep
            )

        def start(self, worker: Any) -> None:
            """Look at the queues; Misconfigured ends the start with a sentence, a broker that is away does not."""
            with app.connection_for_read() as connection:
                try:
                    connection.connect()
                    declare(connection)
                except Misconfigured:
                    raise
                except Exception as error:  # noqa: BLE001 - the worker itself goes on asking
                    log.warning("the broker is away", problem=str(error))
            self._dead.start()

        def close(self, worker: Any) -> None:
            """Give back what waits here for a process to be free; the pool may still be long at what it has begun."""
            if worker.consumer is not None:
                return_messages(worker.consumer)

        def stop(self, worker: Any) -> None:
            """Collect no more."""
            self._dead.stop()

        terminate = stop

    app.steps["worker"].add(RabbitPart)
