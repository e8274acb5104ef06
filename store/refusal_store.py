"""What the business said no to waits in one list until a person of the business settles it."""

import datetime as dt
import enum
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from store.pagination import Page, checked_limit, newest_first
from store.redis_store import DAMAGE, RedisStore, as_unreadable, checked, named, shown, text, unreadable
from store.resolution import Resolution, require_actor, require_reason, resolution_of
from store.timestamps import from_micros, to_micros

WHY_HOLDS = 2000
"""How many characters of Odoo's words are kept."""


class RefusalState(enum.StrEnum):
    """Whether a person still has to decide."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusalRecord:
    """One refusal, however often it was met. `id` is the change's business key, else the message's id."""

    id: str
    task: str
    what: str
    why: str
    """Odoo's words, cut to 2,000 characters."""
    change: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The refused change as JSON."""
    first_at: dt.datetime
    last_at: dt.datetime
    count: int = 1
    state: RefusalState = RefusalState.OPEN
    settled: Resolution | None = None


# prefix; id, task, what, why, change, at
_ADD = """
local P = KEYS[1]
local id, task, what, why, change, at = unpack(ARGV)
local entry = P .. ':refusal:' .. id
local last, first, count = unpack(redis.call('HMGET', entry, 'last_at', 'first_at', 'count'))
if last and tonumber(last) and tonumber(at) <= tonumber(last) then return 0 end
if not (first and tonumber(first)) then redis.call('HSET', entry, 'first_at', at) end
redis.call('HSET', entry, 'count', string.format('%.0f', (count and tonumber(count) or 0) + 1))
redis.call('HSET', entry, 'id', id, 'task', task, 'what', what, 'why', why, 'change', change, 'last_at', at,
  'state', 'open')
redis.call('HDEL', entry, 'settled_at', 'settled_by', 'settled_note')
redis.call('ZREM', P .. ':refusals:closed', id)
redis.call('ZADD', P .. ':refusals:open', at, id)
return 1
"""

# prefix; id, now, who, note
_CLOSE = """
local P = KEYS[1]
local id, now, who, note = unpack(ARGV)
local entry = P .. ':refusal:' .. id
if redis.call('HGET', entry, 'state') ~= 'open' then return 0 end
redis.call('HSET', entry, 'state', 'closed', 'settled_at', now, 'settled_by', who, 'settled_note', note)
redis.call('ZREM', P .. ':refusals:open', id)
redis.call('ZADD', P .. ':refusals:closed', now, id)
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'refusals.close', 'what', id, 'note', note, 'facts', '{}')
return 1
"""


class RefusalStore:
    """The refusals that wait, and those that were settled."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._add = store.script(_ADD)
        self._close = store.script(_CLOSE)

    def add(self, entry: RefusalRecord) -> bool:
        """Keep a refusal met at `last_at`; a known one counts once more, and is open again if it was closed.

        Adding the same meeting again changes nothing, and says so by False.
        """
        args = [
            *(text(entry.id), text(entry.task), text(entry.what), text(entry.why[:WHY_HOLDS])),
            *(json.dumps(dict(entry.change), default=str), to_micros(entry.last_at)),
        ]
        with self._store.reach(self._key(entry.id)):
            return bool(self._add(keys=[self._store.prefix], args=args))

    def get(self, refusal_id: str) -> RefusalRecord | None:
        """Return one refusal."""
        with self._store.reach(self._key(refusal_id)) as client, as_unreadable(self._key(refusal_id)):
            raw = client.hgetall(self._key(refusal_id))
        return self._read(refusal_id, raw) if raw else None

    def page(
        self, *, after: str | None = None, limit: int = 50, state: RefusalState = RefusalState.OPEN
    ) -> Page[RefusalRecord]:
        """Return refusals, the latest first; `after` is what the page before gave as `next`."""
        checked_limit(limit)
        index = self._index(state)
        with self._store.reach(index) as client:
            marks = list(itertools.islice(newest_first(client, index, after=after), limit + 1))
            pipe = client.pipeline(transaction=False)
            for mark in marks[:limit]:
                pipe.hgetall(self._key(shown(mark.id)))
            kept = self._store.answers_of(pipe)
        names = (shown(mark.id) for mark in marks)
        with self._store.collecting() as unread:
            entries = tuple(self._store.readable(self._read, zip(names, kept, strict=False)))
        return Page(entries, str(marks[limit - 1]) if len(marks) > limit else None, tuple(unread.values()))

    def count(self) -> int:
        """Count those that wait for a person."""
        index = self._index(RefusalState.OPEN)
        with self._store.reach(index) as client:
            return int(client.zcard(index))

    def close(self, refusal_id: str, *, who: str, note: str) -> bool:
        """Settle a refusal, audited; False when it is not open."""
        require_actor(who)
        require_reason(note)
        args = [text(refusal_id), to_micros(self._store.now()), text(who), text(note)]
        with self._store.reach(self._key(refusal_id)):
            return bool(self._close(keys=[self._store.prefix], args=args))

    def _key(self, refusal_id: str) -> str:
        return self._store.key("refusal", refusal_id)

    def _index(self, state: RefusalState) -> str:
        return self._store.key("refusals", state)

    def _read(self, refusal_id: str, raw: Any) -> RefusalRecord:
        try:
            return _entry(named(checked(raw, self._key(refusal_id))))
        except DAMAGE as error:
            raise unreadable(self._key(refusal_id), error) from error


def _entry(raw: Mapping[str, bytes]) -> RefusalRecord:
    return RefusalRecord(
        id=raw["id"].decode(),
        task=raw["task"].decode(),
        what=raw["what"].decode(),
        why=raw["why"].decode(),
        change=dict(json.loads(raw["change"])),
        first_at=from_micros(raw["first_at"]),
        last_at=from_micros(raw["last_at"]),
        count=int(raw["count"]),
        state=RefusalState(raw["state"].decode()),
        settled=resolution_of(raw),
    )
