"""A Redis broker seen from outside: what lies where, and how to let a consumer's time run out."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import redis

from workers.broker.redis import scripts
from workers.broker.redis.leases import LeaseManager

LEASE = 60.0
"""Long enough that no lease ends by itself in a test; `frozen` ends one."""


class House:
    """What lies on a broker."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client

    @property
    def url(self) -> str:
        """Return the address of this broker."""
        place = self.client.get_connection_kwargs()
        return f"redis://{place['host']}:{place['port']}/{place.get('db') or 0}"

    def waiting(self, queue: str = "q") -> list[bytes]:
        """Return what waits on a queue, the next one out first."""
        return list(reversed(self.client.lrange(queue, 0, -1)))

    def push(self, *payloads: bytes, queue: str = "q") -> None:
        """Put payloads on a queue as any producer does."""
        for payload in payloads:
            self.client.lpush(queue, payload)

    def held(self) -> dict[str, bytes]:
        """Return what is held, by delivery tag."""
        found = {}
        for key in self.client.scan_iter(f"{scripts.HELD}*"):
            holder = key.decode().removeprefix(scripts.HELD)
            for number, record in self.client.hgetall(key).items():
                found[f"{holder}/{number.decode()}"] = payload_of(record)
        return found

    def leases(self) -> set[str]:
        return {name.decode() for name in self.client.zrange(scripts.LEASES, 0, -1)}

    def frozen(self, *holders: str) -> None:
        """Let the lease of these holders end, while others were heard all the time."""
        for holder in holders:
            self.client.zadd(scripts.LEASES, {holder: 1}, xx=True)
        self.heard_for(3 * LEASE)

    def heard_for(self, seconds: float, silent: float = 0.0) -> None:
        """Pretend that renewals came without a gap for so long, and then none."""
        second, micros = self.client.time()
        now = second * 1000 + micros // 1000
        last = int(now - silent * 1000)
        self.client.hset(scripts.NOTIFICATIONS, mapping={"last": last, "since": int(last - seconds * 1000)})

    def is_clean(self) -> bool:
        """Nobody has a lease and nothing is held."""
        return not self.leases() and not self.held()


def payload_of(record: bytes) -> bytes:
    """Return the payload in a record of what is held."""
    size, rest = record.split(b":", 3)[2:]
    return rest[int(size) :]


def delivery_of(record: bytes | None) -> int:
    """Return how often this payload was delivered."""
    assert record is not None
    return int(record.split(b":", 1)[0])


@contextlib.contextmanager
def keeping(client: redis.Redis) -> Iterator[LeaseManager]:
    """Yield a keeper that beats only when told to."""
    keeper = LeaseManager(client, lease=LEASE, heartbeat=3600)
    yield keeper
    keeper.stop()


class Taker:
    """A consumer of one queue that counts its questions, as a channel does."""

    def __init__(self, keeper: LeaseManager, *queues: str) -> None:
        self.keeper = keeper
        self.queues = queues or ("q",)
        self.holder = keeper.enlist()
        self.number = 0

    def take(self) -> tuple[str, bytes] | None:
        """Reserve the next message; give its tag and payload."""
        record = self.keeper.reserve(self.next_tag, self.queues)
        if record is None:
            return None
        tag, self.number = self.next_tag, self.number + 1
        return tag, payload_of(record)

    @property
    def next_tag(self) -> str:
        return f"{self.holder}/{self.number + 1}"


def some_payload() -> bytes:
    return uuid.uuid4().hex.encode()
