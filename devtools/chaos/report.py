"""What the drill sees is told as it happens and once more as a table; programs and the documentation get the same."""

import datetime as dt
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from console.output import clean, count
from devtools.chaos.fault import Fault
from devtools.chaos.verification import FaultResult, SkippedFault
from purser.errors import ConfigurationError

COLUMNS = ("fault", "messages", "lost", "doubled", "dead (expected)", "recovery s", "what was done")


class ChaosReporter:
    """Tells people what happens. On a terminal the running fault moves; elsewhere every fault is a plain line."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False)
        if not self._console.is_terminal:
            self._console = Console(stderr=to_stderr, highlight=False, width=200)
        self._running: Status | None = None
        self._fault = ""

    def line(self, words: str, style: str = "") -> None:
        """Print one line."""
        self._console.print(Text(clean(words), style=style), soft_wrap=True)

    def begins(self, fault: Fault) -> None:
        """Say what is tried now."""
        self.close()
        self._fault = f"{fault.name}: {fault.what}"
        if self._console.is_terminal:
            self._running = Status(Text(self._fault), console=self._console, spinner="line")
            self._running.start()
        else:
            self.line(f"... {self._fault}")

    def progress(self, words: str) -> None:
        """Say how far it has come; plain lines leave that out."""
        if self._running is not None:
            self._running.update(Text(f"{self._fault} ({words})"))

    def ended(self, result: FaultResult) -> None:
        """Say what came of it."""
        self.close()
        mark, style = ("ok", "green") if result.is_good else ("FAILED", "bold red")
        verdict = result.verdict
        facts = (
            f"{count(verdict.messages, 'message')}, {len(verdict.lost)} lost, {len(verdict.doubled)} doubled, "
            f"{verdict.dead} dead ({verdict.expected_dead}), {result.recovery_seconds:.1f} s to recover"
        )
        did = f"; {result.did}" if result.did else ""
        self._console.print(Text.assemble((mark, style), f" {result.name}: {facts}{clean(did)}"), soft_wrap=True)
        if result.problem:
            self.line(f"    {result.problem}", "red")

    def close(self) -> None:
        """Let the moving line go."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def summary(self, results: Sequence[FaultResult], skipped: Sequence[SkippedFault], seconds: float) -> None:
        """Print every fault as a row."""
        grid = Table(box=box.ASCII2 if self._console.options.ascii_only else box.SIMPLE_HEAD, show_edge=False)
        for column in COLUMNS:
            is_text = column in (COLUMNS[0], COLUMNS[-1])
            grid.add_column(column, justify="left" if is_text else "right", overflow="fold")
        for result in results:
            grid.add_row(*(Text(clean(cell)) for cell in row(result)), style="" if result.is_good else "red")
        self.line("")
        self._console.print(grid)
        for one in skipped:
            self.line(f"skipped {one.name}: {one.reason}", "dim")
        good = sum(result.is_good for result in results)
        messages = sum(result.verdict.messages for result in results)
        self.line(f"{good} of {count(len(results), 'fault')} stood, {count(messages, 'message')}, {seconds:.0f} s")


def row(result: FaultResult) -> tuple[str, ...]:
    """Return a result as cells."""
    verdict = result.verdict
    return (
        result.name,
        str(verdict.messages),
        str(len(verdict.lost)),
        str(len(verdict.doubled)),
        f"{verdict.dead} ({verdict.expected_dead})",
        f"{result.recovery_seconds:.1f}",
        result.problem or result.did,
    )


def facts(results: Sequence[FaultResult], skipped: Sequence[SkippedFault]) -> dict[str, Any]:
    """Return everything for programs."""
    return {
        "faults": [
            {
                "name": result.name,
                "messages": result.verdict.messages,
                "lost": len(result.verdict.lost),
                "doubled": len(result.verdict.doubled),
                "dead": result.verdict.dead,
                "recovery_seconds": result.recovery_seconds,
                "expected_dead": result.verdict.expected_dead,
                "effects": result.verdict.effects,
                "unfinished": result.unfinished,
                "did": result.did,
                "problem": result.problem,
            }
            for result in results
        ],
        "skipped": [{"name": one.name, "reason": one.reason} for one in skipped],
    }


def page_block(command: str, results: Sequence[FaultResult], skipped: Sequence[SkippedFault], seconds: float) -> str:
    """Return what the page of the documentation says of a drill of the fleet."""
    messages = sum(result.verdict.messages for result in results)
    effects = sum(result.verdict.effects for result in results)
    lines = [
        _about(command),
        "",
        *_grid(COLUMNS, [row(result) for result in results]),
        "",
        f"{count(len(results), 'fault')}, {messages:,} messages with {effects:,} effects in Odoo, {seconds:.0f} s.",
        *(f"Left out: *{one.name}*, {one.reason}." for one in skipped),
    ]
    return "\n".join(lines)


def stock_block(command: str, runs: Mapping[str, Sequence[FaultResult]]) -> str:
    """Return what the page says of the same faults against a stock Celery."""
    names = list(dict.fromkeys(result.name for results in runs.values() for result in results))
    by_name = {who: {result.name: result for result in results} for who, results in runs.items()}
    heads = ["fault", "messages"]
    for who in runs:
        heads += [f"{who}: lost", f"{who}: doubled"]
    rows = []
    for name in names:
        first = next(found[name] for found in by_name.values() if name in found)
        cells = [name, str(first.verdict.messages)]
        for found in by_name.values():
            cells += _stock_cells(found.get(name))
        rows.append(cells)
    return "\n".join([_about(command), "", *_grid(heads, rows)])


def _stock_cells(result: FaultResult | None) -> tuple[str, str]:
    if result is None:
        return "-", "-"
    if result.unfinished:
        return f"{result.unfinished} not done", str(len(result.verdict.doubled))
    note = " (!)" if result.problem else ""
    return f"{len(result.verdict.lost)}{note}", str(len(result.verdict.doubled))


def check_page(page: Path, name: str) -> None:
    """Check that a page has a place for the table of a drill. Raises ConfigurationError where it has none."""
    _around_block(page, name)


def write_block(page: Path, name: str, block: str) -> None:
    """Put a block between its marks in a page. Raises ConfigurationError where the page has no such marks."""
    before, after = _around_block(page, name)
    page.write_text(f"{before}\n\n{block}\n\n{after}", encoding="utf-8")


def _around_block(page: Path, name: str) -> tuple[str, str]:
    begin, end = f"<!-- drill {name} -->", f"<!-- end of drill {name} -->"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ConfigurationError(f"{page} has no place for this: write a line {begin!r} and a line {end!r} into it")
    return f"{before}{begin}", f"{end}{after}"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def _about(command: str) -> str:
    day = dt.datetime.now(dt.UTC).date()
    return f"`{command}`, {day}, on {machine()}, Celery {version('celery')}, kombu {version('kombu')}."


def machine() -> str:
    """Name the machine, as far as it matters for the seconds."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
