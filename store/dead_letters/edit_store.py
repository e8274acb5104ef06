"""What a dead letter carries can be mended: each edit is kept with who, when and why, and can be undone.

An edit says how many edits its author saw. When somebody was faster it does not count: the author looks again. One
that needs a second person waits as a proposal, one at a time, until it is approved or withdrawn; an edit ends it.
"""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from store.dead_letters.edits import Edit
from store.dead_letters.letter_keys import LIFE, DeadLetterBase
from store.dead_letters.model import DeadLetter, edit_line, subject_lines
from store.redis_store import RedisStore, hash_of, text
from store.resolution import require_actor, require_reason
from store.timestamps import to_micros

# One HSET writes all of an edit, so that no error leaves a half of it.
_EDITS = (
    LIFE
    + """
local function is_as_seen(id, expects)
  local state, edited = unpack(redis.call('HMGET', key(id), 'state', 'edited'))
  return state == 'dead' and tonumber(whole(edited)) == tonumber(expects)
end

local function apply(id, body, line, subjects)
  local its, lines, original, known = unpack(redis.call('HMGET', key(id), 'body', 'edits', 'original', 'subjects'))
  lines = lines and lines ~= '' and lines .. '\\n' .. line or line
  local all, has = {}, {}
  for _, part in ipairs({known or '', subjects}) do
    for subject in string.gmatch(part, '[^\\n]+') do
      if not has[subject] then
        all[#all + 1], has[subject] = subject, true
      end
    end
  end
  leave(id)
  redis.call('HSET', key(id), 'original', original or its, 'body', body, 'edits', lines,
    'edited', select(2, string.gsub(lines, '\\n', '')) + 1, 'subjects', table.concat(all, '\\n'))
  redis.call('HDEL', key(id), 'proposal', 'proposed_body', 'proposed_subjects')
  enter(id, 'dead', whole(redis.call('HGET', key(id), 'stored_at')))
  return redis.call('HGETALL', key(id))
end
"""
)

# id, how many edits were seen, body, the edit as a line, subjects, now, who, note, facts
_EDIT = (
    _EDITS
    + """
local id, expects, body, line, subjects, now, who, note, facts = unpack(ARGV)
if not is_as_seen(id, expects) then return false end
audit(now, who, 'dead.edit', id, note, facts)
return apply(id, body, line, subjects)
"""
)

# likewise
_PROPOSE = (
    _EDITS
    + """
local id, expects, body, line, subjects, now, who, note, facts = unpack(ARGV)
if not is_as_seen(id, expects) or redis.call('HEXISTS', key(id), 'proposal') == 1 then return false end
audit(now, who, 'dead.propose', id, note, facts)
redis.call('HSET', key(id), 'proposal', line, 'proposed_body', body, 'proposed_subjects', subjects)
return redis.call('HGETALL', key(id))
"""
)

# id, the proposal that is approved as it stands, the same as an older Purser wrote it, the same with its second
# person, now, who, note, facts
_APPROVE = (
    _EDITS
    + """
local id, seen, seen_before, line, now, who, note, facts = unpack(ARGV)
local state, its, body, subjects = unpack(
  redis.call('HMGET', key(id), 'state', 'proposal', 'proposed_body', 'proposed_subjects'))
if state ~= 'dead' or (its ~= seen and its ~= seen_before) then return false end
audit(now, who, 'dead.approve', id, note, facts)
return apply(id, body, line, subjects)
"""
)

# id, now, who, note
_WITHDRAW = (
    _EDITS
    + """
local id, now, who, note = unpack(ARGV)
if redis.call('HEXISTS', key(id), 'proposal') == 0 then return 0 end
audit(now, who, 'dead.withdraw', id, note)
redis.call('HDEL', key(id), 'proposal', 'proposed_body', 'proposed_subjects')
return 1
"""
)

_PATHS = 20
"""How many changed places the trail names at most."""


