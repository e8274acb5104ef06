"""A replay puts many letters back, a few first; it is kept with all it has done, so whoever works on it may die.

    running <-> paused, running -> stopped (by itself) -> running, running -> done; any but done -> cancelled

What a person does to one is here, what its holder does in `store.replay.runner_store`.
"""

import datetime as dt
import enum
import itertools
import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purser.errors import ConfigurationError
from store.message_locations import PLACES
from store.pagination import Page, checked_limit, chunks, newest_first
from store.redis_store import DAMAGE, RedisStore, checked, named, shown, text, unreadable
from store.resolution import require_actor, require_reason
from store.timestamps import from_micros, to_micros

MIN_RATE, MAX_RATE = 0.1, 500.0
"""Letters per second: the bounds of a rate."""

RETENTION = dt.timedelta(days=90)
"""How long a replay that has ended can be looked at."""


class ReplayState(enum.StrEnum):
    """Where a replay is in its life."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """It stopped by itself, because letters failed again. Resume it when the cause is mended, or cancel it."""
    CANCELLED = "cancelled"
    DONE = "done"


class ReplayStage(enum.StrEnum):
    """How many letters a replay risks at once."""

    CANARY = "canary"
    SAMPLE = "sample"
    REST = "rest"


class LetterOutcome(enum.StrEnum):
    """How the message of a letter ended that a replay has sent."""

    DONE = "done"
    REFUSED = "refused"
    """The rules or Odoo said no: a person of the business decides."""
    FAILED = "failed"
    """It is a dead letter again."""
    SKIPPED = "skipped"
    """It was not dead any more, or somebody settled it meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """Letters on their way back, and how far they are."""

    id: str
    who: str
    note: str
    what: str
    """The words of the selection, such as `task=purser.react error=Misconfigured`."""
    created: dt.datetime
    state: ReplayState
    why: str
    """Why it is not running, or what it waits for now; '' when it waits for nothing."""
    stage: ReplayStage
    careful: bool
    """It begins with one letter, then a few; otherwise with all."""
    rate: float
    """Letters per second."""
    total: int
    sent: int
    done: int
    refused: int
    failed: int
    waiting: int
    """Sent, and delayed now: tried again later, or held back."""
    skipped: int
    out: int
    """Sent, and not ended yet; those that wait count too."""
    fingerprints: tuple[str, ...]
    """What the letters had failed of: one that fails so again stops the replay."""
    ended: dt.datetime | None


# ---------------------------------------------------------------------------- server side --

# id; where a replay is kept
REPLAY_COMMON = (
    PLACES
    + """
local ID = ARGV[1]
local R = P .. ':replay:' .. ID
local TODO, OUT, PRINTS, FAILED = R .. ':todo', R .. ':out', R .. ':fingerprints', R .. ':failed'
local RUNNING, ENDED = P .. ':replays:running', P .. ':replays:ended'

local function get(name) return redis.call('HGET', R, name) end
local function number(name) return tonumber(get(name) or 0) end
local function set(...) redis.call('HSET', R, ...) end
local function add(name, count) redis.call('HINCRBY', R, name, count) end
local function is_idle() return get('sending') == '' and redis.call('HLEN', OUT) == 0 end

local function stays(state, why, at)
  set('state', state, 'why', why, 'ended', at)
  redis.call('ZADD', ENDED, at, ID)
  if is_idle() then redis.call('ZREM', RUNNING, ID) end
end
"""
)

# id, now, letters...; until it is created it is one that ended now, so that what nobody finishes is forgotten
_ADD = (
    REPLAY_COMMON
    + """
for i = 3, #ARGV do
  local at, state, print = unpack(fields(key(ARGV[i]), 'first_at', 'state', 'fingerprint'))
  redis.call('ZADD', TODO, whole(at), ARGV[i])
  if state == 'dead' and print then redis.call('HSET', PRINTS, print, 1) end
end
redis.call('ZADD', ENDED, ARGV[2], ID)
return redis.call('ZCARD', TODO)
"""
)

# id, now, who, note, facts, then fields and values
_CREATE = (
    REPLAY_COMMON
    + """
local now, who, note, facts = unpack(ARGV, 2, 5)
redis.call('ZREM', ENDED, ID)
redis.call('HSET', R, 'id', ID, 'who', who, 'note', note, unpack(ARGV, 6))
redis.call('ZADD', P .. ':replays', now, ID)
redis.call('ZADD', RUNNING, now, ID)
audit(now, who, 'replay.start', ID, note, facts)
return 1
"""
)

