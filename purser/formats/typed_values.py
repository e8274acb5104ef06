"""Dates, moments and decimals keep their type in JSON: as text in their place, with a list of types beside them.

A reader that does not know the list sees the text alone, as releases before it wrote it.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

TYPES = "types"
"""The name of the list: `[[*path, type name], ...]`."""

Path = tuple[str | int, ...]


def type_list(value: Any) -> list[list[str | int]]:
    """Return the path and type name of each value below `value` that JSON has no type for."""
    return [[*path, name] for path, name in _typed((), value)]


def _typed(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    match value:
        case dt.datetime():
            yield path, "datetime"
        case dt.date():
            yield path, "date"
        case Decimal():
            yield path, "decimal"
        case Mapping():
            for name, one in value.items():
                yield from _typed((*path, str(name)), one)
        case str() | bytes():
            pass
        case Sequence():
            for number, one in enumerate(value):
                yield from _typed((*path, number), one)


def restore(data: Any, types: Any) -> Any:
    """Return JSON data with the values that `types` lists read back. ValueError names a value that does not fit.

    A path that leads nowhere is left out: a person may have removed that value since.
    """
    if not isinstance(types, (list, tuple)):
        raise ValueError(f"`{TYPES}` must be a list")
    for entry in types:
        if not _is_entry(entry):
            raise ValueError(f"`{TYPES}` must list paths, each followed by one of {', '.join(_READERS)}")
        path = tuple(entry[:-1])
        data = _restored(data, path, path, entry[-1])
    return data


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, (list, tuple)) or len(entry) < 2:
        return False
    return all(type(part) in (str, int) for part in entry) and entry[-1] in _READERS


def _restored(data: Any, path: Path, whole: Path, name: str) -> Any:
    if not path:
        return _read(data, whole, name)
    first, rest = path[0], path[1:]
    if isinstance(data, Mapping) and first in data:
        return {**data, first: _restored(data[first], rest, whole, name)}
    if isinstance(data, (list, tuple)) and type(first) is int and 0 <= first < len(data):
        return [_restored(one, rest, whole, name) if n == first else one for n, one in enumerate(data)]
    return data


def _read(data: Any, path: Path, name: str) -> Any:
    if not isinstance(data, str):
        return data  # a person may have written null, a number or a truth instead
    try:
        return _READERS[name](data)
    except (ValueError, InvalidOperation):
        where = ".".join(map(str, path))
        raise ValueError(f"{where}: {data[:40]!r} is not a {name} (ISO 8601, or digits for a decimal)") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "decimal": Decimal,
}
