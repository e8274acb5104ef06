"""Intended effects on Odoo as values: each carries a business key or a guard, so doing it again adds nothing."""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, TypeAdapter, WrapSerializer

from purser.findings import Ref
from purser.formats.typed_values import TYPES, restore, type_list


@dataclass(frozen=True, slots=True)
class Key:
    """A record that an `Ensure` brings about, named by its business key rather than an id."""

    model: str
    key: str
    kind: Literal["key"] = "key"

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, slots=True)
class XmlId:
    """A record that Odoo or a module ships, such as `mail.mail_activity_data_todo`."""

    name: str
    kind: Literal["xmlid"] = "xmlid"


@dataclass(frozen=True, slots=True)
class RecordLink:
    """An existing record by id, as the value of a many2one field."""

    ref: Ref
    kind: Literal["link"] = "link"


Scalar = str | bool | int | Decimal | dt.datetime | dt.date | None
Value = Scalar | Key | XmlId | RecordLink
Values = Mapping[str, Value]

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:/@+-]{0,299}")


def check_key(key: str) -> str:
    """Return `key`, or raise ValueError: it becomes an external id: no spaces, at most 300 characters."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be a business key: letters, digits and _ . , : / @ + - only, up to 300")
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensure:
    """A record with this business key exists. An existing one is left as people have edited it."""

    model: str
    key: str
    values: Values
    kind: Literal["ensure"] = "ensure"

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """A record that is as expected becomes as wanted. Already so is done; neither is a Conflict."""

    ref: Ref
    expect: Values
    values: Values
    after: tuple[str, ...] = ()
    """The names (`change_key`) of earlier changes that this one needs: where one of them is not carried out, neither
    is this, which is a Conflict then."""
    kind: Literal["update"] = "update"


@dataclass(frozen=True, kw_only=True, slots=True)
class CallMethod:
    """A business method runs while its guard holds; the guard is false once it has run."""

    ref: Ref
    method: str
    guard: Values
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["call"] = "call"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOperation:
    """A business operation is carried out once: it and its receipt, under this business key, are one transaction.

    Operations are those of the receipt action (`purser odoo setup`), by name, such as `order.draft-invoice`. Where
    one makes a record, the key names that record afterwards, as after an `Ensure`; else it names the record it is
    done on. Without the action in this Odoo it is not applicable.
    """

    operation: str
    on: Ref
    key: str
    arguments: Values = field(default_factory=dict)
    kind: Literal["perform"] = "perform"

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class PostNote:
    """An internal note with this business key stands on a record. `body` is plain text."""

    on: Ref
    key: str
    body: str
    after: str | None = None
    """The name (`change_key`) of an earlier change that the note tells of: where that one is not carried out, the
    note is not written."""
    kind: Literal["note"] = "note"

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseActivity:
    """An open activity is done, with this feedback. One that is done or gone already is left alone."""

    activity: int
    feedback: str
    key: str
    """The business key of the activity, for the audit trail."""
    kind: Literal["close"] = "close"


def _with_types(change: Any, write: SerializerFunctionWrapHandler) -> Any:
    """Return a change as JSON, with the list of the values that JSON has no type for."""
    written = write(change)
    types = type_list({one.name: getattr(change, one.name) for one in dataclasses.fields(change)})
    return {**written, TYPES: types} if types else written


def _read_types(raw: Any) -> Any:
    """Return a change from JSON with its dates, moments and decimals read back."""
    if not isinstance(raw, Mapping) or TYPES not in raw:
        return raw
    return restore({name: value for name, value in raw.items() if name != TYPES}, raw[TYPES])


Change = Annotated[
    Annotated[Ensure | Update | CallMethod | RunOperation | PostNote | CloseActivity, Field(discriminator="kind")],
    WrapSerializer(_with_types, when_used="json"),
    BeforeValidator(_read_types),
]


def needed_by(change: Change) -> tuple[str, ...]:
    """Return the names of the earlier changes without which a change is not carried out."""
    match change:
        case Update():
            return change.after
        case PostNote():
            return (change.after,) if change.after else ()
        case _:
            return ()


def change_key(change: Change) -> str:
    """Return the name of a change in business words, for lists and logs, and for what depends on it."""
    if isinstance(change, (Ensure, PostNote, CloseActivity, RunOperation)):
        return change.key
    return f"{change.kind}/{change.ref}"


KINDS = (Ensure, Update, CallMethod, RunOperation, PostNote, CloseActivity)
"""The classes of changes, to tell them from anything else."""

_CHANGES: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[Change, ...])


def dump_changes(changes: Sequence["Change"]) -> list[dict[str, Any]]:
    """Return the JSON-ready form of `changes`, as it travels on a queue."""
    dumped: list[dict[str, Any]] = _CHANGES.dump_python(tuple(changes), mode="json")
    return dumped


def load_changes(data: object) -> tuple["Change", ...]:
    """Read what `dump_changes` wrote; pydantic.ValidationError says where it is wrong."""
    return _CHANGES.validate_python(data)


def activity(*, key: str, on: Ref | Key, summary: str, note: str, user_id: int | None, deadline: dt.date) -> Ensure:
    """Build the Ensure of a to-do on a record for a person. `note` is HTML: escape what comes from data."""
    return Ensure(
        model="mail.activity",
        key=key,
        values={
            "res_model": on.model,
            "res_id": on if isinstance(on, Key) else on.id,
            "activity_type_id": XmlId("mail.mail_activity_data_todo"),
            "summary": summary,
            "note": note,
            "user_id": None if user_id is None else RecordLink(Ref("res.users", user_id)),
            "date_deadline": deadline,
        },
    )
