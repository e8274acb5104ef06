"""A watch says which changes of a model are facts: who looks at a record, whatever made them look, tells the same."""

import datetime as dt
import enum
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from purser.cadence import Cadence
from purser.declarations import Parameter, is_read, tunables_of
from purser.errors import ConfigurationError
from purser.naming import is_wire_name
from purser.queries import Row

Tell = Callable[..., Iterator[Any]]


class WatchTrigger(enum.StrEnum):
    """What makes a record worth another look."""

    WRITING = "writing"
    """It was written to: the change feed asks for those of a window."""
    TIME = "time"
    """A day has come, such as that of a payment: the row's own domain says which, by `scope.as_of`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watcher:
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
    by: WatchTrigger
    stamped: bool
    """Odoo itself stamps the marks of its facts, at the moment that makes them true. So one that is older than the
    watching is history, however late its record is written to once more."""
    tunables: Mapping[str, Parameter]
    tell: Tell = field(repr=False)
    source: str

    @property
    def model(self) -> str:
        """The model it looks at."""
        return self.row.model

    def __call__(self, row: Any, as_of: dt.datetime, **tunables: Any) -> Iterator[Any]:
        """Return the facts that a record, as it stands, amounts to. Each carries its mark."""
        return self.tell(row, as_of, **tunables)

    def happened(self, fact: Any) -> tuple[dt.datetime, dt.datetime] | None:
        """Return between which moments a fact became true; None where no stamp tells."""
        mark = getattr(fact, fact.mark) if self.stamped and fact.mark else None
        match mark:
            case dt.datetime():
                return mark, mark
            case dt.date():
                midnight = dt.datetime.combine(mark, dt.time(), dt.UTC)
                return midnight - _EAST, midnight + _WEST
            case _:
                return None


_EAST, _WEST = dt.timedelta(hours=14), dt.timedelta(hours=36)
"""From midnight in UTC back to the beginning of that day anywhere on Earth, and on to its end."""


def watch(
    name: str,
    *,
    row: type[Row],
    tells: Sequence[type[Any]],
    every: Cadence,
    by: WatchTrigger = WatchTrigger.WRITING,
    stamped: bool = True,
) -> Callable[[Tell], Watcher]:
    """Declare a watch: a function from a row and the moment it was read to the facts it amounts to.

    Its keyword-only parameters are its tunables; the row's domain sees them, too, as `scope.tunables`.
    """

    def declare(function: Tell) -> Watcher:
        where = f"watch {name!r}"
        if not is_wire_name(name):
            raise ConfigurationError(f"{where}: a name is lower-case words with hyphens, such as 'opportunities'")
        rule = (inspect.getdoc(function) or "").splitlines()
        if not rule:
            raise ConfigurationError(f"{where}: say in one sentence what it tells, as the docstring of the function")
        if not tells:
            raise ConfigurationError(f"{where}: name the facts it may tell")
        if not (is_read(row) and issubclass(row, Row)):
            raise ConfigurationError(f'{where}: row is {row!r}, which is no Row with a model="..."')
        return Watcher(
            name=name,
            rule=rule[0].strip(),
            row=row,
            tells=tuple(tells),
            every=every,
            by=by,
            stamped=stamped,
            tunables=tunables_of(where, function, positional=2),
            tell=function,
            source=function.__module__,
        )

    return declare
