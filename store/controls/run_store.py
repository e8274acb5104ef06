"""Every scan leaves a record of what it saw and did; the last 1,000 of each control are kept."""

import datetime as dt
import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from store.pagination import Page, PageCursor, checked_limit, newest_first
from store.redis_store import DAMAGE, RedisStore, as_unreadable, shown, unreadable
from store.timestamps import to_micros

MAX_RUNS_PER_CONTROL = 1000

_LATEST = 3
"""How many runs are read for the latest: one of them may be unreadable."""


class RunStatus(enum.StrEnum):
    """How a scan ended."""

    COMPLETED = "completed"
    HELD = "held"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class ControlRun:
    """One scan of one control. A run by hand has no slot."""

    id: str
    control: str
    slot: dt.datetime | None
    as_of: dt.datetime
    started: dt.datetime
    seconds: float
    trigger: str
    outcome: RunStatus
    reason: str = ""
    examined: int = 0
    findings: int = 0
    opened: int = 0
    escalated: int = 0
    refreshed: int = 0
    closed: int = 0
    withdrawn: int = 0
    unverified: int = 0
    rpc_calls: int = 0
    late: float = 0.0
    """Seconds from the due moment to the start."""
    missed: int = 0
    """How many slots before this one nobody ran: this run stands for them too."""
    policy_hash: str = ""
    code_version: str = ""


_RUN = TypeAdapter(ControlRun)

# prefix; control, id, when it started, the record, how many are kept
_RECORD = """
local P = KEYS[1]
local control, id, started, record, keep = unpack(ARGV)
local of_control = P .. ':runs:of:' .. control
redis.call('HSET', P .. ':runs:records', id, record)
redis.call('ZADD', P .. ':runs', started, id)
redis.call('ZADD', of_control, started, id)
local extra = redis.call('ZCARD', of_control) - tonumber(keep)
if extra > 0 then
  for _, old in ipairs(redis.call('ZRANGE', of_control, 0, extra - 1)) do
    redis.call('ZREM', of_control, old)
    redis.call('ZREM', P .. ':runs', old)
    redis.call('HDEL', P .. ':runs:records', old)
  end
end
"""


class ControlRunStore:
    """What the scans did, the newest first."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._record = store.script(_RECORD)

    def record(self, run: ControlRun) -> None:
        """Keep a run; recording it again replaces it. The oldest of the control beyond 1,000 go."""
        args = [run.control, run.id, to_micros(run.started), _RUN.dump_json(run), MAX_RUNS_PER_CONTROL]
        with self._store.reach(self._index(run.control)):
            self._record(keys=[self._store.prefix], args=args)

    def latest(self, control: str) -> ControlRun | None:
        """Return the run of a control that started last."""
        found = self.page(control, limit=_LATEST).items
        return found[0] if found else None

    def page(self, control: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[ControlRun]:
        """Return runs of one control or all; `after` is what the page before gave as `next`."""
        checked_limit(limit)
        records = self._store.key("runs", "records")
        with self._store.reach(self._index(control)) as client:
            walk = newest_first(client, self._index(control), after=after)
            marks = list(itertools.islice(walk, limit + 1))
            kept: list[bytes | None] = self._store.read_or([], self._kept, client, records, marks[:limit])
        rows = (
            (f"{records} {shown(mark.id)}", raw) for mark, raw in zip(marks, kept, strict=False) if raw is not None
        )
        with self._store.collecting() as unread:
            runs = tuple(self._store.readable(_read, rows))
        return Page(runs, str(marks[limit - 1]) if len(marks) > limit else None, tuple(unread.values()))

    def _kept(self, client: Any, records: str, marks: Sequence[PageCursor]) -> list[bytes | None]:
        with as_unreadable(records):
            return list(client.hmget(records, [mark.id for mark in marks])) if marks else []

    def _index(self, control: str | None) -> str:
        return self._store.key("runs") if control is None else self._store.key("runs", "of", control)


def _read(key: str, raw: bytes) -> ControlRun:
    try:
        return _RUN.validate_json(raw)
    except DAMAGE as error:
        raise unreadable(key, error) from error
