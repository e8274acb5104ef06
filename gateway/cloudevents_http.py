"""An event comes alone, among others, or with its envelope in headers. Source: CloudEvents 1.0.2, HTTP binding."""

import enum
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from events.cloudevent import MAX_BYTES, CloudEvent, read_event
from events.event import Event
from events.signature import ID
from gateway.limits import MAX_EVENTS_IN_A_BATCH
from gateway.problem_details import Problem, ProblemLocation
from purser.errors import Permanent
from purser.formats.strict_json import InvalidJson, read_json

ENVELOPE, BATCH, PLAIN = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"
_HEADER = "ce-"
_ANY_JSON = r"application/[a-z0-9.-]+\+json"


class ContentMode(enum.Enum):
    """How a request holds its events."""

    STRUCTURED = enum.auto()
    """The body is an envelope."""
    BATCH = enum.auto()
    """The body is a list of envelopes."""
    BINARY = enum.auto()
    """The body is `data`; the rest of the envelope is in headers named `ce-...`."""


def content_mode(headers: Mapping[str, str]) -> ContentMode:
    """Tell the form by the headers alone, or raise a Problem."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "the body is compressed: send it as it is", headers={"accept-encoding": "identity"})
    kind, charset = _content_type(headers.get("content-type", ""))
    if charset not in ("", "utf-8"):
        raise _unread()
    has_attributes = any(name.startswith(_HEADER) for name in headers)
    match kind:
        case "application/cloudevents+json":
            return ContentMode.STRUCTURED
        case "application/cloudevents-batch+json":
            return ContentMode.BATCH
        case "application/json":
            return ContentMode.BINARY if has_attributes else ContentMode.STRUCTURED
        case "" if has_attributes:
            return (
                ContentMode.BINARY
            )  # libraries leave it out where the event has no datacontenttype, which means JSON
    if has_attributes and re.fullmatch(_ANY_JSON, kind):
        return ContentMode.BINARY
    raise _unread()


def _content_type(value: str) -> tuple[str, str]:
    """Return media type and charset in lower case; '' where there is none."""
    kind, *parameters = (part.strip() for part in value.lower().split(";"))
    named = dict(one.replace(" ", "").partition("=")[::2] for one in parameters)
    return kind, named.get("charset", "").strip('"')


def _unread() -> Problem:
    forms = f"{ENVELOPE}, {BATCH}, {PLAIN}"
    return Problem(415, f"the content type is none of {forms}, in UTF-8", headers={"accept": forms})


def events_in(form: ContentMode, headers: Mapping[str, str], body: bytes) -> list[Any]:
    """Return the events of a request as they stand in it."""
    read = _json(body)
    match form:
        case ContentMode.STRUCTURED:
            return [read]
        case ContentMode.BINARY:
            return [{**_attributes(headers), "data": read}]
        case ContentMode.BATCH:
            if not isinstance(read, list):
                raise _wrong([ProblemLocation(reason="a batch is a list of events")])
            if len(read) > MAX_EVENTS_IN_A_BATCH:
                raise Problem(
                    413, f"the batch has {len(read)} events and may have {MAX_EVENTS_IN_A_BATCH}: send several"
                )
            return read


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except InvalidJson as error:
        raise _wrong([ProblemLocation(reason=f"the body is not JSON: {error}")]) from None


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what the headers say of the envelope. The signature covers none of them but the id of the message."""
    if headers.get(f"{_HEADER}id") != headers.get(ID):
        raise Problem(401, f"{ID} must be the same as {_HEADER}id: the signature covers no other header")
    told = {name.removeprefix(_HEADER): value for name, value in headers.items() if name.startswith(_HEADER)}
    try:
        return {name: unquote(value, errors="strict") for name, value in told.items()}
    except UnicodeDecodeError:
        raise _wrong([ProblemLocation(reason=f"a header {_HEADER}... is not percent-encoded UTF-8")]) from None


# ---------------------------------------------------------------------------------- checks --


def checked(raw: list[Any]) -> list[tuple[CloudEvent, Event]]:
    """Return the events and the facts they carry; a Problem lists all that is wrong with any of them."""
    read: list[tuple[CloudEvent, Event]] = []
    wrong: list[ProblemLocation] = []
    for number, one in enumerate(raw):
        try:
            read.append(_checked(one))
        except Permanent as error:
            wrong.append(ProblemLocation(event=number, reason=str(error)))
    if wrong:
        raise _wrong(wrong)
    return read


def _checked(raw: Any) -> tuple[CloudEvent, Event]:
    if not isinstance(raw, dict):
        raise Permanent("an event is an object")
    envelope, fact = read_event(raw)
    size = len(json.dumps(raw))
    if size > MAX_BYTES:
        raise Permanent(f"the event has {size} bytes; {MAX_BYTES} are allowed: send ids, not documents")
    return envelope, fact


def _wrong(places: list[ProblemLocation]) -> Problem:
    first = places[0]
    where = "" if first.event is None else f"event {first.event}: "
    more = f", and {len(places) - 1} more" if len(places) > 1 else ""
    return Problem(422, f"{where}{first.reason}{more}", errors=places)
