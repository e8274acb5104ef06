"""Whoever holds a replay moves it on, one letter at a time: nothing is sent twice, and nothing is forgotten halfway.

A letter is taken off the list, begun and noted as out in one step. So a holder that dies leaves at most one letter of
which it is not known whether it went out, and that one is noted: `left_over` tells the next holder what to do.
"""

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store.controls.slot_store import RUNS
from store.redis_store import RedisStore, as_unreadable, pairs, shown, text
from store.replay.replay_store import REPLAY_COMMON, LetterOutcome, Replay, ReplayStage, read_replay
from store.timestamps import to_micros

BURST = dt.timedelta(seconds=1)
"""How much of its rate a replay may catch up with at once: its holder looks in twice a second."""


class TakeResult(enum.StrEnum):
    """The answer to who wants to send a letter."""

    TAKEN = "taken"
    GONE = "gone"
    """It is not dead any more, and counts as skipped."""
    LATER = "later"
    """The rate does not allow it yet."""
    FULL = "full"
    """The stage has had its letters, or too many are out."""
    LOST = "lost"
    """The replay does not run, is held by somebody else, or the letter is not on its list any more."""


class InterruptedSend(enum.StrEnum):
    """What has become of a letter whose sender died or could not tell."""

    NONE = "none"
    BEGUN = "begun"
    """It may have gone out or not: send it again, under the same id."""
    OUT = "out"
    """It went out."""
    ELSEWHERE = "elsewhere"
    """It was dead again meanwhile, and another replay has begun it: that one settles it."""
    BACK = "back"
    """It is dead as before, and on the list again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayProgress:
    """How far a replay is, as far as its next move depends on it."""

    replay: Replay
    left: int
    """Letters on the list."""
    stage_sent: int
    counted_sent: int
    """Sent since the last stop."""
    counted_failed: int
    """Of those, failed again."""
    last_failed: str
    """The id of one of these."""
    returned: str
    """The id of one that failed again as the chosen letters had."""


# id, holder, now, until
_HOLD = (
    REPLAY_COMMON
    + RUNS
    + """
local holder, now, lapses = unpack(ARGV, 2)
if redis.call('EXISTS', R) == 0 then return 0 end
local its = get('holder')
if its and its ~= holder and runs(get('held_until'), now, lapses) then return 0 end
set('holder', holder, 'held_until', lapses)
return 1
"""
)

# id, holder
_RELEASE = (
    REPLAY_COMMON
    + """
if get('holder') ~= ARGV[2] then return 0 end
redis.call('HDEL', R, 'holder', 'held_until')
return 1
"""
)

_FAILED = """
local function failed(id, its_round, print)
  redis.call('HDEL', OUT, id)
  redis.call('RPUSH', FAILED, id)
  add('failed', 1)
  if its_round ~= get('round') then return add('spared', 1) end
  set('last_failed', id)
  if get('returned') == '' and print and redis.call('HEXISTS', PRINTS, print) == 1 then set('returned', id) end
end
"""

# id; looks what has become of the letters that are out
_LOOK = (
    REPLAY_COMMON
    + _FAILED
    + """
local waiting = 0
local out = redis.call('HGETALL', OUT)

for i = 1, #out, 2 do
  local id = out[i]
  local replays, size, its_round = string.match(out[i + 1], '(%d+):(%d+):(%d+)')
  local state, its, print, attempts = unpack(fields(key(id), 'state', 'replays', 'fingerprint', 'attempts'))
  local has_grown = #(attempts or '') > (tonumber(size) or 0)
  if its and has_grown and (its ~= replays or state == 'dead') then
    failed(id, its_round, print)
  elseif its and its ~= replays then  -- dead again without an attempt, and begun by another replay
    redis.call('HDEL', OUT, id)
    add('skipped', 1)
  elseif redis.call('EXISTS', parked(id)) == 1 then
    waiting = waiting + 1
  elseif not state or state == 'discarded' or state == 'superseded' or (state == 'dead' and id ~= get('sending')) then
    redis.call('HDEL', OUT, id)
    add('skipped', 1)
  end
end
set('waiting', waiting)
if get('state') ~= 'running' and is_idle() then redis.call('ZREM', RUNNING, ID) end
return {redis.call('HGETALL', R), redis.call('ZCARD', TODO), redis.call('HLEN', OUT), redis.call('HKEYS', PRINTS)}
"""
)

# id, letter, holder, now, the stage, how many it may send, how many may be out, microseconds to catch up with
_TAKE = (
    REPLAY_COMMON
    + """
local letter, holder, now, stage, quota, most, burst = unpack(ARGV, 2)
now = tonumber(now)
if get('state') ~= 'running' or get('stage') ~= stage or get('sending') ~= '' then return 'lost' end
if get('holder') ~= holder or number('held_until') <= now then return 'lost' end
local at = redis.call('ZSCORE', TODO, letter)
if not at then return 'lost' end
if fields(key(letter), 'state')[1] ~= 'dead' then
  redis.call('ZREM', TODO, letter)
  add('skipped', 1)
  return 'gone'
