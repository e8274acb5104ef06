"""An accepted event is remembered until every automation is done with it, so a broker that lost its disk only delays.

Whoever asks for stalled events gives their messages out once more. That adds nothing where the first ones still
live: an automation's changes carry business keys.
"""

import datetime as dt
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.pagination import Page, checked_limit, earliest_first
from store.queueing.seen_events import digest
from store.redis_store import DAMAGE, RedisStore, checked, hash_of, named, shown, text, unreadable
from store.timestamps import from_micros, to_micros

MAX_WAIT = dt.timedelta(hours=6)
"""So long at most nobody looks at an event that makes no progress."""

BLIND_WAIT = dt.timedelta(days=1)
"""So long nobody looks again at an event of whose messages it is not known whether they still wait."""

BATCH_BYTES = 16 * 1024 * 1024
"""About how many bytes of events one step lends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxEntry:
    """An event that some automations are not done with."""

    source: str
    id: str
    event: Mapping[str, Any] = field(repr=False)
    pending: tuple[str, ...]
    """The automations by name, and the subscriptions as `subscription:NAME`."""
    accepted_at: dt.datetime
    emitted: int
    """How often its messages were given out once more."""


# ---------------------------------------------------------------------------- server side --

_PLACES = """
local P = KEYS[1]
local DUE, ACCEPTED = P .. ':inbox:due', P .. ':inbox:accepted'

local function kept(name) return P .. ':inbox:' .. name end
local function todo(name) return P .. ':inbox:' .. name .. ':todo' end
local function forget(name)
  redis.call('DEL', kept(name), todo(name))
  redis.call('ZREM', DUE, name)
  redis.call('ZREM', ACCEPTED, name)
end
"""

# digest, now, first look, the wait until then, source, id, event, once more, automations...
_ACCEPT = (
    _PLACES
    + """
local name, now, look, wait, source, id, event, again = unpack(ARGV, 1, 8)
if redis.call('EXISTS', kept(name), todo(name)) == 2 then
  if again == '1' then for i = 9, #ARGV do redis.call('HSETNX', todo(name), ARGV[i], 0) end end
  return 0
end
redis.call('HSET', kept(name),
  'source', source, 'id', id, 'event', event, 'accepted_at', now, 'emitted', 0, 'wait', wait)
for i = 9, #ARGV do redis.call('HSET', todo(name), ARGV[i], 0) end
redis.call('ZADD', ACCEPTED, now, name)
redis.call('ZADD', DUE, look, name)
return 1
"""
)

# digest, automation
_DONE = (
    _PLACES
    + """
local name, automation = unpack(ARGV)
local was = redis.call('HDEL', todo(name), automation)
if was == 1 and redis.call('EXISTS', todo(name)) == 0 then forget(name) end
return was
"""
)

# digest, automation, until when nothing is to be expected
_PROGRESS = (
    _PLACES
    + """
local name, automation, quiet = unpack(ARGV)
if redis.call('HEXISTS', todo(name), automation) == 0 then return 0 end
redis.call('HSET', todo(name), automation, quiet)
return 1
"""
)

# now, the longest wait, how many, how many bytes, the wait where it is not known whether copies still wait, or ''.
# Gives each entry with the automations that stalled
_LEND = (
    _PLACES
    + """
