"""The fleet as it runs: beat, workers, a real broker and a real Odoo; killed, fed garbage, and asked twice."""

import base64
import datetime as dt
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from purser.cases import CaseKey, CaseState, FeedbackMarker
from purser.findings import Period, Ref
from store import CircuitState
from tests.e2e.conftest import Start
from tests.e2e.running import RunningFleet, write_policies
from tests.odoo.seeding_people import Firm
from tests.waiting import wait_until

CONTROL = "missing-timesheets"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def last_week() -> Period:
    return Period.week_of(dt.datetime.now(dt.UTC).date() - dt.timedelta(days=7))


def hire(firm: Firm, company: int, calendar: int, count: int) -> list[int]:
    """Create employees in bulk."""
    made: list[int] = []
    for start in range(0, count, 100):
        rows = [
            {
                "name": firm.name("Employee"),
                "company_id": company,
                "resource_calendar_id": calendar,
                "tz": "Europe/Berlin",
                "date_version": "2026-01-05",
            }
            for _ in range(min(100, count - start))
        ]
        made += firm.call("hr.employee", "create", vals_list=rows, context={"tracking_disable": True})
    return made


def activities(firm: Firm, employees: list[int], *, active: bool = True) -> list[dict[str, Any]]:
    domain = [("res_model", "=", "hr.employee"), ("res_id", "in", employees), ("active", "=", active)]
    fields = ["res_id", "user_id", "summary", "feedback"]
    found: list[dict[str, Any]] = firm.call("mail.activity", "search_read", domain=domain, fields=fields, load="")
    return found


def runs(fleet: RunningFleet, control: str = CONTROL) -> int:
    return len(fleet.ledger.runs.page(control, limit=200).items)


def test_beat_opens_a_case_and_the_timesheet_closes_it(firm: Firm, start_fleet: Start, tmp_path: Path) -> None:
    company = firm.company()
    user = firm.user(company)
    employee = firm.employee(company, firm.calendar(company), user_id=user)
    week = last_week()
    policies = write_policies(
        tmp_path / "p.yaml", every="every 3 seconds", missing_timesheets={"tunables": {"weeks_back": 1}}
    )
    fleet = start_fleet(policies)
    fleet.worker()
    fleet.beat()
    fleet.beat("beat2")  # two beats are one
    wait_until(lambda: activities(firm, [employee]), within=40, what="an activity")
    seen = runs(fleet)
    wait_until(lambda: runs(fleet) >= seen + 2, within=30, what="two more runs")
    (activity,) = activities(firm, [employee])
    assert activity["user_id"] == user
    slots = [run.slot for run in fleet.ledger.runs.page(CONTROL, limit=200).items]
    assert len(slots) == len(set(slots)), "a slot ran twice"
    firm.log(company, employee, [(week.first + dt.timedelta(days=d), 8.0) for d in range(5)])
    wait_until(lambda: not activities(firm, [employee]), within=30, what="the case to close")
    (closed,) = activities(firm, [employee], active=False)
    assert FeedbackMarker.of(closed["feedback"]) is FeedbackMarker.KEPT
    key = CaseKey(CONTROL, Ref("hr.employee", employee), week)
    wait_until(lambda: fleet.ledger.cases.of(CONTROL)[key].state is CaseState.CLOSED, what="our memory of it")


def test_a_worker_killed_in_the_middle_of_a_thousand_changes_leaves_exactly_a_thousand(
    firm: Firm, start_fleet: Start, tmp_path: Path
) -> None:
    company = firm.company()
    employees = hire(firm, company, firm.calendar(company), 250)
    policies = write_policies(
        tmp_path / "p.yaml", every="every 1 hour", missing_timesheets={"tunables": {"weeks_back": 4}}
    )
    fleet = start_fleet(policies)
    worker = fleet.worker("first")
    fleet.beat()
    wait_until(lambda: len(activities(firm, employees)) >= 100, within=60, what="the first chunks")
    fleet.kill(worker)
    before = len(activities(firm, employees))
    assert before < 1000, "killed too late to prove anything"
    fleet.worker("second")
    wait_until(lambda: len(activities(firm, employees)) >= 1000, within=60, what="the rest")
    wait_until(fleet.quiet, within=30, what="empty queues")
    assert len(activities(firm, employees)) == 1000
    assert fleet.ledger.letters.count() == 0


