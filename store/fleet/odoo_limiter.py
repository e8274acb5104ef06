"""One gate before each Odoo, shared by all workers: a breaker while Odoo fails, a throttle while it labours.

The breaker opens after several technical failures in a row, whoever met them, and at once when Odoo does not let us
in. While it is open nobody enters; when its cooldown ends one process gets the ticket for a probe: success closes it,
failure opens it for twice as long. A server that asked for patience is left alone until then. The throttle bounds the
calls in flight: the bound grows slowly while it is used and nothing is wrong, and shrinks when calls get in each
other's way.

An end further away than the longest cooldown, hold or lease was written while the server's clock was ahead: it is
ignored.

A call in flight is a lease that its process renews, so the slot of a killed worker lapses soon. Every decision is one
script on the server's clock; the scripts change nothing of Odoo, so a gate that is asked in vain may be passed.
"""

import datetime as dt
import enum
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from purser.engine.call_result import CallResult, RetryIn
from store.redis_store import RedisStore, named, text, unreadable
from store.resolution import require_actor, require_reason
from store.timestamps import Now, from_micros, to_micros


class CircuitState(enum.StrEnum):
    """Whether calls may pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """The cooldown is over: one probe may go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LimiterConfig:
    """What a gate goes by."""

    failures: int = 5
    """So many in a row open the breaker."""
    cooldown: dt.timedelta = dt.timedelta(seconds=5)
    """How long it is open at first; doubled with each probe that fails."""
    longest: dt.timedelta = dt.timedelta(minutes=5)
    """The longest cooldown."""
    calls: int = 32
    """The most calls in flight; never fewer than one."""
    lease: dt.timedelta = dt.timedelta(seconds=15)
    """The slot of a call whose process is not heard of lapses after this, so `renew` calls that take longer."""

    def __post_init__(self) -> None:
        """Turn away bounds that would let nobody in, or nobody out."""
        if self.failures < 1 or self.calls < 1:
            raise ValueError("a gate counts at least one failure and lets at least one call in")
        if not dt.timedelta(0) < self.cooldown <= self.longest:
            raise ValueError(f"the cooldown ({self.cooldown}) is longer than nothing and at most {self.longest}")
        if self.lease <= dt.timedelta(0):
            raise ValueError(f"a lease lasts longer than nothing, not {self.lease}")


@dataclass(frozen=True, slots=True)
class LimiterPermit:
    """The right to make one call. Hand it back with `leave`."""

    id: str
    kind: str
    probe: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LimiterState:
    """What a gate is like now."""

    breaker: CircuitState
    since: dt.datetime | None
    """When the breaker last opened or closed; None while it never has."""
    failures: int
    """Technical failures in a row."""
    until: dt.datetime | None
    """When an open breaker lets a probe through."""
    held_until: dt.datetime | None
    """Until when Odoo asked for patience."""
    limit: int
    """How many calls may be in flight."""
    in_flight: int
    why: str = ""
    """What the last failure of an open breaker said."""
    is_refused: bool = False
    """Whether an open breaker is open because Odoo does not let us in, rather than because it fails."""


MAX_HOLD = dt.timedelta(hours=1)
"""A server that asks for more patience than this is asked again after it."""

# `given` is the present, or empty for the server's own. Numbers above 10^14 need `whole`: Lua rounds them in text.
_COMMON = """
local function moment(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function whole(number) return string.format('%.0f', number) end
"""

