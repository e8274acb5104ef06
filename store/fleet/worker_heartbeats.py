"""Every worker says now and then that it lives and what it does, so one that is gone or idles is noticed."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from store.redis_store import DAMAGE, RedisStore, as_unreadable, shown, text, unreadable
from store.resolution import require_actor, require_reason
from store.timestamps import from_micros, to_micros

SILENCE = dt.timedelta(minutes=1)
"""A worker that has not been heard of for so long is gone."""

RETENTION = dt.timedelta(days=1)
"""So long a worker that is gone is still listed."""

GHOST_AFTER = dt.timedelta(minutes=2)
"""A worker with free hands that leaves waiting messages alone for so long is a ghost."""


NAME_TAKEN = "name taken"
"""The state of a worker that does nothing because another one has its name."""


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """What a worker says of itself."""

    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    started: dt.datetime
    at: dt.datetime
    """When it said so, by its own clock."""
    last_consumed: dt.datetime | None = None
    active: int = 0
    """Tasks it is working on."""
    capacity: int = 1
    """Tasks it can work on at a time."""
    oldest: Mapping[str, float] = field(default_factory=dict)
    """For how many seconds the oldest message of each of its queues has waited; a queue without one is left out."""
    stuck: int = 0
    """Messages that it holds and nobody works on, although there is room."""
    mended: int = 0
    """How often it gave such a message back, or freed a place of its pool that nobody had, since it started."""
    errors: int = 0
    """Errors since it started that no task handled: faults of the code, each in its log."""
    version: str = ""
    state: str = "working"
    """Its own word for what it is doing; `ghost` when it has found itself to be one."""

    def is_ghost(self, patience: dt.timedelta = GHOST_AFTER) -> bool:
        """Return whether it has free hands and consumes nothing while messages grow old on its queues."""
        idle_since = self.last_consumed or self.started
        return (
            self.active < self.capacity
            and self.at - idle_since > patience
            and max(self.oldest.values(), default=0.0) > patience.total_seconds()
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStatus:
    """A worker as the ledger knows it."""

    member: WorkerReport
    at: dt.datetime
    """When it was last heard of, by the ledger's clock."""
    age: dt.timedelta
    """How long ago that was."""

    @property
    def state(self) -> str:
        """Say `gone`, `ghost`, or what the worker says of itself."""
        if self.age > SILENCE:
            return "gone"
        return "ghost" if self.member.is_ghost() else self.member.state


_MEMBER = TypeAdapter(WorkerReport)

# prefix; now, name, the member, when those are forgotten who were last heard of before
_REPORT = """
local P = KEYS[1]
local now, name, member, forgotten = unpack(ARGV)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', P .. ':crew:heard', '-inf', '(' .. forgotten)) do
  redis.call('ZREM', P .. ':crew:heard', old)
  redis.call('HDEL', P .. ':crew', old)
end
-- who was heard of in the future was heard of while the server's clock was ahead
for _, other in ipairs(redis.call('ZRANGEBYSCORE', P .. ':crew:heard', '(' .. now, '+inf')) do
  redis.call('ZADD', P .. ':crew:heard', now, other)
end
redis.call('HSET', P .. ':crew', name, member)
redis.call('ZADD', P .. ':crew:heard', now, name)
"""

# prefix; name
_LEFT = """
local P = KEYS[1]
redis.call('ZREM', P .. ':crew:heard', ARGV[1])
return redis.call('HDEL', P .. ':crew', ARGV[1])
"""

# prefix; now, name, who, note
_FORGET = """
local P = KEYS[1]
local now, name, who, note = unpack(ARGV)
redis.call('ZREM', P .. ':crew:heard', name)
if redis.call('HDEL', P .. ':crew', name) == 0 then return 0 end
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'workers.forget', 'what', name, 'note', note, 'facts', '{}')
return 1
"""

# prefix. Gives names, and when each was heard of.
_ALL = """
local P = KEYS[1]
local answer = {}
for _, name in ipairs(redis.call('ZRANGE', P .. ':crew:heard', 0, -1)) do
  local member = redis.call('HGET', P .. ':crew', name)
  if member then
    table.insert(answer, name)
    table.insert(answer, redis.call('ZSCORE', P .. ':crew:heard', name))
    table.insert(answer, member)
  end
end
return answer
"""


class WorkerHeartbeats:
    """The workers, by name, as they last reported."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._report = store.script(_REPORT)
        self._left = store.script(_LEFT)
        self._forget = store.script(_FORGET)
        self._all = store.script(_ALL)

    def report(self, member: WorkerReport) -> None:
        """Say that a worker lives. Those gone for more than a day are forgotten."""
        now = self._store.now()
        args = [to_micros(now), text(member.name), _MEMBER.dump_json(member), to_micros(now - RETENTION)]
        with self._store.reach(self._key):
            self._report(keys=[self._store.prefix], args=args)

    def leave(self, name: str) -> bool:
        """Take a worker off that ends in good order; False when it is not listed."""
        with self._store.reach(self._key):
            return bool(self._left(keys=[self._store.prefix], args=[text(name)]))

    def forget(self, name: str, *, who: str, note: str) -> bool:
        """Take a worker off that is gone for good, audited; False when it is not listed."""
        args = [to_micros(self._store.now()), text(name), text(require_actor(who)), text(require_reason(note))]
        with self._store.reach(self._key):
            return bool(self._forget(keys=[self._store.prefix], args=args))

    def all(self) -> tuple[WorkerStatus, ...]:
        """Return the workers heard of within a day, by name."""
        now = self._store.now()
        flat: list[bytes] = self._store.read_or([], self._kept)
        rows = ((*row, now) for row in zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        found = self._store.readable(self._heard, rows)
        return tuple(sorted((one for one in found if one.age <= RETENTION), key=lambda one: one.member.name))

    def _kept(self) -> list[bytes]:
        with self._store.reach(self._key), as_unreadable(self._key):
            flat: list[bytes] = self._all(keys=[self._store.prefix])
        return flat

    def _heard(self, name: bytes, at: bytes, raw: bytes, now: dt.datetime) -> WorkerStatus:
        try:
            heard = from_micros(float(at))
            return WorkerStatus(member=_MEMBER.validate_json(raw), at=heard, age=max(now - heard, dt.timedelta(0)))
        except DAMAGE as error:
            raise unreadable(f"{self._key} {shown(name)}", error) from error

    @property
    def _key(self) -> str:
        return self._store.key("crew")
