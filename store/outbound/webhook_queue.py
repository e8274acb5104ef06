"""What goes out to subscriptions stands in lines, one for each subscription and subject, so that no later event
arrives before an earlier one.

The head of a line may go; who stands behind it waits. A message is in its line while the inbox waits for it, and
leaves it when it was delivered or is in a person's hands. What is in no line (a letter that is replayed) waits for
nobody and holds up nobody.
"""

import datetime as dt
import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.queueing.seen_events import digest
from store.redis_store import DAMAGE, RedisStore, as_unreadable, shown, text, unreadable
from store.resolution import require_actor, require_reason
from store.timestamps import from_micros, to_micros

RETENTION = dt.timedelta(days=7)
"""So long an event is kept after it was accepted, to be sent once more."""

_LATEST = 4 * 10**15
"""Microseconds: a moment beyond this (the year 2096) stands at the end of its line."""


class NextAction(enum.StrEnum):
    """What a message does now."""

    GO = "go"
    WAIT = "wait"
    """An earlier one of its line is not done with."""
    DONE = "done"
    """It was delivered before."""
    OFF = "off"
    """Its subscription is switched off."""


@dataclass(frozen=True, slots=True)
class DeliveryTurn:
    """Whether a message may go. `until` is when the one before it is tried again, None where that is under way."""

    next: NextAction
    until: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DisabledSubscription:
    """Since when nothing is sent to a subscription, and why."""

    at: dt.datetime
    why: str


_SINCE_UNKNOWN = DisabledSubscription(
    at=from_micros(0), why="its entry in the ledger cannot be read: enable it again, or set it aside"
)

# ---------------------------------------------------------------------------- server side --

_PLACES = """
local P = KEYS[1]
local LINES, WAITS, OFF = P .. ':outbound:lines', P .. ':outbound:waits', P .. ':outbound:off'

-- its line, the digest of its event, and what the inbox waits for: it is in its line as long as that is so
local function told_of(id)
  local told = redis.pcall('HGET', LINES, id)
  return string.match(type(told) == 'string' and told or '', '^(%S+) (%S+) (.*)$')
end
local function key(line) return P .. ':outbound:line:' .. line end
local function pending(name) return P .. ':outbound:pending:' .. name end
local function kept(event) return P .. ':outbound:event:' .. event end
local function is_awaited(id)
  local _, event, awaited = told_of(id)
  return event and redis.pcall('HEXISTS', P .. ':inbox:' .. event .. ':todo', awaited) == 1
end
local function leave(id, line)
  redis.call('ZREM', key(line), id)
  redis.call('ZREM', pending(string.match(line, '^[^:]*')), id)
  redis.call('HDEL', WAITS, id)
  redis.call('HDEL', LINES, id)
end
local function whole(number) return string.format('%.0f', number) end
"""

# id, its line, subscription, its moment, now, digest of the event, what the inbox waits for
_JOIN = (
    _PLACES
    + """
local id, line, name, at, now, event, awaited = unpack(ARGV)
if redis.call('HEXISTS', P .. ':inbox:' .. event .. ':todo', awaited) == 0 then return 0 end
if told_of(id) then return 1 end
local place = tonumber(at)
while redis.call('ZCOUNT', key(line), whole(place), whole(place)) > 0 do place = place + 1 end
redis.call('ZADD', key(line), whole(place), id)
redis.call('HSET', LINES, id, line .. ' ' .. event .. ' ' .. awaited)
redis.call('ZADD', pending(name), now, id)
return 1
"""
)

# id, digest of the event, subscription
_TURN = (
    _PLACES
    + """
local id, event, name = unpack(ARGV)
if redis.pcall('HEXISTS', kept(event), '>' .. name) == 1 then return {'done', ''} end
if redis.pcall('HEXISTS', OFF, name) == 1 then return {'off', ''} end
local line = told_of(id)
local head = line and redis.call('ZRANGE', key(line), 0, 0)[1]
while head and head ~= id do
  if is_awaited(head) then
    local waits = redis.call('HGET', WAITS, head)
    return {'wait', waits and tonumber(waits) and waits or ''}
  end
  leave(head, line)
  head = redis.call('ZRANGE', key(line), 0, 0)[1]
end
redis.call('HDEL', WAITS, id)
return {'go', ''}
"""
)

