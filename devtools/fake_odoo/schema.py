"""Which models, fields, groups, rules and first records the twin has: facts of Odoo 19, kept in `schema.json`.

A field is one line: `type [comodel|selection] [!required ~not stored ^readonly] [@related.path] [#group]`.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TYPES = {"bool": "boolean", "int": "integer", "money": "monetary", "sel": "selection", "ref": "many2one_reference"}
_TYPES |= {"m2o": "many2one", "o2m": "one2many", "m2m": "many2many"}
_ALWAYS = {"id": "int ^", "display_name": "char ~^", "create_date": "datetime ^", "write_date": "datetime ^"}
_ALWAYS |= {"create_uid": "m2o res.users ^", "write_uid": "m2o res.users ^"}
NUMBERS = frozenset({"integer", "float", "monetary"})
MANY = frozenset({"one2many", "many2many"})
DATES = frozenset({"date", "datetime"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one model; `path` is where a related field's value lives."""

    name: str
    type: str
    relation: str = ""
    inverse: str = ""
    selection: frozenset[str] = frozenset()
    """Empty where any value goes."""
    store: bool = True
    readonly: bool = False
    path: tuple[str, ...] = ()
    group: str = ""

    @property
    def empty(self) -> Any:
        """What Odoo answers for no value."""
        if self.type in MANY:
            return []
        if self.type in NUMBERS:
            return 0 if self.type == "integer" else 0.0
        return 0 if self.type == "many2one_reference" else False


@dataclass(frozen=True, slots=True)
class Model:
    """One model."""

    name: str
    label: str
    order: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class AccessGroup:
    """One group of users: what it implies, and what it may do with which model (letters of `rwcu`)."""

    label: str
    implies: tuple[str, ...]
    access: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """All of it."""

    models: Mapping[str, Model]
    groups: Mapping[str, AccessGroup]
    defaults: Mapping[str, Mapping[str, Any]]
    """What a field starts with; `@today` and the like stand for what the moment and the caller decide."""
    copies: Mapping[str, Mapping[str, tuple[str, ...]]]
    """What a field takes over from a related record: the first path that leads to a value."""
    required: Mapping[str, tuple[str, ...]]
    """What a caller must give; whatever else Odoo requires it computes."""
    rules: Mapping[str, list[tuple[str, str, list[Any]]]]
    """Group (none: everybody), modes, and the domain of what may be reached; `@uid` and the like are the caller."""
    dies_with: list[str]
    """Links whose far end takes the record along when it is deleted."""
    delegates: Mapping[str, Mapping[str, str]]
    """Records that are made together with another and hold part of its values."""
    ground: list[tuple[str, str, dict[str, Any]]]
    """What every new database holds: model, external id, values."""

    def closure(self, groups: set[str]) -> set[str]:
        """Add what `groups` imply. A group that was made here implies nothing."""
        more = {one for name in groups & self.groups.keys() for one in self.groups[name].implies} - groups
        return self.closure(groups | more) if more else groups


@functools.cache
def load_schema() -> Schema:
    """Read the facts; once."""
    raw = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return Schema(
        **{
            **raw,
            "models": {name: _model(name, **spec) for name, spec in raw["models"].items()},
            "groups": {name: _group(**spec) for name, spec in raw["groups"].items()},
        }
    )


def _group(name: str, implies: list[str], access: Mapping[str, str]) -> AccessGroup:
    return AccessGroup(
        name, tuple(implies), {model: modes for modes, some in access.items() for model in some.split()}
    )


def _model(name: str, label: str, order: str, fields: Mapping[str, str]) -> Model:
    """Keep what the twin can order by: not by fields it leaves out, nor as another model is ordered."""
    known = {field: _field(field, spec) for field, spec in {**_ALWAYS, **fields}.items()}
    parts = [part for part in order.split(",") if (field := part.split()[0]) in known and not known[field].relation]
    return Model(name, label, ",".join(parts) or "id", known)


def _field(name: str, spec: str) -> Field:
    kind, *rest = spec.split(" ")
    type_ = _TYPES.get(kind, kind)
    relation = inverse = ""
    selection: frozenset[str] = frozenset()
    if type_ in MANY or type_ == "many2one":
        relation, _, inverse = rest.pop(0).partition(":")
    elif type_ == "selection" and (choices := rest.pop(0)) != "*":
        selection = frozenset(choices.replace("\u00a0", " ").split("|"))  # a space inside travels as a no-break space
    marks = {part[0]: part[1:] for part in rest if part[0] in "@#"}
    flags = "".join(part for part in rest if part[0] not in "@#")
    return Field(
        name=name,
        type=type_,
        relation=relation,
        inverse=inverse,
        selection=selection,
        store="~" not in flags,
        readonly="^" in flags,
        path=tuple(marks["@"].split(".")) if "@" in marks else (),
        group=marks.get("#", ""),
    )
