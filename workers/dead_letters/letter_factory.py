"""A message that cannot be carried out becomes a letter with its bytes, reason, error and history."""

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from events.cloudevent import read_event
from purser.errors import Permanent
from purser.findings import Ref
from purser.formats.strict_json import read_json
from store import Attempt, DeadLetter, fingerprint
from workers.broker.kombu_envelope import PROPERTIES
from workers.broker.task_message import MAX_NAME_LENGTH
from workers.messages import by_name

UNREADABLE = "unreadable"
"""Why a message is set aside that is none, or not one that could be carried out."""

WAITING_SINCE = "purser-waiting-since"
"""The header of a parked message: since when it has been waiting, however often it was parked again."""

HEADER = "purser"
"""The message header that carries the attempts so far."""


def attempts_of(headers: Mapping[str, Any] | None) -> tuple[Attempt, ...]:
    """Return the attempts a message has behind it; nothing readable is nothing known."""
    carried = (headers or {}).get(HEADER)
    listed = carried.get("attempts") if isinstance(carried, dict) else None
    found = []
    for one in listed if isinstance(listed, list) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            at = dt.datetime.fromisoformat(one["at"]).astimezone(dt.UTC)
            found.append(Attempt(at=at, error=str(one["error"])))
    return tuple(found)


def with_attempt(headers: Mapping[str, Any] | None, *, at: dt.datetime, error: str) -> dict[str, Any]:
    """Return the headers of the next try, with one more attempt noted."""
    known = [{"at": a.at.isoformat(), "error": a.error} for a in attempts_of(headers)]
    return {HEADER: {"attempts": [*known, {"at": at.isoformat(), "error": error}]}}


def letter(
    *,
    queue: str,
    body: bytes,
    headers: Mapping[str, Any] | None,
    properties: Mapping[str, Any] | None,
    content_type: str,
    content_encoding: str,
    reason: str,
    error: str,
    text: str,
    traceback: str,
    now: dt.datetime,
    subjects: tuple[str, ...] = (),
    covers: str = "",
    slot: dt.datetime | None = None,
) -> DeadLetter:
    """Build the letter of a message. Its id is the message's own; what is malformed may bear any id, even that of a
    healthy message, and gets a digest of its bytes.

    `subjects` are the records it is about; `covers` names the work that a later message of the same kind does again,
    such as "scan/missing-timesheets"; `slot` is the due moment it belongs to.
    """
    head = dict(headers or {})
    sent = {name: value for name in PROPERTIES if (value := (properties or {}).get(name)) is not None}
    told = {"headers": head, "properties": sent, "type": content_type, "encoding": content_encoding}
    task = _displayable(head.get("task"))
    past = attempts_of(head)
    return DeadLetter(
        id=_id(told, body, trusted=reason != UNREADABLE),
        queue=queue,
        task=task,
        body=body,
        headers=_plain(head),
        properties=_plain(dict(properties or {})),
        content_type=content_type,
        content_encoding=content_encoding,
        reason=reason,
        error=error,
        message=text,
        traceback=traceback,
        attempts=(*past, Attempt(at=now, error=f"{error}: {text}")),
        fingerprint=fingerprint(error=error, message=text, task=task),
        correlation_id=_displayable(head.get("root_id") or head.get("id")),
        causation_id=_displayable(head.get("parent_id")),
        first_at=past[0].at if past else now,
        stored_at=now,
        subjects=subjects,
        covers=covers,
        slot=slot,
    )


def waiting_since(headers: Mapping[str, Any]) -> dt.datetime | None:
    """Return when a message was parked first, None for one that was not."""
    try:
        moment = dt.datetime.fromisoformat(headers[WAITING_SINCE])
    except (KeyError, ValueError, TypeError):
        return None
    return moment if moment.tzinfo else None


def covers_of(task: str, values: Mapping[str, Any]) -> str:
    """Name the work of a task that the next scan of its control (or feed of its watch) does again, '' if none."""
    kind = {"purser.scan": "scan", "purser.apply": "apply", "purser.feed": "feed"}.get(task)
    name = values.get("watch" if kind == "feed" else "control")
    return f"{kind}/{name}" if kind and isinstance(name, str) else ""


