"""The measurements of delivery run from end to end, and their figures mean what they say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.delivery.results import BenchmarkReport, Figure, MeasurementGroup, compared

ROOT = Path(__file__).resolve().parents[2]


def figure(*values: float, **more: Any) -> Figure:
    return Figure(name="ours", values=values, unit="messages/s", **more)


def test_a_ratio_is_taken_round_by_round() -> None:
    stock = figure(100, 10, 100)
    ours = figure(200, 20, 300, against=stock)
    assert (ours.median, ours.ratio) == (200, 2)


@pytest.mark.parametrize(
    ("budget", "met"), [({"least": 1.5}, True), ({"least": 2.5}, False), ({"most": 1.15}, False), ({}, None)]
)
def test_a_ratio_outside_of_its_budget_is_called_missed(budget: dict[str, float], met: bool | None) -> None:
    ours = figure(2, against=figure(1), **budget)
    assert ours.is_met is met
    assert ("MISSED" in compared(ours)) is (met is False)


def test_nothing_is_compared_with_zero() -> None:
    ours = figure(2, against=figure(0))
    assert (ours.ratio, compared(ours)) == (None, "")


def test_the_page_tells_every_figure_and_the_machine() -> None:
    stock = figure(1000)
    group = MeasurementGroup(name="a", title="A title", text="A text.", figures=[stock, figure(2000, against=stock)])
    page = BenchmarkReport(machine={"Python": "3.11"}, groups=[group]).as_page()
    assert "## A title\n\nA text.\n" in page
    assert "| ours | 2,000 messages/s | 2.00x ours |" in page
    assert "| Python | 3.11 |" in page


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bench_runs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    wanted = ("transport", "publishing", "delayed", "gate")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "delivery", "--quick", "--json", "--write", str(page), "--only", *wanted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["groups"]) == set(wanted)
    measured = [one for figures in report["groups"].values() for one in figures if "growth" not in one["name"]]
    assert [one["name"] for one in measured if one["median"] <= 0] == []
    assert {"processor", "Python", "Redis", "date"} <= set(report["machine"])
    assert page.read_text().startswith("<!-- Made by")
