"""`purser demo` proves what it says, on any day of the year, and leaves nothing behind."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.policy.loader import DEFAULT_POLICY, parse_policies
from devtools.demo import sample_company as firms
from devtools.demo.sample_company import ExpectedFinding
from devtools.fake_odoo import FakeOdoo
from odoo_client import OdooConnection, connect
from purser.cases import CaseKey
from tasks.discovery import load_registry
from tests.waiting import wait_until
from workers.controls.run import evaluate_control

COMMAND = (sys.executable, "-c", "from console.cli.main import main; main()", "demo")


def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment without settings, with a folder for temporary files that is the test's own."""
    told = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
    if os.environ.get("PURSER_TEST_SERVER") == "embedded":
        told["PATH"] = str(tmp_path / "nothing-is-here")
    return {**told, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def left_behind(tmp_path: Path) -> Iterator[str]:
    """Name what a demo has left: its directory, and processes that stand in it."""
    yield from (str(path) for path in tmp_path.glob("purser-demo-*"))
    for one in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if one.readlink().is_relative_to(tmp_path):
                yield str(one)
        except OSError:
            continue


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.timeout(150)
def test_every_claim_of_the_demo_is_observed(tmp_path: Path) -> None:
    done = subprocess.run(
        (*COMMAND, "--json"), env=environ(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=140
    )
    told = json.loads(done.stdout)
    unseen = [claim for claim in told["claims"] if not claim["observed"]]
    assert unseen == [], done.stderr[-3000:]
    assert (done.returncode, told["ok"]) == (0, True)
    assert told["seconds"] < 90
    facts: dict[str, dict[str, Any]] = {claim["name"]: claim["facts"] for claim in told["claims"]}
    assert facts["cases are open"]["cases"] == 14
    assert facts["cases are open"]["hours_at_risk"] == "176.50"
    assert facts["cases are open"]["money_at_risk"] == {"EUR": "63372.40", "USD": "2400.00"}
    assert facts["twice is once"]["changes"] == 0
    assert facts["closed by proof"]["feedback"].endswith("[purser:kept]")
    assert (facts["won deal"]["told"], facts["won deal"]["projects"]) == (3, 1)
    assert facts["poison"]["letters"] == 3
    assert facts["dead letter"]["replayed"] == ["replayed", "not dead"]
    killed = facts["killed worker"]
    assert 0 < killed["there_when_killed"] < killed["expected"]
    assert (killed["there_in_the_end"], killed["doubled"], killed["missing"]) == (killed["expected"], 0, 0)
    assert list(left_behind(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.redis
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        COMMAND, env=environ(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(lambda: list(tmp_path.glob("purser-demo-*/logs/*.log")), within=30, what="a word of a process")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "interrupted; everything has ended" in told
    assert list(left_behind(tmp_path)) == []


POLICY = f"""
version: 1
controls:
  {firms.MISSING}:
    tunables: {{hourly_rate: {firms.RATE}, exempt_employees: [{firms.EXEMPT}]}}
"""
DAYS = [
    *(dt.datetime(2026, 11, day, 9, tzinfo=dt.UTC) for day in range(16, 23)),  # every weekday
    dt.datetime(2026, 11, 15, 23, 30, tzinfo=dt.UTC),  # Sunday here, Monday there
    dt.datetime(2027, 1, 1, 12, tzinfo=dt.UTC),
    dt.datetime(2027, 3, 31, 12, tzinfo=dt.UTC),  # the clocks have just changed
    dt.datetime(2028, 2, 29, 12, tzinfo=dt.UTC),
]


@pytest.mark.parametrize("now", DAYS, ids=lambda now: f"{now:%a %Y-%m-%d %H:%M}")
def test_the_firm_is_as_known_by_hand_on_any_day(now: dt.datetime) -> None:
    policies = parse_policies(load_registry(), POLICY, source=DEFAULT_POLICY.name)
    found: dict[CaseKey, ExpectedFinding] = {}
    with FakeOdoo(clock=lambda: now) as twin:
        firm = firms.seed(twin, now)
        with connect(OdooConnection(url=twin.url, db=twin.db, login=firms.BOT, api_key=firm.bot_key)) as client:
            for control in firms.CONTROLS:
                for one in evaluate_control(client, policies.control(control), as_of=now).findings:
                    asked = one.owner or firm.users[firms.BILLING]  # nobody is named: whoever answers for it
                    found[CaseKey(control, one.subject, one.period)] = ExpectedFinding(
                        one.hours_at_risk, one.money_at_risk, asked
                    )
    assert found == firm.known