# gate, calls in flight; now, ticket, lease, limit to start with, most calls, longest cooldown, longest hold, and who
# asks: '' for a call, 'may probe' for a call that probes when it is time, 'probe' and 'probe now' for a probe.
# Answers a word and microseconds to wait. A ticket that has entered already does so again: its answer was lost.
_ENTER = (
    _COMMON
    + """
local gate, calls = KEYS[1], KEYS[2]
local now, ticket, lease = moment(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local starting, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local longest, longest_hold, asks = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local seen = redis.call('HMGET', gate, 'open', 'until', 'held', 'probe', 'probe_until', 'limit')
local is_open, opens, held = seen[1] == '1', tonumber(seen[2] or 0), tonumber(seen[3] or 0)
local probe, probed = seen[4], tonumber(seen[5] or 0)
local limit = math.min(most, tonumber(seen[6] or starting))
if opens > now + longest then opens = now end
if held > now + longest_hold then held = 0 end
if probed > now + lease then probed = 0 end
redis.call('ZREMRANGEBYSCORE', calls, '(' .. whole(now + lease), '+inf')
if redis.call('ZSCORE', calls, ticket) then return {(is_open and probe == ticket) and 'probe' or 'go', 0} end
local is_probe = asks == 'probe' or asks == 'probe now'
if is_probe and not is_open then return {'closed', 0} end
if held > now and asks ~= 'probe now' and not (is_open and opens > held) then return {'held', held - now} end
if is_open then
  local refused = redis.call('HGET', gate, 'cause') == 'refused'
  if opens > now and asks ~= 'probe now' then return {refused and 'refused' or 'open', opens - now} end
  if probe and probed > now then return {'probing', math.min(probed - now, 5000000)} end
  local again = math.min(math.max(now - opens, 5000000), longest)
  if asks == '' then return {refused and 'refused' or 'probing', again} end
  redis.call('HSET', gate, 'probe', ticket, 'probe_until', whole(now + lease))
  redis.call('ZADD', calls, whole(now + lease), ticket)
  return {'probe', 0}
end
redis.call('ZREMRANGEBYSCORE', calls, '-inf', whole(now))
if redis.call('ZCARD', calls) >= math.floor(limit) then return {'full', 0} end
redis.call('ZADD', calls, whole(now + lease), ticket)
return {'go', 0}
"""
)

# gate, calls in flight, speeds by kind; now, ticket, kind, verdict, seconds, patience asked for, failures that open,
# first cooldown, longest cooldown, limit to start with, most calls, longest hold, what a failure said.
# Answers 2 when this call opened the breaker.
#
# A ticket that is not in flight says nothing: it has left before and the answer was lost, or its lease has lapsed.
#
# A kind of call is slow when the average of its last few calls is above four times what it was over the last
# minutes, and above what people would notice. That baseline is learned at most once a second, so a storm of slow
# calls does not become the custom. Where Odoo is slow and few of the calls are ours, fewer would not help.
_LEAVE = (
    _COMMON
    + """
local gate, calls, speeds = KEYS[1], KEYS[2], KEYS[3]
local now, ticket, kind, verdict, seconds = moment(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local patience, enough, cooldown, longest = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local starting, most = tonumber(ARGV[10]), tonumber(ARGV[11])
local longest_hold, why = tonumber(ARGV[12]), ARGV[13]

local used = redis.call('ZCARD', calls)
if redis.call('ZREM', calls, ticket) == 0 then return 0 end

local seen = redis.call('HMGET', gate, 'open', 'failures', 'cooldown', 'probe', 'held', 'limit', 'shrunk')
local is_open, failures, cooled = seen[1] == '1', tonumber(seen[2] or 0), tonumber(seen[3] or cooldown)
local held, shrunk = tonumber(seen[5] or 0), tonumber(seen[7] or 0)
if held > now + longest_hold then held = 0 end
if shrunk > now then shrunk = 0 end
local opened = false
local limit = math.min(most, tonumber(seen[6] or starting))
local probe = is_open and seen[4] == ticket
local answered = verdict == 'answered' or verdict == 'contended'
local refused = verdict == 'refused'
local failed = verdict == 'failed' or verdict == 'timed out' or refused

local function is_slow()
  local last = redis.call('HGET', speeds, kind)
  local short, long, count, at = seconds, seconds, 0, 0
  if last then
    short, long, count, at = string.match(last, '(%S+) (%S+) (%S+) (%S+)')
    short, long, count, at = tonumber(short), tonumber(long), tonumber(count), tonumber(at)
    short = short + 0.3 * (seconds - short)
  end
  local slow = count >= 20 and short > 4 * long and short > 0.25
  if at > now then at = 0 end
  if now - at >= 1000000 then
    count, at = count + 1, now
    long = long + math.max(1 / count, 0.01) * (short - long)
  end
  redis.call('HSET', speeds, kind, string.format('%.6f %.6f %.0f %.0f', short, long, count, at))
  return slow
end

if probe then redis.call('HDEL', gate, 'probe', 'probe_until') end
if probe and answered then
  redis.call('HSET', gate, 'open', '0', 'since', whole(now), 'failures', 0)
  redis.call('HDEL', gate, 'until', 'cooldown', 'cause', 'why')
elseif probe and failed then
  cooled = math.min(cooled * 2, longest)
  redis.call('HSET', gate, 'failures', failures + 1, 'cooldown', whole(cooled), 'until', whole(now + cooled))
elseif not is_open and answered and failures > 0 then
  redis.call('HSET', gate, 'failures', 0)
elseif not is_open and failed then
  redis.call('HSET', gate, 'failures', failures + 1)
  if failures + 1 >= enough or refused then
    opened = true
    limit = math.max(1, limit / 2)
    redis.call('HSET', gate, 'open', '1', 'since', whole(now), 'cooldown', whole(cooldown),
      'until', whole(now + cooldown), 'limit', string.format('%.6f', limit))
  end
end

if (probe and failed) or opened then
  redis.call('HSET', gate, 'cause', refused and 'refused' or 'failed', 'why', why)
end

if verdict == 'throttled' and now + patience > held then redis.call('HSET', gate, 'held', whole(now + patience)) end

local busy = used * 2 >= limit
local labours = verdict == 'contended' or verdict == 'throttled' or verdict == 'timed out'
if verdict == 'answered' and kind ~= '' and is_slow() and busy then labours = true end
if labours and now - shrunk >= 1000000 then
  limit = math.max(1, limit * 0.75)
  redis.call('HSET', gate, 'limit', string.format('%.6f', limit), 'shrunk', whole(now))
elseif verdict == 'answered' and not labours and busy and limit < most then
  redis.call('HSET', gate, 'limit', string.format('%.6f', math.min(most, limit + 1 / limit)))
end
return opened and 2 or 1
"""
)