# id, now, who, note, why
_PAUSE = (
    REPLAY_COMMON
    + """
local now, who, note, why = unpack(ARGV, 2)
if get('state') ~= 'running' then return 0 end
set('state', 'paused', 'why', why)
audit(now, who, 'replay.pause', ID, note)
return 1
"""
)

# id, now, who, note; what failed before a stop is not counted again, and a careful replay begins with a canary anew
_RESUME = (
    REPLAY_COMMON
    + """
local now, who, note = unpack(ARGV, 2)
local state = get('state')
if state ~= 'paused' and state ~= 'stopped' then return 0 end
if state == 'stopped' then
  add('round', 1)
  set('spared', number('failed'), 'sent_before', number('sent'), 'returned', '', 'last_failed', '', 'stage_sent', 0)
  if get('careful') == '1' then set('stage', 'canary') end
end
set('state', 'running', 'why', '', 'ended', '', 'next_at', now)
redis.call('ZREM', ENDED, ID)
redis.call('ZADD', RUNNING, get('created'), ID)
audit(now, who, 'replay.resume', ID, note)
return 1
"""
)

# id, now, who, note, why
_CANCEL = (
    REPLAY_COMMON
    + """
local now, who, note, why = unpack(ARGV, 2)
local state = get('state')
if state ~= 'running' and state ~= 'paused' and state ~= 'stopped' then return 0 end
stays('cancelled', why, now)
audit(now, who, 'replay.cancel', ID, note)
return 1
"""
)

# id, the moment before which it must have ended
_FORGET = (
    REPLAY_COMMON
    + """
local ended = redis.call('ZSCORE', ENDED, ID)
if not ended or tonumber(ended) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', R, TODO, OUT, PRINTS, FAILED)
redis.call('ZREM', P .. ':replays', ID)
redis.call('ZREM', RUNNING, ID)
redis.call('ZREM', ENDED, ID)
return 1
"""
)


# -------------------------------------------------------------------------------- replays --


