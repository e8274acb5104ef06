"""What is settled and old is buried: its bytes go, and a tombstone with counts stays. The dead are never buried."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from store.dead_letters.letter_keys import LIFE, DeadLetterBase
from store.dead_letters.model import DeadLetterState
from store.pagination import checked_limit
from store.redis_store import DAMAGE, RedisStore, checked, named, shown, text, unreadable
from store.timestamps import from_micros, to_micros

SETTLED = (DeadLetterState.REPLAYED, DeadLetterState.DISCARDED, DeadLetterState.SUPERSEDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone:
    """Letters that were alike, settled alike and buried on one day."""

    day: dt.date
    """When they were buried."""
    state: DeadLetterState
    """How they were settled."""
    task: str
    error: str
    reason: str
    fingerprint: str
    count: int
    first: dt.datetime
    """When the first attempt of any of them failed."""
    last: dt.datetime
    """When the last of them was set aside."""


# state, the moment before which they were settled, today as a moment, today as text, how many, how many are passed
# over. Gives what was buried, and how many were left because they cannot be read.
# The stone is written before the letter goes: an error in the middle counts one twice, and loses none.
_BURY = (
    LIFE
    + """
local state, before, today, day, limit, first_of = unpack(ARGV)
local told, index, left = {}, P .. ':letters:' .. state, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. before, 'LIMIT', first_of, limit)) do
  local its = fields(key(id), 'state', 'task', 'error', 'reason', 'fingerprint', 'first_at', 'stored_at')
  local _, task, error, reason, kind, first, last = unpack(its)
  local is_whole = task and error and reason and kind and tonumber(first or '') and tonumber(last or '')
  local stone = is_whole and P .. ':grave:' .. table.concat({day, state, task, error, reason, kind}, '\\n')
  if redis.call('EXISTS', key(id)) == 0 or (is_whole and its[1] and its[1] ~= state) then
    redis.call('ZREM', index, id)
  elseif not is_whole or not its[1] or not is_hash(stone) then  -- what cannot be read stays
    left = left + 1
  else
    local name = string.sub(stone, #P + 8)
    local f, l = unpack(redis.call('HMGET', stone, 'first', 'last'))
    if not tonumber(f or '') or tonumber(first) < tonumber(f) then f = first end
    if not tonumber(l or '') or tonumber(last) > tonumber(l) then l = last end
    redis.call('ZADD', P .. ':graves', today, name)
    redis.call('HSET', stone, 'day', day, 'state', state, 'task', task, 'error', error, 'reason', reason,
      'fingerprint', kind, 'first', f, 'last', l)
    redis.call('HINCRBY', stone, 'count', 1)
    leave(id)
    redis.call('DEL', key(id))
    told[#told + 1] = {task, error, reason, kind, first, last}
  end
end
return {told, left}
"""
)

# state, today, how many, now: one entry in the trail for all of a burial
_TELL = LIFE + "audit(ARGV[1], 'purser', 'dead.bury', ARGV[2], ARGV[3], ARGV[4])"

_AT_ONCE = 500


class DeadLetterTombstones(DeadLetterBase):
    """The letters that are no more."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._bury = store.script(_BURY)
        self._tell = store.script(_TELL)

    def bury(self, before: dt.datetime) -> tuple[Tombstone, ...]:
        """Bury the letters that were settled before a moment, audited; give what was buried now. Dead ones stay."""
        now = self._store.now()
        midnight = dt.datetime.combine(now.astimezone(dt.UTC).date(), dt.time(), dt.UTC)
        buried: dict[tuple[str, ...], Tombstone] = {}
        for state in SETTLED:
            args = [state, to_micros(before), to_micros(midnight), midnight.date().isoformat(), _AT_ONCE]
            passed = 0
            while True:
                with self._store.reach(self._index(state)) as client:
                    told, left = self._bury(keys=[self._store.prefix], args=[*args, passed])
                    passed += int(left)
                    _add(buried, state, midnight.date(), told)
                    if client.zcount(self._index(state), "-inf", f"({to_micros(before)}") <= passed:
                        break
        if buried:
            count = sum(grave.count for grave in buried.values())
            note = f"settled before {before.isoformat()}"
            with self._store.reach(self._store.key("audit")):
                args = [to_micros(now), "letters", note, f'{{"count": {count}}}']
                self._tell(keys=[self._store.prefix], args=args)
        return tuple(sorted(buried.values(), key=lambda grave: (-grave.count, grave.fingerprint)))

    def graves(self, limit: int = 100) -> tuple[Tombstone, ...]:
        """Return the tombstones, those of the latest day first."""
        checked_limit(limit)
        key = self._store.key("graves")
        with self._store.reach(key) as client:
            names = [shown(name) for name in client.zrevrange(key, 0, limit - 1)]
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(self._store.key("grave", name))
            found = self._store.answers_of(pipe)
        rows = ((self._store.key("grave", name), raw) for name, raw in zip(names, found, strict=True) if raw)
        return tuple(self._store.readable(_read_grave, rows))


def _add(
    buried: dict[tuple[str, ...], Tombstone], state: DeadLetterState, day: dt.date, told: Iterable[list[bytes]]
) -> None:
    for task, error, reason, kind, first, last in told:
        one = _grave(
            {
                "day": text(day.isoformat()),
                "state": text(state),
                "task": task,
                "error": error,
                "reason": reason,
                "fingerprint": kind,
                "first": first,
                "last": last,
                "count": b"1",
            }
        )
        key = (state, one.task, one.error, one.reason, one.fingerprint)
        other = buried.get(key)
        buried[key] = one if other is None else _together(one, other)


def _together(one: Tombstone, other: Tombstone) -> Tombstone:
    first, last = min(one.first, other.first), max(one.last, other.last)
    return replace(one, count=one.count + other.count, first=first, last=last)


def _read_grave(key: str, raw: Any) -> Tombstone:
    try:
        return _grave(named(checked(raw, key)))
    except DAMAGE as error:
        raise unreadable(key, error) from error


def _grave(raw: dict[str, bytes]) -> Tombstone:
    return Tombstone(
        day=dt.date.fromisoformat(raw["day"].decode()),
        state=DeadLetterState(raw["state"].decode()),
        task=raw["task"].decode(),
        error=raw["error"].decode(),
        reason=raw["reason"].decode(),
        fingerprint=raw["fingerprint"].decode(),
        count=int(raw["count"]),
        first=from_micros(raw["first"]),
        last=from_micros(raw["last"]),
    )