end
if number('stage_sent') >= tonumber(quota) or redis.call('HLEN', OUT) >= tonumber(most) then return 'full' end
local pace, next_at = 1000000 / number('rate'), number('next_at')
if next_at > now + 2 * pace then next_at = now end  -- written while the server's clock was ahead
if next_at > now then return 'later' end
local following = math.max(next_at, now - tonumber(burst)) + pace
set('next_at', string.format('%.0f', following), 'sending', letter, 'sending_at', at)
redis.call('ZREM', TODO, letter)
leave(letter)
local replays = redis.call('HINCRBY', key(letter), 'replays', 1)
set('sending_number', replays)
redis.call('HSET', key(letter), 'replay_at', ARGV[4])
enter(letter, 'replaying', ARGV[4])
redis.call('HSET', OUT, letter,
  replays .. ':' .. redis.call('HSTRLEN', key(letter), 'attempts') .. ':' .. number('round'))
add('sent', 1)
add('stage_sent', 1)
return 'taken'
"""
)

_UNTAKE = """
local function untake(letter)
  redis.call('ZADD', TODO, get('sending_at'), letter)
  redis.call('HDEL', OUT, letter)
  set('sending', '')
  add('sent', -1)
  add('stage_sent', -1)
end
"""

# id, letter
_SENT = (
    REPLAY_COMMON
    + """
if get('sending') ~= ARGV[2] then return 0 end
set('sending', '')
if get('state') ~= 'running' and is_idle() then redis.call('ZREM', RUNNING, ID) end
return 1
"""
)

# id, letter
_PUT_BACK = (
    REPLAY_COMMON
    + _UNTAKE
    + """
if get('sending') ~= ARGV[2] or redis.call('HEXISTS', OUT, ARGV[2]) == 0 then return 0 end
untake(ARGV[2])
return 1
"""
)

# id; gives what has become of the letter that was being sent, and its id
_LEFT_OVER = (
    REPLAY_COMMON
    + _UNTAKE
    + """
local letter = get('sending')
if not letter or letter == '' then return {'none', ''} end
local mark = redis.call('HGET', OUT, letter)
local state, its = unpack(fields(key(letter), 'state', 'replays'))
local replays, size = string.match(mark or '', '(%d+):(%d+)')
local number = replays or get('sending_number') or its  -- an older Purser noted it in the mark only
if its and its ~= number then return {'elsewhere', letter} end
if state == 'replaying' and mark then return {'begun', letter} end
local is_as_before = mark and state == 'dead'
  and redis.call('HSTRLEN', key(letter), 'attempts') <= tonumber(size)
if is_as_before then
  untake(letter)
  return {'back', letter}
end
return {'out', letter}
"""
)

# id, letter
_SKIP = (
    REPLAY_COMMON
    + """
if redis.call('ZREM', TODO, ARGV[2]) == 0 then return 0 end
add('skipped', 1)
return 1
"""
)

# id, the stage that is over, the one that follows
_ENTER = (
    REPLAY_COMMON
    + """
if get('state') ~= 'running' or get('stage') ~= ARGV[2] or not is_idle() then return 0 end
set('stage', ARGV[3], 'stage_sent', 0)
return 1
"""
)

# id, now, why
_STOP = (
    REPLAY_COMMON
    + """
if get('state') ~= 'running' then return 0 end
stays('stopped', ARGV[3], ARGV[2])
audit(ARGV[2], 'purser', 'replay.stop', ID, ARGV[3])
return 1
"""
)

# id, now
_END = (
    REPLAY_COMMON
    + """
if get('state') ~= 'running' or not is_idle() or redis.call('ZCARD', TODO) > 0 then return 0 end
stays('done', '', ARGV[2])
audit(ARGV[2], 'purser', 'replay.done', ID, '')
return 1
"""
)

# id, why
_SAY = (
    REPLAY_COMMON
    + """
if get('state') == 'running' and get('why') ~= ARGV[2] then set('why', ARGV[2]) end
return 1
"""
)

# id, letter, which replay of it, how it ended
_TELL = (
    REPLAY_COMMON
    + _FAILED
    + """
local letter, its, ending = unpack(ARGV, 2)
local replays, round = string.match(redis.call('HGET', OUT, letter) or '', '(%d+):%d+:(%d+)')
if replays ~= its then return 0 end
if ending == 'failed' then
  failed(letter, round)
else
  redis.call('HDEL', OUT, letter)
  add(ending, 1)