class ReplayStore:
    """The replays, as people begin, watch and end them."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._add = store.script(_ADD)
        self._create = store.script(_CREATE)
        self._pause = store.script(_PAUSE)
        self._resume = store.script(_RESUME)
        self._cancel = store.script(_CANCEL)
        self._forget = store.script(_FORGET)

    def create(
        self, ids: Iterable[str], *, who: str, note: str, what: str, rate: float, careful: bool = True
    ) -> Replay:
        """Begin an audited replay, oldest letters first. Raises ConfigurationError for no letters or a wrong rate.

        Whoever works on replays takes it from here. A letter that is not dead when its turn comes is skipped.
        """
        require_actor(who)
        require_reason(note)
        if not (math.isfinite(rate) and MIN_RATE <= rate <= MAX_RATE):
            raise ConfigurationError(f"a replay sends {MIN_RATE:g} to {MAX_RATE:g} letters per second, not {rate:g}")
        self.forget_old()
        now, name, total = to_micros(self._store.now()), uuid.uuid4().hex[:12], 0
        wanted = iter(ids)
        with self._store.reach(self._key(name)) as client:
            while chunk := [text(id_) for id_ in itertools.islice(wanted, 500)]:
                total = int(self._add(keys=[self._store.prefix], args=[name, now, *chunk]))
            if not total:
                raise ConfigurationError("there is nothing to replay: no letter was chosen")
            facts = json.dumps({"letters": total, "what": what, "rate": rate, "careful": careful})
            fields = {
                "what": text(what),
                "created": now,
                "state": ReplayState.RUNNING,
                "why": "waits for a worker",
                "stage": ReplayStage.CANARY if careful else ReplayStage.REST,
                "careful": int(careful),
                "rate": repr(float(rate)),
                "total": total,
                "next_at": now,
                **dict.fromkeys(("sending", "last_failed", "returned", "ended"), ""),
                **dict.fromkeys(_COUNTS, 0),
            }
            told = [part for pair in fields.items() for part in pair]
            self._create(keys=[self._store.prefix], args=[name, now, text(who), text(note), facts, *told])
            return self._read(name, *self._asked(client, [name]))

    def get(self, replay_id: str) -> Replay | None:
        """Return one replay, as it is now."""
        with self._store.reach(self._key(replay_id)) as client:
            raw, out, prints = self._asked(client, [replay_id])
        return self._read(replay_id, raw, out, prints) if raw else None

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Replay]:
        """Return replays, the newest first; `after` is what the page before gave as `next`."""
        checked_limit(limit)
        index = self._store.key("replays")
        with self._store.reach(index) as client:
            marks = list(itertools.islice(newest_first(client, index, after=after), limit + 1))
        with self._store.collecting() as unread:
            items = self._read_many([shown(mark.id) for mark in marks[:limit]])
        return Page(items, str(marks[limit - 1]) if len(marks) > limit else None, tuple(unread.values()))

    def failed(self, replay_id: str) -> tuple[str, ...]:
        """Return the ids of the letters that failed again, in the order in which that was seen."""
        key = self._store.key("replay", replay_id, "failed")
        with self._store.reach(key) as client:
            return tuple(name.decode() for name in client.lrange(key, 0, -1))

    def pause(self, replay_id: str, *, who: str, note: str) -> bool:
        """Send no more of its letters for now, audited; False when it is not running."""
        return self._act(self._pause, replay_id, who, note, f"paused by {who}: {note}")

    def resume(self, replay_id: str, *, who: str, note: str) -> bool:
        """Go on, audited; False when it neither is paused nor stopped.

        After a stop what failed is left alone, and a careful replay tries one letter first, as at its beginning.
        """
        return self._act(self._resume, replay_id, who, note)

    def cancel(self, replay_id: str, *, who: str, note: str) -> bool:
        """End it, audited: what was not sent stays dead. False when it has ended already."""
        return self._act(self._cancel, replay_id, who, note, f"cancelled by {who}: {note}")

    def forget_old(self) -> int:
        """Forget replays that ended long ago; give how many."""
        index, before = self._store.key("replays", "ended"), to_micros(self._store.now() - RETENTION)
        with self._store.reach(index) as client:
            names = client.zrangebyscore(index, "-inf", before)
            answers = self._store.run_each(self._forget, [([self._store.prefix], [name, before]) for name in names])
        rows = ((answer, self._key(shown(name))) for name, answer in zip(names, answers, strict=True))
        return sum(map(int, self._store.readable(checked, rows)))

    # -- helpers

    def _act(self, script: Any, replay_id: str, who: str, note: str, *more: str) -> bool:
        told = [text(part) for part in (require_actor(who), require_reason(note), *more)]
        with self._store.reach(self._key(replay_id)):
            args = [text(replay_id), to_micros(self._store.now()), *told]
            return bool(script(keys=[self._store.prefix], args=args))

    def _key(self, replay_id: str) -> str:
        return self._store.key("replay", replay_id)

    def _read_many(self, names: list[str]) -> tuple[Replay, ...]:
        found: list[Replay] = []
        for chunk in chunks(names):
            with self._store.reach(self._key(chunk[0])) as client:
                told = self._asked(client, chunk)
            parts = zip(chunk, told[::3], told[1::3], told[2::3], strict=True)
            found += self._store.readable(self._read, (part for part in parts if part[1]))
        return tuple(found)

    def _asked(self, client: Any, names: Sequence[str]) -> list[Any]:
        """Ask for three things of each: its hash, how many are out, and its fingerprints."""
        pipe = client.pipeline(transaction=False)
        for key in map(self._key, names):
            pipe.hgetall(key).hlen(f"{key}:out").hkeys(f"{key}:fingerprints")
        return self._store.answers_of(pipe)

    def _read(self, name: str, raw: Any, out: Any, prints: Any) -> Replay:
        key = self._key(name)
        for answer in (raw, out, prints):
            checked(answer, key)
        return read_replay(key, named(raw), out, prints)


_COUNTS = (
    *("sent", "done", "refused", "failed", "waiting", "skipped"),
    *("stage_sent", "round", "spared", "sent_before"),
)


def read_replay(key: str, raw: Mapping[str, bytes], out: int, prints: Iterable[bytes]) -> Replay:
    """Read what the ledger keeps of a replay."""
    try:
        return Replay(
            id=raw["id"].decode(),
            who=raw["who"].decode(),
            note=raw["note"].decode(),
            what=raw["what"].decode(),
            created=from_micros(raw["created"]),
            state=ReplayState(raw["state"].decode()),
            why=raw["why"].decode(),
            stage=ReplayStage(raw["stage"].decode()),
            careful=raw["careful"] == b"1",
            rate=float(raw["rate"]),
            total=int(raw["total"]),
            sent=int(raw["sent"]),
            done=int(raw["done"]),
            refused=int(raw["refused"]),
            failed=int(raw["failed"]),
            waiting=min(int(raw["waiting"]), out),
            skipped=int(raw["skipped"]),
            out=out,
            fingerprints=tuple(sorted(name.decode() for name in prints)),
            ended=from_micros(raw["ended"]) if raw["ended"] else None,
        )
    except DAMAGE as error:
        raise unreadable(key, error) from error