# gate, calls in flight; now, lease, tickets...
_RENEW = (
    _COMMON
    + """
local gate, calls = KEYS[1], KEYS[2]
local lapses = whole(moment(ARGV[1]) + tonumber(ARGV[2]))
local probe = redis.call('HGET', gate, 'probe')
for i = 3, #ARGV do
  redis.call('ZADD', calls, 'XX', lapses, ARGV[i])
  if ARGV[i] == probe then redis.call('HSET', gate, 'probe_until', lapses) end
end
return 1
"""
)

# prefix, gate; now, who, note, the gate's name
_RESET = """
local P, gate = KEYS[1], KEYS[2]
local now, who, note, name = unpack(ARGV)
redis.call('DEL', gate)
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'gate.reset', 'what', name, 'note', note, 'facts', '{}')
"""


class OdooLimiter:
    """The gate of one Odoo, or of another side that is called, by its name. `who` is what its words call it."""

    def __init__(
        self,
        store: RedisStore,
        name: str,
        bounds: LimiterConfig | None = None,
        *,
        now: Now | None = None,
        who: str = "Odoo",
    ) -> None:
        self.name = name
        self.who = who
        self.bounds = bounds or LimiterConfig()
        self._store = store
        self._now = now
        self._key = store.key("gate", name)
        self._keys = [self._key, f"{self._key}:calls", f"{self._key}:speeds"]
        self._starting = max(1, self.bounds.calls // 4)
        self._enter = store.script(_ENTER)
        self._leave = store.script(_LEAVE)
        self._renew = store.script(_RENEW)
        self._reset = store.script(_RESET)

    def enter(self, kind: str, *, may_probe: bool = False) -> LimiterPermit | RetryIn:
        """Ask to make a call. Only calls of the same `kind` are compared in speed; '' is never compared.

        While the breaker is open nothing enters but a probe. With `may_probe` this call is one when it is time: for a
        side that can be asked by real calls only. Elsewhere `probe` gives the ticket to a harmless call.
        """
        answer = self._asked(kind, "may probe" if may_probe else "")
        if answer is None:
            raise AssertionError("only a probe is told that the breaker is closed")
        return answer

    def probe(self, *, at_once: bool = False) -> LimiterPermit | RetryIn | None:
        """Ask for the ticket of a probe. Return None while the breaker is closed: there is nothing to find out.

        One process at a time has it. With `at_once` the cooldown and a hold are not waited for.
        """
        return self._asked("", "probe now" if at_once else "probe")

    def _asked(self, kind: str, asks: str) -> LimiterPermit | RetryIn | None:
        ticket, bounds = uuid.uuid4().hex, self.bounds
        args = [
            *(self._stamp(), ticket, _micros(bounds.lease), self._starting, bounds.calls),
            *(_micros(bounds.longest), _micros(MAX_HOLD), asks),
        ]
        with self._store.reach(self._key):
            word, wait = self._enter(keys=self._keys, args=args)
        match word.decode():
            case "go":
                return LimiterPermit(ticket, kind)
            case "probe":
                return LimiterPermit(ticket, kind, probe=True)
            case "closed":
                return None
            case answer:
                return self._wait(answer, int(wait) / 1e6)

    def leave(
        self,
        ticket: LimiterPermit,
        verdict: CallResult,
        seconds: float,
        retry_after: float | None = None,
        *,
        why: str = "",
    ) -> bool:
        """Hand a ticket back: what the call told, how long it took, and how long Odoo wants to be left alone.

        Return whether this call opened the breaker. `why` is what a failure said, kept until it closes.
        """
        patience = min(max(retry_after or 0.0, 0.0), MAX_HOLD.total_seconds())
        bounds = self.bounds
        args = [
            *(self._stamp(), ticket.id, text(ticket.kind), verdict.value, f"{max(seconds, 0.0):.6f}"),
            *(round(patience * 1e6), bounds.failures, _micros(bounds.cooldown), _micros(bounds.longest)),
            *(self._starting, bounds.calls, _micros(MAX_HOLD), text(why[:500])),
        ]
        with self._store.reach(self._key):
            return int(self._leave(keys=self._keys, args=args)) == 2

    def renew(self, tickets: Collection[LimiterPermit]) -> None:
        """Say that these calls are still under way. One whose slot has lapsed meanwhile stays without."""
        if tickets:
            args = [self._stamp(), _micros(self.bounds.lease), *(ticket.id for ticket in tickets)]
            with self._store.reach(self._key):
                self._renew(keys=self._keys[:2], args=args)

    def state(self) -> LimiterState:
        """Return what the gate is like now."""
        now = self._store.now()
        with self._store.reach(self._key) as client:
            raw = named(client.hgetall(self._key))
            in_flight = client.zcount(self._keys[1], f"({to_micros(now)}", to_micros(now + self.bounds.lease))
        try:
            return self._state(raw, now, int(in_flight))
        except ValueError as error:
            raise unreadable(self._key, error) from error

    def reset(self, *, who: str, note: str) -> None:
        """Close the breaker, end a hold and start the limit anew, audited. Calls in flight stay counted."""
        args = [to_micros(self._store.now()), text(require_actor(who)), text(require_reason(note)), text(self.name)]
        with self._store.reach(self._key):
            self._reset(keys=[self._store.prefix, self._key], args=args)

    def _wait(self, answer: str, after: float) -> RetryIn:
        match answer:
            case "full":
                return RetryIn(0.0, f"as many calls as {self.who} can take are in flight", full=True)
            case "probing":
                return RetryIn(
                    max(after, 1.0), f"breaker half-open: a probe finds out whether {self.who} works again"
                )
            case "refused":
                return RetryIn(after, f"breaker open: {self.who} does not let us in")
            case "held":
                return RetryIn(after, f"{self.who} asked for patience")
            case _:
                return RetryIn(after, f"breaker open: {self.who} failed several times in a row")

    def _state(self, raw: dict[str, bytes], now: dt.datetime, in_flight: int) -> LimiterState:
        is_open, until, held = raw.get("open") == b"1", _moment(raw, "until"), _moment(raw, "held")
        if until is not None and until > now + self.bounds.longest:
            until = now
        if held is not None and held > now + MAX_HOLD:
            held = None
        breaker = CircuitState.CLOSED
        if is_open:
            breaker = CircuitState.OPEN if until is not None and until > now else CircuitState.HALF_OPEN
        return LimiterState(
            breaker=breaker,
            since=_moment(raw, "since"),
            failures=int(raw.get("failures", 0)),
            until=until if is_open else None,
            held_until=held if held is not None and held > now else None,
            limit=min(int(float(raw.get("limit", self._starting))), self.bounds.calls),
            in_flight=in_flight,
            why=raw.get("why", b"").decode(errors="replace") if is_open else "",
            is_refused=is_open and raw.get("cause") == b"refused",
        )

    def _stamp(self) -> int | str:
        return "" if self._now is None else to_micros(self._now())


def _micros(span: dt.timedelta) -> int:
    return span // dt.timedelta(microseconds=1)


def _moment(raw: dict[str, bytes], name: str) -> dt.datetime | None:
    return from_micros(raw[name]) if name in raw else None
