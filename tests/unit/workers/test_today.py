"""Today is the firm's date for controls, automations and watches alike, whatever the date is in UTC."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from events.billing import PaymentMissed
from purser.queries import QueryContext, Snapshot
from purser.testing import snapshot
from store import Ledger
from tasks.queries.availability import AskableUser
from tasks.queries.invoicing import Invoice
from tests.unit.workers.feeding import Office, fleet_of
from workers.changes import feed
from workers.controls import run
from workers.events import react

EVENING = dt.datetime(2026, 11, 20, 22, 30, tzinfo=dt.UTC)
"""Still the 20th in London, and the 21st from Berlin eastwards."""
ZONES = (
    ("America/Los_Angeles", dt.date(2026, 11, 20)),
    ("UTC", dt.date(2026, 11, 20)),
    ("Asia/Tokyo", dt.date(2026, 11, 21)),
)


def _fleet(zone: str, office: Office) -> Any:
    ledger = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), now=office.now)
    return fleet_of(office, ledger, f"version: 1\ntimezone: {zone}\n")


def _invoice(due: str) -> Invoice:
    values = {"id": 7, "name": "INV/7", "state": "posted", "payment_state": "not_paid", "move_type": "out_invoice"}
    owed = {"invoice_date_due": due, "invoice_user_id": 3, "partner_id": [9, "Azure"], "currency_id": [1, "EUR"]}
    return Invoice.model_validate({**values, **owed, "amount_residual": 100.0})


@pytest.mark.parametrize(("zone", "today"), ZONES)
def test_scope_and_snapshot_give_the_firms_date(zone: str, today: dt.date) -> None:
    moment = _fleet(zone, Office(moment=EVENING)).local_now()
    read = Snapshot(moment)
    assert read.today == QueryContext(as_of=moment, snapshot=read).today == today
    assert read.day_of(EVENING) == today


@pytest.mark.parametrize(("zone", "today"), ZONES)
def test_automations_are_given_the_firms_date(zone: str, today: dt.date) -> None:
    office = Office(moment=EVENING)
    fleet, given = _fleet(zone, office), []

    def read(reads: Any, as_of: dt.datetime, **_: Any) -> Snapshot:
        given.append(snapshot(as_of, _invoice("2026-11-20"), AskableUser(id=3), reads=reads))
        return given[-1]

    vars(office)["snapshot"] = read
    decided = react.decide(fleet, fleet.catalogue.automation("review-account"), PaymentMissed(invoice_id=7))
    assert given[-1].today == today
    assert bool(decided.changes) == (today > dt.date(2026, 11, 20))


@pytest.mark.parametrize(("zone", "today"), ZONES)
def test_scheduled_controls_are_given_the_firms_date(
    zone: str, today: dt.date, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, given = _fleet(zone, Office(moment=EVENING)), []

    def judge(client: object, policy: object, *, as_of: dt.datetime, watched: object) -> run.ControlResult:
        given.append(as_of)
        return run.ControlResult(
            control=fleet.catalogue.control("stale-drafts"), as_of=as_of, not_applicable="nothing here"
        )

    monkeypatch.setattr(run, "evaluate_control", judge)
    monkeypatch.setattr(run, "see_cases", lambda *_: {})
    vars(fleet)["change"] = fleet.audit
    vars(fleet.audit)["calls"] = 0
    run.run_slot(fleet, "stale-drafts", holder="test")
    assert [moment.date() for moment in given] == [today]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Tokyo", "Australia/Sydney", "America/Los_Angeles"])
def test_an_invoice_that_is_told_as_missed_is_reviewed_at_once(zone: str) -> None:
    office = Office(moment=dt.datetime(2026, 11, 20, 0, 7, tzinfo=dt.UTC))
    fleet = _fleet(zone, office)
    office.write(7, invoice_date_due="2026-11-20")
    vars(office)["snapshot"] = lambda reads, as_of, **_: snapshot(
        as_of, _invoice("2026-11-20"), AskableUser(id=3), reads=reads
    )
    made: list[str] = []
    for _ in range(2 * 24):
        feed.run_slot(fleet, "missed-payments", holder="test")
        while office.sent:
            task, values, holder = office.sent.pop(0)
            if task == "purser.accept":
                react.accept(fleet, values["event"], holder=holder)
            elif task == "purser.react" and values["automation"] == "review-account":
                fact = PaymentMissed.model_validate(values["event"]["data"])
                decided = react.decide(fleet, fleet.catalogue.automation("review-account"), fact)
                made += [change.key for change in decided.changes if hasattr(change, "key")]
        office.moment += dt.timedelta(hours=1)
    assert made == ["invoice/7/missed/1"]


def test_tasks_read_no_date_off_a_moment_in_utc() -> None:
    """`snapshot.today`, `snapshot.day_of` and `scope.today` are the ways to a date; `.date()` needs a zone named."""
    wrong = re.compile(r"as_of\.date\(\)|UTC\)\.date\(\)|today\(\)|\bnow\(")
    found = [
        f"{path.name}:{number}"
        for path in sorted(Path("tasks").rglob("*.py"))
        if path.parent.name != "watchers"  # a watcher is given the moment in the firm's zone
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if wrong.search(line)
    ]
    assert found == []
