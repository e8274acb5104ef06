"""What a value may be is said in words, the same ones in tables, pages and help."""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime


def type_name(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say in words what a value may be."""
    bounds = [
        f"{sign} {getattr(one, name)}" for one in metadata for name, sign in _SIGNS.items() if hasattr(one, name)
    ]
    return " ".join((_name(annotation), ", ".join(bounds))).strip()


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}

_WORDS: Mapping[Any, str] = {
    int: "whole number",
    float: "number",
    Decimal: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    date: "day",
    datetime: "moment",
    AwareDatetime: "moment",
}


def _name(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(parts[0], _flat(parts[1:]))
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_name(part) for part in parts if part is not type(None)))
    if origin is tuple:
        return f"list of {_name(parts[0])}"
    if origin is Mapping:
        return f"{_name(parts[1])} by {_name(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    return _WORDS.get(annotation, "secret" if annotation.__name__ == "SecretStr" else "address")


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    """A pydantic `Field` keeps its bounds in a list of its own."""
    for one in metadata:
        yield from getattr(one, "metadata", [one])
