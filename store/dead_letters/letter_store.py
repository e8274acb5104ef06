"""A message that could not be handled is kept whole, once, until a person settles it. Nothing is trimmed silently.

A letter is in one state, and in the indexes of that state only; one script moves it, so it is never between.
dead -> replaying -> replayed, dead -> discarded, dead -> superseded (its work was done by something newer); discarded
and superseded ones can be restored, and storing the same id again makes it dead from anywhere.

A message is never both delayed and dead (or being replayed), though copies of it may fail apart: storing a letter
takes the delayed one off, whose message the letter keeps, and delaying a message ends its letter's being dead.
"""

import datetime as dt
from collections.abc import Sequence

import structlog

from store.content_digest import message_digest, other_id
from store.dead_letters.edit_store import DeadLetterEdits
from store.dead_letters.letter_keys import LIFE
from store.dead_letters.model import DeadLetter, DeadLetterState, attempt_lines, letter_fields
from store.dead_letters.tombstones import DeadLetterTombstones
from store.dead_letters.transfer import DeadLetterTransfer
from store.message_locations import field_of, keys
from store.pagination import chunks
from store.redis_store import RedisStore, hash_of, shown, text
from store.reservation import MessageReservation
from store.resolution import require_actor, require_reason
from store.timestamps import to_micros

log = structlog.get_logger(__name__)

# field of the record that is settled, id, attempts, whether only the latest of its cover stays dead, the digest of
# what it carries, the id it has where its own holds something else, how many arguments are kept from the first time,
# those, then those that are told anew each time. Gives 'not ours', 'new' or 'known', and the id of the letter.
_STORE = (
    LIFE
    + """
local field, own, told, only_latest, digest, other = unpack(ARGV, 1, 6)
local kept = tonumber(ARGV[7])
if not is_ours(field) then return {'not ours', own} end
local id = letter_place(own, other, digest)
local known = write(id, kept, 8)
if id ~= own then redis.call('HSET', key(id), 'id', id) end
local seen, lines = {}, {}
for _, part in ipairs({redis.call('HGET', key(id), 'attempts') or '', told}) do
  for line in string.gmatch(part, '[^\\n]+') do
    if not seen[line] then
      seen[line] = true
      lines[#lines + 1] = line
    end
  end
end
redis.call('HSET', key(id), 'attempts', table.concat(lines, '\\n'))
local stored = redis.call('HGET', key(id), 'stored_at')
enter(id, 'dead', stored)
local covers = redis.call('HGET', key(id), 'covers')
if only_latest == '1' and covers ~= '' then
  local newer
  for _, earlier in ipairs(redis.call('ZRANGE', P .. ':letters:dead:covers:' .. covers, 0, -1)) do
    if earlier ~= id and fields(key(earlier), 'state')[1] == 'dead' then
      if moment(earlier) > moment(id) then
        newer = earlier
      else
        settle(earlier, 'superseded', stored, 'purser', 'a newer letter: ' .. id)
      end
    end
  end
  if newer then settle(id, 'superseded', stored, 'purser', 'a newer letter: ' .. newer) end
end
unpark_same({own, other}, digest)
no_longer_held(field)
return {known and 'known' or 'new', id}
"""
)

# id, now, the moment before which a mark is stale
_BEGIN = (
    LIFE
    + """
local id, now, stale = ARGV[1], ARGV[2], ARGV[3]
if not is_free(id, now, stale) then return false end
leave(id)
redis.call('HINCRBY', key(id), 'replays', 1)
redis.call('HSET', key(id), 'replay_at', now)
enter(id, 'replaying', now)
return redis.call('HGETALL', key(id))
"""
)

# id, the number of the replay, now, who, note
_FINISH = (
    LIFE
    + """
local id, number, now, who, note = unpack(ARGV)
audit(now, who, 'dead.replay', id, note)
if not is_replay(id, number, 'replaying') and not is_replay(id, number, 'replayed') then return 0 end
settle(id, 'replayed', now, who, note)
return 1
"""
)

# id, the number of the replay
_ABORT = (
    LIFE
    + """
if not is_replay(ARGV[1], ARGV[2], 'replaying') then return 0 end
revive(ARGV[1])
return 1
"""
)

# id, now, the moment before which a mark is stale, who, note
_DISCARD = (
    LIFE
    + """
local id, now, stale, who, note = unpack(ARGV)
if not is_free(id, now, stale) then return 0 end
audit(now, who, 'dead.discard', id, note)
settle(id, 'discarded', now, who, note)
return 1
"""
)

# id, who, note, now. What is delayed by now, or was settled because it was, is not restored: its message lives on.
_RESTORE = (
    LIFE
    + """
local id, who, note, now = unpack(ARGV)
local state, by, why = unpack(redis.call('HMGET', key(id), 'state', 'settled_by', 'settled_note'))
if state ~= 'discarded' and state ~= 'superseded' then return 0 end
if state == 'superseded' and by == 'purser' and why == TRIED_AGAIN then return 0 end
if redis.call('EXISTS', parked(id)) == 1 then return 0 end
audit(now, who, 'dead.restore', id, note)
revive(id)
return 1
"""
)

# what is covered, the moment before which it is, now, by what, ids...; gives those that were settled
_SUPERSEDE = (
    LIFE
    + """
local covers, before, now, by = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local gone = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local state, its = unpack(fields(key(id), 'state', 'covers'))
  if state == 'dead' and its == covers and moment(id) < before then gone[#gone + 1] = id end
end
if #gone > 0 then
  audit(now, 'purser', 'dead.supersede', covers, 'by ' .. by, '{"count": ' .. #gone .. '}')
  for _, id in ipairs(gone) do settle(id, 'superseded', now, 'purser', 'by ' .. by) end
end
return gone
"""
)


