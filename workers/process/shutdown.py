"""A worker that is told to stop takes nothing more, ends what it has begun, and hands the rest back.

Celery's own soft shutdown sleeps for its whole time, and takes notice of nothing meanwhile: what ends in that time is
done again by somebody else. Here the main loop goes on turning, and the worker is gone as soon as its tasks are.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import state

from workers.broker.message import give_back

log = structlog.get_logger(__name__)

GRACE = 10.0
"""Seconds that running tasks get; then their messages go back to their queues."""

EX_OK = 0


class ShutdownController:
    """Knows whether the worker was told to stop, and ends it when its time has come. For the main thread."""

    def __init__(self, cancel: Callable[[], None], *, is_turning: Callable[[], bool] = lambda: True) -> None:
        self._cancel, self._is_turning = cancel, is_turning
        self._told_at: float | None = None
        self._is_cancelled = False
        self._was_idle = False

    def install(self) -> None:
        """Listen to SIGTERM and Ctrl-C. Told once more, the worker stops at once."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._told)

    @property
    def is_told(self) -> bool:
        """The worker is about to stop."""
        return self._told_at is not None

    def _told(self, *_: Any) -> None:
        if self._told_at is None:
            self._told_at = time.monotonic()  # a signal comes at any instant: the loop does the rest
            if not self._is_turning():
                state.should_stop = EX_OK  # without a broker there is nothing to take or to give back
        else:
            os.kill(os.getpid(), signal.SIGQUIT)

    def look(self) -> None:
        """Do what is due; the main loop calls this again and again."""
        if self._told_at is None or state.should_stop is not None or state.should_terminate is not None:
            return
        if not self._is_cancelled:
            self._is_cancelled = True
            log.info("told to stop: nothing more is taken", running=len(state.active_requests))
            self._cancel()
        is_idle = not any(request.is_worked_on for request in tuple(state.reserved_requests))
        if is_idle and self._was_idle:  # seen twice, so that the last acknowledgement is out
            state.should_stop = EX_OK
        elif time.monotonic() - self._told_at > GRACE:
            log.warning("tasks run too long: their messages go back", running=len(state.active_requests))
            os.kill(os.getpid(), signal.SIGQUIT)
        self._was_idle = is_idle


def return_messages(consumer: Any) -> None:
    """Take no more messages, and put those back on their queues, uncounted, that no process has begun."""
    if getattr(consumer, "task_consumer", None) is None:
        return
    with contextlib.suppress(*consumer.connection_errors):
        consumer.task_consumer.cancel()
    if consumer.controller.semaphore is not None:
        consumer.controller.semaphore.clear()  # nobody in the line is called any more
    for request in tuple(state.reserved_requests):
        if not request.is_worked_on:
            with contextlib.suppress(*consumer.connection_errors):
                give_back(request._message)
            request.acknowledged = True
            state.task_ready(request)