def subjects_of(task: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the records that a message is about, such as `crm.lead/42`; what cannot be read names none."""
    match task:
        case "purser.apply":
            steps = values.get("steps")
            found = [ref for step in (steps if isinstance(steps, list) else ()) for ref in _of_step(step)]
        case "purser.look":
            found = list(_of_step({"change": {"ref": values}}))
        case "purser.accept" | "purser.react" | "purser.deliver":
            found = list(_of_event(values.get("event")))
        case _:
            found = []
    return tuple(dict.fromkeys(str(ref) for ref in found))


def values_in(letter: DeadLetter) -> Mapping[str, Any]:
    """Return the values that a letter carries by name; nothing readable is nothing known."""
    try:
        args, kwargs, _ = read_json(letter.body, halves=True)
        return by_name(letter.task, args, kwargs)
    except (ValueError, TypeError, RecursionError):
        return {}


def subjects_in(letter: DeadLetter) -> tuple[str, ...]:
    """Name the records that a letter is about, read from what it carries."""
    return subjects_of(letter.task, values_in(letter))


def _of_step(step: Any) -> Iterator[Ref]:
    """The subject of its case, and the record that is changed."""
    for path in (("memory", "key", "subject"), ("change", "ref"), ("change", "on")):
        at = step
        for name in path:
            at = at.get(name) if isinstance(at, dict) else None
        if isinstance(at, dict):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                yield Ref(at["model"], at["id"])


def _of_event(event: Any) -> Iterator[Ref]:
    """The event's own word for it, or the record that its fact is about."""
    if not isinstance(event, dict):
        return
    try:
        yield Ref.parse(event["subject"])
    except (KeyError, TypeError, ValueError, AttributeError):
        with contextlib.suppress(Permanent):
            yield read_event(event)[1].record


def _id(told: Mapping[str, Any], body: bytes, *, trusted: bool) -> str:
    """Return the id of a message, or a digest of all that its sender wrote where the id is not to be relied on.

    What the broker adds at each delivery is left out: a message that comes back is the same letter.
    """
    given = told["headers"].get("id")
    if trusted and isinstance(given, str) and given:
        return given
    head = _serialized(told)
    return "bytes-" + hashlib.sha256(b"%d:%b%b" % (len(head), head, body)).hexdigest()[:32]


def _serialized(told: Mapping[str, Any]) -> bytes:
    """Return bytes that differ where the values differ, also for values that JSON cannot hold."""
    try:
        return json.dumps(told, sort_keys=True, default=repr).encode()
    except (TypeError, ValueError, RecursionError):  # names of several types, and deep nesting
        try:
            return repr(told).encode(errors="backslashreplace")
        except (ValueError, RecursionError):
            return b""


def _displayable(value: Any) -> str:
    """Return the beginning of a name as a text that every store takes, '' for anything that is no text."""
    return value[:MAX_NAME_LENGTH].encode(errors="replace").decode() if isinstance(value, str) else ""


def _plain(data: Any) -> dict[str, Any]:
    """Keep what JSON can hold; the rest as its repr, so that nothing keeps a letter from being stored."""
    try:
        text = json.dumps(data, default=repr, ensure_ascii=False)
        plain = json.loads(text.encode(errors="replace"))
    except (TypeError, ValueError, RecursionError):
        plain = None
    if isinstance(plain, dict):
        return plain
    try:
        return {"unreadable": repr(data)[:2000].encode(errors="replace").decode()}
    except (ValueError, RecursionError) as error:
        return {"unreadable": type(error).__name__}


def body_bytes(body: Any) -> bytes:
    """Return the bytes of a message body, whatever type the transport made of them."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, memoryview):
        return body.tobytes()
    return str(body).encode(errors="backslashreplace")


def slot_of(values: Mapping[str, Any]) -> dt.datetime | None:
    """Return the due moment that the values of a task name, None where they name none."""
    try:
        return dt.datetime.fromisoformat(values["slot"]).astimezone(dt.UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
