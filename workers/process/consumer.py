"""A consumer that no bytes can stop: what stock code would drop, hold in memory or die of is kept in the ledger."""

import time
from collections.abc import Callable
from typing import Any, ClassVar

import structlog
from amqp.exceptions import ResourceLocked
from celery.concurrency import solo
from celery.exceptions import TaskRevokedError
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.asynchronous import set_event_loop

from store import DelayKind
from workers.broker.message import give_back
from workers.broker.rabbitmq import name_conflict
from workers.broker.redis.leases import LeaseLost, settle_all
from workers.broker.redis.server_state import ServerStateError, is_server_state
from workers.broker.task_message import UnreadableMessage, read_task_message, replace_content
from workers.dead_letters.capture import schedule_retry, to_dead_letters
from workers.escaped_errors import ESCAPED
from workers.process.leak_detection import LeakDetector
from workers.process.loop_errors import LoopErrorHandler
from workers.process.shutdown import ShutdownController, return_messages
from workers.publishing import depth_of, sender
from workers.runtime.maintenance import LoopActivity, MaintenanceThread, QueueAgeTracker
from workers.runtime.request import forget_job, later

log = structlog.get_logger(__name__)


FLUSH_AFTER = 0.2
"""Seconds for which task events are gathered."""

NAME_TAKEN_WAIT = 5.0
"""Seconds between two tries of a worker whose name another one has."""

UNWELL_WAIT = 2.0
"""Seconds between two tries of a broker that refuses for a state of its own."""

TURN = 0.25
"""Seconds between two looks of the main loop at itself."""


CELERY_OWN = "celery."
"""How the names of Celery's own tasks begin. They belong to chords, groups and result backends; see the docs."""


