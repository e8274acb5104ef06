"""A letter can be carried to another ledger and replayed there; one of an older Purser is listed like any other."""

import base64
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from purser.errors import ConfigurationError
from store.content_digest import message_digest, other_id
from store.dead_letters.edits import Edit
from store.dead_letters.filters import DEAD_LETTERS, DeadLetterFilter
from store.dead_letters.letter_keys import LIFE
from store.dead_letters.listing import DeadLetterListing
from store.dead_letters.model import (
    Attempt,
    DeadLetter,
    DeadLetterState,
    Field,
    attempt_lines,
    edit_line,
    letter_fields,
    subject_lines,
)
from store.redis_store import RedisStore, text
from store.resolution import Resolution
from store.timestamps import to_micros

FORMAT = 1
"""How an exported letter is written; one of a later form is not read."""
_AT_ONCE = 200

# id, state, score, the digest of what it carries, the id it has where its own holds something else, then fields and
# values. What is known here, dead or delayed, is left as it is.
_PUT = (
    LIFE
    + """
local own, state, score, digest, other = unpack(ARGV, 1, 5)
for _, known in ipairs({own, other}) do
  if redis.call('EXISTS', parked(known)) == 1 and is_entry_of(known, digest) then return 0 end
end
local id = letter_place(own, other, digest)
if redis.call('EXISTS', key(id)) == 1 then return 0 end
redis.call('HSET', key(id), unpack(ARGV, 6))
redis.call('HSET', key(id), 'id', id)
enter(id, state, score)
return 1
"""
)

# state, where to begin, how many; gives how many there were, then the ids of those not listed by all they are
_UNLISTED = (
    LIFE
    + """
local state, first, size = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local index = P .. ':letters:' .. state
local ids = redis.call('ZREVRANGE', index, first, first + size - 1)
local found = {#ids}
local function lists(dimension, value, id)
  return not value or value == '' or redis.call('ZSCORE', index .. ':' .. dimension .. ':' .. value, id)
end
for _, id in ipairs(ids) do
  local its, error, correlation, subjects = unpack(
    fields(key(id), 'state', 'error', 'correlation', 'subjects'))
  local is_listed = subjects and lists('error', error, id) and lists('correlation', correlation, id)
  if its == state and not is_listed then found[#found + 1] = id end
end
return found
"""
)

# id, correlation, subjects, the states there are...; listed anew at the score it has, and nowhere else
_LIST = (
    LIFE
    + """
local id, correlation, subjects = unpack(ARGV, 1, 3)
local state = redis.call('HGET', key(id), 'state')
local score = state and redis.call('ZSCORE', P .. ':letters:' .. state, id)
if not score then return 0 end
redis.call('HSETNX', key(id), 'correlation', correlation)
redis.call('HSETNX', key(id), 'subjects', subjects)
for i = 4, #ARGV do
  if ARGV[i] ~= state then
    for _, index in ipairs((indexes(id, ARGV[i]))) do redis.call('ZREM', index, id) end
  end
end
enter(id, state, score)
return 1
"""
)


class DeadLetterTransfer(DeadLetterListing):
    """Letters that come from elsewhere, or from an older Purser."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._import = store.script(_PUT)
        self._unlisted = store.script(_UNLISTED)
        self._list = store.script(_LIST)

    def export(self, filter: DeadLetterFilter = DEAD_LETTERS) -> Iterator[dict[str, Any]]:  # noqa: A002
        """Yield the letters that match, complete and ready for JSON, secrets included; `put` reads them."""
        batch: list[str] = []
        for id_ in self.ids(filter):
            batch.append(id_)
            if len(batch) == _AT_ONCE:
                yield from map(export_letter, self._read_many(batch))
                batch = []
        yield from map(export_letter, self._read_many(batch))

    def put(self, told: Mapping[str, Any]) -> bool:
        """Keep an exported letter as it was; say whether it is new: one that is known here, or delayed, stays.

        One that carries something else than the letter of its id here is a letter of its own: its id gets a suffix.

        What was being replayed elsewhere is dead here. ConfigurationError says what is wrong with what is no letter.
        """
        letter = import_letter(told)
        at = letter.stored_at if letter.settled is None else letter.settled.at
        digest = message_digest(letter.original, letter.headers)
        same = [digest, text(other_id(letter.id, digest))]
        args = [text(letter.id), letter.state, to_micros(at), *same, *_all_fields(letter)]
        with self._store.reach(self._key(letter.id)):
            return bool(self._import(keys=[self._store.prefix], args=args))

    def catch_up(self, subjects: Callable[[DeadLetter], tuple[str, ...]]) -> int:
        """List by subject, error and correlation what an older Purser wrote or moved; give how many letters that was.

        To be repeated while older workers run, and cheap where there is nothing to do.
        """
        done = 0
        for state in DeadLetterState:
            first, many = 0, 1
            while many:
                with self._store.reach(self._index(state)):
                    many, *ids = self._unlisted(keys=[self._store.prefix], args=[state, first, 2000])
                first += many
                for letter in self._read_many(id_.decode() for id_ in ids):
                    about = subject_lines(letter.subjects or subjects(letter))
                    args = [text(letter.id), text(letter.correlation_id or ""), about, *DeadLetterState]
                    with self._store.reach(self._key(letter.id)):
                        done += int(self._list(keys=[self._store.prefix], args=args))
        return done


# ----------------------------------------------------------------------------- what travels --


def export_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter, complete and ready for JSON."""
    return {
        "format": FORMAT,
        "id": letter.id,
        "queue": letter.queue,
        "task": letter.task,
        "body": _base64(letter.original),
        "headers": dict(letter.headers),
        "properties": dict(letter.properties),
        "content_type": letter.content_type,
        "content_encoding": letter.content_encoding,
        "reason": letter.reason,
        "error": letter.error,
        "message": letter.message,
        "traceback": letter.traceback,
        "fingerprint": letter.fingerprint,
        "attempts": [{"at": one.at.isoformat(), "error": one.error} for one in letter.attempts],
        "correlation_id": letter.correlation_id,
        "causation_id": letter.causation_id,
        "subjects": list(letter.subjects),
        "covers": letter.covers,
        "slot": None if letter.slot is None else letter.slot.isoformat(),
        "first_at": letter.first_at.isoformat(),
        "stored_at": letter.stored_at.isoformat(),
        "replays": letter.replays,
        "state": str(letter.state),
        "settled": None if letter.settled is None else _settled(letter.settled),
        "edits": [_edit(one) for one in letter.edits],
        "proposal": None if letter.proposal is None else _edit(letter.proposal),
    }


