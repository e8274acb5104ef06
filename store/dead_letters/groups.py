"""Letters that failed alike are counted together, whatever a filter leaves of them."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store.dead_letters.filters import DEAD_LETTERS, DeadLetterFilter
from store.dead_letters.letter_keys import DeadLetterBase
from store.dead_letters.model import DeadLetterGroup
from store.dead_letters.scan import BATCH_SIZE, SCAN_SCRIPT, ScanRequest, forms_of, hint_of, span_of
from store.message_locations import PLACES
from store.pagination import PageCursor, checked_limit, chunks, narrowest
from store.redis_store import RedisStore, checked, shown, text
from store.timestamps import from_micros, to_micros

HOURS = 24
_NO_LABEL = ("", "", "")
_HOUR = dt.timedelta(hours=1)

# the moment from which hours are counted, how many; then as for WALK
_GROUP = (
    SCAN_SCRIPT
    + """
local from, hours = tonumber(ARGV[1]), tonumber(ARGV[2])
local groups, names = {}, {}
local ended = walk(function(id, at)
  local name = fields(key(id), 'fingerprint')[1]
  if not name then return end
  local group = groups[name]
  if not group then
    group = {name, 0, id, at, at, {}}
    for i = 1, hours do group[6][i] = 0 end
    groups[name], names[#names + 1] = group, name
  end
  group[2], group[5] = group[2] + 1, at
  local hour = math.floor((tonumber(at) - from) / 3600000000) + 1
  if hour >= 1 then
    hour = math.min(hour, hours)
    group[6][hour] = group[6][hour] + 1
  end
end)
local found = {}
for i, name in ipairs(names) do found[i] = groups[name] end
return {ended, score, last, found}
"""
)

# the index of a state; the bounds in time; the fingerprint that is wanted, or ''
_KINDS = (
    PLACES
    + """
local index, since, till, only = unpack(ARGV)
local names = only ~= '' and {only} or redis.call('SMEMBERS', index .. ':fingerprints')
local found = {}
for _, name in ipairs(names) do
  local kind = index .. ':fingerprint:' .. name
  local count = redis.call('ZCOUNT', kind, since, till)
  if count > 0 then
    local newest = redis.call('ZREVRANGEBYSCORE', kind, till, since, 'WITHSCORES', 'LIMIT', 0, 1)
    local oldest = redis.call('ZRANGEBYSCORE', kind, since, till, 'WITHSCORES', 'LIMIT', 0, 1)
    found[#found + 1] = {name, count, newest[1], newest[2], oldest[2]}
  end
end
return found
"""
)

# indexes, that of a fingerprint first; the bounds in time, or ''; the moment from which hours are counted, how many.
# Gives how many are in all of them, the newest with its score, the score of the oldest, and how many in each hour.
_MEET = """
local since, till = tonumber(ARGV[1]) or -math.huge, tonumber(ARGV[2]) or math.huge
local from, hours = tonumber(ARGV[3]), tonumber(ARGV[4])
local command = {'ZINTER', #KEYS, unpack(KEYS)}
for _, word in ipairs({'AGGREGATE', 'MAX', 'WITHSCORES'}) do command[#command + 1] = word end
local found, count, trend, newest, oldest = redis.call(unpack(command)), 0, {}, nil, nil
for hour = 1, hours do trend[hour] = 0 end
for i = 1, #found, 2 do
  local at = tonumber(found[i + 1])
  if at >= since and at < till then
    count, newest, oldest = count + 1, i, oldest or i
    if at >= from then
      local hour = math.min(math.floor((at - from) / 3600000000) + 1, hours)
      trend[hour] = trend[hour] + 1
    end
  end
end
if count == 0 then return {0} end
return {count, found[newest], found[newest + 1], found[oldest + 1], trend}
"""

# the index of a state; the bounds in time, or ''; the moment from which hours are counted, how many; fingerprints...
_TREND = (
    PLACES
    + """
local index, since, till, from, hours = unpack(ARGV, 1, 5)
since, till = tonumber(since) or -math.huge, tonumber(till) or math.huge
local found = {}
for i = 6, #ARGV do
  local trend = {}
  for hour = 1, hours do
    local low = math.max(since, from + (hour - 1) * 3600000000)
    local high = hour == tonumber(hours) and till or math.min(till, from + hour * 3600000000)
    trend[hour] = low >= high and 0 or redis.call('ZCOUNT', index .. ':fingerprint:' .. ARGV[i],
      string.format('%.0f', low), high == math.huge and '+inf' or string.format('(%.0f', high))
  end
  found[#found + 1] = trend
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class _RawGroup:
    """A group as the server counts it, its moments in microseconds."""

    name: str
    count: int
    sample: str
    last: int
    first: int
    trend: tuple[int, ...] = ()

    def with_older(self, other: "_RawGroup") -> "_RawGroup":
        trend = tuple(a + b for a, b in zip(self.trend, other.trend, strict=True))
        return dataclasses.replace(self, count=self.count + other.count, first=other.first, trend=trend)


def _largest_first(kind: _RawGroup) -> tuple[int, str]:
    return -kind.count, kind.name


def _answered(kind: _RawGroup, answer: Any, index: str) -> tuple[_RawGroup, list[Any]]:
    return kind, checked(answer, index)


class DeadLetterGrouping(DeadLetterBase):
    """The letters by fingerprint."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._group = store.script(_GROUP)
        self._kinds = store.script(_KINDS)
        self._meet = store.script(_MEET)
        self._trend = store.script(_TREND)

    def groups(self, filter: DeadLetterFilter = DEAD_LETTERS, *, limit: int = 100) -> tuple[DeadLetterGroup, ...]:  # noqa: A002
        """Return the letters that match by fingerprint, the largest groups first. What a group says is its newest's.

        With a text every letter is read: a second or two for 100,000.
        """
        checked_limit(limit)
        kinds = self._with_trend(filter, self._kinds_of(filter)[:limit])
        return tuple(
            DeadLetterGroup(
                fingerprint=kind.name,
                task=task,
                error=error,
                message=message,
                count=kind.count,
                first=from_micros(kind.first),
                last=from_micros(kind.last),
                sample=kind.sample,
                trend=kind.trend,
            )
            for kind, (task, error, message) in zip(kinds, self._labels(filter, kinds), strict=True)
        )

    # -- helpers

    def _way(self, filter: DeadLetterFilter) -> ScanRequest:  # noqa: A002
        self._wake_stale()
        indexes = [self._index(filter.state, name, value) for name, value in filter.exact().items()]
        with self._store.reach(self._index(filter.state)) as client:
            index, others = narrowest(client, indexes or [self._index(filter.state)])
        forms, (since, till) = forms_of(filter.text), span_of(filter)
        return ScanRequest(
            index=index,
            others=others,
            since=since,
            till=till,
            hint=hint_of(forms),
            forms=forms,
        )

    def _kinds_of(self, filter: DeadLetterFilter) -> list["_RawGroup"]:  # noqa: A002
        """Choose the way that looks at the fewest letters."""
        way = self._way(filter)
        if way.forms:
            return self._gathered(way)
        common = dataclasses.replace(filter, task="", error="")  # letters of one fingerprint have these in common
        indexes = [
            self._index(filter.state, name, value) for name, value in common.exact().items() if name != "fingerprint"
        ]
        if indexes and self._size(way.index) <= BATCH_SIZE:
            return self._gathered(way)
        kinds = self._by_kind(filter)
        if filter.task or filter.error:
            labels = self._labels(filter, kinds)
            kinds = [
                kind
                for kind, (task, error, _) in zip(kinds, labels, strict=True)
                if filter.task in ("", task) and filter.error in ("", error)
            ]
        return self._met(filter, kinds, indexes) if indexes else kinds

    def _size(self, index: str) -> int:
        with self._store.reach(index) as client:
            return int(client.zcard(index))

    def _labels(self, filter: DeadLetterFilter, kinds: Sequence["_RawGroup"]) -> list[list[str]]:  # noqa: A002
        with self._store.reach(self._index(filter.state)) as client:
            pipe = client.pipeline(transaction=False)  # a full server refuses a transaction, even to read
            for kind in kinds:
                pipe.hmget(self._key(kind.sample), "task", "error", "message")
            found = zip(kinds, self._store.answers_of(pipe), strict=True)
        labels = (self._store.read_or(_NO_LABEL, self._label, kind.sample, told) for kind, told in found)
        return [list(label) for label in labels]

    def _label(self, letter_id: str, told: Any) -> tuple[str, str, str]:
        task, error, message = (shown(value or b"") for value in checked(told, self._key(letter_id)))
        return task, error, message

    def _from(self) -> int:
        return to_micros(self._store.now() - HOURS * _HOUR)

    def _gathered(self, way: ScanRequest) -> list["_RawGroup"]:
        kinds: dict[bytes, _RawGroup] = {}
        cursor, from_ = None, self._from()
        while True:
            with self._store.reach(way.index):
                args = way.args(from_, HOURS, after=cursor, size=way.at_once)
                ended, score, last, found = self._group(keys=[self._store.prefix], args=args)
            for name, count, sample, newest, oldest, trend in found:
                more = _RawGroup(name.decode(), count, sample.decode(), int(newest), int(oldest), tuple(trend))
                kinds[name] = kinds[name].with_older(more) if name in kinds else more
            if ended or not score:
                return sorted(kinds.values(), key=_largest_first)
            cursor = PageCursor(int(score), last)

    def _by_kind(self, filter: DeadLetterFilter) -> list["_RawGroup"]:  # noqa: A002
        since, till = span_of(filter)
        index = self._index(filter.state)
        with self._store.reach(index):
            args = [index, since or "-inf", f"({till}" if till else "+inf", text(filter.fingerprint)]
            found = self._kinds(keys=[self._store.prefix], args=args)
        kinds = [
            _RawGroup(name.decode(), count, sample.decode(), int(newest), int(oldest))
            for name, count, sample, newest, oldest in found
        ]
        return sorted(kinds, key=_largest_first)

    def _met(
        self,
        filter: DeadLetterFilter,  # noqa: A002
        kinds: Sequence["_RawGroup"],
        others: Sequence[str],
    ) -> list["_RawGroup"]:
        """Leave of each group what is in other indexes too: the server compares them, a group at a time."""
        met: list[_RawGroup] = []
        from_ = self._from()
        for chunk in chunks(kinds):
            prints = [self._index(filter.state, "fingerprint", kind.name) for kind in chunk]
            args = [*span_of(filter), from_, HOURS]
            answers = self._store.run_each(self._meet, [([index, *others], args) for index in prints])
            rows = zip(chunk, answers, prints, strict=True)
            for kind, (count, *told) in self._store.readable(_answered, rows):
                if count:
                    sample, newest, oldest, trend = told
                    met.append(_RawGroup(kind.name, count, sample.decode(), int(newest), int(oldest), tuple(trend)))
        return sorted(met, key=_largest_first)

    def _with_trend(self, filter: DeadLetterFilter, kinds: list["_RawGroup"]) -> list["_RawGroup"]:  # noqa: A002
        if all(kind.trend for kind in kinds):
            return kinds
        index = self._index(filter.state)
        args = [index, *span_of(filter), self._from(), HOURS, *(text(kind.name) for kind in kinds)]
        with self._store.reach(index):
            trends = self._trend(keys=[self._store.prefix], args=args)
        return [dataclasses.replace(kind, trend=tuple(trend)) for kind, trend in zip(kinds, trends, strict=True)]
