"""Which models, fields and groups the twin has: facts of Odoo 19, kept in `schema.json`.

A field is one line: `type [comodel|selection] [!required ~not stored ^readonly] [@related.path] [#group]`.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TYPES = {
    "bool": "boolean",
    "int": "integer",
    "money": "monetary",
    "sel": "selection",
    "m2o": "many2one",
    "o2m": "one2many",
    "m2m": "many2many",
    "ref": "many2one_reference",
}
NUMBERS = frozenset({"integer", "float", "monetary"})
TEXTS = frozenset({"char", "text", "html", "selection"})
MANY = frozenset({"one2many", "many2many"})
DATES = frozenset({"date", "datetime"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one model."""

    name: str
    type: str
    relation: str = ""
    inverse: str = ""
    selection: tuple[tuple[str, str], ...] | None = None
    """None where any value goes."""
    required: bool = False
    stored: bool = True
    readonly: bool = False
    path: tuple[str, ...] = ()
    """Where a related field's value lives."""
    group: str = ""

    @property
    def empty(self) -> Any:
        """What Odoo answers for no value."""
        if self.type in MANY:
            return []
        if self.type in NUMBERS:
            return 0 if self.type == "integer" else 0.0
        return 0 if self.type == "many2one_reference" else False

    @property
    def label(self) -> str:
        """A readable name; the twin does not know Odoo's own."""
        return self.name.removesuffix("_ids").removesuffix("_id").replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Model:
    """One model."""

    name: str
    label: str
    order: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Group:
    """One group of users: what it implies, and what it may do with which model (letters of `rwcu`)."""

    name: str
    label: str
    implies: tuple[str, ...]
    access: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """All of it."""

    models: Mapping[str, Model]
    groups: Mapping[str, Group]
    defaults: Mapping[str, Mapping[str, Any]]
    """What a field starts with; `@today` and the like stand for what the moment and the caller decide."""
    copies: Mapping[str, Mapping[str, tuple[str, ...]]]
    """What a field takes over from a related record: the first path that leads to a value."""
    required: Mapping[str, tuple[str, ...]]
    """What a caller must give; whatever else Odoo requires it computes."""

    def closure(self, groups: frozenset[str]) -> frozenset[str]:
        """Add what `groups` imply."""
        found: set[str] = set()
        left = list(groups)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left.extend(self.groups[name].implies if name in self.groups else ())
        return frozenset(found)


@functools.cache
def load_schema() -> Schema:
    """Read the facts; once."""
    raw = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    models = {
        name: Model(name, spec["label"], _order(spec), _fields(spec["fields"]))
        for name, spec in raw["models"].items()
    }
    groups = {
        name: Group(
            name,
            spec["name"],
            tuple(spec["implies"]),
            {model: letters for letters, models_ in spec["access"].items() for model in models_.split()},
        )
        for name, spec in raw["groups"].items()
    }
    return Schema(models, groups, raw["defaults"], raw["copies"], raw["required"])


def _order(spec: Mapping[str, Any]) -> str:
    """Keep what can be ordered by: Odoo may order by a field that the twin leaves out."""
    known = {"id", "create_date", *spec["fields"]}
    parts = [part.strip() for part in spec["order"].split(",")]
    return ", ".join(part for part in parts if part.split()[0] in known) or "id"


def _fields(specs: Mapping[str, str]) -> dict[str, Field]:
    always = {
        "id": "int ^",
        "display_name": "char ~^",
        "create_date": "datetime ^",
        "write_date": "datetime ^",
        "create_uid": "m2o res.users ^",
        "write_uid": "m2o res.users ^",
    }
    return {name: _field(name, spec) for name, spec in {**always, **specs}.items()}


def _field(name: str, spec: str) -> Field:
    kind, *rest = spec.split(" ")
    type_ = _TYPES.get(kind, kind)
    relation = inverse = flags = group = ""
    path: tuple[str, ...] = ()
    selection: tuple[tuple[str, str], ...] | None = None
    if type_ in MANY or type_ == "many2one":
        relation, _, inverse = rest.pop(0).partition(":")
    elif type_ == "selection" and (choices := rest.pop(0)) != "*":
        selection = tuple(_choice(choice) for choice in choices.split("|"))
    for part in rest:
        if part[0] == "@":
            path = tuple(part[1:].split("."))
        elif part[0] == "#":
            group = part[1:]
        else:
            flags = part
    return Field(
        name=name,
        type=type_,
        relation=relation,
        inverse=inverse,
        selection=selection,
        required="!" in flags,
        stored="~" not in flags,
        readonly="^" in flags,
        path=path,
        group=group,
    )


def _choice(text: str) -> tuple[str, str]:
    """Read `key=Label`; a space inside travels as a no-break space."""
    key, _, label = text.replace("\u00a0", " ").partition("=")
    return key, label
