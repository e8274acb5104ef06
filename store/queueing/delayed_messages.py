"""A retry or a snooze waits here until it is due, never in a worker's memory: visible, and cancellable.

An entry leaves in one of four ways: on to its queue, cancelled (then it is a discarded letter), as a letter that a
copy of its message became, or because its caller settled the message otherwise.
"""

import base64
import datetime as dt
import enum
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from store.content_digest import message_digest, other_id, payload_digest
from store.dead_letters.fingerprint import fingerprint
from store.dead_letters.model import DeadLetter, letter_fields
from store.message_locations import PLACES, field_of, keys
from store.pagination import Page, checked_limit, chunks, earliest_first, narrowest
from store.redis_store import (
    DAMAGE,
    LuaScript,
    RedisStore,
    as_unreadable,
    checked,
    named,
    pairs,
    shown,
    text,
    unreadable,
)
from store.reservation import MessageReservation
from store.resolution import require_actor, require_reason
from store.timestamps import from_micros, to_micros

log = structlog.get_logger(__name__)

BATCH_BYTES = 16 * 1024 * 1024
"""About how many bytes of payload one step moves or lends, so that large messages do not hold up the server."""

LATER = dt.timedelta(minutes=1)
"""When an entry is looked at again whose queue could not take it."""

CLOCK_SLACK = dt.timedelta(seconds=5)
"""An entry that was written so far in the future was written while the server's clock was ahead."""

SHIFTED_AT_ONCE = 200


class DelayKind(enum.StrEnum):
    """Why a message waits: it failed and is tried again, or the fleet holds it back and no attempt was spent."""

    RETRY = "retry"
    SNOOZE = "snooze"


@dataclass(frozen=True, kw_only=True, slots=True)
class DelayedMessage:
    """A message that waits until it is due. `id` is the message's own."""

    id: str
    queue: str
    task: str
    label: str
    """What may be shown of its arguments."""
    kind: DelayKind
    why: str
    """Such as `attempt 3 of 12: UnknownOutcome: ...` or `paused: queue:apply`."""
    due: dt.datetime
    attempt: int
    """How many attempts are spent."""
    payload: bytes = field(repr=False)
    """The bytes that go on its queue as they are. A page leaves them out: it is read often, and they may be many."""
    parked_at: dt.datetime
    """When it was parked first."""
    version: int = field(default=0, repr=False, compare=False)
    """Which parking of which message this is; the ledger gives it."""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a delayed message needs its id: it is what makes parking it idempotent")


# ---------------------------------------------------------------------------- server side --

# field of the record that is settled, id, when it is due, now, when it was parked, the digest of what it carries, the
# id it has where its own holds something else, then fields and values. Gives the id under which it is kept, or ''.
_PARK = (
    PLACES
    + """
local field, own, due, now, parked_at, digest, other = unpack(ARGV, 1, 7)
if not is_ours(field) then return '' end
local id = parked_place(own, other, digest)
local version = redis.call('INCR', P .. ':delayed-by:versions')
parked_at = redis.call('HGET', parked(id), 'parked_at') or parked_at
for _, place in ipairs(places(id)) do redis.call('ZREM', place, id) end
redis.call('HSET', parked(id), 'id', id, 'due', due, 'parked_at', parked_at, 'version', version, 'digest', digest,
  unpack(ARGV, 8))
redis.call('HDEL', parked(id), 'lent_until')
for _, place in ipairs(places(id)) do due_at(place, due, id, now) end
end_letters({own, other}, digest, now)
no_longer_held(field)
return id
"""
)

