"""An event is read by rule: what it must say, may say, and how much of it. Source: CloudEvents 1.0.2, JSON."""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict

from events.event import Event, known_events
from events.field_types import Instant
from purser.errors import Permanent
from purser.formats.strict_json import InvalidJson, read_json, shown_name
from purser.naming import did_you_mean

MAX_BYTES = 256 * 1024
"""A fact carries ids and a few words; what is larger is no fact."""

MAX_EXTENSIONS, MAX_NAME_LENGTH, MAX_VALUE_LENGTH = 20, 40, 1000
"""How many attributes of their own senders may add, and how long these are."""

_NAME = rf"^[a-z0-9]{{1,{MAX_NAME_LENGTH}}}$"
_NO_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
"""What a string of CloudEvents never holds: control characters, halves of characters, and what is no character."""
_BASE64 = "data_base64"
_JSON = r"^[Aa]pplication/([A-Za-z0-9.-]+\+)?[Jj][Ss][Oo][Nn]( *;[ -~]*)?$"
_TRACE = r"^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"


def _is_text(text: str) -> str:
    if _NO_TEXT.search(text):
        raise ValueError("it holds a control character, or what is no character at all")
    return text


def _is_json(text: str) -> str:
    if not re.fullmatch(_JSON, text):
        raise ValueError("data travels as JSON: leave it out, or write application/json")
    return text


def _is_trace(text: str) -> str:
    if not re.fullmatch(_TRACE, text):
        raise ValueError("it is no `traceparent` of W3C Trace Context, such as 00-<32 hex>-<16 hex>-01")
    return text


def _attribute(most: int, says: str) -> Any:
    return Field(min_length=1, max_length=most, description=says)


READABLE = AfterValidator(_is_text)
MediaType = Annotated[str, Field(max_length=100, json_schema_extra={"pattern": _JSON}), AfterValidator(_is_json)]
Trace = Annotated[str, Field(max_length=55, json_schema_extra={"pattern": _TRACE}), AfterValidator(_is_trace)]

