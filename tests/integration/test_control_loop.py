"""A case opens, waits, climbs, closes and comes back in a real Odoo, whatever people and policies do meanwhile."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.policy.loader import UnseenCompanies
from odoo_client import OdooClient
from purser.cases import CaseKey, CaseState, FeedbackMarker
from purser.errors import Misconfigured
from purser.findings import Period, Ref
from store import RunStatus
from tests.houses import House
from tests.integration.calm import Calm
from tests.odoo.seeding_people import Firm
from workers.context import odoo_binding_of
from workers.controls import run as scan

CONTROL = "missing-timesheets"
Open = Callable[[Path | None], Calm]


class Desk:
    """One employee with a manager, who logged nothing in the last closed week and everything before."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm
        self.company = firm.company()
        calendar = firm.calendar(self.company)
        self.user, self.boss = firm.user(self.company), firm.user(self.company)
        manager = firm.employee(self.company, calendar, user_id=self.boss)
        self.employee = firm.employee(self.company, calendar, user_id=self.user, parent_id=manager)
        today = dt.datetime.now(dt.UTC).date()
        self.week = Period.week_of(today - dt.timedelta(days=7))
        for weeks in (1, 2, 3, 4):
            monday = self.week.first - dt.timedelta(weeks=weeks - 1)
            full = [(monday + dt.timedelta(days=d), 8.0) for d in range(5)]
            firm.log(self.company, manager, full)
            if weeks > 1:
                firm.log(self.company, self.employee, full)
        self.ref = Ref("hr.employee", self.employee)
        self.key = CaseKey(CONTROL, self.ref, self.week)

    def fill(self) -> list[int]:
        """Enter the missing timesheets."""
        return self.firm.log(
            self.company, self.employee, [(self.week.first + dt.timedelta(days=d), 8.0) for d in range(5)]
        )

    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.firm.call(
            "mail.activity",
            "search_read",
            domain=[("res_model", "=", "hr.employee"), ("res_id", "=", self.employee)],
            fields=["active", "user_id", "summary", "feedback"],
            order="id",
            load="",
            context={"active_test": False},
        )
        return found

    def open(self) -> list[dict[str, Any]]:
        return [one for one in self.activities() if one["active"]]


@pytest.fixture
def desk(firm: Firm) -> Desk:
    return Desk(firm)


def touched(run: scan.ControlRunReport) -> set[CaseKey]:
    """Return the cases a run changes in Odoo; the database is shared, so others may be among them."""
    return {step.memory.key for step in run.plan.steps() if step.memory and step.change}


def policy(path: Path, **tunables: Any) -> Path:
    control: dict[str, Any] = {"ladder": [{"ask": "employee"}, {"ask": "manager", "after": 2}]}
    if tunables:
        control["tunables"] = tunables
    path.write_text(yaml.safe_dump({"version": 1, "controls": {CONTROL: control}}))
    return path


@pytest.fixture
def fleet(calm: Open, desk: Desk, tmp_path: Path) -> Calm:
    return calm(policy(tmp_path / "policies.yaml"))


def test_a_finding_puts_one_activity_on_the_right_desk_and_a_second_scan_changes_nothing(
    fleet: Calm, desk: Desk
) -> None:
    fleet.scan(CONTROL)
    (activity,) = desk.open()
    assert activity["user_id"] == desk.user
    assert "40" in activity["summary"]
    run = fleet.scan(CONTROL)
    assert desk.key not in touched(run)
    assert len(desk.activities()) == 1
    memory = fleet.ledger.cases.of(CONTROL)[desk.key]
    assert memory.hours == 40