# now, when to look again at what its queue did not take, how many, how many bytes
_MOVE = (
    PLACES
    + """
local now, later, limit, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local moved, size = 0, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)) do
  local found = redis.pcall('HMGET', parked(id), 'queue', 'payload')
  local queue, payload = found[1], found[2]
  if not queue then payload = nil end
  size = size + (payload and #payload or 0)
  if moved > 0 and size > most then break end
  local pushed = found
  if payload then pushed = redis.pcall('LPUSH', queue, payload) end
  local problem = type(pushed) == 'table' and pushed.err
  if problem and string.find(tostring(problem), 'OOM') then return redis.error_reply(problem) end
  if problem then
    due_at(DUE, later, id, now)
  elseif payload then
    unpark(id)
    moved = moved + 1
  elseif redis.call('EXISTS', parked(id)) == 1 then
    due_at(DUE, later, id, now)
  else
    redis.call('ZREM', DUE, id)
    redis.call('ZREM', SINCE, id)
  end
end
return moved
"""
)

# now, the end of the lease, how many, how many bytes; what is no hash stays, and is looked at again then
_LEND = (
    PLACES
    + """
local now, lapses, limit, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local lent, size = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)) do
  local length = redis.pcall('HSTRLEN', parked(id), 'payload')
  if length == 0 and redis.call('EXISTS', parked(id)) == 0 then
    redis.call('ZREM', DUE, id)
    redis.call('ZREM', SINCE, id)
  elseif length == 0 then
    due_at(DUE, lapses, id, now)
  elseif type(length) == 'table' then
    due_at(DUE, lapses, id, now)
  else
    size = size + length
    if #lent > 0 and size > most then break end
    due_at(DUE, lapses, id, now)
    redis.call('HSET', parked(id), 'lent_until', lapses)
    lent[#lent + 1] = redis.call('HGETALL', parked(id))
  end
end
return lent
"""
)

# now, the moment after which no entry can have been written, how many
_SHIFT = (
    PLACES
    + """
local now, later, limit = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local ahead = redis.call('ZRANGEBYSCORE', SINCE, '(' .. later, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
for i = 1, #ahead, 2 do
  local id, step = ahead[i], tonumber(ahead[i + 1]) - now
  for _, place in ipairs(is_hash(parked(id)) and places(id) or {DUE}) do
    local due = redis.call('ZSCORE', place, id)
    if due then redis.call('ZADD', place, whole(tonumber(due) - step), id) end
  end
  for _, name in ipairs({'due', 'lent_until'}) do
    local moment = tonumber(fields(parked(id), name)[1] or '')
    if moment then redis.call('HSET', parked(id), name, whole(moment - step)) end
  end
  redis.call('ZADD', SINCE, ARGV[1], id)
end
return #ahead / 2
"""
)

# id, version
_SENT = (
    PLACES
    + """
if redis.call('HGET', parked(ARGV[1]), 'version') ~= ARGV[2] then return 0 end
return unpark(ARGV[1])
"""
)

# id
_REMOVE = PLACES + "return unpark(ARGV[1])"

# id, now, who, note
_NOW = (
    PLACES
    + """
local id, now, who, note = unpack(ARGV)
local due = redis.call('HGET', parked(id), 'due')
if not due or (tonumber(due) and tonumber(due) <= tonumber(now)) then return 0 end
audit(now, who, 'delayed.now', id, note)
redis.call('HSET', parked(id), 'due', now)
for _, place in ipairs(places(id)) do due_at(place, now, id, now) end
return 1
"""
)

# id, now
_WAKE = (
    PLACES
    + """
local id, now = unpack(ARGV)
local kind, due = unpack(redis.call('HMGET', parked(id), 'kind', 'due'))
if kind ~= 'snooze' or (tonumber(due or '') and tonumber(due) <= tonumber(now)) then return 0 end
redis.call('HSET', parked(id), 'due', now)
for _, place in ipairs(places(id)) do due_at(place, now, id, now) end
return 1
"""
)

# id, version, now, who, note, the digest of what it carries, the id its letter has where its own holds something
# else, how many arguments are kept from the first time, those, then those that are told anew
_CANCEL = (
    PLACES
    + """
local own, version, now, who, note, digest, other, kept = unpack(ARGV, 1, 8)
local its, lent_until = unpack(redis.call('HMGET', parked(own), 'version', 'lent_until'))
if its ~= version or tonumber(whole(lent_until)) > tonumber(now) then return 0 end
local id = letter_place(own, other, digest)
write(id, tonumber(kept), 9)
redis.call('HSET', key(id), 'id', id)
redis.call('HSETNX', key(id), 'attempts', '')
settle(id, 'discarded', now, who, note)
audit(now, who, 'delayed.cancel', id, note)
unpark(own)
return 1
"""
)


