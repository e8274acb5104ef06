"""A message that could not be handled is kept whole, once, until a person settles it. Nothing here is trimmed.

A letter is in one state, and in the indexes of that state only; one script moves it, so it is never between.
dead -> replaying -> replayed, dead -> discarded, dead -> superseded (its work was done by something newer); storing
the same id again makes it dead from anywhere.

A message is never both delayed and dead (or being replayed), though copies of it may fail apart: storing a letter
takes the delayed one off, whose message the letter keeps, and delaying a message ends its letter's being dead.
"""

import datetime as dt
import enum
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.clock import micros, moment_of
from ledger.held import Held
from ledger.pages import Mark, Page, checked_limit, chunks, narrowest, newest_first
from ledger.places import PLACES, field_of, keys
from ledger.settled import Settled, settled_of, who_said, why_said
from ledger.store import Store, named, pairs, text, unreadable


class LetterState(enum.StrEnum):
    """Where a letter is in its life."""

    DEAD = "dead"
    REPLAYING = "replaying"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"
    """Something newer covers what it was about, so nobody needs to act on it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: when it ended, and with which error."""

    at: dt.datetime
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A message set aside. `id` is the message's own; `body` its bytes; the caller has scrubbed the traceback."""

    id: str
    queue: str
    task: str
    body: bytes = field(repr=False)
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    properties: Mapping[str, Any] = field(default_factory=dict, repr=False)
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    reason: str
    error: str = ""
    """The class of the error."""
    message: str = ""
    traceback: str = field(default="", repr=False)
    fingerprint: str
    attempts: tuple[Attempt, ...] = ()
    correlation_id: str | None = None
    causation_id: str | None = None
    covers: str = ""
    """The work it is about, such as `scan/missing-timesheets`: when that is done anew, the letter is superseded."""
    slot: dt.datetime | None = None
    """The due moment that the work belongs to."""
    first_at: dt.datetime
    stored_at: dt.datetime
    replays: int = 0
    """How many replays were begun."""
    state: LetterState = LetterState.DEAD
    settled: Settled | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a letter needs the id of its message: it is what makes storing it idempotent")


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Letters that failed alike: one fault to fix, however many messages met it."""

    fingerprint: str
    task: str
    error: str
    message: str
    count: int
    first: dt.datetime
    last: dt.datetime
    sample: str
    """The id of the newest."""


# ---------------------------------------------------------------------------- fingerprint --

_UUID = re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)[bru]?(['\"`])[^\n]*?\1(?!\w)")
_NUMBER = re.compile(
    r"\b\d+(?:\.\d+)?e[-+]\d+\b"  # 1.5e-07
    r"|\b0x[0-9a-f]+\b"
    r"|[-+]?\b\d+(?:[.,:_]+\d+)*\b"
    r"|\b(?=[a-f]*\d)[0-9a-f]+\b"  # a token of hexadecimal digits with a decimal one in it
    r"|[-+]?\d+(?:[.,:_]+\d+)*",
    re.IGNORECASE,
)


def normalised(message: str) -> str:
    """Give `message` with numbers, uuids, hexadecimal and quoted text replaced: what stays names the fault."""
    message = _QUOTED.sub("'…'", message[:10_000])
    message = _NUMBER.sub("#", _UUID.sub("#", message))
    return " ".join(message.split())[:300]


def fingerprint(*, error: str, message: str, task: str) -> str:
    """Give the same short name to failures that differ only in their values."""
    told = "\n".join((task, error, normalised(message)))
    return hashlib.sha256(text(told)).hexdigest()[:16]


# ---------------------------------------------------------------------------- server side --

_LIFE = (
    PLACES
    + """
local function revive(id)
  leave(id)
  redis.call('HDEL', key(id), 'replay_at')
  enter(id, 'dead', redis.call('HGET', key(id), 'stored_at'))
end

local function is_free(id, stale)
  local state = redis.call('HGET', key(id), 'state')
  if state == 'dead' then return true end
  return state == 'replaying' and tonumber(redis.call('HGET', key(id), 'replay_at')) <= tonumber(stale)
