"""What RabbitMQ has given up becomes a letter: whatever put a message aside, it ends in the ledger and in one place.

A thread of each worker empties the queue `purser.dead` over a connection of its own. A message is acknowledged once
the ledger has it. While the ledger is away the message stays in hand and is tried again, for giving it back would be
counted as one more delivery.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from kombu.messaging import Consumer

from workers.broker.rabbitmq.topology import dead_queue, declare
from workers.broker.redis.channel import IDLE_WAIT_SECONDS

log = structlog.get_logger(__name__)

_REASONS: Mapping[str, tuple[str, str, str]] = {
    "delivery_limit": ("too many deliveries", "PoisonMessage", "delivered too often without an end"),
    "rejected": ("rejected", "Reject", "rejected without another try"),
    "expired": ("expired", "Expired", "its time had passed before it was begun"),
    "maxlen": ("queue full", "QueueFull", "the queue held as many messages as it may"),
}
"""RabbitMQ's reason -> ours, the error, and what it said."""


class StoreLetter(Protocol):
    """Stores a message as a letter. Raises when it cannot."""

    def __call__(self, message: Any, *, reason: str, error: str, text: str) -> None: ...


class DeadLetterCollector:
    """Empties the queue of the dead into the ledger."""

    def __init__(self, connect: Callable[[], Any], keep: StoreLetter, *, breath: float = IDLE_WAIT_SECONDS) -> None:
        self._connect, self._keep, self._breath = connect, keep, breath
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._in_hand: Any = None
        self._again_at = 0.0

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a message in hand goes back to the queue."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._collect()
            except Exception as error:  # noqa: BLE001 - the broker may be away, and nothing may end this
                log.warning("dead letters are not collected", problem=str(error))
                self._stop.wait(self._breath)

    def _collect(self) -> None:
        self._in_hand = None
        with self._connect() as connection:
            declare(connection)
            channel = connection.default_channel
            channel.basic_qos(0, 1, False)
            make: Any = Consumer
            with make(channel, [dead_queue()], on_message=self._take, on_decode_error=self._take_unreadable):
                while not self._stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=min(1.0, self._breath))
                    connection.heartbeat_check()
                    if self._in_hand is not None and time.monotonic() >= self._again_at:
                        self._try(*self._in_hand)

    def _take(self, message: Any) -> None:
        headers = dict(message.headers)
        told = _death_of(headers)
        queue = headers.get("x-first-death-queue") or told.get("queue")
        message.headers = {name: value for name, value in headers.items() if not _is_of_the_broker(name)}
        message.delivery_info["queue"] = queue if isinstance(queue, str) else ""
        cause = str(told.get("reason") or headers.get("x-first-death-reason") or "")
        unknown = ("rejected", "Reject", f"set aside by the broker: {cause or 'it does not say why'}")
        self._try(message, *_REASONS.get(cause, unknown))

    def _take_unreadable(self, message: Any, problem: BaseException) -> None:
        message.delivery_info["queue"] = ""
        self._try(message, "unreadable", type(problem).__name__, str(problem))

    def _try(self, message: Any, reason: str, error: str, text: str) -> None:
        try:
            self._keep(message, reason=reason, error=error, text=text)
        except Exception as problem:  # noqa: BLE001 - whatever the ledger says, the message must stay
            log.error("letter not stored, it is tried again", problem=str(problem))
            self._in_hand, self._again_at = (message, reason, error, text), time.monotonic() + self._breath
        else:
            self._in_hand = None
            message.ack()


def _death_of(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the last death of a message, as the broker notes it."""
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else {}
    return last if isinstance(last, Mapping) else {}


def _is_of_the_broker(header: str) -> bool:
    return header == "x-death" or header.startswith(("x-first-death-", "x-last-death-"))
