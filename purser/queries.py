"""What a declaration reads: typed projections of Odoo's models, with the domain as a pure function of the scope.

A declaration lists its reads in order. Each costs one call (pages aside), and its `domain` may use the rows
that earlier reads brought. The machine room reads; nothing here does.
"""

import datetime as dt
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from purser.findings import Period, Ref

Domain = list[Any]
"""A search domain in Odoo's prefix notation; `None` instead of a domain means: nothing to read, spend no call."""


class Many2One(NamedTuple):
    """A many2one value read with its display name."""

    id: int
    name: str


def _utc(value: object) -> object:
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
    return value


Moment = Annotated[dt.datetime, BeforeValidator(_utc)]
"""Odoo's naive UTC text as an aware datetime."""


class _Optional:
    """Marks a field that only some databases have: absent there, the field keeps its default."""


OPTIONAL_FIELD = _Optional()


@dataclass(frozen=True, slots=True)
class OpenCaseRef:
    """The subject and period of an open case: a scan looks at it again wherever its window ends."""

    subject: Ref
    period: Period | None


@dataclass(frozen=True, kw_only=True)
class QueryContext:
    """Everything a domain may depend on."""

    as_of: dt.datetime
    tunables: Mapping[str, Any] = field(default_factory=lambda: types.MappingProxyType({}))
    event: Any = None
    watched: Sequence[OpenCaseRef] = ()
    look: Sequence[Any] = ()
    """For the row of a watch: the conditions that name the records to look at, joined by *and*."""
    snapshot: "Snapshot"

    @property
    def today(self) -> dt.date:
        """Return the firm's date: `as_of` is in the zone of the policy."""
        return self.as_of.date()

    def watched_ids(self, model: str) -> list[int]:
        """Return the ids of the watched subjects of one model, for a domain."""
        return sorted({one.subject.id for one in self.watched if one.subject.model == model})