end

local function is_replay(id, number, state)
  return redis.call('HGET', key(id), 'state') == state and redis.call('HGET', key(id), 'replays') == number
end

local function moment(id)
  local slot, stored = unpack(redis.call('HMGET', key(id), 'slot', 'stored_at'))
  return tonumber((slot and slot ~= '') and slot or stored)
end
"""
)

# field of the record that is settled, id, attempts, whether only the latest of its cover stays dead, how many
# arguments are kept from the first time, those, then those that are told anew each time
_STORE = (
    _LIFE
    + """
local field, id, told, only_latest, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if not is_ours(field) then return 'not ours' end
local known = write(id, kept, 6)
local seen, lines = {}, {}
for _, part in ipairs({redis.call('HGET', key(id), 'attempts') or '', told}) do
  for line in string.gmatch(part, '[^\\n]+') do
    if not seen[line] then
      seen[line] = true
      lines[#lines + 1] = line
    end
  end
end
redis.call('HSET', key(id), 'attempts', table.concat(lines, '\\n'))
local stored = redis.call('HGET', key(id), 'stored_at')
enter(id, 'dead', stored)
local covers = redis.call('HGET', key(id), 'covers')
if only_latest == '1' and covers ~= '' then
  local newer
  for _, other in ipairs(redis.call('ZRANGE', P .. ':letters:dead:covers:' .. covers, 0, -1)) do
    if other ~= id and redis.call('HGET', key(other), 'state') == 'dead' then
      if moment(other) > moment(id) then
        newer = other
      else
        settle(other, 'superseded', stored, 'purser', 'a newer letter: ' .. id)
      end
    end
  end
  if newer then settle(id, 'superseded', stored, 'purser', 'a newer letter: ' .. newer) end
end
unpark(id)
no_longer_held(field)
return known and 'known' or 'new'
"""
)

# id, now, the moment before which a mark is stale
_BEGIN = (
    _LIFE
    + """
local id, now, stale = ARGV[1], ARGV[2], ARGV[3]
if not is_free(id, stale) then return false end
leave(id)
redis.call('HINCRBY', key(id), 'replays', 1)
redis.call('HSET', key(id), 'replay_at', now)
enter(id, 'replaying', now)
return redis.call('HGETALL', key(id))
"""
)

# id, the number of the replay, now, who, note
_FINISH = (
    _LIFE
    + """
local id, number, now, who, note = unpack(ARGV)
audit(now, who, 'dead.replay', id, note)
if not is_replay(id, number, 'replaying') and not is_replay(id, number, 'replayed') then return 0 end
settle(id, 'replayed', now, who, note)
return 1
"""
)

# id, the number of the replay
_ABORT = (
    _LIFE
    + """
if not is_replay(ARGV[1], ARGV[2], 'replaying') then return 0 end
revive(ARGV[1])
return 1
"""
)

# the moment before which a mark is stale
_WAKE = (
    _LIFE
    + """
local ids = redis.call('ZRANGEBYSCORE', P .. ':letters:replaying', '-inf', ARGV[1], 'LIMIT', 0, 500)
for _, id in ipairs(ids) do revive(id) end
return #ids
"""
)

# id, now, the moment before which a mark is stale, who, note
_DISCARD = (
    _LIFE
    + """
local id, now, stale, who, note = unpack(ARGV)
if not is_free(id, stale) then return 0 end
audit(now, who, 'dead.discard', id, note)
settle(id, 'discarded', now, who, note)
return 1
"""
)

# what is covered, the moment before which it is, now, by what, ids...; gives those that were settled
_SUPERSEDE = (
    _LIFE
    + """
local covers, before, now, by = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local gone = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local state, its = unpack(redis.call('HMGET', key(id), 'state', 'covers'))
  if state == 'dead' and its == covers and moment(id) < before then gone[#gone + 1] = id end
end
if #gone > 0 then
  audit(now, 'purser', 'dead.supersede', covers, 'by ' .. by, '{"count": ' .. #gone .. '}')
  for _, id in ipairs(gone) do settle(id, 'superseded', now, 'purser', 'by ' .. by) end
end
return gone
"""
)


# -------------------------------------------------------------------------------- letters --


class Letters:
    """The dead letters. A replay whose mark is older than `stale_after` did not end: its letter is dead again."""

    def __init__(self, store: Store, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        self._store = store
        self._stale_after = stale_after
        self._put = store.script(_STORE)
        self._begin = store.script(_BEGIN)
        self._finish = store.script(_FINISH)
        self._abort = store.script(_ABORT)
        self._wake = store.script(_WAKE)
        self._discard = store.script(_DISCARD)
        self._supersede = store.script(_SUPERSEDE)

    def store(self, letter: Letter, *, settles: Held | None = None, only_latest: bool = False) -> bool:
        """Keep a letter as dead; say whether it is new here.

        A known one keeps its first bytes, headers and `first_at`; attempts it did not have are added, and the
        latest reason and error count. So storing twice is storing once, whoever repeats it.

        With `settles` the message leaves its worker in the same step, and the answer is whether it was the worker's
        to give: False, and nothing was written, when the record no longer stands.

        With `only_latest` one letter of each `covers` stays dead, that of the latest slot: the others are superseded.
        """
        kept, told = letter_fields(letter)
        attempts = "\n".join(json.dumps([micros(a.at), a.error]) for a in letter.attempts)
        args = [field_of(settles), text(letter.id), attempts, int(only_latest), len(kept), *kept, *told]
        with self._store.reach(self._key(letter.id)):
            answer = self._put(keys=keys(self._store.prefix, settles), args=args)
        return bool(answer == b"new" or (settles is not None and answer == b"known"))

    def get(self, letter_id: str) -> Letter | None:
        """Give one letter, whatever its state."""
        with self._store.reach(self._key(letter_id)) as client:
            raw = client.hgetall(self._key(letter_id))
        return self._read(letter_id, named(raw)) if raw else None

    def count(self, state: LetterState = LetterState.DEAD) -> int:
        """Count the letters of a state."""
        self._wake_stale()
        with self._store.reach(self._index(state)) as client:
            return int(client.zcard(self._index(state)))

    def page(
        self,
        *,
        after: str | None = None,
        limit: int = 50,
        state: LetterState = LetterState.DEAD,
        queue: str | None = None,
        task: str | None = None,
        reason: str | None = None,
        fingerprint: str | None = None,
        since: dt.datetime | None = None,
    ) -> Page[Letter]:
        """Give letters of a state, the newest first; `after` is what the page before gave as `next`."""
        checked_limit(limit)
        self._wake_stale()
        wanted = {"queue": queue, "task": task, "reason": reason, "fingerprint": fingerprint}
        indexes = [self._index(state, name, value) for name, value in wanted.items() if value is not None]
        with self._store.reach(self._index(state)) as client:
            index, others = narrowest(client, indexes or [self._index(state)])
            bottom = None if since is None else micros(since)
            walk = newest_first(client, index, others=others, after=after, since=bottom)
            marks = list(itertools.islice(walk, limit + 1))
        items = self._read_many(marks[:limit])
        return Page(items, str(marks[limit - 1]) if len(marks) > limit else None)

    def groups(self, state: LetterState = LetterState.DEAD) -> tuple[LetterGroup, ...]:
        """Give the letters of a state by fingerprint, the largest group first."""
        self._wake_stale()
        index = self._index(state)
        with self._store.reach(index) as client:
            prints = sorted(name.decode() for name in client.smembers(f"{index}:fingerprints"))
            pipe = client.pipeline(transaction=False)  # a full server refuses a transaction, even to read
            for name in prints:
                narrow = self._index(state, "fingerprint", name)
                pipe.zcard(narrow).zrange(narrow, 0, 0, withscores=True).zrange(narrow, -1, -1, withscores=True)
            told = pipe.execute()
            spans = [
                (name, int(count), first[0], last[0])
                for name, count, first, last in zip(prints, told[::3], told[1::3], told[2::3], strict=True)
                if count and first and last
            ]
            for _, _, _, (newest, _) in spans:
                pipe.hmget(self._key(newest.decode()), "task", "error", "message")
            labels = pipe.execute()
        groups = [
            LetterGroup(
                fingerprint=name,
                task=task,
                error=error,
                message=message,
                count=count,
                first=moment_of(first[1]),
                last=moment_of(last[1]),
                sample=last[0].decode(),
            )
            for (name, count, first, last), label in zip(spans, labels, strict=True)
            for task, error, message in [[(value or b"").decode() for value in label]]
        ]
        return tuple(sorted(groups, key=lambda group: (-group.count, group.fingerprint)))

    def discard(self, ids: Sequence[str], *, who: str, note: str) -> tuple[str, ...]:
        """Settle dead letters for good, audited; give the ids of those that were dead. Their bytes stay."""
        who_said(who)
        why_said(note)
        now, stale = self._now_and_stale()
        gone: list[str] = []
        for chunk in chunks(ids):
            with self._store.reach(self._index(LetterState.DISCARDED)) as client:
                pipe = client.pipeline(transaction=False)
                for name in chunk:
                    args = [text(name), now, stale, text(who), text(note)]
                    self._discard(keys=[self._store.prefix], args=args, client=pipe)
                gone += [name for name, done in zip(chunk, pipe.execute(), strict=True) if done]
        return tuple(gone)

    def supersede(self, covers: str, *, before: dt.datetime, by: str) -> tuple[str, ...]:
        """Settle the dead letters about work that was done anew; give their ids. `by` says what did it.

        A letter is older than `before` by its slot, or for want of one by the moment it was stored: a chunk of the
        very run that supersedes may have died already, and stays.
        """
        now, moment = micros(self._store.now()), micros(before)
        index = self._index(LetterState.DEAD, "covers", covers)
        gone: list[str] = []
        with self._store.reach(index) as client:
            for chunk in chunks(client.zrange(index, 0, -1)):
                args = [text(covers), moment, now, text(by), *chunk]
                gone += [name.decode() for name in self._supersede(keys=[self._store.prefix], args=args)]
        return tuple(gone)

    def begin_replay(self, letter_id: str) -> Letter | None:
        """Mark a dead letter as being replayed and give it; None when it is not dead or someone else was first."""
        now, stale = self._now_and_stale()
        with self._store.reach(self._key(letter_id)):
            flat = self._begin(keys=[self._store.prefix], args=[text(letter_id), now, stale])
        return self._read(letter_id, pairs(flat)) if flat else None

    def finish_replay(self, letter: Letter, *, who: str, note: str) -> bool:
        """Settle the letter that `begin_replay` gave, after its message was published; audited.

        True as well when its message is delayed by now. False: it is dead, because it failed again already or the
        mark went stale. It is left so.
        """
        who_said(who)
        args = [text(letter.id), letter.replays, micros(self._store.now()), text(who), text(note)]
        with self._store.reach(self._key(letter.id)):
            return bool(self._finish(keys=[self._store.prefix], args=args))

    def abort_replay(self, letter: Letter) -> bool:
        """Make the letter that `begin_replay` gave dead again, for its message was not published.

        False, and it is left as it is: the message is delayed or dead by now, so it was published after all.
        """
        with self._store.reach(self._key(letter.id)):
            return bool(self._abort(keys=[self._store.prefix], args=[text(letter.id), letter.replays]))

    # -- helpers

    def _key(self, letter_id: str) -> str:
        return self._store.key("letter", letter_id)

    def _index(self, state: LetterState, *narrower: str) -> str:
        return self._store.key("letters", state, *narrower)

    def _now_and_stale(self) -> tuple[int, int]:
        now = self._store.now()
        return micros(now), micros(now - self._stale_after)

    def _wake_stale(self) -> None:
        with self._store.reach(self._index(LetterState.REPLAYING)) as client:
            if not client.zcard(self._index(LetterState.REPLAYING)):
                return
            _, stale = self._now_and_stale()
            while self._wake(keys=[self._store.prefix], args=[stale]):
                pass

    def _read_many(self, marks: Sequence[Mark]) -> tuple[Letter, ...]:
        names = [mark.id.decode() for mark in marks]
        letters: list[Letter] = []
        for chunk in chunks(names):
            with self._store.reach(self._key(chunk[0])) as client:
                pipe = client.pipeline(transaction=False)
                for name in chunk:
                    pipe.hgetall(self._key(name))
                letters += [self._read(name, named(raw)) for name, raw in zip(chunk, pipe.execute(), strict=True)]
        return tuple(letters)

    def _read(self, letter_id: str, raw: Mapping[str, bytes]) -> Letter:
        try:
            return _letter(raw)
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise unreadable(self._key(letter_id), error) from error


def letter_fields(letter: Letter) -> tuple[list[str | bytes | int], list[str | bytes | int]]:
    """Give the fields of a letter that stay as they were the first time, and those that are told anew."""
    return _kept(letter), _told(letter)


def _kept(letter: Letter) -> list[str | bytes | int]:
    """What stays as it was the first time."""
    return [
        *("id", text(letter.id)),
        *("queue", text(letter.queue)),
        *("task", text(letter.task)),
        *("body", letter.body),
        *("headers", _json(letter.headers)),
        *("properties", _json(letter.properties)),
        *("content_type", text(letter.content_type)),
        *("content_encoding", text(letter.content_encoding)),
        *("correlation_id", json.dumps(letter.correlation_id)),
        *("causation_id", json.dumps(letter.causation_id)),
        *("first_at", micros(letter.first_at)),
        *("replays", letter.replays),
    ]


def _json(values: Mapping[str, Any]) -> str:
    """A letter is the last resort: a header that JSON cannot hold becomes text, not an error."""
    try:
        return json.dumps(dict(values), default=str)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({str(name): str(value) for name, value in values.items()})


def _told(letter: Letter) -> list[str | bytes | int]:
    """What the latest failure says."""
    return [
        *("reason", text(letter.reason)),
        *("error", text(letter.error)),
        *("message", text(letter.message)),
        *("traceback", text(letter.traceback)),
        *("fingerprint", text(letter.fingerprint)),
        *("covers", text(letter.covers)),
        *("slot", "" if letter.slot is None else micros(letter.slot)),
        *("stored_at", micros(letter.stored_at)),
    ]


def _letter(raw: Mapping[str, bytes]) -> Letter:
    return Letter(
        id=raw["id"].decode(),
        queue=raw["queue"].decode(),
        task=raw["task"].decode(),
        body=raw["body"],
        headers=dict(json.loads(raw["headers"])),
        properties=dict(json.loads(raw["properties"])),
        content_type=raw["content_type"].decode(),
        content_encoding=raw["content_encoding"].decode(),
        reason=raw["reason"].decode(),
        error=raw["error"].decode(),
        message=raw["message"].decode(),
        traceback=raw["traceback"].decode(),
        fingerprint=raw["fingerprint"].decode(),
        attempts=tuple(_attempt(line) for line in raw["attempts"].splitlines()),
        correlation_id=json.loads(raw["correlation_id"]),
        causation_id=json.loads(raw["causation_id"]),
        covers=raw.get("covers", b"").decode(),
        slot=moment_of(raw["slot"]) if raw.get("slot") else None,
        first_at=moment_of(raw["first_at"]),
        stored_at=moment_of(raw["stored_at"]),
        replays=int(raw["replays"]),
        state=LetterState(raw["state"].decode()),
        settled=settled_of(raw),
    )


def _attempt(line: bytes) -> Attempt:
    at, error = json.loads(line)
    return Attempt(moment_of(at), error)