GARBAGE = [
    b"\xff\xfe\x00garbage",
    b"hello world",
    b"[1,2]",
    b'{"a":1}',
    b"[" * 100_000,
    json.dumps({"body": "eA==", "properties": {"delivery_tag": "x", "delivery_info": {}}}).encode(),
]


def message(task: str | None, body: Any, headers: dict[str, Any] | None = None, **changed: Any) -> bytes:
    """Build a message as a careless producer would put it on Redis; a header that is None is left out."""
    head = {"task": task, "id": str(uuid.uuid4()), "lang": "py", **(headers or {})}
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {k: v for k, v in head.items() if v is not None},
            "properties": {
                "delivery_tag": str(uuid.uuid4()),
                "delivery_info": {"exchange": "", "routing_key": "apply"},
                "body_encoding": "base64",
                "delivery_mode": 2,
                "priority": 0,
            },
            **changed,
        }
    ).encode()


def malformed() -> list[bytes]:
    good: list[Any] = [[], {}, {}]
    return [
        message("purser.nothing", good),
        message(None, good),
        message("purser.scan", {"x": 1}),
        message("purser.scan", [1, 2]),
        message("purser.scan", good, {"id": 7}),
        message("purser.scan", good, {"id": None}),
        message("purser.scan", good, {"id": ""}),
        json.dumps({**json.loads(message("purser.scan", good)), "headers": None}).encode(),
        message("purser.scan", good, {"stamped_headers": 7}),
        message("purser.scan", good, {"timelimit": ["a", "b"]}),
        message("purser.scan", good, None, **{"content-type": "application/x-python-serialize"}),
        message("purser.scan", good, {"eta": "tomorrow"}),
        message("purser.scan", good, headers={"compression": "nonsense"}),
        message("purser.apply", [[], {"control": "x", "slot": "y", "run": "z", "steps": 5}, {}]),
    ]


def test_no_bytes_stop_a_worker_and_all_of_them_are_kept(firm: Firm, start_fleet: Start, tmp_path: Path) -> None:
    firm.company()
    fleet = start_fleet(write_policies(tmp_path / "p.yaml", every="every 1 hour"))
    worker = fleet.worker()
    raws = [*GARBAGE, *malformed()]
    for raw in raws:
        fleet.push_raw("apply", raw)
    wait_until(lambda: fleet.ledger.letters.count() >= len(raws), within=40, what="a letter for each")
    assert fleet.ledger.letters.count() == len(raws)
    assert worker.poll() is None
    assert GARBAGE[0] in {letter.body for letter in fleet.ledger.letters.page(limit=100).items}
    fleet.fleet.publish("purser.accept", {"event": won(4_000_000)}, label="a good one behind them")
    wait_until(lambda: fleet.quiet() and "event accepted" in fleet.log("w"), within=30, what="the good one")
    assert fleet.ledger.letters.count() == len(raws)


def won(opportunity: int) -> dict[str, Any]:
    event = CloudEvent.wrap(
        OpportunityWon(opportunity_id=opportunity), id=str(uuid.uuid4()), source="test", time=dt.datetime.now(dt.UTC)
    )
    return event.model_dump(mode="json", exclude_none=True)


def win(firm: Firm) -> int:
    """Win an opportunity of a company nobody knows yet."""
    lead = firm.create("crm.lead", name=firm.name("Deal"), type="opportunity", partner_name=firm.name("Customer"))
    stage = firm.find("crm.stage", ("is_won", "=", True))
    firm.call("crm.lead", "write", ids=[lead], vals={"stage_id": stage, "probability": 100, "won_status": "won"})
    return lead