end
return 1
"""
)


class ReplayRunnerStore:
    """What the holder of a replay does with it, and what the tasks tell it."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._hold = store.script(_HOLD)
        self._release = store.script(_RELEASE)
        self._look = store.script(_LOOK)
        self._take = store.script(_TAKE)
        self._sent = store.script(_SENT)
        self._put_back = store.script(_PUT_BACK)
        self._left_over = store.script(_LEFT_OVER)
        self._skip = store.script(_SKIP)
        self._enter = store.script(_ENTER)
        self._stop = store.script(_STOP)
        self._end = store.script(_END)
        self._say = store.script(_SAY)
        self._tell = store.script(_TELL)

    def running(self) -> tuple[str, ...]:
        """Return the ids of the replays that somebody must look after, the oldest first."""
        index = self._store.key("replays", "running")
        with self._store.reach(index) as client:
            return tuple(shown(name) for name in client.zrange(index, 0, -1))

    def hold(self, replay_id: str, holder: str, *, lease: dt.timedelta) -> bool:
        """Be the one who works on it until the lease ends, or go on to be; False when somebody else is."""
        now = self._store.now()
        return bool(self._run(self._hold, replay_id, text(holder), to_micros(now), to_micros(now + lease)))

    def release(self, replay_id: str, holder: str) -> bool:
        """Let others have it."""
        return bool(self._run(self._release, replay_id, text(holder)))

    def look(self, replay_id: str) -> ReplayProgress:
        """Count what has become of the letters that are out, and say how far it is."""
        flat, left, out, prints = self._run(self._look, replay_id)
        raw = pairs(flat)
        replay = read_replay(self._key(replay_id), raw, int(out), prints)
        return ReplayProgress(
            replay=replay,
            left=int(left),
            stage_sent=int(raw["stage_sent"]),
            counted_sent=replay.sent - int(raw["sent_before"]),
            counted_failed=replay.failed - int(raw["spared"]),
            last_failed=raw.get("last_failed", b"").decode(),
            returned=raw.get("returned", b"").decode(),
        )

    def next_ids(self, replay_id: str, limit: int = 500) -> Sequence[str]:
        """Return the ids of the letters whose turn is next."""
        key = self._store.key("replay", replay_id, "todo")
        with self._store.reach(key) as client:
            return [shown(name) for name in client.zrange(key, 0, limit - 1)]

    def take(
        self, replay_id: str, letter_id: str, holder: str, *, stage: ReplayStage, quota: int, most_out: int
    ) -> TakeResult:
        """Begin to send a letter: it is being replayed from now on, and counts as sent.

        Then say `sent` or `put_back`. `quota` is how many letters its stage sends in all.
        """
        now, burst = to_micros(self._store.now()), BURST // dt.timedelta(microseconds=1)
        answer = self._run(
            self._take, replay_id, text(letter_id), text(holder), now, stage.value, quota, most_out, burst
        )
        return TakeResult(answer.decode())

    def sent(self, replay_id: str, letter_id: str) -> bool:
        """Say that a letter that was taken is on its queue."""
        return bool(self._run(self._sent, replay_id, text(letter_id)))

    def put_back(self, replay_id: str, letter_id: str) -> bool:
        """Have a letter that was taken on the list again, for it could not be sent."""
        return bool(self._run(self._put_back, replay_id, text(letter_id)))

    def left_over(self, replay_id: str) -> tuple[InterruptedSend, str]:
        """Return what has become of the letter that somebody took and said no more of, and its id.

        Unless it is `back`, say `sent` when it has been dealt with. What is `elsewhere` is not settled.
        """
        what, letter_id = self._run(self._left_over, replay_id)
        return InterruptedSend(what.decode()), letter_id.decode()

    def skip(self, replay_id: str, letter_id: str) -> bool:
        """Take a letter off the list that cannot be sent."""
        return bool(self._run(self._skip, replay_id, text(letter_id)))

    def enter(self, replay_id: str, stage: ReplayStage, *, after: ReplayStage) -> bool:
        """Go on to the next stage; False unless every letter of the one before has ended."""
        return bool(self._run(self._enter, replay_id, after.value, stage.value))

    def stop(self, replay_id: str, why: str) -> bool:
        """Stop for the sake of what failed, audited; False when it does not run."""
        return bool(self._run(self._stop, replay_id, to_micros(self._store.now()), text(why)))

    def end(self, replay_id: str) -> bool:
        """Be done, audited; False unless all its letters have ended."""
        return bool(self._run(self._end, replay_id, to_micros(self._store.now())))

    def say(self, replay_id: str, why: str) -> None:
        """Say what it waits for."""
        self._run(self._say, replay_id, text(why))

    def tell(self, replay_id: str, letter_id: str, replays: int, ending: LetterOutcome) -> bool:
        """Return how the message of a letter ended. `replays` says which replay of it; told once is enough."""
        return bool(self._run(self._tell, replay_id, text(letter_id), replays, ending.value))

    # -- helpers

    def _run(self, script: Any, replay_id: str, *args: str | bytes | int) -> Any:
        with self._store.reach(self._key(replay_id)), as_unreadable(self._key(replay_id)):
            return script(keys=[self._store.prefix], args=[text(replay_id), *args])

    def _key(self, replay_id: str) -> str:
        return self._store.key("replay", replay_id)
