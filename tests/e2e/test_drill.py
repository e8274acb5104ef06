"""In the short drill a real fleet stands what is to break it, and a drill leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.chaos.faults import FAULTS
from tests.waiting import wait_until

COMMAND = (sys.executable, "-c", "from console.cli.main import main; main()", "drill")
pytestmark = [pytest.mark.slow, pytest.mark.redis]


def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment without settings, with a folder for temporary files that is the test's own."""
    told = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
    if os.environ.get("PURSER_TEST_SERVER") == "embedded":
        told["PATH"] = str(tmp_path / "nothing-is-here")
    return {**told, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def left_behind(tmp_path: Path) -> Iterator[str]:
    """Name what a drill has left: its directory, and processes that stand in it."""
    yield from (str(path) for path in tmp_path.glob("purser-drill-*"))
    for one in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if one.readlink().is_relative_to(tmp_path):
                yield str(one)
        except OSError:
            continue


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_nothing_is_doubled_in_the_short_drill(tmp_path: Path) -> None:
    done = subprocess.run(
        (*COMMAND, "--short", "--json"),
        env=environ(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=230,
    )
    told = json.loads(done.stdout)["faults"]
    wanted = {one.name for one in FAULTS if one.is_short and "redis" in one.brokers}
    assert {one["name"] for one in told} == wanted
    bad = [
        one for one in told if one["lost"] or one["doubled"] or one["dead"] != one["expected_dead"] or one["problem"]
    ]
    assert bad == [], done.stderr[-3000:]
    assert done.returncode == 0
    assert sum(one["messages"] for one in told) > 500
    assert list(left_behind(tmp_path)) == []


@pytest.mark.timeout(120)
def test_an_interrupted_drill_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        (*COMMAND, "--fault", "frozen worker"),
        env=environ(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        logs = "purser-drill-*/*/logs/a.log"
        wait_until(
            lambda: any("ready." in log.read_text() for log in tmp_path.glob(logs)), within=60, what="a worker"
        )
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "interrupted; everything has ended" in told
    assert list(left_behind(tmp_path)) == []