# id; gives who is at the head then
_LEAVE = (
    _PLACES
    + """
local id = ARGV[1]
local line = told_of(id)
if not line then return '' end
leave(id, line)
return redis.call('ZRANGE', key(line), 0, 0)[1] or ''
"""
)

# id, until when it waits
_PARKED = (
    _PLACES
    + """
if told_of(ARGV[1]) then redis.call('HSET', WAITS, ARGV[1], ARGV[2]) end
return 1
"""
)

# digest of the event, the event, milliseconds to keep it
_KEEP = (
    _PLACES
    + """
redis.call('HSET', kept(ARGV[1]), 'event', ARGV[2])
redis.call('PEXPIRE', kept(ARGV[1]), ARGV[3])
"""
)

# digest of the event, subscription, now, milliseconds to remember
_DELIVERED = (
    _PLACES
    + """
redis.call('HSET', kept(ARGV[1]), '>' .. ARGV[2], ARGV[3])
redis.call('PEXPIRE', kept(ARGV[1]), ARGV[4])
"""
)

# subscription, now, who, note
_ENABLE = (
    _PLACES
    + """
local name, now, who, note = unpack(ARGV)
if redis.call('HDEL', OFF, name) == 0 then return 0 end
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'outbound.enable', 'what', name, 'note', note, 'facts', '{}')
return 1
"""
)


# ------------------------------------------------------------------------------ the lines --


