"""A look at a broker from outside: what waits, what workers hold, and how anybody could put something on a queue."""

import base64
import json
from typing import Any, Protocol

import redis
from kombu.connection import Connection

from config.queues import QUEUES, redis_lists
from workers.broker.kombu_envelope import read_envelope
from workers.broker.rabbitmq import topology
from workers.broker.redis.scripts import HELD


class Broker(Protocol):
    """What a test asks of the broker, whichever it is."""

    def depth(self, queue: str) -> int:
        """Count what waits on a queue."""

    def push_raw(self, queue: str, raw: bytes) -> None:
        """Put bytes on a queue. What is the envelope of a message is sent as that message."""

    def messages(self) -> list[dict[str, Any]]:
        """Return what waits and what is in flight."""

    def held(self) -> int:
        """Count what workers hold."""

    def is_quiet(self) -> bool:
        """Return whether nothing waits and nothing is in flight."""

    def close(self) -> None:
        """Give the connections back."""


def broker_at(url: str) -> Broker:
    """Look at the broker of an address."""
    return RabbitBroker(url) if topology.is_rabbitmq(url) else RedisBroker(url)


class RedisBroker:
    """Queues are lists; what a worker holds stands in a hash of its own."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def depth(self, queue: str) -> int:
        return sum(int(self._client.llen(name)) for name in redis_lists(queue))

    def push_raw(self, queue: str, raw: bytes) -> None:
        self._client.lpush(queue, raw)

    def messages(self) -> list[dict[str, Any]]:
        lists = [name for queue in QUEUES for name in redis_lists(queue)]
        waiting = [raw for name in lists for raw in self._client.lrange(name, 0, -1)]
        return [json.loads(raw) for raw in (*waiting, *self._in_flight())]

    def held(self) -> int:
        return len(self._in_flight())

    def _in_flight(self) -> list[bytes]:
        client: Any = self._client
        records = [raw for key in client.scan_iter(f"{HELD}*") for raw in client.hvals(key)]
        return [record.split(b":", 3)[3][int(record.split(b":", 3)[2]) :] for record in records]

    def is_quiet(self) -> bool:
        return not any(map(self.depth, QUEUES)) and not self.held()

    def close(self) -> None:
        self._client.close()


class RabbitBroker:
    """RabbitMQ tells what waits; what workers hold is asked of its command line tool, where a test has one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ctl: Any = None
        """Set to `RabbitNode.ctl` by a test that asks for what workers hold."""

    def depth(self, queue: str) -> int:
        with _connect(self.url) as connection:
            return topology.depth(connection, queue) or 0

    def push_raw(self, queue: str, raw: bytes) -> None:
        envelope, problem = read_envelope(raw)
        with _connect(self.url, transport_options={"confirm_publish": True}) as connection:
            topology.declare(connection)
            if problem:
                channel = connection.channel()
                channel.basic_publish(channel.prepare_message(raw), exchange="", routing_key=queue)
                return
            connection.Producer().publish(
                base64.b64decode(envelope["body"]),
                routing_key=queue,
                content_type=envelope["content-type"],
                content_encoding=envelope["content-encoding"],
                headers=envelope["headers"],
                delivery_mode=2,
            )

    def messages(self) -> list[dict[str, Any]]:
        raise NotImplementedError("RabbitMQ shows no message without delivering it")

    def held(self) -> int:
        return sum(self._counted("messages_unacknowledged").values())

    def is_quiet(self) -> bool:
        counts = self._counted("messages")
        return not any(counts.get(queue, 0) for queue in (*QUEUES, topology.DEAD))

    def _counted(self, what: str) -> dict[str, int]:
        told = self.ctl("list_queues", "-p", self._vhost, "name", what, "--no-table-headers")
        lines = [line.split("\t") for line in told.splitlines() if "\t" in line]
        return {name: int(count) for name, count in lines}

    @property
    def _vhost(self) -> str:
        return str(_connect(self.url).virtual_host)

    def close(self) -> None:
        return None


def _connect(url: str, **options: Any) -> Any:
    make: Any = Connection
    return make(url, **options)
