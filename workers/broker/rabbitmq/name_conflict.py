"""What a worker says that cannot begin because another one has its name."""

import os
import socket
from importlib.metadata import version
from typing import Any

import structlog

from purser.errors import PurserError
from store import WorkerReport
from store.fleet.worker_heartbeats import NAME_TAKEN

log = structlog.get_logger(__name__)


def report(consumer: Any) -> None:
    """Log what is wrong, and tell it to `workers list` under a name that nobody else has. Raises nothing of ours."""
    name, fleet = consumer.hostname, consumer.app.fleet
    log.error(
        "another worker has this name: end one of the two, or start it with a name of its own (-n)", worker=name
    )
    now = fleet.now()
    member = WorkerReport(
        name=f"{name} (process {os.getpid()})",
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=tuple(sorted(consumer.known_queues)),
        started=now,
        at=now,
        capacity=consumer.pool.num_processes,
        version=version("odoo-purser"),
        state=NAME_TAKEN,
    )
    try:
        fleet.ledger.crew.report(member)
    except PurserError as problem:
        log.warning("not told to the ledger", problem=str(problem))