_EXTENSIONS: JsonDict = {
    "propertyNames": {"pattern": _NAME},
    "additionalProperties": {
        "description": "An extension.",
        "anyOf": [
            {"type": "boolean"},
            {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
            {"type": "string", "maxLength": MAX_VALUE_LENGTH},
            {"type": "null"},
        ],
    },
}


class CloudEvent(BaseModel):
    """The envelope a fact travels in.

    Attributes it does not know are extensions. They are kept, and travel on, when they are such as CloudEvents has
    them: names of lower-case letters and digits; texts, whole numbers and truths as values.
    """

    model_config = ConfigDict(frozen=True, extra="allow", json_schema_extra=_EXTENSIONS)

    specversion: Literal["1.0"] = Field("1.0", description="The version of CloudEvents.")
    id: Annotated[str, _attribute(200, "Which event of its source this is. Told again, it is the same."), READABLE]
    source: Annotated[str, _attribute(300, "Who says so, such as /crm/website."), READABLE]
    type: Annotated[str, _attribute(200, "The fact, with its version."), READABLE]
    time: Instant | None = Field(None, description="When it happened.")
    subject: Annotated[str, _attribute(300, "The record it is about, such as crm.lead/42."), READABLE] | None = None
    datacontenttype: MediaType | None = Field("application/json", description="What data is: JSON.")
    dataschema: Annotated[str, _attribute(300, "Where the schema of data stands."), READABLE] | None = None
    traceparent: Trace | None = Field(None, description="The trace it is part of, as W3C Trace Context writes it.")
    data: dict[str, Any] = Field(description="What the fact says.")

    @model_validator(mode="after")
    def _extensions_by_rule(self) -> Self:
        more = self.model_extra or {}
        if len(more) > MAX_EXTENSIONS:
            raise ValueError(f"it has {len(more)} extension attributes; {MAX_EXTENSIONS} are allowed")
        for name, value in more.items():
            if not re.fullmatch(_NAME, name):
                raise ValueError(
                    f"`{shown_name(name)}` is no attribute: "
                    f"a name is 1 to {MAX_NAME_LENGTH} lower-case letters and digits"
                )
            if not _is_value(value):
                raise ValueError(
                    f"`{name}`: an extension is true, false, a whole number of 32 bits, or a text of at most "
                    f"{MAX_VALUE_LENGTH} characters without control characters"
                )
        return self

    @property
    def trace(self) -> str | None:
        """The trace that this event is part of, where its sender traces."""
        return self.traceparent.split("-")[1] if self.traceparent else None

    @classmethod
    def wrap(cls, fact: Event, *, source: str, time: dt.datetime, id: str | None = None) -> "CloudEvent":  # noqa: A002
        """Put a fact in an envelope. Without an `id` it travels under its own identity."""
        return cls(
            id=id or fact.identity,
            source=source,
            type=fact.type,
            time=time,
            subject=str(fact.record),
            data=fact.model_dump(mode="json", exclude_none=True),
        )


def _is_value(value: object) -> bool:
    match value:
        case None | bool():
            return True  # nothing is an attribute that is not there
        case int():
            return -(2**31) <= value < 2**31
        case str():
            return len(value) <= MAX_VALUE_LENGTH and not _NO_TEXT.search(value)
    return False


def read_event(
    raw: Mapping[str, Any] | str | bytes, *, facts: Mapping[str, type[Event]] | None = None
) -> tuple[CloudEvent, Event]:
    """Read an event and the fact it carries. Permanent says what is wrong, where, and what to do; nothing else rises.

    `facts` are those known by their names: left out, all of this release.
    """
    if isinstance(raw, (str, bytes)):
        raw = _from_text(raw)
    raw = _with_data(raw)
    try:
        envelope = CloudEvent.model_validate(raw)
    except (ValueError, RecursionError) as error:
        raise Permanent(f"not a CloudEvent 1.0: {_where(error)}") from None
    known = known_events() if facts is None else facts
    kind = known.get(envelope.type)
    if kind is None:
        raise Permanent(f"event type `{envelope.type}` is unknown.{did_you_mean(envelope.type, known)}")
    try:
        return envelope, kind.model_validate(envelope.data)
    except (ValueError, RecursionError) as error:
        raise Permanent(f"`{envelope.type}`: data does not fit: {_where(error)}") from None


def _from_text(text: str | bytes) -> Any:
    if len(text) > MAX_BYTES:
        raise Permanent(f"the event has {len(text)} bytes; {MAX_BYTES} are allowed: send ids, not documents")
    try:
        return read_json(text)
    except InvalidJson as error:
        raise Permanent(f"the event is not JSON: {error}") from None


def _with_data(raw: Any) -> Any:
    """Return an event with `data` in place of `data_base64`, which libraries write where they were given bytes."""
    if not isinstance(raw, Mapping) or raw.get(_BASE64) is None:
        return raw
    if raw.get("data") is not None:
        raise Permanent(f"not a CloudEvent 1.0: it has both data and {_BASE64}: send one of them")
    kind = raw.get("datacontenttype") or "application/json"
    if not isinstance(kind, str) or not re.fullmatch(_JSON, kind):
        raise Permanent(
            f"not a CloudEvent 1.0: {_BASE64}: only JSON is read, and datacontenttype says something else"
        )
    try:
        text = base64.b64decode(raw[_BASE64], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Permanent(f"not a CloudEvent 1.0: {_BASE64}: it is not base64") from None
    try:
        data = read_json(text)
    except InvalidJson as error:
        raise Permanent(f"not a CloudEvent 1.0: {_BASE64}: what it holds is not JSON: {error}") from None
    return {**{name: value for name, value in raw.items() if name != _BASE64}, "data": data}


def _where(error: Exception) -> str:
    """Name the places and reasons, never the values: they may be personal."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    told = error.errors(include_url=False, include_context=False, include_input=False)
    first = [f"{'.'.join(shown_name(str(part)) for part in e['loc']) or 'the event'}: {e['msg']}" for e in told[:5]]
    return "; ".join([*first, *([f"and {len(told) - 5} more"] if len(told) > 5 else [])])
