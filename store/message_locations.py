"""A message of ours waits in one place: among the delayed, or as a letter. This is what the scripts of both share.

Redis does not roll a script back, so each looks first, then copies, then deletes: an error in the middle repeats a
message and never loses one. A script that is given a `MessageReservation` (its key is KEYS[2], its field an argument)
writes only while the record stands, and takes it off last.
"""

from store.redis_store import text
from store.reservation import MessageReservation

PLACES = """
local P = KEYS[1]

-- held by a worker

local function is_ours(field) return not KEYS[2] or redis.call('HEXISTS', KEYS[2], field) == 1 end
local function no_longer_held(field) if KEYS[2] then redis.call('HDEL', KEYS[2], field) end end

-- what is no hash was damaged by hand: it is as if it had no fields, and it stays

local function is_hash(k) return type(redis.pcall('HLEN', k)) == 'number' end
local function fields(k, ...)
  local found = redis.pcall('HMGET', k, ...)
  if found.err then return {} end
  return found
end
local function whole(value) return string.format('%.0f', tonumber(value or '') or 0) end

-- whether two digests are of one message: body and, behind a slash, task; an older Purser stored no task
local function same_content(one, another)
  local body, task = string.match(one, '^([^/]*)/?(.*)$')
  local its_body, its_task = string.match(another, '^([^/]*)/?(.*)$')
  return body == its_body and (task == its_task or task == '' or its_task == '')
end

-- letters

local function key(id) return P .. ':letter:' .. id end

-- whether a letter holds the message that carries what this digest is of; one of an older Purser has no digest
local function is_letter_of(id, digest)
  local its, edits = unpack(fields(key(id), 'digest', 'edits'))
  if not its or same_content(its, digest) then return true end
  return edits and string.find(edits, string.match(digest, '^[^/]*'), 1, true) ~= nil
end

-- the id under which a message becomes a letter: the other one where its own holds something else
local function letter_place(id, other, digest)
  if redis.call('EXISTS', key(other)) == 1 then return other end
  if redis.call('EXISTS', key(id)) == 0 then return id end
  return is_hash(key(id)) and is_letter_of(id, digest) and id or other
end

-- what a letter is listed by: these always, those where it has some. A letter of an older Purser may lack some.
local ALWAYS, SOMETIMES = {'queue', 'task', 'reason', 'fingerprint'}, {'covers', 'error', 'correlation'}
local TRIED_AGAIN = 'its message is tried again'

local function indexes(id, state)
  local index = P .. ':letters:' .. state
  local found = {index}
  local always = redis.call('HMGET', key(id), unpack(ALWAYS))
  for i, dimension in ipairs(ALWAYS) do found[#found + 1] = index .. ':' .. dimension .. ':' .. (always[i] or '') end
  local sometimes = redis.call('HMGET', key(id), unpack(SOMETIMES))
  for i, dimension in ipairs(SOMETIMES) do
    if sometimes[i] and sometimes[i] ~= '' then
      found[#found + 1] = index .. ':' .. dimension .. ':' .. sometimes[i]
    end
  end
  for subject in string.gmatch(redis.call('HGET', key(id), 'subjects') or '', '[^\\n]+') do
    found[#found + 1] = index .. ':subject:' .. subject
  end
  return found, index .. ':fingerprints', always[4] or ''
end

local function leave(id)
  local state = fields(key(id), 'state')[1]
  if not state then return false end
  local found, kinds, kind = indexes(id, state)
  for _, index in ipairs(found) do redis.call('ZREM', index, id) end
  if redis.call('EXISTS', P .. ':letters:' .. state .. ':fingerprint:' .. kind) == 0 then
    redis.call('SREM', kinds, kind)
  end
  return state
end

local function enter(id, state, score)
  redis.call('HSET', key(id), 'state', state)
  local found, kinds, kind = indexes(id, state)
  for _, index in ipairs(found) do redis.call('ZADD', index, score, id) end
  redis.call('SADD', kinds, kind)
end

local function settle(id, state, at, who, note)
  leave(id)
  redis.call('HDEL', key(id), 'replay_at')
  redis.call('HSET', key(id), 'settled_at', at, 'settled_by', who, 'settled_note', note)
  enter(id, state, at)
end

-- id, the number of fields kept from the first time, those, then the fields that are told anew each time
local function write(id, kept, first)
  local known = leave(id)
  if not known then redis.call('HSET', key(id), unpack(ARGV, first, first + kept - 1)) end
  redis.call('HSET', key(id), unpack(ARGV, first + kept))
  redis.call('HDEL', key(id), 'replay_at', 'settled_at', 'settled_by', 'settled_note')
  return known
end

-- delayed

local DUE = P .. ':delayed-by:due'
local SINCE = P .. ':delayed-by:since'  -- when it was said when an entry is due, by this server's clock

local function due_at(place, moment, id, now)
  redis.call('ZADD', place, moment, id)
  redis.call('ZADD', SINCE, now, id)
end

local function parked(id) return P .. ':delayed:' .. id end

-- whether an entry holds the message that carries what this digest is of. Of raw bytes no body is known.
local function is_entry_of(id, digest)
  local its = fields(parked(id), 'digest')[1]
  if not its or same_content(its, digest) then return true end
  return (string.sub(its, 1, 4) == 'raw:') ~= (string.sub(digest, 1, 4) == 'raw:')
end

local function parked_place(id, other, digest)
  if redis.call('EXISTS', parked(other)) == 1 then return other end
  if redis.call('EXISTS', parked(id)) == 0 then return id end
  return is_hash(parked(id)) and is_entry_of(id, digest) and id or other
end

local function places(id)
  local found = {DUE}
  local dimensions = {'queue', 'task', 'kind'}
  for i, value in ipairs(redis.call('HMGET', parked(id), unpack(dimensions))) do
    found[#found + 1] = P .. ':delayed-by:' .. dimensions[i] .. ':' .. (value or '')
  end
  return found
end

local function unpark(id)
  redis.call('ZREM', SINCE, id)
  if redis.call('EXISTS', parked(id)) == 0 or not is_hash(parked(id)) then return 0 end
  for _, place in ipairs(places(id)) do redis.call('ZREM', place, id) end
  return redis.call('DEL', parked(id))
end

-- a message that becomes a letter is no longer delayed, and the other way round; another one of its id stays

local function unpark_same(ids, digest)
  for _, id in ipairs(ids) do
    if is_entry_of(id, digest) then unpark(id) end
  end
end

local function end_letters(ids, digest, now)
  for _, id in ipairs(ids) do
    local state = fields(key(id), 'state')[1]
    local is_same = string.sub(digest, 1, 4) == 'raw:' or is_letter_of(id, digest)
    if is_same and (state == 'dead' or state == 'replaying') then
      settle(id, state == 'dead' and 'superseded' or 'replayed', now, 'purser', TRIED_AGAIN)
    end
  end
end

-- the trail

local function audit(at, who, action, what, note, facts)
  redis.call('XADD', P .. ':audit', '*',
    'at', at, 'who', who, 'action', action, 'what', what, 'note', note, 'facts', facts or '{}')
end
"""


def keys(prefix: str, settles: MessageReservation | None) -> list[str]:
    """Return the keys of a script that may settle what a worker holds."""
    return [prefix] if settles is None else [prefix, settles.key]


def field_of(settles: MessageReservation | None) -> bytes:
    """Return the argument that goes with them."""
    return b"" if settles is None else text(settles.field)