def _edit(edit: Edit) -> dict[str, Any]:
    told = {"at": edit.at.isoformat(), "who": edit.who, "note": edit.note, "approved": edit.approved}
    return {**told, "after": _base64(edit.after)}


def _settled(settled: Resolution) -> dict[str, Any]:
    return {"who": settled.who, "note": settled.note, "at": settled.at.isoformat()}


def import_letter(told: Mapping[str, Any]) -> DeadLetter:
    """Read what `export_letter` gave; ConfigurationError says what is wrong."""
    if told.get("format") != FORMAT:
        raise ConfigurationError(
            f"no exported letter: its format is {told.get('format')!r}, and this release reads {FORMAT}"
        )
    try:
        return _imported(told)
    except KeyError as error:
        raise ConfigurationError(f"no exported letter: {error} is missing") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"no exported letter: {error}") from None


def _imported(told: Mapping[str, Any]) -> DeadLetter:
    state = DeadLetterState(told["state"])
    if state is DeadLetterState.REPLAYING:
        state = DeadLetterState.DEAD
    settled = _settlement(told["settled"]) if told["settled"] and state is not DeadLetterState.DEAD else None
    edits = _edits(_bytes(told["body"]), told["edits"])
    body = edits[-1].after if edits else _bytes(told["body"])
    proposal = told["proposal"]
    return DeadLetter(
        body=body,
        headers=dict(told["headers"]),
        properties=dict(told["properties"]),
        attempts=tuple(Attempt(_moment(one["at"]), str(one["error"])) for one in told["attempts"]),
        correlation_id=None if told["correlation_id"] is None else str(told["correlation_id"]),
        causation_id=None if told["causation_id"] is None else str(told["causation_id"]),
        subjects=tuple(str(one) for one in told["subjects"]),
        slot=None if told["slot"] is None else _moment(told["slot"]),
        first_at=_moment(told["first_at"]),
        stored_at=_moment(told["stored_at"]),
        replays=int(told["replays"]),
        state=state,
        settled=settled,
        edits=edits,
        proposal=None if proposal is None else _edits(body, [proposal])[0],
        **{name: _text(told[name]) for name in _TEXTS},
    )


_TEXTS = (
    *("id", "queue", "task", "content_type", "content_encoding", "reason", "error", "message", "traceback"),
    *("fingerprint", "covers"),
)


def _settlement(told: Mapping[str, Any]) -> Resolution:
    return Resolution(_text(told["who"]), _text(told["note"]), _moment(told["at"]))


def _edits(before: bytes, told: Any) -> tuple[Edit, ...]:
    found: list[Edit] = []
    for one in told:
        known = {"who": _text(one["who"]), "note": _text(one["note"]), "approved": _text(one["approved"])}
        after = _bytes(one["after"])
        found.append(Edit(at=_moment(one["at"]), **known, before=before, after=after))
        before = after
    return tuple(found)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _moment(value: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _all_fields(letter: DeadLetter) -> list[Field]:
    kept, told = letter_fields(letter)
    fields = [*kept, *told, "attempts", attempt_lines(letter)]
    if letter.settled is not None:
        at, by, why = to_micros(letter.settled.at), text(letter.settled.who), text(letter.settled.note)
        fields += ["settled_at", at, "settled_by", by, "settled_note", why]
    if letter.edits:
        lines = "\n".join(edit_line(one) for one in letter.edits)
        fields += ["original", letter.original, "edits", lines, "edited", len(letter.edits)]
    if letter.proposal is not None:
        proposed = letter.proposal
        fields += ["proposal", edit_line(proposed), "proposed_body", proposed.after, "proposed_subjects", ""]
    return fields
