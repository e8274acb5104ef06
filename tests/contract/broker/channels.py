"""Connections of kombu that reserve, for one test, and what a consumer on them was given."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import kombu
from kombu.transport import redis as kombu_redis

from tests.contract.broker.house import LEASE
from workers.broker.redis import channel as redis_queue
from workers.broker.redis import leases as keepers

HEARTBEAT = 0.1

KOMBU: Any = kombu
"""It ships no types."""


class Kept(redis_queue.MessageSink):
    """Remembers what would be kept as letters. `away` lets it fail; `works_on` names tags still worked on."""

    def __init__(self) -> None:
        self.letters: list[tuple[bytes, str, str]] = []
        self.kept: list[tuple[Any, str]] = []
        self.works_on: set[str] = set()
        self.away = False

    def working(self, holder: str) -> set[str]:
        return redis_queue.working_numbers(holder, self.works_on)

    def keep_bytes(self, raw: bytes, *, queue: str, tag: str, shared: bool, problem: str) -> None:
        self._reach()
        self.letters.append((raw, queue, problem))

    def keep(self, message: Any, *, reason: str, error: str, text: str) -> None:
        self._reach()
        self.kept.append((message, reason))

    def _reach(self) -> None:
        if self.away:
            raise ConnectionError("the ledger is away")


@contextlib.contextmanager
def reserving(
    inbound: redis_queue.MessageSink, *, lease: float = LEASE, heartbeat: float = HEARTBEAT
) -> Iterator[None]:
    """Let the connections of this process reserve."""
    transports = (kombu_redis.Transport, kombu_redis.SentinelTransport)
    stock = [(one, one.Channel, one.connection_errors) for one in transports]
    redis_queue.install(inbound=inbound, lease=lease, heartbeat=heartbeat, shares_ledger=False)
    try:
        yield
    finally:
        for transport, channel, errors in stock:
            transport.Channel, transport.connection_errors = channel, errors
        for keeper in keepers._keepers.values():
            keeper.stop()
        keepers._keepers.clear()


def connect(url: str, **options: Any) -> Any:
    """Return a connection that is not made yet."""
    return KOMBU.Connection(url, transport_options={"priority_steps": [0], "socket_timeout": 5, **options})


def send(connection: Any, *values: Any, queue: str = "q", **options: Any) -> None:
    """Put messages on a queue."""
    channel = connection.channel()
    producer = KOMBU.Producer(channel)
    for value in values:
        producer.publish(value, routing_key=queue, **options)
    channel.close()


class Reader:
    """A consumer on a channel of its own. What it was given waits in `messages`."""

    def __init__(self, connection: Any, *queues: Any, prefetch: int = 0, no_ack: bool = False) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self.messages: list[Any] = []
        self.consumer = KOMBU.Consumer(
            self.channel,
            [plain(queue) if isinstance(queue, str) else queue for queue in queues or ("q",)],
            no_ack=no_ack,
            prefetch_count=prefetch or None,
            on_message=self.messages.append,
        )
        self.consumer.consume()

    @property
    def values(self) -> list[Any]:
        return [message.payload for message in self.messages]

    def read(self, count: int, within: float = 10.0) -> list[Any]:
        """Wait until this many messages have come; give their values."""
        turn_until(self.connection, lambda: len(self.messages) >= count, within=within)
        return self.values


def plain(name: str, **options: Any) -> Any:
    """Name a queue that is bound to nothing."""
    return KOMBU.Queue(name, exchange="", routing_key=name, **options)


def turn(connection: Any, timeout: float = 0.05) -> None:
    """Let the connection do what there is to do."""
    with contextlib.suppress(socket.timeout):
        connection.drain_events(timeout=timeout)


def turn_until(connection: Any, condition: Callable[[], Any], *, within: float = 10.0) -> None:
    """Let the connection work until something is so."""
    turns = int(within / 0.05)
    for _ in range(turns):
        if condition():
            return
        turn(connection)
    raise TimeoutError(f"waited {within:g} s in vain for {condition}")