local now, longest, limit, most = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local blind = tonumber(ARGV[5])
local lent, size = {}, 0
for _, name in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', ARGV[1], 'LIMIT', 0, limit)) do
  local its = redis.pcall('HMGET', kept(name), 'wait', 'event')
  local wait = not its.err and tonumber(its[1] or '') or longest
  local stalled, look = {}, nil
  local pending = redis.pcall('HGETALL', todo(name))
  local is_damaged = its.err or pending.err or (#pending > 0 and not (its[1] and its[2]))
  for i = 1, is_damaged and 0 or #pending, 2 do
    local quiet = tonumber(pending[i + 1]) or 0
    if quiet > 0 and quiet + wait > now then
      look = math.min(look or quiet + wait, quiet + wait)
    else
      stalled[#stalled + 1] = pending[i]
    end
  end
  if is_damaged then  -- it stays, and is looked at again later
    redis.call('ZADD', DUE, string.format('%.0f', now + longest), name)
    lent[#lent + 1] = {name, {}, {}}
  elseif #stalled > 0 then
    size = size + redis.call('HSTRLEN', kept(name), 'event')
    if #lent > 0 and size > most then break end
    wait = math.min(wait * 2, longest)
    redis.call('ZADD', DUE, string.format('%.0f', now + (blind or wait)), name)
    redis.call('HSET', kept(name), 'wait', string.format('%.0f', wait))
    local emitted = tonumber(redis.call('HGET', kept(name), 'emitted') or '') or 0
    redis.call('HSET', kept(name), 'emitted', string.format('%.0f', emitted + 1))
    lent[#lent + 1] = {name, redis.call('HGETALL', kept(name)), stalled}
  elseif look then
    redis.call('ZADD', DUE, string.format('%.0f', look), name)
  else
    forget(name)
  end
end
return lent
"""
)


# digest
_HELD_BACK = (
    _PLACES
    + """
local emitted = tonumber(redis.call('HGET', kept(ARGV[1]), 'emitted') or '') or 0
if emitted > 0 then redis.call('HSET', kept(ARGV[1]), 'emitted', string.format('%.0f', emitted - 1)) end
"""
)


# ---------------------------------------------------------------------------------- inbox --


class Inbox:
    """The accepted events that are not done with."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._accept = store.script(_ACCEPT)
        self._done = store.script(_DONE)
        self._progress = store.script(_PROGRESS)
        self._lend = store.script(_LEND)
        self._held_back = store.script(_HELD_BACK)

    def accept(
        self,
        source: str,
        event_id: str,
        event: Mapping[str, Any],
        automations: Sequence[str],
        *,
        again_after: dt.timedelta,
        once_more: bool = False,
    ) -> bool:
        """Remember an event before its messages go out; say whether it is new here.

        Without a sign of life it counts as stalled after `again_after`. An event that no automation reacts to is
        not kept. What was done of a known event stays done, unless it is to happen `once_more`. ValueError for an
        event that JSON cannot hold.
        """
        if again_after <= dt.timedelta(0):
            raise ValueError(f"an event stalls after longer than nothing, not {again_after}")
        if not automations:
            return False
        now = self._store.now()
        args = [
            *(digest(source, event_id), to_micros(now), to_micros(now + again_after), again_after // _MICROSECOND),
            *(text(source), text(event_id), _json(event), int(once_more), *(text(name) for name in automations)),
        ]
        with self._store.reach(self._key(source, event_id)):
            return bool(self._accept(keys=[self._store.prefix], args=args))

    def done(self, source: str, event_id: str, automation: str) -> bool:
        """Say that an automation is done, or that somebody else has its message now: a person, or a dead letter.

        The last one takes the event off. False: this one was not awaited.
        """
        args = [digest(source, event_id), text(automation)]
        with self._store.reach(self._key(source, event_id)):
            return bool(self._done(keys=[self._store.prefix], args=args))

    def progress(self, source: str, event_id: str, automation: str, *, quiet_until: dt.datetime) -> bool:
        """Say that an automation's message waits until then, for a retry or a snooze. False: it is not awaited.

        It counts as stalled one wait after that moment, and not before.
        """
        args = [digest(source, event_id), text(automation), to_micros(quiet_until)]
        with self._store.reach(self._key(source, event_id)):
            return bool(self._progress(keys=[self._store.prefix], args=args))

    def lend_stalled(self, *, limit: int = 50, knows_queues: bool = False) -> tuple[InboxEntry, ...]:
        """Return events that made no progress, each with the automations to send it to once more.

        The next look at them is twice as far away as the last one was, six hours at most, and whoever asks in
        between does not get them: so every worker may ask. Who `knows_queues` sends nothing whose message may still
        wait on its queue, and says `held_back` of it; for anybody else the next look is a day away, so that copies
        do not pile up on a queue that stands still.
        """
        with self._store.reach(self._due_key) as client:
            first = client.zrange(self._due_key, 0, 0, withscores=True)
            if not first:
                return ()
            now = to_micros(self._store.now())
            if first[0][1] > now:
                return ()
            blind = "" if knows_queues else BLIND_WAIT // _MICROSECOND
            args = (now, MAX_WAIT // _MICROSECOND, limit, BATCH_BYTES, blind)
            lent = self._lend(keys=[self._store.prefix], args=args)
        rows = ((shown(name), hash_of(flat), stalled) for name, flat, stalled in lent)
        return tuple(self._store.readable(self._read, rows))

    def held_back(self, source: str, event_id: str) -> None:
        """Say that an event that was lent was not sent again: its messages still wait on their queues."""
        with self._store.reach(self._key(source, event_id)):
            self._held_back(keys=[self._store.prefix], args=[digest(source, event_id)])

    def get(self, source: str, event_id: str) -> InboxEntry | None:
        """Return one event, if some automation is not done with it."""
        found = tuple(self._kept([digest(source, event_id)]))
        return self._read(*found[0]) if found else None

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[InboxEntry]:
        """Return events, the earliest accepted first; `after` is what the page before gave as `next`."""
        checked_limit(limit)
        index = self._store.key("inbox", "accepted")
        with self._store.reach(index) as client:
            marks = list(itertools.islice(earliest_first(client, index, after=after), limit + 1))
        with self._store.collecting() as unread:
            rows = self._kept([shown(mark.id) for mark in marks[:limit]])
            items = tuple(self._store.readable(self._read, rows))
        return Page(items, str(marks[limit - 1]) if len(marks) > limit else None, tuple(unread.values()))

    def count(self) -> int:
        """Count the events that are not done with."""
        with self._store.reach(self._due_key) as client:
            return int(client.zcard(self._due_key))

    # -- helpers

    @property
    def _due_key(self) -> str:
        return self._store.key("inbox", "due")

    def _key(self, source: str, event_id: str) -> str:
        return self._store.key("inbox", digest(source, event_id))

    def _kept(self, names: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
        """Ask for entries by digest: what is kept, and who is not done; one that ended meanwhile is left out."""
        with self._store.reach(self._due_key) as client:
            pipe = client.pipeline(transaction=False)  # a full server refuses a transaction, even to read
            for name in names:
                pipe.hgetall(self._store.key("inbox", name)).hkeys(self._store.key("inbox", name, "todo"))
            found = self._store.answers_of(pipe)
        for name, raw, todo in zip(names, found[::2], found[1::2], strict=True):
            if raw and todo:
                yield name, raw, todo

    def _read(self, name: str, kept: Any, pending: Any) -> InboxEntry:
        key = self._store.key("inbox", name)
        try:
            raw = named(checked(kept, key))
            checked(pending, f"{key}:todo")
            return InboxEntry(
                source=raw["source"].decode(),
                id=raw["id"].decode(),
                event=dict(json.loads(raw["event"])),
                pending=tuple(sorted(name.decode() for name in pending)),
                accepted_at=from_micros(raw["accepted_at"]),
                emitted=int(raw["emitted"]),
            )
        except DAMAGE as error:
            raise unreadable(key, error) from error


_MICROSECOND = dt.timedelta(microseconds=1)


def _json(event: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(event))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this event cannot be kept: {error}") from None
