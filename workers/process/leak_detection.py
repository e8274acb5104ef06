"""What a worker holds and does not work on is noticed: places of its pool that nobody gave back, messages that nobody
runs.

A message waits lawfully while all places of the pool are taken. One that waits for longer than a lease although there
is room was lost on its way through the worker: it goes back to its queue. Called in the main loop, which alone
changes what is looked at here.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from celery.worker import state

from workers.broker.message import give_back
from workers.runtime.request import requests_here

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks."""


@dataclass(slots=True)
class OverdueMessage:
    """Since when something has been as it should not be, by name."""

    patience: float
    """Seconds after which it is overdue."""
    _since: dict[str, float] = field(default_factory=dict)

    def of(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of `names` that were named at each look for longer than the patience."""
        now = time.monotonic()
        self._since = {name: self._since.get(name, now) for name in names}
        return frozenset(name for name, since in self._since.items() if now - since > self.patience)


class LeakDetector:
    """Looks after one consumer."""

    def __init__(self, consumer: Any, *, lease: float) -> None:
        self._consumer = consumer
        self._places, self._messages = OverdueMessage(lease), OverdueMessage(lease)
        self._next = 0.0
        self.stuck = 0
        """How many messages are held now that nobody works on although there is room, or was at the last look."""
        self.mended = 0

    def look(self) -> None:
        """Notice what leaked, and mend it. Does so now and then, however often it is called."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_EVERY
        self._free_places()
        self._send_back()

    def _free_places(self) -> None:
        """Free places of the pool that belong to no task: the one after the next waits for them."""
        lost = self._lost_places()
        names = [str(number) for number in range(lost)]
        overdue = len(self._places.of(names))
        if overdue:
            log.error("places of the pool were lost, and are free again", places=overdue)
            self.mended += overdue
            self._places.of(())
            for _ in range(overdue):
                self._consumer.controller.semaphore.release()

    def _lost_places(self) -> int:
        semaphore = getattr(self._consumer.controller, "semaphore", None)
        jobs = getattr(getattr(self._consumer.pool, "_pool", None), "_cache", None)
        if semaphore is None or jobs is None:
            return 0
        return max(0, int(semaphore.initial_value - semaphore.value) - len(jobs))

    def _send_back(self) -> None:
        if len(state.active_requests) >= self._consumer.pool.num_processes:
            self._messages.of(())
            self.stuck = 0
            return
        idle = dict(self._idle())
        overdue = self._messages.of(idle)
        self.stuck = len(overdue)
        for tag in overdue:
            log.error("a message was held and not worked on: it goes back to its queue", tag=tag)
            self.mended += 1
            idle[tag]()

    def _idle(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield the messages that wait although there is room, and how each goes back."""
        known = {str(one._message.delivery_tag): one for one in requests_here()}
        for tag, request in known.items():
            if request in state.reserved_requests and not request.acknowledged and not request.is_running:
                yield tag, lambda request=request: self._return(request)  # type: ignore[misc]
        for tag, message in self._held().items():
            if str(tag) not in known and not message.acknowledged:
                yield str(tag), lambda message=message: give_back(message)  # type: ignore[misc]

    def _held(self) -> dict[Any, Any]:
        """Return what the channel has not acknowledged, by delivery tag. RabbitMQ alone knows that of its own."""
        channel = getattr(getattr(self._consumer, "task_consumer", None), "channel", None)
        return dict(getattr(getattr(channel, "qos", None), "_delivered", None) or {})

    def _return(self, request: Any) -> None:
        semaphore = getattr(self._consumer.controller, "semaphore", None)
        if semaphore is not None:
            waiting = [one for one in semaphore._waiting if request not in one[1]]
            semaphore._waiting.clear()
            semaphore._waiting.extend(waiting)
        give_back(request._message)
        request.acknowledged = True
        state.task_ready(request)
