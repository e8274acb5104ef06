"""Letters are listed, counted and grouped by what a filter says, and a list stays right while others write.

The server looks: one script walks an index from a cursor, a part at a time, and gives only what matches. A text has
no index: what the letters carry is read, newest first. That takes a while where few letters hold it, so a page of it
may end before it is full, and its `next` goes on from there.
"""

import dataclasses
import datetime as dt
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.clock import micros, moment_of
from ledger.filters import DEAD_LETTERS, LetterFilter
from ledger.letter import Letter, LetterGroup
from ledger.pages import Mark, Page, checked_limit, narrowest
from ledger.places import PLACES
from ledger.shelf import Shelf
from ledger.store import Store, text

AT_ONCE = 2000
"""How many letters one step looks at."""
TEXTS_AT_ONCE = 500
"""How many of them where it reads what they carry."""
BYTES_AT_ONCE = 8 * 1024 * 1024
PATIENCE = 0.2
"""Seconds after which a page of a text ends although it is not full."""
HOURS = 24
_HOUR = dt.timedelta(hours=1)

# two arguments of the script that walks; the index; score and id of the last one seen, or '' and ''; the bounds in
# time, or ''; how many to look at, how many bytes of bodies; how many other indexes a letter must be in, those; what
# any body with the text holds as it is, or ''; the forms of the text in small letters. Gives '1' at the end of the
# index, else '', and leaves score and id of the last one seen.
_WALK = (
    PLACES
    + """
local index, score, last, since, till, size, most, count = unpack(ARGV, 3, 10)
size, most, count = tonumber(size), tonumber(most), tonumber(count)
local others, hint, forms = {}, ARGV[11 + count], {}
for i = 1, count do others[i] = ARGV[10 + i] end
for i = 12 + count, #ARGV do forms[#forms + 1] = ARGV[i] end

local function is_before(a, b)  -- byte by byte, as the server sorts, whatever its language
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function start()
  local first = till == '' and 0 or redis.call('ZCOUNT', index, till, '+inf')
  if score == '' then return first end
  local stands = redis.call('ZSCORE', index, last)
  if stands and tonumber(stands) == tonumber(score) then
    return math.max(first, redis.call('ZREVRANK', index, last) + 1)
  end
  local place = redis.call('ZCOUNT', index, '(' .. score, '+inf')
  while true do
    local tie = redis.call('ZREVRANGE', index, place, place, 'WITHSCORES')
    if #tie == 0 or tonumber(tie[2]) < tonumber(score) or is_before(tie[1], last) then
      return math.max(first, place)
    end
    place = place + 1
  end
end

local function carries(id)
  if #forms == 0 then return true end
  local body = redis.call('HGET', key(id), 'body')
  if not body then return false end
  most = most - #body
  if hint ~= '' and not string.find(body, hint, 1, true) then return false end
  body = string.lower(body)
  for _, form in ipairs(forms) do
    if string.find(body, form, 1, true) then return true end
  end
  return false
end

local function walk(each)
  local place = start()
  local found = redis.call('ZREVRANGE', index, place, place + size - 1, 'WITHSCORES')
  local ids, is_in = {}, {}
  for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
  for i, other in ipairs(others) do is_in[i] = #ids > 0 and redis.call('ZMSCORE', other, unpack(ids)) or {} end
  for n, id in ipairs(ids) do
    if since ~= '' and tonumber(found[2 * n]) < tonumber(since) then return '1' end
    score, last = found[2 * n], id
    local matches = true
    for i = 1, count do matches = matches and is_in[i][n] end
    if matches and carries(id) and each(id, score) == false then return '' end
    if most <= 0 then return '' end
  end
  return #ids < size and '1' or ''
end
"""
)

# how many are wanted, nothing; then as for _WALK
_FIND = (
    _WALK
    + """
local wanted, found = tonumber(ARGV[1]), {}
local ended = walk(function(id, at)
  found[#found + 1] = id
  found[#found + 1] = at
  return #found < 2 * wanted
end)
return {ended, score, last, found}
"""
)

