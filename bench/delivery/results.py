"""What was measured, as values: a figure has several rounds, and may be compared with another one."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured thing, round by round."""

    name: str
    values: tuple[float, ...]
    unit: str
    against: "Figure | None" = None
    """What it is compared with."""
    least: float | None = None
    """The ratio must not be below this."""
    most: float | None = None
    """The ratio must not be above this."""

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return statistics.median(self.values)

    @property
    def ratio(self) -> float | None:
        """Return how many times the other one this is: the median over the rounds. None where nothing is compared."""
        if self.against is None or not all(self.against.values):
            return None
        pairs = zip(self.values, self.against.values, strict=True)
        return statistics.median(own / other for own, other in pairs)

    @property
    def is_met(self) -> bool | None:
        """Return whether the ratio is within its budget; None where there is no budget."""
        if self.ratio is None or (self.least is None and self.most is None):
            return None
        return (self.least or 0.0) <= self.ratio <= (self.most or float("inf"))

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": _rounded(self.median),
            "values": [_rounded(value) for value in self.values],
            "against": self.against.name if self.against else None,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "least": self.least,
            "most": self.most,
            "met": self.is_met,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementGroup:
    """Figures that were measured together."""

    name: str
    title: str
    text: str
    figures: Sequence[Figure]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkReport:
    """One run on one machine."""

    machine: Mapping[str, str]
    groups: Sequence[MeasurementGroup] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        groups = {one.name: [figure.as_json() for figure in one.figures] for one in self.groups}
        return {"machine": dict(self.machine), "groups": groups}

    def as_text(self) -> str:
        """Give it for a terminal."""
        lines = [f"{name}: {value}" for name, value in self.machine.items()]
        for group in self.groups:
            lines += ["", group.title]
            lines += [f"  {one.name:<58} {shown(one):>26}  {compared(one)}".rstrip() for one in group.figures]
        return "\n".join(lines)

    def as_page(self) -> str:
        """Give it as a page of the reference."""
        return "\n".join([*_HEAD, *_machine(self.machine), *(line for one in self.groups for line in _section(one))])


_HEAD = (
    "<!-- Made by `python -m bench delivery --write docs/reference/benchmarks.md`. Run that, do not edit. -->",
    "",
    "# Benchmarks",
    "",
    "What delivery costs, against stock Celery or against the same thing without us, in one run on one machine.",
    "Look at the ratios: they travel to other machines, the rates do not. What is compared took turns, round by",
    "round; shown is the median and, in brackets, the lowest and the highest round, and the median of the rounds'",
    "ratios. CPU per message depends less than a rate on what else the machine does. `python -m bench delivery`",
    "repeats it: it starts a Redis of its own (AOF, flushed every second) and takes about six minutes; `--quick`",
    "takes half a minute.",
    "",
)


def _machine(machine: Mapping[str, str]) -> list[str]:
    return ["| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine.items()), ""]


def _section(group: MeasurementGroup) -> list[str]:
    rows = [f"| {one.name} | {shown(one)} | {compared(one)} |" for one in group.figures]
    return [f"## {group.title}", "", group.text, "", "| | median | ratio |", "|---|---|---|", *rows, ""]


def shown(figure: Figure) -> str:
    """Return the median, its unit and the range of the rounds."""
    told = f"{_plain(figure.median)} {figure.unit}"
    if len(figure.values) == 1:
        return told
    return f"{told} ({_plain(min(figure.values))} to {_plain(max(figure.values))})"


def compared(figure: Figure) -> str:
    """Return the ratio, with what it should be."""
    if figure.ratio is None or figure.against is None:
        return ""
    told = f"{figure.ratio:.2f}x {figure.against.name}"
    budgets = (("at least", figure.least), ("at most", figure.most))
    wanted = [f"{word} {bound:g}x" for word, bound in budgets if bound is not None]
    return told if not wanted else f"{told}; {' and '.join(wanted)}: {'met' if figure.is_met else 'MISSED'}"


def _plain(value: float) -> str:
    """Return three digits or more, and thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
