"""How far the change feed has come is kept step by step, so whoever goes on after a crash goes on from there."""

import datetime as dt
from dataclasses import dataclass

from pydantic import TypeAdapter

from store.redis_store import DAMAGE, RedisStore, as_unreadable, shown, text, unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedCursor:
    """Where a walk through the records of a model stands. Moments are those at which records were written."""

    name: str
    started: dt.datetime
    """What was written before is history."""
    done: dt.datetime
    """All that was written before this has been looked at."""
    at: dt.datetime
    """When it was moved last."""
    since: dt.datetime | None = None
    """What was written from here on is being looked at, None between two walks."""
    until: dt.datetime | None = None
    """What will be done when that is at its end."""
    after: int = 0
    """The last id that was looked at."""
    looked: int = 0
    """How many records were looked at, since it exists."""
    told: int = 0
    """How many facts were sent on because of it."""
    lacks: str = ""
    """Why nothing can be asked: what this database or this user does not have."""


_CURSOR = TypeAdapter(FeedCursor)

# the hash of all; name, as it must stand or '', as it shall stand or ''
_MOVE = """
local stands = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stands ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
"""


class FeedCursorStore:
    """The cursors by name. One is moved only from where it was seen to stand, so two cannot set each other back."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._move = store.script(_MOVE)

    def get(self, name: str) -> FeedCursor | None:
        """Return a cursor, None where there is none yet."""
        with self._store.reach(self._key) as client:
            raw = client.hget(self._key, text(name))
        return None if raw is None else self._read(name, raw)

    def all(self) -> tuple[FeedCursor, ...]:
        """Return every cursor, by name."""
        kept: dict[bytes, bytes] = self._store.read_or({}, self._kept)
        return tuple(self._store.readable(self._read, ((shown(name), kept[name]) for name in sorted(kept))))

    def move(self, stands: FeedCursor | None, to: FeedCursor) -> bool:
        """Move a cursor, or make it where none `stands`. False, and nothing changed: somebody else has moved it."""
        return self._replace(to.name, _told(stands), _told(to))

    def drop(self, cursor: FeedCursor) -> bool:
        """Forget a cursor. False: somebody else has moved it."""
        return self._replace(cursor.name, _told(cursor), b"")

    def _replace(self, name: str, stands: bytes, to: bytes) -> bool:
        with self._store.reach(self._key):
            return bool(self._move(keys=[self._key], args=[text(name), stands, to]))

    @property
    def _key(self) -> str:
        return self._store.key("cursors")

    def _kept(self) -> dict[bytes, bytes]:
        with self._store.reach(self._key) as client, as_unreadable(self._key):
            kept: dict[bytes, bytes] = client.hgetall(self._key)
        return kept

    def _read(self, name: str, raw: bytes) -> FeedCursor:
        try:
            return _CURSOR.validate_json(raw)
        except DAMAGE as error:
            raise unreadable(f"{self._key} {name}", error) from error


def _told(cursor: FeedCursor | None) -> bytes:
    return b"" if cursor is None else _CURSOR.dump_json(cursor)