class FleetConsumer(Consumer):
    """Looks at each message before stock code does, and has a housekeeper beside it."""

    on_task_request: Any
    paused_queues: frozenset[str] = frozenset()
    _flush_is_due = False

    class Blueprint(Consumer.Blueprint):
        """Without Celery's own delays on RabbitMQ, which are 28 more queues: here a countdown waits in the ledger."""

        default_steps: ClassVar[list[Any]] = [
            step for step in Consumer.Blueprint.default_steps if not str(step).endswith(":DelayedDelivery")
        ]

        def start(self, parent: Any) -> None:
            """Run until the connection is lost. A server that refuses for a state of its own is a lost connection."""
            try:
                super().start(parent)
            except ResourceLocked as error:  # RabbitMQ: the control queue of this name belongs to another worker
                name_conflict.report(parent)
                time.sleep(NAME_TAKEN_WAIT)
                raise ServerStateError(str(error)) from error
            except Exception as error:
                if not is_server_state(error):
                    raise
                log.warning("the broker takes no writes at present: this worker waits", problem=str(error))
                time.sleep(UNWELL_WAIT)
                raise ServerStateError(str(error)) from error

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.controller._process_task = self._begin  # called by the semaphore when a process is free
        if self.on_task_request.__name__ != "_process_task_sem":
            self.on_task_request = self._begin  # a pool that needs no semaphore
        self.known_queues = frozenset(self.app.amqp.queues.consume_from)
        self.seen = LoopActivity()
        self.loop_errors = LoopErrorHandler()
        self.leaks = LeakDetector(self, lease=self.app.fleet.settings.lease)
        self._housekeeper: MaintenanceThread | None = None
        self._stopping = ShutdownController(self._take_nothing_more, is_turning=lambda: self.seen.has_loop)

    def register_with_event_loop(self, hub: Any) -> None:
        """Let the loop show that it turns, and notice when it is to end."""
        super().register_with_event_loop(hub)
        set_event_loop(hub)  # a reconnect has forgotten it, and with it every "in a moment"
        self.loop_errors.watch(hub, self.connection_errors)
        hub.call_repeatedly(TURN, self._turn)

    def _turn(self) -> None:
        self.seen.tick()
        self._stopping.look()
        self.leaks.look()
        if self._housekeeper is not None:
            self._housekeeper.revive()

    def _take_nothing_more(self) -> None:
        return_messages(self)

    def on_send_event_buffered(self) -> None:
        """Send task events a few at a time: one by one they cost more than the tasks."""
        if self.hub is not None and not self._flush_is_due:
            self._flush_is_due = True
            self.hub.call_later(FLUSH_AFTER, self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        self._flush_events()

    def on_ready(self) -> None:
        """Begin the housekeeping with the first connection."""
        super().on_ready()
        self._flush_is_due = False  # what was planned went with the connection before
        self.seen.tick()
        stands_still = isinstance(self.pool, solo.TaskPool)  # there a task runs where the loop turns
        self.seen.has_loop = self.hub is not None and not stands_still
        if self._housekeeper is None:
            self._housekeeper = MaintenanceThread(
                self.app.fleet,
                name=self.hostname,
                consumer=self,
                seen=self.seen,
                send=sender(self.app),
                watch=QueueAgeTracker(depth_of(self.app)),
                settle=settle_all,
            )
            self._housekeeper.start()
            if self.hub is not None:
                self._stopping.install()
        paused, self.paused_queues = self.paused_queues, frozenset()
        self.pause_queues(paused)  # a new connection begins with all queues

    def shutdown(self) -> None:
        """End the housekeeping with the worker."""
        if self._housekeeper is not None:
            self._housekeeper.stop()
        super().shutdown()

    def pause_queues(self, paused: frozenset[str]) -> None:
        """Take from all queues of this worker but these."""
        if self._stopping.is_told:
            return
        for queue in sorted(self.known_queues):
            if queue in paused and queue not in self.paused_queues:
                self.task_consumer.cancel_by_queue(queue)
                log.warning("queue paused", queue=queue)
            elif queue in self.paused_queues and queue not in paused:
                self.add_task_queue(queue)
                log.warning("queue resumed", queue=queue)
        self.paused_queues = paused

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep a message that is none of Celery's."""
        self._set_aside(message, "unreadable", "NoTask", "a message without the header `task`")

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Keep a message for a task that this release does not have."""
        self._set_aside(message, "unknown task", "NotRegistered", f"this release has no task {exc}")

    def on_invalid_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Keep a message that Celery finds malformed."""
        self._set_aside(message, "unreadable", type(exc).__name__, str(exc))

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """Keep a message whose body cannot be decoded."""
        self._set_aside(message, "unreadable", type(exc).__name__, str(exc))

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Return what takes a message: it is parsed first, and Celery is given only what was parsed."""
        inner = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            self.seen.consumed()
            try:
                read = read_task_message(message)
                replace_content(message, read)
                if read.task not in self.strategies or read.task.startswith(CELERY_OWN):
                    return self.on_unknown_task(None, message, KeyError(read.task))
                wait = read.delay_seconds(self.app.fleet.now())
                return inner(message) if wait is None else self._park(message, wait)
            except UnreadableMessage as problem:
                return self._set_aside(message, "unreadable", "MalformedMessage", str(problem))
            except Exception as error:
                if isinstance(error, self.connection_errors):
                    raise
                return self._escaped(message, error)

        return on_task_received

    def _begin(self, request: Any) -> None:
        """Hand a request to the pool. One that the pool does not take becomes a letter and gives its place back.

        A request that waited for a free process is handed over from a callback of the event loop, where nothing else
        catches an error.
        """
        try:
            request.execute_using_pool(self.pool)
        except TaskRevokedError:
            self._release_place()
        except Exception as error:
            self._release_place()
            state.task_ready(request)
            forget_job(self.pool, request.id)
            if isinstance(error, self.connection_errors):
                raise
            if not request.acknowledged:
                request.acknowledged = True
                self._escaped(request._message, error)

    def _release_place(self) -> None:
        semaphore = getattr(self.controller, "semaphore", None)
        if semaphore is not None:
            semaphore.release()

    def _escaped(self, message: Any, error: BaseException) -> None:
        """Keep a message at which code of the worker failed that should not."""
        log.error("error outside of a task: its message is kept", count=ESCAPED.add(), exc_info=error)
        self._set_aside(message, "unreadable", type(error).__name__, str(error))

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Begin anew. What runs here goes on, unless the lease has ended: then others have it by now."""
        self.seen.has_loop = False
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, LeaseLost):
            for request in tuple(state.active_requests):
                log.warning("task stopped: its message went to somebody else meanwhile", id=request.id)
                request.cancel(self.pool)

    def _park(self, message: Any, wait: float) -> None:
        """A countdown waits in the ledger, not in the memory of a worker."""
        self._keep(
            message,
            lambda: schedule_retry(self.app.fleet, message, kind=DelayKind.SNOOZE, after=wait, why="countdown"),
        )

    def _set_aside(self, message: Any, reason: str, error: str, text: str) -> None:
        self._keep(
            message,
            lambda: to_dead_letters(self.app.fleet, message, reason=reason, error=error, text=text[:500]),
        )

    def _keep(self, message: Any, keep: Callable[[], None]) -> None:
        try:
            keep()
        except Exception as problem:  # noqa: BLE001 - the ledger may be away: nothing may end the worker or be lost
            log.error("not kept, message goes back", problem=str(problem))
            later(give_back, message)
