"""The server looks for letters: one script walks an index from a cursor, a part at a time, and keeps what matches."""

import json
from dataclasses import dataclass
from typing import Any

from store.dead_letters.filters import DeadLetterFilter
from store.message_locations import PLACES
from store.pagination import PageCursor
from store.redis_store import text
from store.timestamps import to_micros

BATCH_SIZE = 2000
"""How many letters one step looks at."""
TEXT_BATCH_SIZE = 500
"""How many of them where it reads what they carry."""
MAX_BATCH_BYTES = 8 * 1024 * 1024

# two arguments of the script that walks; the index; score and id of the last one seen, or '' and ''; the bounds in
# time, or ''; how many to look at, how many bytes of bodies; how many other indexes a letter must be in, those; what
# any body with the text holds as it is, or ''; the forms of the text in small letters. Gives '1' at the end of the
# index, else '', and leaves score and id of the last one seen.
SCAN_SCRIPT = (
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
  local body = fields(key(id), 'body')[1]
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


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """How the letters of a filter are walked: the arguments of `SCAN_SCRIPT` that stay the same."""

    index: str
    others: tuple[str, ...]
    since: str
    till: str
    hint: bytes
    forms: tuple[bytes, ...]

    def args(self, *before: Any, after: PageCursor | None, size: int) -> list[Any]:
        cursor: tuple[Any, Any] = ("", "") if after is None else (after.score, after.id)
        return [
            *(*before, self.index, *cursor, self.since, self.till, size, MAX_BATCH_BYTES),
            *(len(self.others), *self.others, self.hint, *self.forms),
        ]

    @property
    def at_once(self) -> int:
        return TEXT_BATCH_SIZE if self.forms else BATCH_SIZE


def span_of(filter: DeadLetterFilter) -> tuple[str, str]:  # noqa: A002
    """Return the bounds in time as the scripts read them."""
    return (
        "" if filter.since is None else str(to_micros(filter.since)),
        "" if filter.until is None else str(to_micros(filter.until)),
    )


def forms_of(wanted: str) -> tuple[bytes, ...]:
    """Return a text in small letters as a body may hold it: as it is, and as JSON escapes it."""
    if not wanted:
        return ()
    escaped = [json.dumps(wanted, ensure_ascii=ascii_)[1:-1] for ascii_ in (False, True)]
    return tuple(dict.fromkeys(text(form).lower() for form in (wanted, *escaped)))


def hint_of(forms: tuple[bytes, ...]) -> bytes:
    """Return the longest part of a text that is the same in capital letters; '' where forms differ or it is short."""
    if len(forms) != 1:
        return b""
    runs, run = [b""], b""
    for byte in forms[0]:
        run = b"" if 97 <= byte <= 122 else run + bytes([byte])
        runs.append(run)
    longest = max(runs, key=len)
    return longest if len(longest) > 1 else b""
