"""People get a table, programs get JSON; results go to stdout and everything else to stderr.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 nothing matched what was asked for, 4 a check found something.
A list that was asked for without a filter and is empty is an answer: 0.
"""

import contextlib
import dataclasses
import datetime as dt
import enum
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from decimal import Decimal
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from purser.formats.strict_json import write_json

DONE, FAILED, WRONG_USE, NOTHING, FOUND = range(5)
"""The exit codes."""

_UNBOUNDED = 100_000
"""So wide is the page of a pipe: a line is cut by nobody but its reader."""

AsJson = Annotated[bool, typer.Option("--json", help="The same facts for programs.")]


def as_json(value: Any) -> None:
    """Print a value as JSON. Decimals are strings, moments carry their zone, NaN and the infinities are null."""
    sys.stdout.write(write_json(plain(value), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Return the JSON form of frozen values."""
    match value:
        case None | bool() | int() | float():
            return value
        case enum.Enum():
            return plain(value.value)
        case str():
            return value
        case Decimal():
            return f"{value:f}"
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case Set():
            return sorted(plain(one) for one in value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Set[str] = frozenset()) -> None:
    """Print rows under their headings. What comes from data is printed as it is: no markup, no control codes."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(format_value(cell)) for cell in row))
    _print(grid)


def count(number: int, word: str) -> str:
    """Return how many there are, as people say it."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name), Text(format_value(value)))
    _print(grid)


def text(words: str) -> None:
    """Print a text as a result."""
    sys.stdout.write(clean(words) + "\n")


def print_error(words: str) -> None:
    """Tell the person at the terminal something that is no result."""
    sys.stderr.write(clean(words) + "\n")


def confirm(question: str, *, unless: bool) -> None:
    """Ask the person at a terminal; where there is none, or it was answered before, go on."""
    if not unless and sys.stdin.isatty() and not typer.confirm(question, err=True):
        exit_with(FAILED)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far long work is; `reached` is told how much is done. Elsewhere nothing is shown."""
    if not sys.stderr.isatty() or total < _WORTH_A_BAR:
        yield lambda _: None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


_WORTH_A_BAR = 20


def exit_with(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise typer.Exit(code)


def nothing(words: str) -> NoReturn:
    """End the command because nothing matched."""
    print_error(words)
    exit_with(NOTHING)


def format_value(value: Any) -> str:
    """Return the form of a value that people read in a cell."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dt.datetime():
            return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}Z"
        case Decimal():
            return f"{value:,f}"
        case Mapping():
            return ", ".join(f"{key}={format_value(one)}" for key, one in value.items()) or "-"
        case list() | tuple() | set() | frozenset():
            return ", ".join(format_value(one) for one in value) or "-"
    return clean(str(value))


def clean(words: str) -> str:
    """Write control codes as escapes: what stands in a record must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in words)


def money(amount: Any) -> str:
    """Return an amount with its currency."""
    return "-" if amount is None else str(amount)


def _print(grid: Table) -> None:
    """Fit a table to the terminal; a pipe gets each row on one line, whatever its length."""
    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(grid)
        return
    page = Console(file=io.StringIO(), width=_UNBOUNDED, highlight=False)
    with page.capture() as written:
        page.print(grid)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in written.get().splitlines())
