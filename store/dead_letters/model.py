"""What a dead letter is, and how it is kept: as a hash, of whose fields an older Purser may have left some out."""

import base64
import datetime as dt
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from store.content_digest import body_digest, message_digest
from store.dead_letters.edits import Edit
from store.redis_store import text
from store.resolution import Resolution, resolution_of
from store.timestamps import from_micros, to_micros


class DeadLetterState(enum.StrEnum):
    """Where a letter is in its life."""

    DEAD = "dead"
    REPLAYING = "replaying"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"
    """Something newer covers what it was about, so nobody needs to act on it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: when it ended, and with which error."""

    at: dt.datetime
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A message set aside. `id` is the message's own; `body` its bytes; the caller has scrubbed the traceback."""

    id: str
    queue: str
    task: str
    body: bytes = field(repr=False)
    """What a replay sends: as it was received, or as it was edited since."""
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    properties: Mapping[str, Any] = field(default_factory=dict, repr=False)
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    reason: str
    error: str = ""
    """The class of the error."""
    message: str = ""
    traceback: str = field(default="", repr=False)
    fingerprint: str
    attempts: tuple[Attempt, ...] = ()
    correlation_id: str | None = None
    causation_id: str | None = None
    subjects: tuple[str, ...] = ()
    """The records it is about, such as `crm.lead/42`; those of its edits included."""
    covers: str = ""
    """The work it is about, such as `scan/missing-timesheets`: when that is done anew, the letter is superseded."""
    slot: dt.datetime | None = None
    """The due moment that the work belongs to."""
    first_at: dt.datetime
    stored_at: dt.datetime
    replays: int = 0
    """How many replays were begun."""
    state: DeadLetterState = DeadLetterState.DEAD
    settled: Resolution | None = None
    edits: tuple[Edit, ...] = field(default=(), repr=False)
    """How it was changed since it was received, the latest last."""
    proposal: Edit | None = field(default=None, repr=False)
    """An edit that waits for a second person."""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a letter needs the id of its message: it is what makes storing it idempotent")
        if any(not one or one.splitlines() != [one] for one in self.subjects):
            raise ValueError("a subject is one line, such as `crm.lead/42`")

    @property
    def original(self) -> bytes:
        """Return the bytes as they were received."""
        return self.edits[0].before if self.edits else self.body


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Letters that failed alike: one fault to fix, however many messages met it."""

    fingerprint: str
    task: str
    error: str
    message: str
    count: int
    first: dt.datetime
    last: dt.datetime
    sample: str
    """The id of the newest."""
    trend: tuple[int, ...] = ()
    """How many were set aside in each of the last 24 hours, the present one last."""


# --------------------------------------------------------------------------------- written --

Field = str | bytes | int


def letter_fields(letter: DeadLetter) -> tuple[list[Field], list[Field]]:
    """Return the fields of a letter that stay as they were the first time, and those that are told anew."""
    return _kept(letter), _told(letter)


def attempt_lines(letter: DeadLetter) -> str:
    """Return the attempts as they are kept."""
    return "\n".join(json.dumps([to_micros(one.at), one.error]) for one in letter.attempts)


def subject_lines(subjects: tuple[str, ...]) -> bytes:
    """Return the subjects as they are kept."""
    return text("\n".join(dict.fromkeys(subjects)))


def _kept(letter: DeadLetter) -> list[Field]:
    """What stays as it was the first time."""
    return [
        *("id", text(letter.id)),
        *("queue", text(letter.queue)),
        *("task", text(letter.task)),
        *("body", letter.body),
        *("headers", _json(letter.headers)),
        *("properties", _json(letter.properties)),
        *("content_type", text(letter.content_type)),
        *("content_encoding", text(letter.content_encoding)),
        *("correlation_id", json.dumps(letter.correlation_id)),
        *("causation_id", json.dumps(letter.causation_id)),
        *("correlation", text(letter.correlation_id or "")),
        *(("subjects", subject_lines(letter.subjects)) if letter.subjects else ()),  # else read from it: `catch_up`
        *("first_at", to_micros(letter.first_at)),
        *("replays", letter.replays),
        *("digest", message_digest(letter.original, letter.headers)),
    ]


def _json(values: Mapping[str, Any]) -> str:
    """A letter is the last resort: a header that JSON cannot hold becomes text, not an error."""
    try:
        return json.dumps(dict(values), default=str)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({str(name): str(value) for name, value in values.items()})


def _told(letter: DeadLetter) -> list[Field]:
    """What the latest failure says."""
    return [
        *("reason", text(letter.reason)),
        *("error", text(letter.error)),
        *("message", text(letter.message)),
        *("traceback", text(letter.traceback)),
        *("fingerprint", text(letter.fingerprint)),
        *("covers", text(letter.covers)),
        *("slot", "" if letter.slot is None else to_micros(letter.slot)),
        *("stored_at", to_micros(letter.stored_at)),
    ]


def edit_line(edit: Edit, *, with_digest: bool = True) -> str:
    """Return an edit as it is kept. What was before it stands in the edit before, or in `original`.

    The digest tells that a message which carries the edited body is this letter's; an older Purser wrote none.
    """
    told = {"at": to_micros(edit.at), "who": edit.who, "note": edit.note, "approved": edit.approved}
    told |= {"after": base64.b64encode(edit.after).decode()}
    return json.dumps(told | ({"digest": body_digest(edit.after)} if with_digest else {}))


# ------------------------------------------------------------------------------------ read --


def letter_of(raw: Mapping[str, bytes]) -> DeadLetter:
    """Read a letter from its hash. Raises one of several errors for what is none."""
    edits = edits_of(raw.get("original", b""), raw.get("edits", b""))
    proposed = raw.get("proposal")
    return DeadLetter(
        id=raw["id"].decode(),
        queue=raw["queue"].decode(),
        task=raw["task"].decode(),
        body=raw["body"],
        headers=dict(json.loads(raw["headers"])),
        properties=dict(json.loads(raw["properties"])),
        content_type=raw["content_type"].decode(),
        content_encoding=raw["content_encoding"].decode(),
        reason=raw["reason"].decode(),
        error=raw["error"].decode(),
        message=raw["message"].decode(),
        traceback=raw["traceback"].decode(),
        fingerprint=raw["fingerprint"].decode(),
        attempts=tuple(_attempt(line) for line in raw["attempts"].splitlines()),
        correlation_id=json.loads(raw["correlation_id"]),
        causation_id=json.loads(raw["causation_id"]),
        subjects=tuple(raw.get("subjects", b"").decode().splitlines()),
        covers=raw.get("covers", b"").decode(),
        slot=from_micros(raw["slot"]) if raw.get("slot") else None,
        first_at=from_micros(raw["first_at"]),
        stored_at=from_micros(raw["stored_at"]),
        replays=int(raw["replays"]),
        state=DeadLetterState(raw["state"].decode()),
        settled=resolution_of(raw),
        edits=edits,
        proposal=_edit(raw["body"], proposed) if proposed else None,
    )


def edits_of(original: bytes, lines: bytes) -> tuple[Edit, ...]:
    """Read the edits of a letter, each with what was before it."""
    found: list[Edit] = []
    for line in lines.splitlines():
        found.append(_edit(found[-1].after if found else original, line))
    return tuple(found)


def _edit(before: bytes, line: bytes) -> Edit:
    told = json.loads(line)
    return Edit(
        at=from_micros(told["at"]),
        who=told["who"],
        note=told["note"],
        approved=told["approved"],
        before=before,
        after=base64.b64decode(told["after"], validate=True),
    )


def _attempt(line: bytes) -> Attempt:
    at, error = json.loads(line)
    return Attempt(from_micros(at), error)
