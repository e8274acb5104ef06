"""What happens to a message on Redis happens in one step on the server.

A queue stays a plain list, so any producer and Flower work with it as ever. Beside it:

    purser:broker:leases         sorted set: holder -> when its lease ends (milliseconds, the server's clock)
    purser:broker:pulse          hash: since when renewals have come without a gap, and when the last one came
    purser:broker:held:<h>       hash: number -> "<delivery>:<since>:<bytes of the queue's name>:<queue><payload>"
    purser:broker:withdrawn:<t>  this question is not to be answered any more; forgotten after some minutes
    purser:broker:again:<sha>    how often these bytes were delivered again; nothing is written for a first delivery

Redis does not roll a script back, so each one copies first and deletes second: an error in the middle repeats a
message and never loses one. What is put back is byte for byte what was taken.

Redis refuses a script's first write when its memory is full. Each script begins with one that needs none, for moving
a message needs no memory either: workers drain the queues that fill it, and their leases do not lapse meanwhile.
"""

PREFIX = "purser:broker"
LEASES = f"{PREFIX}:leases"
NOTIFICATIONS = f"{PREFIX}:pulse"
HELD = f"{PREFIX}:held:"
CANCELLED = f"{PREFIX}:withdrawn:"
AGAIN = f"{PREFIX}:again:"
AGAIN_KEPT = 7 * 24 * 3600
"""Seconds for which a redelivery is remembered."""
CANCELLED_KEPT = 300
"""Seconds after which a question that was withdrawn cannot arrive any more."""

_COMMON = f"""
local AGAIN, AGAIN_KEPT = '{AGAIN}', {AGAIN_KEPT}
local WITHDRAWN, WITHDRAWN_KEPT = '{CANCELLED}', {CANCELLED_KEPT}
"""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_RECORD = """
local function counter(payload)
  return AGAIN .. (redis.sha1hex and redis.sha1hex(payload) or payload)
end

local function opened(record)
  local delivery, since, size, rest = string.match(record, '^(%d+):(%d+):(%d+):()')
  size = tonumber(size)
  return tonumber(since), string.sub(record, rest, rest + size - 1), string.sub(record, rest + size)
end

-- gives nothing, or the error where the queue's key is no list: then the message stays held
local function give_back(held, number, record, counted)
  local _, queue, payload = opened(record)
  local pushed = redis.pcall('RPUSH', queue, payload)
  if type(pushed) == 'table' then return pushed end
  if counted then
    local key = counter(payload)
    redis.call('INCR', key)
    redis.call('EXPIRE', key, AGAIN_KEPT)
  end
  redis.call('HDEL', held, number)
end

local function drain(held, kept, counted)
  local records = {}
  local flat = redis.call('HGETALL', held)
  for i = 1, #flat, 2 do
    if not kept[flat[i]] then
      local since = opened(flat[i + 1])
      records[#records + 1] = {since, tonumber(string.match(flat[i], '%d+')) or 0, flat[i], flat[i + 1]}
    end
  end
  table.sort(records, function(a, b)  -- the newest first, so that the oldest is the next one out
    if a[1] ~= b[1] then return a[1] > b[1] end
    return a[2] > b[2]
  end)
  for _, one in ipairs(records) do give_back(held, one[3], one[4], counted) end
  return #records
end
"""

RESERVE = (
    _COMMON
    + _RECORD
    + """
-- leases, held, queues...; holder, number. The number is the client's, so asking again after a lost answer gives the
-- same message.
local leases, held = KEYS[1], KEYS[2]
local holder, number = ARGV[1], ARGV[2]
if not redis.call('ZSCORE', leases, holder) then return redis.error_reply('FENCED the lease has ended') end
local record = redis.call('HGET', held, number)
if record then return record end
if redis.call('EXISTS', WITHDRAWN .. holder .. '/' .. number) == 1 then return false end
local wrong = false
for i = 3, #KEYS do
  local payload = redis.pcall('LINDEX', KEYS[i], -1)
  if type(payload) == 'table' then
    wrong = payload  -- this key is no list: the other queues go on
  elseif payload then
    local delivery = 1 + tonumber(redis.call('GET', counter(payload)) or 0)
"""
    + _NOW
    + """
    record = delivery .. ':' .. string.format('%.0f', now) .. ':' .. #KEYS[i] .. ':' .. KEYS[i] .. payload
    redis.call('HDEL', held, '')
    redis.call('HSET', held, number, record)
    redis.call('RPOP', KEYS[i])
    return record
  end
end
return wrong
"""
)

SETTLE = (
    _COMMON
    + _RECORD
    + """
-- held; number, how: counted, uncounted, or withdrawn when the question may still be on its way; holder
local held, number, how = KEYS[1], ARGV[1], ARGV[2]
redis.call('HDEL', held, '')
if how == 'withdrawn' then redis.call('SET', WITHDRAWN .. ARGV[3] .. '/' .. number, '', 'EX', WITHDRAWN_KEPT) end
local record = redis.call('HGET', held, number)
if not record then return 0 end
return give_back(held, number, record, how == 'counted') or 1
"""
)

RELEASE = (
    _COMMON
    + _RECORD
    + """
-- leases, held; holder, numbers to keep...: gives 1 when nothing is held any more and the lease has ended
local kept = {}
for i = 2, #ARGV do kept[ARGV[i]] = true end
redis.call('HDEL', KEYS[2], '')
drain(KEYS[2], kept, false)
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
"""
)

REGISTER = (
    _NOW
    + """
-- leases; holder, milliseconds
redis.call('ZREM', KEYS[1], '')
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
"""
)

RENEW = (
    _COMMON
    + _RECORD
    + _NOW
    + """
-- leases, pulse; milliseconds, prefix of the held, own holders...
-- gives the own ones that are no longer among the living, and what was taken back from whom
local leases, pulse, lease, prefix = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local lost, taken = {}, {}
redis.call('ZREM', leases, '')
for i = 3, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now + lease, ARGV[i])
  else
    drain(prefix .. ARGV[i], {}, true)  -- nothing is left there, unless somebody has deleted the leases
    lost[#lost + 1] = ARGV[i]
  end
end
-- An end further away than any lease lasts was written while the server's clock was ahead.
local ahead = redis.call('ZRANGEBYSCORE', leases, string.format('(%.0f', now + 2 * lease), '+inf')
for _, holder in ipairs(ahead) do redis.call('ZADD', leases, now + lease, holder) end
-- Where nobody was heard for long, the server was away, or its clock was set: then nobody counts as dead before
-- everybody has had the time of a whole lease to renew.
local last = tonumber(redis.call('HGET', pulse, 'last') or 0)
local since = tonumber(redis.call('HGET', pulse, 'since') or 0)
if now < last or now - last > lease / 2 then since = now end
redis.call('HSET', pulse, 'last', string.format('%.0f', now), 'since', string.format('%.0f', since))
if now - since > lease then
  local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, 10)
  for _, holder in ipairs(dead) do
    local count = drain(prefix .. holder, {}, true)
    if redis.call('EXISTS', prefix .. holder) == 0 then
      redis.call('ZREM', leases, holder)
      taken[#taken + 1] = holder
      taken[#taken + 1] = tostring(count)
    end
  end
end
return {lost, taken}
"""
)
