"""A due moment of a control is worked by one holder at a time, and once it is done nobody works it again.

A claim is a lease plus a done mark: the holder's own redelivered message re-enters it, and a lease that nobody
renews lapses, so a killed worker delays a scan and never loses it.
"""

import datetime as dt
import enum

from ledger.clock import micros, moment_of
from ledger.store import Store, unreadable


class Claim(enum.StrEnum):
    """The answer to whoever wants to work on something."""

    GRANTED = "granted"
    BUSY = "busy"
    DONE = "done"


FORGOTTEN_AFTER = dt.timedelta(days=1)
"""How long a lapsed lease is kept before Redis drops it."""

# lease key, hash of done slots; control, slot, holder, now, until, milliseconds to keep
_CLAIM = """
local lease, done = KEYS[1], KEYS[2]
local control, slot, holder, now, lapses, keep = unpack(ARGV)
local last = redis.call('HGET', done, control)
if last and tonumber(slot) <= tonumber(last) then return 'done' end
local held = redis.call('HMGET', lease, 'holder', 'until')
if held[1] and held[1] ~= holder and tonumber(held[2]) > tonumber(now) then return 'busy' end
redis.call('HSET', lease, 'holder', holder, 'until', lapses)
redis.call('PEXPIRE', lease, keep)
return 'granted'
"""

# lease key, hash of done slots; control, slot, holder, now
_DONE = """
local lease, done = KEYS[1], KEYS[2]
local control, slot, holder, now = unpack(ARGV)
local held = redis.call('HMGET', lease, 'holder', 'until')
if held[1] and held[1] ~= holder and tonumber(held[2]) > tonumber(now) then return 0 end
redis.call('DEL', lease)
local last = redis.call('HGET', done, control)
if not last or tonumber(slot) > tonumber(last) then redis.call('HSET', done, control, slot) end
return 1
"""

RELEASE = """
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""


class Slots:
    """Who works on which slot of which control, and the last one done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claim = store.script(_CLAIM)
        self._done = store.script(_DONE)
        self._release = store.script(RELEASE)

    def claim(self, control: str, slot: dt.datetime, *, holder: str, lease: dt.timedelta) -> Claim:
        """Ask for a slot. Its holder may ask again, which renews the lease."""
        now = self._store.now()
        args = [control, micros(slot), holder, *lease_of(now, lease)]
        with self._store.reach(self._key(control, slot)):
            answer = self._claim(keys=[self._key(control, slot), self._done_key], args=args)
        return Claim(answer.decode())

    def done(self, control: str, slot: dt.datetime, *, holder: str) -> bool:
        """Mark a slot, and those before it, as done. False, and no mark: someone else holds it by now."""
        args = [control, micros(slot), holder, micros(self._store.now())]
        with self._store.reach(self._key(control, slot)):
            return bool(self._done(keys=[self._key(control, slot), self._done_key], args=args))

    def release(self, control: str, slot: dt.datetime, *, holder: str) -> bool:
        """Give a slot back undone; False when `holder` does not hold it."""
        with self._store.reach(self._key(control, slot)):
            return bool(self._release(keys=[self._key(control, slot)], args=[holder]))

    def last_done(self, control: str) -> dt.datetime | None:
        """Give the last slot that was done."""
        with self._store.reach(self._done_key) as client:
            raw = client.hget(self._done_key, control)
        try:
            return None if raw is None else moment_of(raw)
        except ValueError as error:
            raise unreadable(self._done_key, error) from error

    @property
    def _done_key(self) -> str:
        return self._store.key("slots", "done")

    def _key(self, control: str, slot: dt.datetime) -> str:
        return self._store.key("slot", control, str(micros(slot)))


def lease_of(now: dt.datetime, lease: dt.timedelta) -> tuple[int, int, int]:
    """Give now, the end of the lease, and how many milliseconds Redis keeps the trace of it."""
    if lease <= dt.timedelta(0):
        raise ValueError(f"a lease lasts longer than nothing, not {lease}")
    return micros(now), micros(now + lease), (lease + FORGOTTEN_AFTER) // dt.timedelta(milliseconds=1)