# ---------------------------------------------------------------------------- the delayed --


class DelayedMessages:
    """What waits for its moment. Every worker moves what is due."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._park = store.script(_PARK)
        self._move = store.script(_MOVE)
        self._lend = store.script(_LEND)
        self._shift = store.script(_SHIFT)
        self._sent = store.script(_SENT)
        self._remove = store.script(_REMOVE)
        self._now = store.script(_NOW)
        self._wake = store.script(_WAKE)
        self._cancel = store.script(_CANCEL)

    def park(self, entry: DelayedMessage, *, settles: MessageReservation | None = None) -> bool:
        """Keep a message until it is due. The same one again replaces what was kept. A message that carries something
        else under the same id is kept beside it: the id of its entry gets a suffix.

        With `settles` the message leaves its worker in the same step: False, and nothing was written, when the
        record no longer stands. A letter of this message is no longer dead: what may still be done waits here.
        """
        if not entry.payload:
            raise ValueError("a delayed message needs its bytes: a page of the delayed leaves them out, ask `get`")
        digest = payload_digest(entry.payload)
        args = [
            *(field_of(settles), text(entry.id), to_micros(entry.due), to_micros(self._store.now())),
            *(to_micros(entry.parked_at), digest, text(other_id(entry.id, digest))),
            *("queue", text(entry.queue), "task", text(entry.task), "label", text(entry.label), "kind", entry.kind),
            *("why", text(entry.why), "attempt", entry.attempt, "payload", entry.payload),
        ]
        with self._store.reach(self._key(entry.id)):
            id_ = self._park(keys=keys(self._store.prefix, settles), args=args)
        if id_ not in (b"", text(entry.id)):
            log.warning("another message has this id: kept as an entry of its own", id=entry.id, entry=shown(id_))
        return bool(id_)

    def move_due(self, *, limit: int = 200) -> int:
        """Put what is due on its queue, in one step for each; give how many. Broker and ledger are one Redis.

        What a queue cannot take (its key holds something else) is looked at again a minute later, and holds up
        nobody.
        """
        with self._store.reach(self._due_key):
            now = self._is_due()
            if now is None:
                return 0
            args = [to_micros(now), to_micros(now + LATER), limit, BATCH_BYTES]
            return int(self._move(keys=[self._store.prefix], args=args))

    def lend_due(self, *, limit: int = 100, lease: dt.timedelta) -> tuple[DelayedMessage, ...]:
        """Return what is due to be published on another broker; nobody else gets it until the lease ends.

        Publish first, say `sent` second: killed in between, the message goes out twice under one id. What cannot be
        read (a newer Purser wrote it) waits for somebody who can, and is reported.
        """
        with self._store.reach(self._due_key):
            now = self._is_due()
            if now is None:
                return ()
            args = [to_micros(now), to_micros(now + lease), limit, BATCH_BYTES]
            flat = self._lend(keys=[self._store.prefix], args=args)
        rows = ((shown(raw.get("id", b"?")), raw) for raw in map(pairs, flat))
        return tuple(self._store.readable(self._read, rows))

    def sent(self, entry: DelayedMessage) -> bool:
        """Take off what was lent and is published. False: it is gone, or was parked anew and waits once more."""
        with self._store.reach(self._key(entry.id)):
            return bool(self._sent(keys=[self._store.prefix], args=[text(entry.id), entry.version]))

    def next_due(self) -> dt.datetime | None:
        """Return when a mover next finds something; a lent entry counts from the end of its lease."""
        with self._store.reach(self._due_key) as client:
            first = client.zrange(self._due_key, 0, 0, withscores=True)
        return from_micros(first[0][1]) if first else None

    def count(self) -> int:
        """Count what waits."""
        with self._store.reach(self._due_key) as client:
            return int(client.zcard(self._due_key))

    def get(self, message_id: str) -> DelayedMessage | None:
        """Return one entry."""
        key = self._key(message_id)
        with self._store.reach(key) as client, as_unreadable(key):
            raw = client.hgetall(key)
        return self._read(message_id, named(raw)) if raw else None

    def page(
        self,
        *,
        after: str | None = None,
        limit: int = 50,
        queue: str | None = None,
        task: str | None = None,
        kind: DelayKind | None = None,
    ) -> Page[DelayedMessage]:
        """Return entries without their payload, the earliest due first; `after` is what the page before gave."""
        checked_limit(limit)
        wanted = {"queue": queue, "task": task, "kind": kind}
        indexes = [self._index(name, value) for name, value in wanted.items() if value is not None]
        with self._store.reach(self._due_key) as client:
            index, others = narrowest(client, indexes or [self._due_key])
            marks = list(itertools.islice(earliest_first(client, index, others=others, after=after), limit + 1))
            names = [shown(mark.id) for mark in marks[:limit]]
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(self._key(name), _SHOWN)
            found = self._store.answers_of(pipe)
        with self._store.collecting() as unread:
            shown_ones = tuple(self._store.readable(self._read_shown, zip(names, found, strict=True)))
        items = tuple(entry for entry in shown_ones if entry is not None)
        return Page(items, str(marks[limit - 1]) if len(marks) > limit else None, tuple(unread.values()))

    def remove(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Take entries off without a trace, for a caller that has settled their messages; give those that were on."""
        return self._each(self._remove, ids)

    def now(self, ids: Sequence[str], *, who: str, note: str) -> tuple[str, ...]:
        """Make entries due at once, audited; give those that waited. What is due already is left alone."""
        told = [to_micros(self._store.now()), text(require_actor(who)), text(require_reason(note))]
        return self._each(self._now, ids, *told)

    def wake(self, message_id: str) -> bool:
        """Make a message due at once that the fleet held back, for what it waited for is over. A retry waits on."""
        with self._store.reach(self._key(message_id)):
            return bool(self._wake(keys=[self._store.prefix], args=[text(message_id), to_micros(self._store.now())]))

    def cancel(self, ids: Sequence[str], *, who: str, note: str) -> tuple[str, ...]:
        """Take entries off for good, audited; give those that were taken. Each becomes a discarded letter.

        What is being published at this moment is left alone: it can no longer be held back.
        """
        require_actor(who)
        require_reason(note)
        rows = ((id_, who, note) for id_ in ids)
        return tuple(id_ for id_ in self._store.readable(self._cancelled, rows) if id_)

    # -- helpers

    def _cancelled(self, message_id: str, who: str, note: str) -> str:
        """Cancel one; return its id, or '' where it is not to be cancelled any more."""
        now = self._store.now()
        entry = self.get(message_id)
        while entry is not None:
            made = _letter_of(entry, now)
            (kept, told), digest = letter_fields(made), message_digest(made.original, made.headers)
            same = [digest, text(other_id(entry.id, digest))]
            args = [
                text(entry.id),
                entry.version,
                to_micros(now),
                text(who),
                text(note),
                *same,
                len(kept),
                *kept,
                *told,
            ]
            with self._store.reach(self._key(message_id)):
                if self._cancel(keys=[self._store.prefix], args=args):
                    return message_id
            before, entry = entry, self.get(message_id)
            if entry is not None and entry.version == before.version:
                return ""  # it is lent
        return ""

    def _each(self, script: LuaScript, ids: Sequence[str], *args: Any) -> tuple[str, ...]:
        changed: list[str] = []
        for chunk in chunks(ids):
            answers = self._store.run_each(script, [([self._store.prefix], [text(id_), *args]) for id_ in chunk])
            changed += self._store.readable(self._did, zip(chunk, answers, strict=True))
        return tuple(id_ for id_ in changed if id_)

    def _did(self, message_id: str, answer: Any) -> str:
        return message_id if checked(answer, self._key(message_id)) else ""

    def _is_due(self) -> dt.datetime | None:
        """Return the present if something is due. Nothing there costs one small round trip."""
        due, since = self._due_key, self._store.key("delayed-by", "since")
        with self._store.reach(due) as client:
            pipe = client.pipeline(transaction=False)
            pipe.zrange(due, 0, 0, withscores=True).zrange(since, -1, -1, withscores=True)
            first, newest = self._store.answers_of(pipe)
        if not checked(first, due):
            return None
        now = self._store.now()
        if checked(newest, since) and from_micros(newest[0][1]) > now + CLOCK_SLACK:
            self._correct_due_moments(now)
            return now
        return now if from_micros(first[0][1]) <= now else None

    def _correct_due_moments(self, now: dt.datetime) -> None:
        """Move back what was written while the server's clock was ahead: each entry waits as long as was asked."""
        shifted, args = 0, [to_micros(now), to_micros(now + CLOCK_SLACK), SHIFTED_AT_ONCE]
        while count := int(self._shift(keys=[self._store.prefix], args=args)):
            shifted += count
        log.warning("the clock of Redis went back: delayed messages are due earlier by as much", messages=shifted)

    def _key(self, message_id: str) -> str:
        return self._store.key("delayed", message_id)

    @property
    def _due_key(self) -> str:
        return self._store.key("delayed-by", "due")

    def _index(self, dimension: str, value: str) -> str:
        return self._store.key("delayed-by", dimension, value)

    def _read_shown(self, message_id: str, values: Any) -> DelayedMessage | None:
        """Read what a page shows; None for one that is gone meanwhile."""
        pairs_ = zip(_SHOWN, checked(values, self._key(message_id)), strict=True)
        raw = {name: value for name, value in pairs_ if value is not None}
        return self._read(message_id, raw) if raw else None

    def _read(self, message_id: str, raw: Mapping[str, bytes]) -> DelayedMessage:
        try:
            return _delayed(raw)
        except DAMAGE as error:
            raise unreadable(self._key(message_id), error) from error


