"""The two tasks under measurement: one does nothing, one answers so that its way can be timed."""

import functools
import os
from typing import Any

import redis

QUEUES = ("scans", "events", "apply", "outbound")
"""The queues of the fleet; the other applications have them too."""
ANSWERS = "bench:answers"
WITH_EVENTS = "BENCH_EVENTS"
BROKER = "PURSER_BROKER_URL"


def register(app: Any, **options: Any) -> None:
    """Put both tasks on an application, and settle whether its workers send task events."""
    with_events = os.environ.get(WITH_EVENTS) == "1"
    app.conf.update(worker_send_task_events=with_events, task_send_sent_event=with_events)
    app.task(name="bench.noop", **options)(noop)
    app.task(name="bench.answer", **options)(answer)


def noop() -> None:
    """Do nothing."""


def answer() -> None:
    """Leave a mark for whoever waits."""
    _client().lpush(ANSWERS, b"done")


@functools.cache
def _client() -> Any:
    return redis.Redis.from_url(os.environ[BROKER])
