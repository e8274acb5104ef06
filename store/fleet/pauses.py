"""What an operator holds back waits until it is resumed or its time is up, and everybody can see why."""

import datetime as dt
import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from purser.errors import Transient
from store.redis_store import DAMAGE, RedisStore, as_unreadable, shown, text, unreadable
from store.resolution import require_actor, require_reason
from store.timestamps import from_micros, to_micros

KINDS = ("queue", "control", "automation", "watch", "subscription")
"""What may be paused by name, beside `all`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Something is held back: `all`, or a queue, control, automation, watch or subscription such as `queue:apply`."""

    target: str
    who: str
    note: str
    at: dt.datetime
    until: dt.datetime | None = None
    """When it ends by itself; None for one that an operator must end."""


def checked_target(target: str) -> str:
    """Return a target that is spelt as one, or raise ValueError."""
    kind, _, name = target.partition(":")
    if target == "all" or (kind in KINDS and name.strip()):
        return target
    raise ValueError(f"{target!r} is nothing to pause: write all, {', '.join(f'{kind}:NAME' for kind in KINDS)}")


# prefix; target, the pause, its end or '', now, who, note, facts
_PAUSE = """
local P = KEYS[1]
local target, pause, ends, now, who, note, facts = unpack(ARGV)
redis.call('HSET', P .. ':pauses', target, pause)
if ends == '' then redis.call('ZREM', P .. ':pauses:ends', target)
else redis.call('ZADD', P .. ':pauses:ends', ends, target) end
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'pause', 'what', target, 'note', note, 'facts', facts)
"""

# prefix; target, now, who, note. 0 when it is not paused, or its time was up.
_RESUME = """
local P = KEYS[1]
local target, now, who, note = unpack(ARGV)
local ends = redis.call('ZSCORE', P .. ':pauses:ends', target)
local was = redis.call('HDEL', P .. ':pauses', target)
redis.call('ZREM', P .. ':pauses:ends', target)
if was == 0 or (ends and tonumber(ends) <= tonumber(now)) then return 0 end
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'resume', 'what', target, 'note', note, 'facts', '{}')
return 1
"""

# prefix; now
_ALL = """
local P = KEYS[1]
for _, target in ipairs(redis.call('ZRANGEBYSCORE', P .. ':pauses:ends', '-inf', ARGV[1])) do
  redis.call('HDEL', P .. ':pauses', target)
  redis.call('ZREM', P .. ':pauses:ends', target)
end
return redis.call('HGETALL', P .. ':pauses')
"""


class Pauses:
    """What is held back, one pause a target. One whose time is up is gone."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._pause = store.script(_PAUSE)
        self._resume = store.script(_RESUME)
        self._all = store.script(_ALL)

    def pause(self, target: str, *, who: str, note: str, until: dt.datetime | None = None) -> Pause:
        """Hold a target back, audited. A target that is paused already is so anew, with this end."""
        now = self._store.now()
        ends = "" if until is None else to_micros(until)
        if until is not None and until <= now:
            raise ValueError(f"a pause ends in the future, and {until.isoformat()} is past")
        made = Pause(
            target=checked_target(target), who=require_actor(who), note=require_reason(note), at=now, until=until
        )
        facts = {} if until is None else {"until": until.isoformat()}
        args = [text(target), _dump(made), ends, to_micros(now), text(who), text(note), json.dumps(facts)]
        with self._store.reach(self._key):
            self._pause(keys=[self._store.prefix], args=args)
        return made

    def resume(self, target: str, *, who: str, note: str) -> bool:
        """Let a target go on, audited; False when it is not paused."""
        args = [text(target), to_micros(self._store.now()), text(require_actor(who)), text(require_reason(note))]
        with self._store.reach(self._key):
            return bool(self._resume(keys=[self._store.prefix], args=args))

    def all(self) -> tuple[Pause, ...]:
        """Return what is paused now, by target."""
        return self.read()[1]

    def read(self) -> tuple[dt.datetime, tuple[Pause, ...]]:
        """Return the ledger's present and what is paused at it.

        A pause that cannot be read holds nothing back: what it names is not known, and a fleet that stands still
        because of it would say nothing. It is reported, and `purser doctor` names it until somebody sets it aside.
        """
        now = self._store.now()
        kept: dict[bytes, bytes] = self._store.read_or({}, self._kept, to_micros(now))
        rows = ((f"{self._key} {shown(target)}", kept[target]) for target in sorted(kept))
        return now, tuple(self._store.readable(_read, rows))

    def _kept(self, now: int) -> dict[bytes, bytes]:
        with self._store.reach(self._key), as_unreadable(self._key):
            flat = self._all(keys=[self._store.prefix], args=[now])
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @property
    def _key(self) -> str:
        return self._store.key("pauses")


class PauseCache:
    """The pauses as a worker sees them: read at most once in `max_age` seconds, and asked as often as one likes.

    While the ledger is away the pauses that were read last stay; who never read any cannot know, and gets Transient.
    """

    def __init__(
        self, pauses: Pauses, max_age: float = 1.0, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._pauses = pauses
        self._max_age = max_age
        self._monotonic = monotonic
        self._seen: tuple[Pause, ...] | None = None
        self._at = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._read_at = self._asked_at = 0.0

    def blocking(self, targets: Collection[str]) -> Pause | None:
        """Return the pause that holds work with these targets back the longest, None where none does."""
        seen, now = self._look()
        held = [one for one in seen if one.target in targets and (one.until is None or one.until > now)]
        return max(held, key=lambda one: one.until or _FOREVER, default=None)

    def _look(self) -> tuple[tuple[Pause, ...], dt.datetime]:
        present = self._monotonic()
        if self._seen is None or present - self._asked_at >= self._max_age:
            self._asked_at = present
            try:
                self._at, self._seen = self._pauses.read()
                self._read_at = present
            except Transient:
                if self._seen is None:
                    raise
        return self._seen, self._at + dt.timedelta(seconds=present - self._read_at)


_FOREVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def _dump(pause: Pause) -> str:
    until = None if pause.until is None else to_micros(pause.until)
    told = {"target": pause.target, "who": pause.who, "note": pause.note, "at": to_micros(pause.at), "until": until}
    return json.dumps(told)


def _read(key: str, raw: bytes) -> Pause:
    try:
        told = json.loads(raw)
        until = told["until"]
        return Pause(
            target=checked_target(told["target"]),
            who=str(told["who"]),
            note=str(told["note"]),
            at=from_micros(told["at"]),
            until=None if until is None else from_micros(until),
        )
    except DAMAGE as error:
        raise unreadable(key, error) from error