_SHOWN = ("id", "queue", "task", "label", "kind", "why", "due", "attempt", "parked_at", "version")


def _delayed(raw: Mapping[str, bytes]) -> DelayedMessage:
    return DelayedMessage(
        id=raw["id"].decode(),
        queue=raw["queue"].decode(),
        task=raw["task"].decode(),
        label=raw["label"].decode(),
        kind=DelayKind(raw["kind"].decode()),
        why=raw["why"].decode(),
        due=from_micros(raw["due"]),
        attempt=int(raw["attempt"]),
        payload=raw.get("payload", b""),
        parked_at=from_micros(raw["parked_at"]),
        version=int(raw["version"]),
    )


# ---------------------------------------------------------------------------- cancelled --


def _letter_of(entry: DelayedMessage, now: dt.datetime) -> DeadLetter:
    """Return the letter of a cancelled message: opened like any other, or its bytes as they are if nobody can."""
    try:
        opened = _opened(entry.payload)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        opened = {"body": entry.payload, "content_type": "application/octet-stream", "content_encoding": "binary"}
    return DeadLetter(
        **opened,
        id=entry.id,
        queue=entry.queue,
        task=entry.task,
        reason="cancelled",
        message=entry.why,
        fingerprint=fingerprint(error="", message="cancelled", task=entry.task),
        correlation_id=str(opened.get("headers", {}).get("root_id") or "") or None,
        first_at=entry.parked_at,
        stored_at=now,
    )


def _opened(payload: bytes) -> dict[str, Any]:
    """Open the envelope of a message; raises one of several errors if it is none."""
    envelope = json.loads(payload)
    properties, body = dict(envelope["properties"]), envelope["body"]
    is_base64 = properties.get("body_encoding") == "base64"
    return {
        "body": base64.b64decode(body, validate=True) if is_base64 else body.encode("utf-8", "backslashreplace"),
        "headers": dict(envelope["headers"]),
        "properties": properties,
        "content_type": str(envelope["content-type"]),
        "content_encoding": str(envelope["content-encoding"]),
    }