class WebhookQueue:
    """The lines of what goes out, what is kept of it, and which subscriptions are switched off."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._join = store.script(_JOIN)
        self._turn = store.script(_TURN)
        self._leave = store.script(_LEAVE)
        self._parked = store.script(_PARKED)
        self._keep = store.script(_KEEP)
        self._delivered = store.script(_DELIVERED)
        self._enable = store.script(_ENABLE)

    # -- lines

    def join(
        self,
        message_id: str,
        *,
        subscription: str,
        subject: str,
        at: dt.datetime,
        source: str,
        event_id: str,
        awaited: str,
    ) -> bool:
        """Put a message in its line, by the moment of its event; of one moment, in the order they came.

        False: the inbox waits for no `awaited` of this event, so it is done with. Joining again changes nothing.
        """
        place = min(max(to_micros(at), 0), _LATEST)
        args = [
            *(text(message_id), _line(subscription, subject), text(subscription), place),
            *(to_micros(self._store.now()), digest(source, event_id), text(awaited)),
        ]
        with self._store.reach(self._key("lines")):
            return bool(self._join(keys=[self._store.prefix], args=args))

    def turn(self, message_id: str, *, subscription: str, source: str, event_id: str) -> DeliveryTurn:
        """Return whether a message may go now."""
        args = [text(message_id), digest(source, event_id), text(subscription)]
        with self._store.reach(self._key("lines")):
            word, until = self._turn(keys=[self._store.prefix], args=args)
        return DeliveryTurn(NextAction(word.decode()), from_micros(until) if until else None)

    def leave(self, message_id: str) -> str:
        """Take a message out of its line; give the id of the one whose turn it is then, '' where there is none."""
        with self._store.reach(self._key("lines")):
            following: bytes = self._leave(keys=[self._store.prefix], args=[text(message_id)])
        return following.decode()

    def parked(self, message_id: str, *, until: dt.datetime) -> None:
        """Say that a message waits until then, so that those behind it need not look before."""
        with self._store.reach(self._key("waits")):
            self._parked(keys=[self._store.prefix], args=[text(message_id), to_micros(until)])

    def pending(self, subscription: str) -> tuple[int, dt.datetime | None]:
        """Count what waits in the lines of a subscription, and say since when the first of it does."""
        key = self._key("pending", subscription)
        with self._store.reach(key) as client:
            count, first = client.pipeline(transaction=False).zcard(key).zrange(key, 0, 0, withscores=True).execute()
        return int(count), from_micros(first[0][1]) if first else None

    # -- events

    def keep(self, source: str, event_id: str, event: Mapping[str, Any]) -> None:
        """Keep an event for seven days, so that it can be sent once more."""
        args = [digest(source, event_id), json.dumps(dict(event)), RETENTION // _MILLISECOND]
        with self._store.reach(self._event(source, event_id)):
            self._keep(keys=[self._store.prefix], args=args)

    def kept(self, source: str, event_id: str) -> dict[str, Any] | None:
        """Return an event, if it is still kept."""
        key = self._event(source, event_id)
        return self._store.read_or(None, self._read_event, key)

    def _read_event(self, key: str) -> dict[str, Any] | None:
        with self._store.reach(key) as client, as_unreadable(key):
            raw = client.hget(key, "event")
        try:
            return None if raw is None else dict(json.loads(raw))
        except DAMAGE as error:
            raise unreadable(key, error) from error

    def delivered(self, source: str, event_id: str, *, subscription: str) -> None:
        """Remember for seven days that a subscription has an event, so that a copy of its message is not sent."""
        now = to_micros(self._store.now())
        args = [digest(source, event_id), text(subscription), now, RETENTION // _MILLISECOND]
        with self._store.reach(self._event(source, event_id)):
            self._delivered(keys=[self._store.prefix], args=args)

    def forget_delivered(self, source: str, event_id: str, *, subscription: str) -> None:
        """Let an event be sent to a subscription once more."""
        key = self._event(source, event_id)
        with self._store.reach(key) as client:
            client.hdel(key, text(f">{subscription}"))

    # -- the switch

    def switch_off(self, subscription: str, *, why: str) -> None:
        """Send nothing to a subscription until a person enables it."""
        told = json.dumps({"at": to_micros(self._store.now()), "why": why})
        with self._store.reach(self._key("off")) as client:
            client.hsetnx(self._key("off"), text(subscription), told)

    def switched_off(self) -> dict[str, DisabledSubscription]:
        """Return the subscriptions to which nothing is sent, by name.

        One whose entry cannot be read is off: somebody switched it off, and only the words are lost.
        """
        nothing: dict[bytes, bytes] = {}
        raw = self._store.read_or(nothing, self._switches)
        return {
            shown(name): self._store.read_or(_SINCE_UNKNOWN, self._switch, name, told) for name, told in raw.items()
        }

    def _switches(self) -> dict[bytes, bytes]:
        key = self._key("off")
        with self._store.reach(key) as client, as_unreadable(key):
            raw: dict[bytes, bytes] = client.hgetall(key)
        return raw

    def _switch(self, name: bytes, raw: bytes) -> DisabledSubscription:
        try:
            told = json.loads(raw)
            return DisabledSubscription(at=from_micros(told["at"]), why=str(told["why"]))
        except DAMAGE as error:
            raise unreadable(f"{self._key('off')} {shown(name)}", error) from error

    def enable(self, subscription: str, *, who: str, note: str) -> bool:
        """Switch a subscription on again, audited; False when it was not off."""
        args = [
            text(subscription),
            to_micros(self._store.now()),
            text(require_actor(who)),
            text(require_reason(note)),
        ]
        with self._store.reach(self._key("off")):
            return bool(self._enable(keys=[self._store.prefix], args=args))

    # -- helpers

    def _event(self, source: str, event_id: str) -> str:
        return self._key("event", digest(source, event_id))

    def _key(self, *parts: str) -> str:
        return self._store.key("outbound", *parts)


_MILLISECOND = dt.timedelta(milliseconds=1)


def _line(subscription: str, subject: str) -> str:
    return f"{subscription}:{hashlib.sha256(subject.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"
