"""Names of Odoo's records as the values of a policy: which records a value names, to tell which are found nowhere."""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, slots=True)
class RecordNameType:
    """Marks a tunable, or a part of its type, as the name of a record of one of some models.

    Each place is a model, or a model and the field that holds the name: `res.users:login`.
    """

    places: tuple[str, ...]
    active: bool = False
    """Only users who are active and internal count: somebody is asked by this name."""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return each model with the field that holds the name."""
        return tuple((model, field or "name") for model, _, field in (one.partition(":") for one in self.places))

    def __str__(self) -> str:
        return " or ".join(model for model, _ in self.fields)


Login = Annotated[str, RecordNameType(("res.users:login",), active=True)]
"""The login of a colleague who may be asked."""


def names_in(annotation: Any, value: Any) -> Iterator[tuple[RecordNameType, str]]:
    """Yield the names that a tunable's value holds, each with what it names; its type says where they are."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        mark = next((one for one in parts[1:] if isinstance(one, RecordNameType)), None)
        if mark is None:
            yield from names_in(parts[0], value)
        elif isinstance(value, str) and value:
            yield mark, value
    elif origin in (typing.Union, types.UnionType):
        for part in parts:
            yield from names_in(part, value)
    elif isinstance(value, Mapping) and len(parts) == 2:
        for key, one in value.items():
            yield from names_in(parts[0], key)
            yield from names_in(parts[1], one)
    elif isinstance(value, (tuple, list)) and parts:
        for one in value:
            yield from names_in(parts[0], one)
