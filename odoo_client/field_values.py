"""A value of a change is written in three hands: as import text for `load`, as JSON for `write`, and compared."""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from odoo_client.transport.request import plain
from purser.changes import Key, RecordLink, Value, Values, XmlId

Resolve = Callable[[Key | XmlId], int | None]
"""Give the id of a record named by key or external id, None where there is none (yet)."""

MODULE = "purser"
"""The module part of our external ids. No module of Odoo has this name, so no update of one deletes them."""

_GRAIN = Decimal("0.000001")
"""Finer differences come from Odoo's floats, not from people."""


class UnresolvedReference(Exception):
    """A record named by key or external id is not there. Stays within this package."""


def external_id(key: str) -> str:
    """Return the external id of a business key."""
    return f"{MODULE}.{key}"


def column_of(field: str, value: Value) -> str:
    """Return the import column that suits a value: `field/.id` by database id, `field/id` by external id."""
    match value:
        case RecordLink():
            return f"{field}/.id"
        case Key() | XmlId():
            return f"{field}/id"
        case _:
            return field


def text_of(value: Value) -> str:
    """Return a value as Odoo's import reads it; moments are UTC, as is the context of every call."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case RecordLink():
            return str(value.ref.id)
        case Key():
            return external_id(value.key)
        case XmlId():
            return value.name
        case Decimal():
            return format(value, "f")
        case dt.date():
            return str(plain(value))
        case _:
            return str(value)


def columns_of(run: list[Values]) -> list[dict[str, str]]:
    """Return each row's cells by import column. An empty value takes the column its neighbours use for that field."""
    used: dict[str, set[str]] = {}
    for values in run:
        for field, value in values.items():
            if value is not None:
                used.setdefault(field, set()).add(column_of(field, value))
    return [
        {
            min(used.get(field, {field})) if value is None else column_of(field, value): text_of(value)
            for field, value in values.items()
        }
        for values in run
    ]


def json_of(values: Values, resolve: Resolve) -> dict[str, Any]:
    """Return values as `write` takes them; Unresolved when a named record is not there."""
    return {field: _bare(value, resolve) for field, value in values.items()}


def _bare(value: Value, resolve: Resolve) -> Any:
    match value:
        case None:
            return False
        case RecordLink():
            return value.ref.id
        case Key() | XmlId():
            found = resolve(value)
            if found is None:
                raise UnresolvedReference(value.key if isinstance(value, Key) else value.name)
            return found
        case _:
            return plain(value)


def all_same(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a row, read with bare ids, holds all these JSON values."""
    return all(_same(row.get(field), value) for field, value in wanted.items())


def _same(stored: Any, wanted: Any) -> bool:
    if wanted is False or wanted == "":
        return not stored
    if wanted is True:
        return stored is True
    if isinstance(wanted, (int, float)):
        return _is_number(stored) and abs(Decimal(str(stored)) - Decimal(str(wanted))) < _GRAIN
    return bool(stored == wanted)


def _is_number(stored: Any) -> bool:
    return isinstance(stored, (int, float)) and not isinstance(stored, bool)