def test_the_timesheet_closes_the_case_by_proof(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    desk.fill()
    fleet.scan(CONTROL)
    (activity,) = desk.activities()
    assert not activity["active"]
    assert FeedbackMarker.of(activity["feedback"]) is FeedbackMarker.KEPT
    assert fleet.state(desk.key) is CaseState.CLOSED


def test_a_second_leak_of_the_same_week_opens_a_new_episode(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    lines = desk.fill()
    fleet.scan(CONTROL)
    desk.firm.call("account.analytic.line", "unlink", ids=lines)
    fleet.scan(CONTROL)
    assert len(desk.open()) == 1
    case = fleet.case(desk.key)
    assert case is not None
    assert (case.episode, case.rung, case.state) == (1, 0, CaseState.OPEN)


def test_done_without_fixing_is_quiet_until_the_next_rung_asks_the_manager(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    (activity,) = desk.open()
    desk.firm.call("mail.activity", "action_feedback", ids=[activity["id"]], feedback="I will")
    assert desk.key not in touched(fleet.scan(CONTROL))
    assert desk.open() == []
    fleet.moment += dt.timedelta(days=7)
    fleet.scan(CONTROL)
    asked = [one for one in desk.open() if desk.week.first.isoformat() in one["summary"]]
    assert [one["user_id"] for one in asked] == [desk.boss]


def test_a_cancelled_activity_is_not_put_back_before_the_next_rung(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    (activity,) = desk.open()
    desk.firm.call("mail.activity", "unlink", ids=[activity["id"]])
    fleet.scan(CONTROL)
    assert desk.activities() == []
    assert fleet.state(desk.key) is CaseState.QUIET
    fleet.moment += dt.timedelta(days=7)
    fleet.scan(CONTROL)
    assert desk.boss in [one["user_id"] for one in desk.open()]


def test_an_open_case_climbs_to_the_manager_and_leaves_one_activity(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    fleet.moment += dt.timedelta(days=7)
    fleet.scan(CONTROL)
    this_week = [one for one in desk.activities() if desk.week.first.isoformat() in one["summary"]]
    assert [(one["active"], one["user_id"]) for one in this_week] == [(False, desk.user), (True, desk.boss)]
    assert FeedbackMarker.of(this_week[0]["feedback"]) is FeedbackMarker.ESCALATED


def test_a_week_that_left_the_window_is_still_closed_by_proof(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    fleet.moment += dt.timedelta(weeks=7)
    fleet.scan(CONTROL)
    assert fleet.state(desk.key) is CaseState.OPEN
    desk.fill()
    fleet.scan(CONTROL)
    assert fleet.state(desk.key) is CaseState.CLOSED


def test_an_exemption_in_the_policy_withdraws_the_case_with_a_reason(fleet: Calm, desk: Desk, tmp_path: Path) -> None:
    fleet.scan(CONTROL)
    fleet.use(policy(tmp_path / "exempt.yaml", exempt_employees=[desk.employee]))
    fleet.scan(CONTROL)
    (activity,) = desk.activities()
    assert not activity["active"]
    assert FeedbackMarker.of(activity["feedback"]) is FeedbackMarker.WITHDRAWN


def test_hours_that_are_hidden_from_the_bot_do_not_close_or_reopen_anything(fleet: Calm, desk: Desk) -> None:
    """A bot that lost its company sees fewer rows and no error: the case must stay as it is."""
    fleet.scan(CONTROL)
    bot = fleet.fleet.change.whoami().uid
    others = desk.firm.call("res.company", "search", domain=[("id", "!=", desk.company)])
    desk.firm.call("res.users", "write", ids=[bot], vals={"company_id": others[0], "company_ids": [[6, 0, others]]})
    run = fleet.scan(CONTROL)
    assert [one["active"] for one in desk.activities()] == [True]
    assert desk.key not in touched(run)
    everything = desk.firm.call("res.company", "search", domain=[])
    desk.firm.call("res.users", "write", ids=[bot], vals={"company_ids": [[6, 0, everything]]})
    fleet.scan(CONTROL)
    assert [one["active"] for one in desk.activities()] == [True]
    assert fleet.state(desk.key) is CaseState.OPEN


def test_a_run_is_held_while_the_bot_is_not_in_every_company(
    house: House, fleet: Calm, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours logged in a company out of sight look like missing hours: nobody is asked, and nothing is closed."""
    desk.firm.company()
    if house.twin is not None:  # it does not count the companies that a user is not in
        monkeypatch.setattr(OdooClient, "unseen_companies", lambda client: 1)
    held = fleet.scan(CONTROL, unseen_companies=UnseenCompanies.HOLD)
    assert held.outcome is RunStatus.HELD
    assert held.plan.steps() == ()
    assert "companies" in held.reason
    assert f"controls.{CONTROL}.unseen_companies: judge" in held.reason
    assert desk.activities() == []
    released = fleet.scan(CONTROL, unseen_companies=UnseenCompanies.HOLD, release_hold=True)
    assert released.outcome is RunStatus.COMPLETED
    assert fleet.state(desk.key) is CaseState.OPEN


def test_a_control_that_may_not_read_is_not_applicable_and_touches_nothing(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    bot = fleet.fleet.change.whoami().uid
    internal = desk.firm.call("ir.model.data", "check_object_reference", module="base", xml_id="group_user")[1]
    desk.firm.call("res.users", "write", ids=[bot], vals={"group_ids": [[6, 0, [internal]]]})
    run = fleet.scan(CONTROL)
    assert run.plan.steps() == ()
    assert [one["active"] for one in desk.activities()] == [True]


def test_a_right_without_which_timesheets_are_hidden_opens_and_reopens_nothing(fleet: Calm, desk: Desk) -> None:
    """Without it the bot sees no timesheet of anybody, and Odoo says nothing: everybody would look idle."""
    fleet.scan(CONTROL)
    desk.fill()
    fleet.scan(CONTROL)
    bot = fleet.fleet.change.whoami().uid
    manager = desk.firm.call(
        "ir.model.data", "check_object_reference", module="project", xml_id="group_project_manager"
    )[1]
    groups = desk.firm.call("res.users", "read", ids=[bot], fields=["group_ids"], load="")[0]["group_ids"]
    left = [group for group in groups if group != manager]
    desk.firm.call("res.users", "write", ids=[bot], vals={"group_ids": [[6, 0, left]]})
    run = fleet.scan(CONTROL)
    assert run.outcome is RunStatus.NOT_APPLICABLE
    assert "project.group_project_manager" in run.reason
    assert [one["active"] for one in desk.activities()] == [False]


def test_a_deleted_subject_withdraws_its_case(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    desk.firm.call("hr.employee", "unlink", ids=_freed(desk))
    run = fleet.scan(CONTROL)
    assert desk.key in {step.memory.key for step in run.plan.withdrawn if step.memory}
    assert fleet.state(desk.key) is CaseState.WITHDRAWN


def _freed(desk: Desk) -> list[int]:
    """Take away what keeps Odoo from deleting an employee: its timesheets."""
    lines = desk.firm.call("account.analytic.line", "search", domain=[("employee_id", "=", desk.employee)])
    desk.firm.call("account.analytic.line", "unlink", ids=lines)
    return [desk.employee]


def test_a_lost_ledger_changes_nothing_in_odoo(fleet: Calm, desk: Desk) -> None:
    fleet.scan(CONTROL)
    for key in fleet.ledger.cases.of(CONTROL):
        fleet.ledger.cases.forget(key)
    run = fleet.scan(CONTROL)
    assert desk.key not in touched(run)
    assert len(desk.activities()) == 1


def test_a_new_bot_user_sees_the_cases_of_the_one_before(fleet: Calm, desk: Desk, calm: Open, tmp_path: Path) -> None:
    fleet.scan(CONTROL)
    heir = calm(policy(tmp_path / "policies.yaml"))
    assert desk.key not in touched(heir.scan(CONTROL))
    desk.fill()
    heir.scan(CONTROL)
    assert [one["active"] for one in desk.activities()] == [False]


@pytest.mark.parametrize("lost", ["ensure", "close"])
def test_a_lost_chunk_heals_at_the_next_scan(fleet: Calm, desk: Desk, lost: str) -> None:
    fleet.lost = {lost}
    fleet.scan(CONTROL)
    desk.fill() if lost == "close" else None
    fleet.scan(CONTROL)
    fleet.lost = set()
    fleet.scan(CONTROL)
    assert fleet.state(desk.key) is (CaseState.OPEN if lost == "ensure" else CaseState.CLOSED)
    assert len(desk.activities()) == 1


def test_a_ledger_refuses_to_remember_another_odoo(fleet: Calm, desk: Desk, calm: Open, tmp_path: Path) -> None:
    fleet.scan(CONTROL)
    other = calm(policy(tmp_path / "other.yaml"))
    other.fleet.settings = other.fleet.settings.model_copy(update={"odoo_db": "elsewhere"})
    with pytest.raises(Misconfigured, match="purser ledger adopt"):
        other.scan(CONTROL)
    fleet.ledger.home.adopt(odoo_binding_of(other.fleet.settings), who="test", note="the database was renamed")
    other.fleet.check_home()
    assert [entry.action for entry in fleet.ledger.audit.tail()] == ["ledger.adopt"]


def test_a_chunk_older_than_the_last_reconciled_slot_is_dropped(fleet: Calm, desk: Desk) -> None:
    from workers.controls.apply_changes import apply_steps

    run = fleet.scan(CONTROL)
    fleet.ledger.slots.claim(CONTROL, fleet.moment, holder="x", lease=dt.timedelta(seconds=5))
    fleet.ledger.slots.done(CONTROL, fleet.moment, holder="x")
    old = fleet.moment - dt.timedelta(minutes=1)
    assert apply_steps(fleet.fleet, control=CONTROL, slot=old, steps=run.plan.steps()).superseded