class DeadLetterEdits(DeadLetterBase):
    """What is done to the bodies of dead letters. Nobody here asks whether `who` may."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._edit = store.script(_EDIT)
        self._propose = store.script(_PROPOSE)
        self._approve = store.script(_APPROVE)
        self._withdraw = store.script(_WITHDRAW)

    def edit(
        self, letter_id: str, *, body: bytes, expects: int, who: str, note: str, subjects: Sequence[str] = ()
    ) -> DeadLetter | None:
        """Let a dead letter carry something else, audited; `subjects` are records it is then about as well.

        None when it is not dead, or had not `expects` edits any more. A proposal that waited is dropped.
        """
        return self._change(self._edit, letter_id, body, expects, who, note, subjects)

    def propose(
        self, letter_id: str, *, body: bytes, expects: int, who: str, note: str, subjects: Sequence[str] = ()
    ) -> DeadLetter | None:
        """Keep an edit until a second person approves it, audited. None as for `edit`, or when one waits already."""
        return self._change(self._propose, letter_id, body, expects, who, note, subjects)

    def approve(self, letter_id: str, *, who: str, note: str, seen: Edit | None = None) -> DeadLetter | None:
        """Let the proposed edit count, audited; ValueError when `who` proposed it.

        None when there is none, the letter is not dead, or it is another proposal than the one `who` has `seen`.
        """
        require_actor(who)
        letter = self.get(letter_id)
        proposal = None if letter is None else letter.proposal
        if letter is None or proposal is None or (seen is not None and seen != proposal):
            return None
        if proposal.who.strip().casefold() == who.strip().casefold():
            raise ValueError(f"{proposal.who} proposed this edit: a second person approves it")
        approved = Edit(
            at=proposal.at,
            who=proposal.who,
            note=proposal.note,
            approved=who,
            before=proposal.before,
            after=proposal.after,
        )
        now = to_micros(self._store.now())
        seen_lines = [edit_line(proposal), edit_line(proposal, with_digest=False)]
        args = [text(letter_id), *seen_lines, edit_line(approved), now, text(who), text(note)]
        with self._store.reach(self._key(letter_id)):
            flat = self._approve(keys=[self._store.prefix], args=[*args, _facts(approved, len(letter.edits))])
        return self._read(letter_id, hash_of(flat)) if flat else None

    def withdraw(self, letter_id: str, *, who: str, note: str) -> bool:
        """Drop the proposed edit, audited; say whether there was one."""
        args = [text(letter_id), to_micros(self._store.now()), text(require_actor(who)), text(note)]
        with self._store.reach(self._key(letter_id)):
            return bool(self._withdraw(keys=[self._store.prefix], args=args))

    def revert(self, letter_id: str, *, expects: int, who: str, note: str) -> DeadLetter | None:
        """Undo the last edit: itself one more edit. None as for `edit`, or when there is none to undo."""
        letter = self.get(letter_id)
        if letter is None or not letter.edits or len(letter.edits) != expects:
            return None
        return self.edit(letter_id, body=letter.edits[-1].before, expects=expects, who=who, note=note)

    def _change(
        self, script: Any, letter_id: str, body: bytes, expects: int, who: str, note: str, subjects: Sequence[str]
    ) -> DeadLetter | None:
        self._wake_stale()
        letter = self.get(letter_id)
        if letter is None:
            return None
        now = self._store.now()
        edit = Edit(at=now, who=require_actor(who), note=require_reason(note), before=letter.body, after=body)
        args = [text(letter_id), expects, body, edit_line(edit), subject_lines(tuple(subjects)), to_micros(now)]
        with self._store.reach(self._key(letter_id)):
            flat = script(keys=[self._store.prefix], args=[*args, text(who), text(note), _facts(edit, expects)])
        return self._read(letter_id, hash_of(flat)) if flat else None


def _facts(edit: Edit, before: int) -> str:
    """What the trail keeps for ever of an edit: where something changed, never what it was or is."""
    return json.dumps({"edit": before + 1, "paths": [one.path for one in edit.patch[:_PATHS]]})
