"""Rows in memory, found by id or by an index, and put back as they were when a request fails."""

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]


class Tables:
    """Tables of rows. A row is never changed in place: a new one takes its seat, and the old one is remembered."""

    def __init__(self, indexes: Mapping[str, set[tuple[str, ...]]]) -> None:
        self._tables: dict[str, dict[int, Row]] = {}
        self._last: dict[str, int] = {}
        self._indexes = indexes
        self._found: dict[tuple[str, tuple[str, ...]], dict[tuple[Any, ...], dict[int, None]]] = {
            (model, names): {} for model, keys in indexes.items() for names in keys
        }
        self._log: list[tuple[str, int, Row | None]] = []

    def table(self, model: str) -> dict[int, Row]:
        """Return all rows of a model; to be read only."""
        return self._tables.setdefault(model, {})

    def get(self, model: str, id: int) -> Row | None:  # noqa: A002
        """Return one row."""
        return self.table(model).get(id)

    def new_id(self, model: str) -> int:
        """Draw the next id; like a sequence, it is not given back."""
        self._last[model] = self._last.get(model, 0) + 1
        return self._last[model]

    def put(self, model: str, row: Row) -> None:
        """Write a row under its id."""
        self._log.append((model, row["id"], self.get(model, row["id"])))
        self._set(model, row["id"], row)

    def remove(self, model: str, id: int) -> None:  # noqa: A002
        """Take a row away."""
        self._log.append((model, id, self.get(model, id)))
        self._set(model, id, None)

    def indexed(self, model: str, *names: str) -> bool:
        """Return whether `find` is fast for these fields."""
        return (model, names) in self._found

    def find(self, model: str, names: tuple[str, ...], values: tuple[Any, ...]) -> list[int]:
        """Return the ids of the rows with these values."""
        if not self.indexed(model, *names):
            return [id_ for id_, row in self.table(model).items() if tuple(row.get(name) for name in names) == values]
        return list(self._found[model, names].get(values, ()))

    def mark(self) -> int:
        """Remember this moment for `undo`."""
        return len(self._log)

    def undo(self, mark: int) -> None:
        """Put everything back as it was at `mark`."""
        while len(self._log) > mark:
            self._set(*self._log.pop())

    def commit(self) -> None:
        """Forget the way back."""
        self._log.clear()

    def _set(self, model: str, id: int, row: Row | None) -> None:  # noqa: A002
        table = self.table(model)
        old = table.pop(id, None) if row is None else table.get(id)
        for names in self._indexes.get(model, ()):
            found = self._found[model, names]
            before, after = (None if one is None else tuple(one.get(name) for name in names) for one in (old, row))
            if before != after:
                if before is not None:
                    found[before].pop(id, None)
                if after is not None:
                    found.setdefault(after, {})[id] = None
        if row is not None:
            table[id] = row