# the moment from which hours are counted, how many; then as for _WALK
_GROUP = (
    _WALK
    + """
local from, hours = tonumber(ARGV[1]), tonumber(ARGV[2])
local groups, names = {}, {}
local ended = walk(function(id, at)
  local name = redis.call('HGET', key(id), 'fingerprint') or ''
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
class _Way:
    """How the letters of a filter are walked: the arguments of `_WALK` that stay the same."""

    index: str
    others: tuple[str, ...]
    since: str
    till: str
    hint: bytes
    forms: tuple[bytes, ...]

    def args(self, *before: Any, after: Mark | None, size: int) -> list[Any]:
        cursor: tuple[Any, Any] = ("", "") if after is None else (after.score, after.id)
        return [
            *(*before, self.index, *cursor, self.since, self.till, size, BYTES_AT_ONCE),
            *(len(self.others), *self.others, self.hint, *self.forms),
        ]

    @property
    def at_once(self) -> int:
        return TEXTS_AT_ONCE if self.forms else AT_ONCE


class ListedLetters(Shelf):
    """The letters as lists."""

    def __init__(self, store: Store, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._find = store.script(_FIND)
        self._group = store.script(_GROUP)
        self._kinds = store.script(_KINDS)
        self._trend = store.script(_TREND)

    def page(
        self,
        filter: LetterFilter = DEAD_LETTERS,  # noqa: A002 - it is one
        *,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Letter]:
        """Give letters, the newest first; `after` is what the page before gave as `next`.

        A page of a text may hold fewer than `limit`, even none, and have a next one: it ends after `PATIENCE`.
        """
        checked_limit(limit)
        cursor = None if after is None else Mark.parse(after)
        way = self._way(filter)
        until = time.monotonic() + PATIENCE if way.forms else None
        marks: list[Mark] = []
        while True:
            found, cursor = self._some(way, cursor, limit + 1 - len(marks))
            marks += found
            if cursor is None or len(marks) > limit or (until is not None and time.monotonic() > until):
                break
        if len(marks) > limit:
            cursor = marks[limit - 1]
        letters = self._read_many(mark.id.decode() for mark in marks[:limit])
        items = tuple(letter for letter in letters if letter.state is filter.state)  # it may have moved meanwhile
        return Page(items, None if cursor is None else str(cursor))

    def ids(self, filter: LetterFilter = DEAD_LETTERS) -> Iterator[str]:  # noqa: A002
        """Walk the ids of all that match, the newest first: each once, though they may leave the list meanwhile."""
        way, cursor = self._way(filter), None
        while True:
            found, cursor = self._some(way, cursor, way.at_once)
            for mark in found:
                yield mark.id.decode()
            if cursor is None:
                return

    def count(self, filter: LetterFilter = DEAD_LETTERS) -> int:  # noqa: A002
        """Count the letters that match. With a text every letter is read: about a second for 100,000."""
        way = self._way(filter)
        if not way.others and not way.forms:
            with self._store.reach(way.index) as client:
                return int(client.zcount(way.index, way.since or "-inf", f"({way.till}" if way.till else "+inf"))
        total, cursor = 0, None
        while True:
            found, cursor = self._some(way, cursor, way.at_once)
            total += len(found)
            if cursor is None:
                return total

    def groups(self, filter: LetterFilter = DEAD_LETTERS, *, limit: int = 100) -> tuple[LetterGroup, ...]:  # noqa: A002
        """Give the letters that match by fingerprint, the largest groups first. What a group says is its newest's."""
        checked_limit(limit)
        from_ = micros(self._store.now() - HOURS * _HOUR)
        wider = dataclasses.replace(filter, task="", error="")  # letters of one fingerprint have both in common
        if filter.text or set(wider.exact()) - {"fingerprint"}:
            found = self._gathered(wider, from_)
        else:
            found = self._by_kind(filter)
        index = self._index(filter.state)
        with self._store.reach(index) as client:
            pipe = client.pipeline(transaction=False)  # a full server refuses a transaction, even to read
            for kind in found:
                pipe.hmget(self._key(kind.sample), "task", "error", "message")
            labels = pipe.execute()
        groups = [
            LetterGroup(
                fingerprint=kind.name,
                task=task,
                error=error,
                message=message,
                count=kind.count,
                first=moment_of(kind.first),
                last=moment_of(kind.last),
                sample=kind.sample,
                trend=kind.trend,
            )
            for kind, label in zip(found, labels, strict=True)
            for task, error, message in [[(value or b"").decode() for value in label]]
            if filter.task in ("", task) and filter.error in ("", error)
        ][:limit]
        if all(group.trend for group in groups):
            return tuple(groups)
        return self._with_trend(filter, groups, from_)

    # -- helpers

    def _way(self, filter: LetterFilter) -> _Way:  # noqa: A002
        self._wake_stale()
        indexes = [self._index(filter.state, name, value) for name, value in filter.exact().items()]
        with self._store.reach(self._index(filter.state)) as client:
            index, others = narrowest(client, indexes or [self._index(filter.state)])
        forms, (since, till) = _forms(filter.text), _span(filter)
        return _Way(
            index=index,
            others=others,
            since=since,
            till=till,
            hint=_hint(forms),
            forms=forms,
        )

    def _some(self, way: _Way, after: Mark | None, wanted: int) -> tuple[list[Mark], Mark | None]:
        """Give what one step finds, and from where to go on; None at the end."""
        size = way.at_once if way.others or way.forms else min(way.at_once, wanted)
        with self._store.reach(way.index):
            args = way.args(wanted, "", after=after, size=size)
            ended, score, last, found = self._find(keys=[self._store.prefix], args=args)
        marks = [Mark(int(at), name) for name, at in zip(found[::2], found[1::2], strict=True)]
        return marks, None if ended or not score else Mark(int(score), last)

    def _gathered(self, filter: LetterFilter, from_: int) -> list["_Kind"]:  # noqa: A002
        way, cursor = self._way(filter), None
        kinds: dict[bytes, _Kind] = {}
        while True:
            with self._store.reach(way.index):
                args = way.args(from_, HOURS, after=cursor, size=way.at_once)
                ended, score, last, found = self._group(keys=[self._store.prefix], args=args)
            for name, count, sample, newest, oldest, trend in found:
                more = _Kind(name.decode(), count, sample.decode(), int(newest), int(oldest), tuple(trend))
                kinds[name] = kinds[name].with_older(more) if name in kinds else more
            if ended or not score:
                return sorted(kinds.values(), key=_largest_first)
            cursor = Mark(int(score), last)

    def _by_kind(self, filter: LetterFilter) -> list["_Kind"]:  # noqa: A002
        self._wake_stale()
        since, till = _span(filter)
        index = self._index(filter.state)
        with self._store.reach(index):
            args = [index, since or "-inf", f"({till}" if till else "+inf", text(filter.fingerprint)]
            found = self._kinds(keys=[self._store.prefix], args=args)
        kinds = [
            _Kind(name.decode(), count, sample.decode(), int(newest), int(oldest))
            for name, count, sample, newest, oldest in found
        ]
        return sorted(kinds, key=_largest_first)

    def _with_trend(
        self,
        filter: LetterFilter,  # noqa: A002
        groups: Sequence[LetterGroup],
        from_: int,
    ) -> tuple[LetterGroup, ...]:
        index = self._index(filter.state)
        args = [index, *_span(filter), from_, HOURS, *(text(group.fingerprint) for group in groups)]
        with self._store.reach(index):
            trends = self._trend(keys=[self._store.prefix], args=args)
        return tuple(
            dataclasses.replace(group, trend=tuple(trend)) for group, trend in zip(groups, trends, strict=True)
        )


def _span(filter: LetterFilter) -> tuple[str, str]:  # noqa: A002
    """Give the bounds in time as the scripts read them."""
    return (
        "" if filter.since is None else str(micros(filter.since)),
        "" if filter.until is None else str(micros(filter.until)),
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    """A group as the server counts it, its moments in microseconds."""

    name: str
    count: int
    sample: str
    last: int
    first: int
    trend: tuple[int, ...] = ()

    def with_older(self, other: "_Kind") -> "_Kind":
        trend = tuple(a + b for a, b in zip(self.trend, other.trend, strict=True))
        return dataclasses.replace(self, count=self.count + other.count, first=other.first, trend=trend)


def _largest_first(kind: _Kind) -> tuple[int, str]:
    return -kind.count, kind.name


def _forms(wanted: str) -> tuple[bytes, ...]:
    """Give a text in small letters as a body may hold it: as it is, and as JSON escapes it."""
    if not wanted:
        return ()
    escaped = [json.dumps(wanted, ensure_ascii=ascii_)[1:-1] for ascii_ in (False, True)]
    return tuple(dict.fromkeys(text(form).lower() for form in (wanted, *escaped)))


def _hint(forms: tuple[bytes, ...]) -> bytes:
    """Give the longest part of a text that is the same in capital letters; '' where forms differ or it is short."""
    if len(forms) != 1:
        return b""
    runs, run = [b""], b""
    for byte in forms[0]:
        run = b"" if 97 <= byte <= 122 else run + bytes([byte])
        runs.append(run)
    longest = max(runs, key=len)
    return longest if len(longest) > 1 else b""