class _BaseQuery(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    model: ClassVar[str]
    optional: ClassVar[bool] = False
    active_test: ClassVar[bool] = True
    keyed: ClassVar[bool] = False
    translated: ClassVar[bool] = False

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Return which records to read. Pure."""
        raise NotImplementedError(f"{cls.__qualname__} must say which records it reads: define domain(scope)")

    @classmethod
    def specs(cls) -> tuple["FieldSpec", ...]:
        """List what to ask Odoo for, in the order of definition; business keys are no field."""
        return tuple(
            FieldSpec(
                name=name,
                asked=info.alias or name,
                if_known=any(isinstance(m, _Optional) for m in info.metadata),
                named=_holds(info.annotation, Many2One),
                grouped=bool(isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("grouped")),
            )
            for name, info in cls.model_fields.items()
            if not (cls.keyed and name == "keys") and not (cls.translated and name == "names")
        )

    @model_validator(mode="before")
    @classmethod
    def _from_odoo(cls, data: Any) -> Any:
        """Odoo writes false for 'no value'; only a bool means it."""
        if not isinstance(data, dict):
            return data
        booleans = _booleans(cls)
        return {k: v for k, v in data.items() if v is not False or k in booleans}


_BOOLEANS: dict[type, frozenset[str]] = {}


def _booleans(cls: type[_BaseQuery]) -> frozenset[str]:
    found = _BOOLEANS.get(cls)
    if found is None:
        found = frozenset(
            key
            for name, info in cls.model_fields.items()
            if _holds(info.annotation, bool)
            for key in (name, info.alias or name)
        )
        _BOOLEANS[cls] = found
    return found


def _holds(annotation: Any, wanted: type) -> bool:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, Annotated):
        return any(_holds(part, wanted) for part in typing.get_args(annotation))
    return annotation is wanted


class FieldSpec(NamedTuple):
    """One thing to ask Odoo for."""

    name: str
    asked: str
    """The field's name in Odoo, or the spec of a grouping or aggregate."""
    if_known: bool
    named: bool
    grouped: bool

    @property
    def field(self) -> str:
        """The stored field behind the spec: `date` of `date:month`, `so_line` of `so_line.order_id`."""
        return self.asked.split(":")[0].split(".")[0]


class Row(_BaseQuery):
    """A typed projection of one model. Fields that may be empty in Odoo are typed `| None = None`.

    class Employee(Row, model="hr.employee", active_test=False):
        name: str
        manager_id: int | None = Field(None, alias="parent_id")

    `optional=True`: a database without the model, or a bot without the right, yields no rows and
    `snapshot.knows(Employee)` is False; otherwise the declaration is *not applicable* there.
    `active_test=False` reads archived records as well. `keyed=True` reads the business keys of the records into the
    field `keys: tuple[str, ...] = ()`, for one call more. `translated=True` searches and reads in every language
    installed, and gives a record's names in all of them in the field `names: frozenset[str] = frozenset()`: a policy
    calls things as its firm does, and Odoo keeps a name for each language.
    """

    id: int

    def __init_subclass__(
        cls,
        *,
        model: str | None = None,
        optional: bool = False,
        active_test: bool = True,
        keyed: bool = False,
        translated: bool = False,
        **kwargs: Any,
    ) -> None:
        _label(cls, model, optional, active_test)
        cls.keyed = keyed or cls.keyed
        cls.translated = translated or cls.translated
        super().__init_subclass__(**kwargs)

    @property
    def ref(self) -> Ref:
        """This record."""
        return Ref(type(self).model, self.id)


class Aggregate(_BaseQuery):
    """Sums made by the server: one object per group.

    class Logged(Group, model="account.analytic.line"):
        employee_id: int = by("employee_id")
        hours: Decimal = total("unit_amount:sum")
    """

    def __init_subclass__(
        cls, *, model: str | None = None, optional: bool = False, active_test: bool = True, **kwargs: Any
    ) -> None:
        _label(cls, model, optional, active_test)
        super().__init_subclass__(**kwargs)


def _label(cls: Any, model: str | None, optional: bool, active_test: bool) -> None:
    if model is not None:
        cls.model, cls.optional, cls.active_test = model, optional, active_test


def _first(value: object) -> object:
    """A group's value is [value, label] for dates and records."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 2 else value


def group_by(spec: str, default: Any = ...) -> Any:
    """Declare a grouping, such as `employee_id` or `date:month`."""
    return Field(default, alias=spec, json_schema_extra={"grouped": True})


def aggregate(spec: str, default: Any = 0) -> Any:
    """Declare an aggregate, such as `unit_amount:sum` or `__count`; no rows give `default`."""
    return Field(default, alias=spec, validate_default=True)


GroupId = Annotated[int, BeforeValidator(_first)]
GroupDate = Annotated[dt.date, BeforeValidator(_first)]


R = TypeVar("R", bound=Row)
T = TypeVar("T", bound=_BaseQuery)
Read = type[Row] | type[Aggregate]


class Snapshot:
    """What was read, as of one instant. Immutable: `plus` gives a larger one."""

    __slots__ = ("_index", "_rows", "_unknown", "as_of", "watched")

    def __init__(
        self,
        as_of: dt.datetime,
        rows: Mapping[type[_BaseQuery], Sequence[Any]] | None = None,
        *,
        unknown: Iterable[type[_BaseQuery]] = (),
        watched: Sequence[OpenCaseRef] = (),
    ) -> None:
        if as_of.tzinfo is None:
            raise ValueError("as_of must carry a time zone")
        self.as_of = as_of
        self.watched = tuple(watched)
        self._rows = {kind: tuple(found) for kind, found in (rows or {}).items()}
        self._unknown = frozenset(unknown)
        self._index: dict[type[_BaseQuery], dict[int, Any]] = {}

    @property
    def today(self) -> dt.date:
        """Return the firm's date: the fleet reads as of a moment in the zone of the policy (`timezone`)."""
        return self.as_of.date()

    def day_of(self, moment: dt.datetime) -> dt.date:
        """Return the firm's date at a moment."""
        return moment.astimezone(self.as_of.tzinfo).date()

    def rows(self, kind: type[T]) -> tuple[T, ...]:
        """Return the rows of one read; KeyError when the declaration does not list it."""
        if kind in self._unknown:
            return ()
        try:
            return self._rows[kind]
        except KeyError:
            raise KeyError(f"{kind.__qualname__} was not read: name it in the declaration's reads") from None

    def get(self, kind: type[R], id: int | None) -> R | None:  # noqa: A002
        """Return one row by id, or None."""
        index = self._index.get(kind)
        if index is None:
            index = self._index[kind] = {row.id: row for row in self.rows(kind)}
        return None if id is None else index.get(id)

    def knows(self, kind: type[_BaseQuery]) -> bool:
        """Return whether an optional read was answered by this database."""
        return kind in self._rows and kind not in self._unknown

    def plus(self, kind: type[_BaseQuery], rows: Sequence[Any] | None) -> Self:
        """Add one read; `None` marks an optional one that this database cannot answer."""
        unknown = self._unknown | {kind} if rows is None else self._unknown
        return type(self)(
            self.as_of,
            {**self._rows, **({} if rows is None else {kind: rows})},
            unknown=unknown,
            watched=self.watched,
        )

    def kinds(self) -> tuple[type[_BaseQuery], ...]:
        """List what was read."""
        return tuple(self._rows)
