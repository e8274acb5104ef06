"""A fact is a frozen model of something that happened, in the past tense, with an explicit name on the wire."""

import datetime as dt
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from events.business_objects import OBJECTS, ODOO, BusinessObject, object_of
from purser.errors import ConfigurationError
from purser.findings import Ref


class EventSubject(NamedTuple):
    """What a fact is about: a model of Odoo, and the field of the fact that holds the record's id."""

    model: str
    field: str


class Event(BaseModel):
    """The base of every fact. A new version is a new class; messages of the old one still run.

    class OpportunityWon(Fact, type="opportunity.won.v1", about=("crm.lead", "opportunity_id"), mark="closed_at"):
        opportunity_id: Id
        closed_at: Instant | None = None

    `mark` names the field that holds what Odoo has stored to make the fact true (when it was closed, the number of
    the invoice). Whoever tells the fact with its mark tells it under one identity, through whichever door. `of` names
    the object the fact belongs to, where that is not the one its record is part of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[str]
    about: ClassVar[EventSubject]
    mark: ClassVar[str]
    of: ClassVar[BusinessObject]

    def __init_subclass__(
        cls,
        *,
        type: str | None = None,  # noqa: A002
        about: tuple[str, str] | None = None,
        mark: str = "",
        of: str = "",
        **kwargs: Any,
    ) -> None:
        if type is not None:
            cls.type, cls.mark = type, mark
        if about is not None:
            cls.about = EventSubject(*about)
            cls.of = OBJECTS[of] if of else object_of(cls.about.model)
        super().__init_subclass__(**kwargs)

    @classmethod
    def is_master(cls) -> bool:
        """Return whether this tells of master data, which flows apart from transactions."""
        return cls.about.model == cls.of.master

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


def odoo_source(db: str) -> str:
    """Return the source of what is read from an Odoo database: the same through whichever door somebody looked."""
    return f"{ODOO}/{db}"


@cache
def known_events() -> Mapping[str, type[Event]]:
    """Return every fact by its name on the wire: each class in a module of this package."""
    import events

    for module in pkgutil.iter_modules(events.__path__, "events."):
        importlib.import_module(module.name)
    found: dict[str, type[Event]] = {}
    for kind in _subclasses(Event):
        if not kind.__module__.startswith("events."):
            continue
        if kind.type in found:
            raise ConfigurationError(
                f"fact `{kind.type}` is declared twice: {found[kind.type].__module__}, {kind.__module__}"
            )
        found[kind.type] = kind
    return MappingProxyType(dict(sorted(found.items())))


def _subclasses(kind: type[Event]) -> list[type[Event]]:
    direct = kind.__subclasses__()
    return direct + [deeper for one in direct for deeper in _subclasses(one)]
