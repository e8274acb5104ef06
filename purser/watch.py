"""A watch says which changes of a model are facts: who looks at a record, whatever made them look, tells the same."""

import datetime as dt
import enum
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from purser.cadence import Cadence
from purser.errors import Mistake
from purser.reads import Row
from purser.words import is_wire_name

Tell = Callable[[Any, dt.datetime], Iterator[Any]]


class By(enum.StrEnum):
    """What makes a record worth another look."""

    WRITING = "writing"
    """It was written to: the change feed asks for those of a window."""
    TIME = "time"
    """A day has come, such as that of a payment: the row's own domain says which, by `scope.as_of`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """A model whose records are looked at when they changed, and the facts they can amount to."""

    name: str
    rule: str
    """The first line of the function's docstring."""
    row: type[Row]
    """What is read of a record. Its domain begins with `*scope.look`."""
    tells: tuple[type[Any], ...]
    """The facts it may tell, classes of `events`."""
    every: Cadence
    """How often the change feed asks."""
    by: By
    tell: Tell = field(repr=False)
    source: str

    @property
    def model(self) -> str:
        """The model it looks at."""
        return self.row.model

    def __call__(self, row: Any, as_of: dt.datetime) -> Iterator[Any]:
        """Give the facts that a record, as it stands, amounts to. Each carries its mark."""
        return self.tell(row, as_of)


def watch(
    name: str, *, row: type[Row], tells: Sequence[type[Any]], every: Cadence, by: By = By.WRITING
) -> Callable[[Tell], Watch]:
    """Declare a watch: a function from a row and the moment it was read to the facts it amounts to."""

    def declare(function: Tell) -> Watch:
        where = f"watch {name!r}"
        if not is_wire_name(name):
            raise Mistake(f"{where}: a name is lower-case words with hyphens, such as 'opportunities'")
        rule = (inspect.getdoc(function) or "").splitlines()
        if not rule:
            raise Mistake(f"{where}: say in one sentence what it tells, as the docstring of the function")
        if not tells:
            raise Mistake(f"{where}: name the facts it may tell")
        return Watch(
            name=name,
            rule=rule[0].strip(),
            row=row,
            tells=tuple(tells),
            every=every,
            by=by,
            tell=function,
            source=function.__module__,
        )

    return declare