class DeadLetterStore(DeadLetterTransfer, DeadLetterEdits, DeadLetterTombstones):
    """The dead letters. A replay whose mark is older than `stale_after` did not end: its letter is dead again."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._put = store.script(_STORE)
        self._begin = store.script(_BEGIN)
        self._finish = store.script(_FINISH)
        self._abort = store.script(_ABORT)
        self._discard = store.script(_DISCARD)
        self._restore = store.script(_RESTORE)
        self._supersede = store.script(_SUPERSEDE)

    def store(
        self, letter: DeadLetter, *, settles: MessageReservation | None = None, only_latest: bool = False
    ) -> bool:
        """Keep a letter as dead; say whether it is new here.

        A known one keeps its first bytes, headers and `first_at`; attempts it did not have are added, and the
        latest reason and error count. So storing twice is storing once, whoever repeats it. A message that carries
        something else under the same id is another letter: its id gets a suffix.

        With `settles` the message leaves its worker in the same step, and the answer is whether it was the worker's
        to give: False, and nothing was written, when the record no longer stands.

        With `only_latest` one letter of each `covers` stays dead, that of the latest slot: the others are superseded.
        """
        answer, _ = self._write(letter, settles, only_latest=only_latest)
        return answer == b"new" or (settles is not None and answer == b"known")

    def keep(
        self, letter: DeadLetter, *, settles: MessageReservation | None = None, only_latest: bool = False
    ) -> str:
        """Store a letter and return the id under which it is kept, '' when `settles` was not the worker's to give."""
        answer, id_ = self._write(letter, settles, only_latest=only_latest)
        return "" if answer == b"not ours" else id_

    def _write(
        self, letter: DeadLetter, settles: MessageReservation | None, *, only_latest: bool
    ) -> tuple[bytes, str]:
        kept, told = letter_fields(letter)
        attempts, digest = attempt_lines(letter), message_digest(letter.original, letter.headers)
        same = [digest, text(other_id(letter.id, digest))]
        args = [field_of(settles), text(letter.id), attempts, int(only_latest), *same, len(kept), *kept, *told]
        with self._store.reach(self._key(letter.id)):
            answer, id_ = self._put(keys=keys(self._store.prefix, settles), args=args)
        if id_ != text(letter.id):
            log.warning("another message has this id: kept as a letter of its own", id=letter.id, letter=shown(id_))
        return bytes(answer), shown(id_)

    def discard(self, ids: Sequence[str], *, who: str, note: str) -> tuple[str, ...]:
        """Settle dead letters for good, audited; give the ids of those that were dead. Their bytes stay."""
        told = [text(require_actor(who)), text(require_reason(note))]
        now, stale = self._now_and_stale()
        return self._each(self._discard, DeadLetterState.DISCARDED, ids, now, stale, *told)

    def restore(self, ids: Sequence[str], *, who: str, note: str) -> tuple[str, ...]:
        """Make discarded or superseded letters dead again, audited; give the ids of those that were.

        One whose message is tried again meanwhile is left alone: it is not lost.
        """
        told = [text(require_actor(who)), text(require_reason(note))]
        return self._each(self._restore, DeadLetterState.DEAD, ids, *told, to_micros(self._store.now()))

    def supersede(self, covers: str, *, before: dt.datetime, by: str) -> tuple[str, ...]:
        """Settle the dead letters about work that was done anew; give their ids. `by` says what did it.

        A letter is older than `before` by its slot, or for want of one by the moment it was stored: a chunk of the
        very run that supersedes may have died already, and stays.
        """
        now, moment = to_micros(self._store.now()), to_micros(before)
        index = self._index(DeadLetterState.DEAD, "covers", covers)
        gone: list[str] = []
        with self._store.reach(index) as client:
            for chunk in chunks(client.zrange(index, 0, -1)):
                args = [text(covers), moment, now, text(by), *chunk]
                gone += [name.decode() for name in self._supersede(keys=[self._store.prefix], args=args)]
        return tuple(gone)

    def begin_replay(self, letter_id: str) -> DeadLetter | None:
        """Mark a dead letter as being replayed and give it; None when it is not dead or someone else was first."""
        now, stale = self._now_and_stale()
        with self._store.reach(self._key(letter_id)):
            flat = self._begin(keys=[self._store.prefix], args=[text(letter_id), now, stale])
        return self._read(letter_id, hash_of(flat)) if flat else None

    def finish_replay(self, letter: DeadLetter, *, who: str, note: str) -> bool:
        """Settle the letter that `begin_replay` gave, after its message was published; audited.

        True as well when its message is delayed by now. False: it is dead, because it failed again already or the
        mark went stale. It is left so.
        """
        require_actor(who)
        args = [text(letter.id), letter.replays, to_micros(self._store.now()), text(who), text(note)]
        with self._store.reach(self._key(letter.id)):
            return bool(self._finish(keys=[self._store.prefix], args=args))

    def abort_replay(self, letter: DeadLetter) -> bool:
        """Make the letter that `begin_replay` gave dead again, for its message was not published.

        False, and it is left as it is: the message is delayed or dead by now, so it was published after all.
        """
        with self._store.reach(self._key(letter.id)):
            return bool(self._abort(keys=[self._store.prefix], args=[text(letter.id), letter.replays]))
