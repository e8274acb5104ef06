"""A due moment of a control is worked by one holder at a time, and once it is done nobody works it again.

A claim is a lease plus a done mark: the holder's own redelivered message re-enters it, and a lease that nobody
renews lapses, so a killed worker delays a scan and never loses it.
"""

import datetime as dt
import enum

from store.redis_store import DAMAGE, RedisStore, UnreadableEntry, as_unreadable, unreadable
from store.timestamps import from_micros, to_micros


class ClaimResult(enum.StrEnum):
    """The answer to whoever wants to work on something."""

    GRANTED = "granted"
    BUSY = "busy"
    DONE = "done"


FORGOTTEN_AFTER = dt.timedelta(days=1)
"""How long a lapsed lease is kept before Redis drops it."""

RUNS = """
-- whether a lease that ends then still runs. An end further away than twice what is asked for (`lapses`) was written
-- while the server's clock was ahead.
local function runs(ends, now, lapses)
  local left = (tonumber(ends or '') or 0) - tonumber(now)
  return left > 0 and left <= 2 * (tonumber(lapses) - tonumber(now))
end
"""

BUSY = (
    RUNS
    + """
local function is_busy(lease, holder, now, lapses)
  local held = redis.call('HMGET', lease, 'holder', 'until')
  return held[1] and held[1] ~= holder and runs(held[2], now, lapses)
end
"""
)

AHEAD = dt.timedelta(seconds=10)
"""A slot further in the future than this was marked while the server's clock was ahead: it marks nothing."""

_MARK = f"""
local function mark_of(marks, control, now)
  local mark = redis.pcall('HGET', marks, control)  -- what cannot be read marks nothing
  mark = type(mark) == 'string' and tonumber(mark)
  return mark and mark <= tonumber(now) + {AHEAD // dt.timedelta(microseconds=1)} and mark
end
"""

# lease key, hash of done slots; control, slot, holder, now, until, milliseconds to keep
_CLAIM = (
    BUSY
    + _MARK
    + """
local lease, done = KEYS[1], KEYS[2]
local control, slot, holder, now, lapses, keep = unpack(ARGV)
local last = mark_of(done, control, now)
if last and tonumber(slot) <= last then return 'done' end
if is_busy(lease, holder, now, lapses) then return 'busy' end
redis.call('HSET', lease, 'holder', holder, 'until', lapses)
redis.call('PEXPIRE', lease, keep)
return 'granted'
"""
)

# lease key, hashes of done and of completed slots; control, slot, holder, now, whether it was completed. The slot
# that an older Purser marked as done counts as completed.
_DONE = (
    _MARK
    + """
local lease, done, completed = KEYS[1], KEYS[2], KEYS[3]
local control, slot, holder, now, is_completed = unpack(ARGV)
local held = redis.call('HMGET', lease, 'holder', 'until')
if held[1] and held[1] ~= holder and (tonumber(held[2] or '') or 0) > tonumber(now) then return 0 end
redis.call('DEL', lease)
local last = mark_of(done, control, now)
if last then redis.call('HSETNX', completed, control, string.format('%.0f', last)) end
local before = mark_of(completed, control, now)
if is_completed == '1' and not (before and tonumber(slot) <= before) then
  redis.call('HSET', completed, control, slot)
end
if not last or tonumber(slot) > last then redis.call('HSET', done, control, slot) end
return 1
"""
)

RELEASE = """
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""


class SlotStore:
    """Who works on which slot of which control, and the last one done."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._claim = store.script(_CLAIM)
        self._done = store.script(_DONE)
        self._release = store.script(RELEASE)

    def claim(self, control: str, slot: dt.datetime, *, holder: str, lease: dt.timedelta) -> ClaimResult:
        """Ask for a slot. Its holder may ask again, which renews the lease."""
        now = self._store.now()
        args = [control, to_micros(slot), holder, *lease_of(now, lease)]
        with self._store.reach(self._key(control, slot)):
            answer = self._claim(keys=[self._key(control, slot), self._done_key], args=args)
        return ClaimResult(answer.decode())

    def done(self, control: str, slot: dt.datetime, *, holder: str, is_completed: bool = True) -> bool:
        """Mark a slot, and those before it, as done. False, and no mark: someone else holds it by now.

        A run that was held, or could not judge, is not `is_completed`: what an earlier run decided still counts.
        """
        args = [control, to_micros(slot), holder, to_micros(self._store.now()), int(is_completed)]
        marks = [self._done_key, self._completed_key]
        with self._store.reach(self._key(control, slot)):
            return bool(self._done(keys=[self._key(control, slot), *marks], args=args))

    def release(self, control: str, slot: dt.datetime, *, holder: str) -> bool:
        """Return a slot back undone; False when `holder` does not hold it."""
        with self._store.reach(self._key(control, slot)):
            return bool(self._release(keys=[self._key(control, slot)], args=[holder]))

    def last_done(self, control: str) -> dt.datetime | None:
        """Return the last slot that was done; None where there is none, or its mark cannot be read: a slot may be run
        again, and none is taken for done that was not."""
        return self._store.read_or(None, self._marked, self._done_key, control)

    def last_completed(self, control: str) -> dt.datetime | None:
        """Return the last slot whose run decided anew: chunks of an earlier one are pointless. None as for
        `last_done`."""
        try:
            marked = self._marked(self._completed_key, control)
        except UnreadableEntry as problem:
            self._store.report(problem)
            return None
        return self.last_done(control) if marked is None else marked  # an older Purser marked no more than that

    def _marked(self, key: str, control: str) -> dt.datetime | None:
        with self._store.reach(key) as client, as_unreadable(key):
            raw = client.hget(key, control)
        try:
            mark = None if raw is None else from_micros(raw)
        except DAMAGE as error:
            raise unreadable(f"{key} {control}", error) from error
        return None if mark is None or mark > self._store.now() + AHEAD else mark

    @property
    def _done_key(self) -> str:
        return self._store.key("slots", "done")

    @property
    def _completed_key(self) -> str:
        return self._store.key("slots", "completed")

    def _key(self, control: str, slot: dt.datetime) -> str:
        return self._store.key("slot", control, str(to_micros(slot)))


def lease_of(now: dt.datetime, lease: dt.timedelta) -> tuple[int, int, int]:
    """Return now, the end of the lease, and how many milliseconds Redis keeps the trace of it."""
    if lease <= dt.timedelta(0):
        raise ValueError(f"a lease lasts longer than nothing, not {lease}")
    return to_micros(now), to_micros(now + lease), (lease + FORGOTTEN_AFTER) // dt.timedelta(milliseconds=1)
