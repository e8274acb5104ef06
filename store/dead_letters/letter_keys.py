"""Where the letters stand: their keys, how one is read, and that a replay which never ended is no replay."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from store.dead_letters.model import DeadLetter, DeadLetterState, letter_of
from store.message_locations import PLACES
from store.pagination import chunks
from store.redis_store import DAMAGE, LuaScript, RedisStore, as_unreadable, checked, named, text, unreadable
from store.timestamps import to_micros

# Shared by whatever moves letters: see also `store.message_locations`.
LIFE = (
    PLACES
    + """
local function revive(id)
  leave(id)
  redis.call('HDEL', key(id), 'replay_at', 'settled_at', 'settled_by', 'settled_note')
  enter(id, 'dead', whole(redis.call('HGET', key(id), 'stored_at')))
end

-- a mark further in the future than it may be old was written while the server's clock was ahead
local function is_free(id, now, stale)
  local state, at = unpack(fields(key(id), 'state', 'replay_at'))
  if state == 'dead' then return true end
  local marked, longest = tonumber(whole(at)), tonumber(now) - tonumber(stale)
  return state == 'replaying' and (marked <= tonumber(stale) or marked > tonumber(now) + longest)
end

local function is_replay(id, number, state)
  return redis.call('HGET', key(id), 'state') == state and redis.call('HGET', key(id), 'replays') == number
end

local function moment(id)
  local slot, stored = unpack(fields(key(id), 'slot', 'stored_at'))
  return tonumber(whole((slot and slot ~= '') and slot or stored))
end
"""
)

# the moment before which a mark is stale, the moment after which none can have been written
_WAKE = (
    LIFE
    + """
local woken = 0
for _, range in ipairs({{'-inf', ARGV[1]}, {'(' .. ARGV[2], '+inf'}}) do
  local ids = redis.call('ZRANGEBYSCORE', P .. ':letters:replaying', range[1], range[2], 'LIMIT', 0, 500)
  for _, id in ipairs(ids) do
    if fields(key(id), 'state')[1] == 'replaying' then
      revive(id)
      woken = woken + 1
    end
  end
end
return woken
"""
)


class DeadLetterBase:
    """What all that is done with letters begins from."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        self._store = store
        self._stale_after = stale_after
        self._wake = store.script(_WAKE)

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, whatever its state."""
        key = self._key(letter_id)
        with self._store.reach(key) as client, as_unreadable(key):
            raw = client.hgetall(key)
        return self._read(letter_id, raw) if raw else None

    # -- helpers

    def _key(self, letter_id: str) -> str:
        return self._store.key("letter", letter_id)

    def _index(self, state: DeadLetterState, *narrower: str) -> str:
        return self._store.key("letters", state, *narrower)

    def _now_and_stale(self) -> tuple[int, int]:
        now = self._store.now()
        return to_micros(now), to_micros(now - self._stale_after)

    def _wake_stale(self) -> None:
        with self._store.reach(self._index(DeadLetterState.REPLAYING)) as client:
            if not client.zcard(self._index(DeadLetterState.REPLAYING)):
                return
            now, stale = self._now_and_stale()
            while self._wake(keys=[self._store.prefix], args=[stale, now + (now - stale)]):
                pass

    def _each(self, script: LuaScript, about: DeadLetterState, ids: Sequence[str], *args: Any) -> tuple[str, ...]:
        """Run a script for each id, and give the ids for which it did something."""
        done: list[str] = []
        for chunk in chunks(ids):
            with self._store.reach(self._index(about)):
                answers = self._store.run_each(script, [([self._store.prefix], [text(id_), *args]) for id_ in chunk])
            done += self._store.readable(self._did, zip(chunk, answers, strict=True))
        return tuple(id_ for id_ in done if id_)

    def _did(self, letter_id: str, answer: Any) -> str:
        return letter_id if checked(answer, self._key(letter_id)) else ""

    def _read_many(self, ids: Iterable[str]) -> tuple[DeadLetter, ...]:
        """Read letters by id, those left out that are gone meanwhile or cannot be read."""
        letters: list[DeadLetter] = []
        for chunk in chunks(tuple(ids)):
            with self._store.reach(self._key(chunk[0])) as client:
                pipe = client.pipeline(transaction=False)
                for name in chunk:
                    pipe.hgetall(self._key(name))
                found = zip(chunk, self._store.answers_of(pipe), strict=True)
            letters += self._store.readable(self._read, ((name, raw) for name, raw in found if raw))
        return tuple(letters)

    def _read(self, letter_id: str, raw: Any) -> DeadLetter:
        try:
            return letter_of(named(checked(raw, self._key(letter_id))))
        except DAMAGE as error:
            raise unreadable(self._key(letter_id), error) from error
