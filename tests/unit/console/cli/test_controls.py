"""Controls are explained without any setting, and a run is reported in the form that programs are promised."""

import datetime as dt
import json
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from config.policy.loader import load_policies
from console.cli.controls import _moment, report
from purser.errors import ConfigurationError
from purser.findings import Compliant, Finding, Money, Period, Ref, Severity
from store import ControlRun, Ledger, RunStatus
from tasks.discovery import load_registry
from tests.unit.console.conftest import Purser
from workers.controls.run import ControlResult

AS_OF = dt.datetime(2026, 11, 17, 6, tzinfo=dt.UTC)
WEEK = Period(dt.date(2026, 11, 9), dt.date(2026, 11, 15))


def judged(*verdicts: Finding | Compliant, **more: str) -> ControlResult:
    control = load_registry().control("missing-timesheets")
    return ControlResult(control=control, as_of=AS_OF, verdicts=verdicts, rpc_calls=7, seconds=0.12345, **more)  # type: ignore[arg-type]


def test_controls_are_listed_without_any_setting(purser: Purser) -> None:
    result = purser("controls", "list", "--json")
    assert result.exit_code == 0
    assert {"missing-timesheets", "unbilled-work", "stale-drafts"} <= {
        one["name"] for one in json.loads(result.stdout)
    }


def test_a_control_is_explained_with_every_value_a_policy_may_set(purser: Purser) -> None:
    told = json.loads(purser("controls", "show", "unbilled-work", "--json").stdout)
    assert told["tunables"].keys() == load_registry().control("unbilled-work").tunables.keys()
    assert told["rule"]
    assert "sale.order.line" in told["reads"]
    assert told["ladder"][-1]["ask"] == "billing"


def test_people_get_the_same_facts_as_a_table(purser: Purser) -> None:
    result = purser("controls", "show", "unbilled-work")
    assert result.exit_code == 0
    assert "grace_days" in result.stdout


@pytest.mark.parametrize("command", [["show"], ["run"], ["run", "--json"], ["apply"], ["runs"]])
def test_a_misspelt_control_is_answered_with_the_right_one(purser: Purser, command: list[str]) -> None:
    result = purser("controls", *command, "unbilled-wrok")
    assert result.exit_code == 2
    assert "Did you mean `unbilled-work`?" in result.stderr
    assert result.stdout == ""


def test_a_past_as_of_is_never_applied(purser: Purser) -> None:
    result = purser("controls", "run", "unbilled-work", "--apply", "--as-of", "2026-11-01")
    assert result.exit_code == 2
    assert "a past as-of moves the clock, not Odoo's data, and never writes" in result.stderr


def test_a_hold_is_released_only_where_cases_end(purser: Purser) -> None:
    assert purser("controls", "run", "unbilled-work", "--release-hold").exit_code == 2


def test_applying_under_its_former_name_says_the_new_one(purser: Purser) -> None:
    assert "`controls apply`" in purser("controls", "run", "unbilled-work", "--apply").stderr


def test_applying_asks_for_broker_and_ledger_too(purser: Purser) -> None:
    result = purser("controls", "apply", "unbilled-work")
    assert result.exit_code == 2
    assert "PURSER_BROKER_URL is missing" in result.stderr
    assert "PURSER_ODOO_URL is missing" in result.stderr


def test_a_day_is_its_noon_in_the_zone_of_the_policy() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert _moment("2026-11-16", zone) == dt.datetime(2026, 11, 16, 11, tzinfo=dt.UTC)


def test_a_moment_without_a_zone_is_meant_in_that_of_the_policy() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert _moment("2026-11-16T09:30", zone) == dt.datetime(2026, 11, 16, 8, 30, tzinfo=dt.UTC)
    assert _moment("2026-11-16T09:30+00:00", zone) == dt.datetime(2026, 11, 16, 9, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "16.11.2026", "2026-11-1"])
def test_what_is_no_moment_is_a_wrong_use(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no moment: write 2026-01-31"):
        _moment(text, dt.UTC)


def test_a_finding_is_reported_exactly_as_promised() -> None:
    finding = Finding(
        subject=Ref("hr.employee", 42),
        subject_name="Ann Archer",
        summary="8.00 of 40.00 h missing",
        since=dt.date(2026, 11, 16),
        period=WEEK,
        owner=7,
        hours_at_risk=Decimal("8.00"),
        money_at_risk=Money(Decimal("960.00"), "EUR"),
    )
    policy = load_policies(load_registry()).control("missing-timesheets")
    from console.output import plain

    assert plain(report(policy, judged(finding, Compliant(Ref("hr.employee", 43), WEEK)))) == {
        "control": "missing-timesheets",
        "as_of": "2026-11-17T06:00:00+00:00",
        "applicable": True,
        "examined": 2,
        "rpc_calls": 7,
        "seconds": 0.123,
        "findings": [
            {
                "key": "case/missing-timesheets/hr.employee/42/2026-11-09..2026-11-15",
                "subject": {"model": "hr.employee", "id": 42, "name": "Ann Archer"},
                "period": {"from": "2026-11-09", "to": "2026-11-15"},
                "summary": "8.00 of 40.00 h missing",
                "owner": 7,
                "since": "2026-11-16",
                "severity": Severity.MEDIUM.value,
                "hours_at_risk": "8.00",
                "money_at_risk": {"amount": "960.00", "currency": "EUR"},
            }
        ],
    }


def test_what_does_not_apply_says_why() -> None:
    policy = load_policies(load_registry()).control("missing-timesheets")
    told = report(policy, judged(not_applicable="this database has no model hr.employee"))
    assert (told["applicable"], told["findings"]) == (False, [])
    assert told["reason"] == "this database has no model hr.employee"


def test_a_control_that_never_ran_is_nothing(operator: Purser) -> None:
    assert operator("controls", "runs", "unbilled-work").exit_code == 3
    assert operator("controls", "runs").exit_code == 0


@pytest.mark.parametrize(
    ("late", "missed", "shown"),
    [
        (0.4, 0, ""),
        (59.0, 0, ""),
        (90.0, 0, "90 s"),
        (3.0, 2, "3 s, 2 missed"),
        (300.0, 0, "5 min"),
        (7200.0, 3, "2 h, 3 missed"),
        (200_000.0, 9, "2 d, 9 missed"),
    ],
)
def test_a_run_that_came_late_says_how_late_and_what_it_stands_for(
    operator: Purser, ledger: Ledger, late: float, missed: int, shown: str
) -> None:
    record = ControlRun(
        id="r1",
        control="stale-drafts",
        slot=AS_OF,
        as_of=AS_OF,
        started=AS_OF,
        seconds=1.0,
        trigger="beat",
        outcome=RunStatus.COMPLETED,
        late=late,
        missed=missed,
    )
    ledger.runs.record(record)
    lines = operator("controls", "runs", COLUMNS="250").stdout.splitlines()
    (line,) = [one for one in lines if "stale-drafts" in one]
    at = next(one for one in lines if "outcome" in one).index("late")
    assert line[at:].strip(" │|") == shown
    (told,) = json.loads(operator("controls", "runs", "--json").stdout)
    assert (told["late"], told["missed"]) == (late, missed)