def outcome(firm: Firm, lead: int) -> tuple[int, int, int]:
    """Count the customers, projects and kick-off activities that came of an opportunity."""
    customer = firm.call("crm.lead", "read", ids=[lead], fields=["partner_id", "name"], load="")[0]
    projects = firm.call("project.project", "search", domain=[("name", "=", customer["name"])])
    todo = firm.call(
        "mail.activity",
        "search_count",
        domain=[("res_model", "=", "project.project"), ("res_id", "in", projects)],
    )
    return int(bool(customer["partner_id"])), len(projects), todo


@pytest.mark.parametrize("api", ["json2", "odoorpc"])
def test_a_won_deal_becomes_a_project_once_however_often_it_is_told(
    firm: Firm, start_fleet: Start, tmp_path: Path, api: str
) -> None:
    firm.company()
    lead = win(firm)
    fleet = start_fleet(write_policies(tmp_path / "p.yaml", every="every 1 hour"), PURSER_ODOO_API=api)
    fleet.worker()
    event = won(lead)
    for told in (event, event, won(lead)):  # the same message twice, and the same news under another id
        fleet.fleet.publish("purser.accept", {"event": told}, label="won")
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="customer, project and kick-off")
    wait_until(fleet.quiet, within=30, what="empty queues")
    assert outcome(firm, lead) == (1, 1, 3)
    assert fleet.ledger.letters.count() == 0


def test_a_wrong_key_holds_messages_back_and_they_are_done_once_it_is_right(
    firm: Firm, start_fleet: Start, tmp_path: Path
) -> None:
    firm.company()
    lead = win(firm)
    policies = write_policies(tmp_path / "p.yaml", every="every 1 hour")
    fleet = start_fleet(policies)
    good = dict(fleet.environ)
    fleet.environ["PURSER_ODOO_API_KEY"] = "key-of-yesterday"
    wrong = fleet.worker("locked-out")
    fleet.fleet.publish("purser.accept", {"event": won(lead)}, label="won")
    wait_until(lambda: fleet.ledger.delayed.count() == 1, within=30, what="the message that waits")
    fleet.kill(wrong)
    (entry,) = fleet.ledger.delayed.page().items
    assert (entry.queue, entry.task, entry.kind, entry.attempt) == ("events", "purser.react", "snooze", 0)
    assert "key-of-yesterday" not in entry.why
    assert fleet.fleet.gate.state().is_refused
    assert outcome(firm, lead)[1] == 0
    fleet.environ = good
    fleet.worker("mended")
    wait_until(lambda: fleet.fleet.gate.state().breaker is CircuitState.CLOSED, within=30, what="the probe")
    fleet.ledger.delayed.now([entry.id], who="test", note="key renewed")
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project")
    assert fleet.ledger.letters.count() == 0
    assert fleet.ledger.delayed.count() == 0


def test_a_transient_failure_is_tried_again_and_then_kept_with_every_attempt(
    firm: Firm, start_fleet: Start, tmp_path: Path
) -> None:
    firm.company()
    retries = {"*": {"attempts": 3, "base": 0.1, "cap": 0.2}}
    fleet = start_fleet(write_policies(tmp_path / "p.yaml", every="every 1 hour", retries=retries))
    fleet.environ["PURSER_ODOO_URL"] = "http://127.0.0.1:9"  # nobody listens there
    fleet.worker()
    fleet.fleet.publish("purser.accept", {"event": won(1)}, label="won")
    wait_until(lambda: fleet.ledger.letters.count() == 1, within=120, what="the dead letter")
    (letter,) = fleet.ledger.letters.page().items
    assert letter.reason == "attempts spent"
    assert len(letter.attempts) == 3
    assert [a.at for a in letter.attempts] == sorted(a.at for a in letter.attempts)
    assert letter.first_at == letter.attempts[0].at
    wait_until(fleet.quiet, what="empty queues")
