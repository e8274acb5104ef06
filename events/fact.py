"""A fact is a frozen model of something that happened, in the past tense, with an explicit name on the wire."""

import datetime as dt
import importlib
import json
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from purser.errors import Mistake, Permanent
from purser.model import Ref
from purser.words import did_you_mean

MAX_BYTES = 256 * 1024
"""A fact carries ids and a few words; what is larger is no fact."""


Id = Annotated[int, Field(gt=0)]
"""The id of a record in Odoo."""

Instant = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(dt.UTC))]
"""A moment with its zone, kept in UTC. One without a zone is refused: nobody knows which moment it is."""


class About(NamedTuple):
    """What a fact is about: a model of Odoo, and the field of the fact that holds the record's id."""

    model: str
    field: str


class Fact(BaseModel):
    """The base of every fact. A new version is a new class; messages of the old one still run.

    class OpportunityWon(Fact, type="opportunity.won.v1", about=("crm.lead", "opportunity_id"), mark="closed_at"):
        opportunity_id: Id
        closed_at: Instant | None = None

    `mark` names the field that holds what Odoo has stored to make the fact true (when it was closed, the number of
    the invoice). Whoever tells the fact with its mark tells it under one identity, through whichever door.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    type: ClassVar[str]
    about: ClassVar[About]
    mark: ClassVar[str]

    def __init_subclass__(
        cls,
        *,
        type: str | None = None,  # noqa: A002
        about: tuple[str, str] | None = None,
        mark: str = "",
        **kwargs: Any,
    ) -> None:
        if type is not None:
            cls.type, cls.mark = type, mark
        if about is not None:
            cls.about = About(*about)
        super().__init_subclass__(**kwargs)

    @property
    def record(self) -> Ref:
        """Name the record that the fact is about: what is said of it can then be found."""
        return Ref(self.about.model, getattr(self, self.about.field))

    @property
    def identity(self) -> str:
        """Name this fact: type, record and mark. Without its mark it is the fact of that record and type alone."""
        stored = getattr(self, self.mark) if self.mark else None
        match stored:
            case None:
                marked = ""
            case dt.datetime():
                marked = stored.astimezone(dt.UTC).strftime(
                    "/%Y-%m-%dT%H:%M:%SZ"
                )  # whole seconds, as Odoo tells them
            case _:
                marked = f"/{stored}"
        return f"{self.type}/{self.record}{marked}"


class CloudEvent(BaseModel):
    """The envelope a fact travels in. Source: CloudEvents 1.0.2, structured JSON mode."""

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: Annotated[str, Field(pattern=r"^1\.0$")] = "1.0"
    id: Annotated[str, Field(min_length=1, max_length=200)]
    source: Annotated[str, Field(min_length=1, max_length=300)]
    type: Annotated[str, Field(min_length=1, max_length=200)]
    time: Instant | None = None
    subject: str | None = None
    datacontenttype: str = "application/json"
    data: dict[str, Any]

    @classmethod
    def wrap(cls, fact: Fact, *, source: str, time: dt.datetime, id: str | None = None) -> "CloudEvent":  # noqa: A002
        """Put a fact in an envelope. Without an `id` it travels under its own identity."""
        return cls(
            id=id or fact.identity,
            source=source,
            type=fact.type,
            time=time,
            subject=str(fact.record),
            data=fact.model_dump(mode="json", exclude_none=True),
        )


def odoo_source(db: str) -> str:
    """Give the source of what is read from an Odoo database: the same through whichever door somebody looked."""
    return f"/odoo/{db}"


def known_facts() -> Mapping[str, type[Fact]]:
    """Give every fact by its name on the wire: each class in a module of this package."""
    import events

    for module in pkgutil.iter_modules(events.__path__, "events."):
        importlib.import_module(module.name)
    found: dict[str, type[Fact]] = {}
    for kind in _subclasses(Fact):
        if kind.type in found and found[kind.type] is not kind:
            raise Mistake(f"fact `{kind.type}` is declared twice: {found[kind.type].__module__}, {kind.__module__}")
        found[kind.type] = kind
    return MappingProxyType(dict(sorted(found.items())))


def _subclasses(kind: type[Fact]) -> list[type[Fact]]:
    direct = kind.__subclasses__()
    return direct + [deeper for one in direct for deeper in _subclasses(one)]


def read_event(raw: Mapping[str, Any] | str | bytes) -> tuple[CloudEvent, Fact]:
    """Read an event and the fact it carries. Permanent says what is wrong, where, and what to do."""
    if isinstance(raw, (str, bytes)):
        if len(raw) > MAX_BYTES:
            raise Permanent(f"the event has {len(raw)} bytes; {MAX_BYTES} are allowed: send ids, not documents")
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise Permanent(f"the event is not JSON: {type(error).__name__}") from None
    try:
        envelope = CloudEvent.model_validate(raw)
    except ValidationError as error:
        raise Permanent(f"not a CloudEvent 1.0: {_where(error)}") from None
    facts = known_facts()
    kind = facts.get(envelope.type)
    if kind is None:
        raise Permanent(f"event type `{envelope.type}` is unknown.{did_you_mean(envelope.type, facts)}")
    try:
        return envelope, kind.model_validate(envelope.data)
    except ValidationError as error:
        raise Permanent(f"`{envelope.type}`: data does not fit: {_where(error)}") from None


def _where(error: ValidationError) -> str:
    """Name the places and reasons, never the values: they may be personal."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the event'}: {e['msg']}" for e in error.errors())
