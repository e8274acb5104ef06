"""What a record of each watched model amounts to, as it stands, and with which mark."""

import datetime as dt
from typing import Any

import pytest

from events.event import known_events
from events.field_types import fingerprint
from purser import QueryContext, Snapshot, Watcher, WatchTrigger
from purser.queries import Row
from tasks.discovery import load_registry

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
WATCHES = load_registry().watches

CARD = {
    **dict.fromkeys(("email", "phone", "vat", "street", "zip", "city")),
    "name": "Acme",
    "country_id": 57,
}

TOLD: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (
        "opportunities",
        {"type": "opportunity", "won_status": "won", "date_closed": "2026-11-26 09:30:00"},
        ("opportunity.won.v1/crm.lead/7/2026-11-26T09:30:00Z",),
    ),
    (
        "opportunities",
        {"type": "opportunity", "won_status": "lost", "active": False, "date_closed": "2026-11-26 09:30:00"},
        ("opportunity.lost.v1/crm.lead/7/2026-11-26T09:30:00Z",),
    ),
    ("opportunities", {"type": "opportunity", "won_status": "pending", "date_closed": "2026-11-26 09:30:00"}, ()),
    (
        "opportunities",
        {"type": "lead", "won_status": "lost", "active": False, "date_closed": "2026-11-26 09:30:00"},
        (),
    ),
    (  # before Odoo had a status
        "opportunities",
        {"type": "opportunity", "active": True, "probability": 100.0, "date_closed": "2026-11-26 09:30:00"},
        ("opportunity.won.v1/crm.lead/7/2026-11-26T09:30:00Z",),
    ),
    (
        "opportunities",
        {"type": "opportunity", "active": False, "probability": 0.0, "date_closed": "2026-11-26 09:30:00"},
        ("opportunity.lost.v1/crm.lead/7/2026-11-26T09:30:00Z",),
    ),
    ("signatures", {"signed_on": "2026-11-26 08:00:00"}, ("quotation.signed.v1/sale.order/7/2026-11-26T08:00:00Z",)),
    ("subscriptions", {"subscription_state": "6_churn"}, ("subscription.changed.v1/sale.order/7/6_churn",)),
    ("subscriptions", {"subscription_state": "1_draft"}, ()),
    (
        "milestones",
        {"is_reached": True, "reached_date": "2026-11-25"},
        ("milestone.approved.v1/project.milestone/7/2026-11-25",),
    ),
    ("milestones", {"is_reached": False, "reached_date": False}, ()),
    (
        "projects",
        {"create_date": "2026-11-26 08:00:00"},
        ("project.created.v1/project.project/7/2026-11-26T08:00:00Z",),
    ),
    ("projects", {"create_date": "2026-11-26 08:00:00", "is_template": True}, ()),
    ("contracts", {"date": "2026-12-26"}, ("contract.expiring.v1/project.project/7/2026-12-26",)),
    ("contracts", {"date": "2026-11-26"}, ("contract.expiring.v1/project.project/7/2026-11-26",)),
    ("contracts", {"date": "2026-12-27"}, ()),
    ("contracts", {"date": "2026-11-25"}, ()),
    ("contracts", {"date": "2026-12-01", "is_template": True}, ()),
    ("invoices", {"name": "INV/7", "payment_state": "not_paid"}, ("invoice.posted.v1/account.move/7/INV/7",)),
    (
        "invoices",
        {"name": "INV/7", "payment_state": "blocked"},
        ("invoice.posted.v1/account.move/7/INV/7", "invoice.disputed.v1/account.move/7/INV/7"),
    ),
    (
        "invoices",
        {"name": "INV/7", "payment_state": "paid"},
        ("invoice.posted.v1/account.move/7/INV/7", "payment.received.v1/account.move/7/paid"),
    ),
    ("invoices", {"name": "INV/7", "payment_state": "reversed"}, ("invoice.posted.v1/account.move/7/INV/7",)),
    ("missed-payments", {"invoice_date_due": "2026-11-25"}, ("payment.missed.v1/account.move/7/1",)),
    ("missed-payments", {"invoice_date_due": "2026-11-12"}, ("payment.missed.v1/account.move/7/2",)),
    ("missed-payments", {"invoice_date_due": "2024-11-12"}, ("payment.missed.v1/account.move/7/3",)),
    ("missed-payments", {"invoice_date_due": "2026-11-26"}, ()),
    ("leaves", {"state": "validate", "date_to": "2026-12-01 16:00:00"}, ()),  # its row in the calendar tells it
    (
        "leaves",
        {"state": "refuse", "date_from": "2026-12-01 07:00:00", "date_to": "2026-12-01 16:00:00"},
        ("leave.cancelled.v1/hr.leave/7/refuse:2026-12-01T07:00Z..2026-12-01T16:00Z",),
    ),
    (
        "leaves",
        {"state": "cancel", "date_to": "2026-12-01 16:00:00"},
        ("leave.cancelled.v1/hr.leave/7/cancel:..2026-12-01T16:00Z",),
    ),
    ("leaves", {"state": "refuse", "date_to": "2026-11-26 11:59:59"}, ()),
    ("leaves", {"state": "confirm", "date_to": "2026-12-01 16:00:00"}, ()),
    (
        "absences",
        {"holiday_id": 3, "date_from": "2026-12-01 07:00:00", "date_to": "2026-12-01 16:00:00"},
        ("leave.approved.v1/hr.leave/3/7:2026-12-01T07:00Z..2026-12-01T16:00Z",),
    ),
    ("absences", {"holiday_id": 3, "date_to": "2026-11-01 16:00:00"}, ()),
    ("expenses", {"state": "submitted"}, ("expense.submitted.v1/hr.expense/7/submitted",)),
    ("expenses", {"state": "refused"}, ("expense.rejected.v1/hr.expense/7/refused",)),
    ("expenses", {"state": "approved"}, ()),
    (
        "purchases",
        {"date_approve": "2026-11-26 07:00:00"},
        ("purchase.approved.v1/purchase.order/7/2026-11-26T07:00:00Z",),
    ),
    (
        "employments",
        {"employee_id": 5, "date_version": "2026-12-01", "department_id": 3},
        ("employee.changed.v1/hr.employee/5/570c6b01a6adc8e4",),
    ),
    (
        "customers",
        {"name": "Acme", "email": False, "country_id": 57},
        (f"customer.changed.v1/res.partner/7/{fingerprint(CARD)}",),
    ),
    (
        "departures",
        {"active": False, "departure_date": "2026-11-30"},
        ("employee.departed.v1/hr.employee/7/2026-11-30",),
    ),
    ("departures", {"active": False}, ("employee.departed.v1/hr.employee/7",)),
    ("departures", {"active": True}, ()),
    ("change-requests", {"state": "03_approved"}, ()),
    ("timesheets", {"state": "confirm"}, ("timesheet.submitted.v1/hr_timesheet.sheet/7/confirm",)),
    ("timesheets", {"state": "done"}, ("timesheet.approved.v1/hr_timesheet.sheet/7/done",)),
    ("timesheets", {"state": "draft"}, ()),
    ("tickets", {"priority": "3"}, ("ticket.escalated.v1/helpdesk.ticket/7/3",)),
    ("tickets", {"priority": "1"}, ()),
    (
        "tickets",
        {"priority": "3", "close_date": "2026-11-26 07:00:00"},
        ("ticket.resolved.v1/helpdesk.ticket/7/2026-11-26T07:00:00Z",),
    ),
    (
        "tickets",
        {"priority": "0", "closed_date": "2026-11-26 07:00:00"},
        ("ticket.resolved.v1/helpdesk.ticket/7/2026-11-26T07:00:00Z",),
    ),
]


def told(watch: Watcher, stored: dict[str, Any], **tunables: Any) -> tuple[str, ...]:
    facts = tuple(watch(watch.row.model_validate({"id": 7, **stored}), NOON, **tunables))
    assert {type(fact) for fact in facts} <= set(watch.tells)
    return tuple(fact.identity for fact in facts)


@pytest.mark.parametrize(("name", "stored", "identities"), TOLD)
def test_a_record_amounts_to_these_facts_and_no_others(
    name: str, stored: dict[str, Any], identities: tuple[str, ...]
) -> None:
    assert told(WATCHES[name], stored) == identities


def test_another_department_in_the_same_span_is_another_fact() -> None:
    span = {"employee_id": 5, "date_version": "2026-12-01"}
    moves = [told(WATCHES["employments"], {**span, "department_id": one}) for one in (3, 4, 3)]
    assert moves[0] == moves[2] != moves[1]


def test_every_watch_and_every_fact_it_may_tell_is_among_the_examples() -> None:
    shown = {(name, identity.split("/")[0]) for name, _, identities in TOLD for identity in identities}
    declared = {(watch.name, fact.type) for watch in WATCHES.values() for fact in watch.tells}
    assert declared - shown == {("change-requests", "change-request.approved.v1")}, "which needs a tag of the policy"


def test_an_approved_task_stands_for_a_change_where_the_policy_says_by_which_tag() -> None:
    watch = WATCHES["change-requests"]
    identities = told(watch, {"state": "03_approved"}, tags=("Change request",))
    assert identities == ("change-request.approved.v1/project.task/7/03_approved",)
    assert told(watch, {"state": "02_changes_requested"}, tags=("Change request",)) == ()
    assert domain(watch.row) is None
    asked = domain(watch.row, tags=("Change request",))
    assert asked is not None
    assert ("tag_ids.name", "in", ("Change request",)) in asked


def test_levels_and_notice_are_the_firms_to_set() -> None:
    due = {"invoice_date_due": "2026-11-19"}
    assert told(WATCHES["missed-payments"], due, level_days=(7,)) == ("payment.missed.v1/account.move/7/1",)
    assert told(WATCHES["missed-payments"], due, level_days=(8,)) == ()
    assert told(WATCHES["contracts"], {"date": "2027-01-20"}, notice_days=60) != ()


def domain(row: type[Row], **tunables: Any) -> list[Any] | None:
    look = (("write_date", ">=", NOON),)
    return row.domain(QueryContext(as_of=NOON, look=look, tunables=tunables, snapshot=Snapshot(NOON)))


@pytest.mark.parametrize("watch", WATCHES.values(), ids=lambda watch: watch.name)
def test_a_watch_asks_first_of_all_for_what_is_to_be_looked_at(watch: Watcher) -> None:
    asked = domain(watch.row, tags=("a",))
    assert asked is not None
    assert asked[0] == ("write_date", ">=", NOON)
    assert len(asked) == 1 or isinstance(asked[1], tuple), "what follows is joined to it by and"


@pytest.mark.parametrize("watch", WATCHES.values(), ids=lambda watch: watch.name)
def test_no_mark_is_the_moment_of_the_last_write(watch: Watcher) -> None:
    assert "write_date" not in {spec.asked for spec in watch.row.specs()}
    assert all(fact.mark in fact.model_fields for fact in watch.tells)


def test_only_what_comes_with_time_alone_is_asked_for_by_time() -> None:
    assert {name for name, watch in WATCHES.items() if watch.by is WatchTrigger.TIME} == {
        "contracts",
        "missed-payments",
    }


def test_facts_of_odoo_that_nobody_watches_are_known() -> None:
    watched = {fact.type for watch in WATCHES.values() for fact in watch.tells}
    assert set(known_events()) - watched >= {"billing.ready.v1", "staffing.requested.v1", "document.signed.v1"}
    assert not {name for name in set(known_events()) - watched if name.startswith(("opportunity.", "invoice."))}


def test_a_stamp_tells_when_a_fact_became_true_and_a_day_holds_all_its_moments() -> None:
    won, reached = WATCHES["opportunities"], WATCHES["milestones"]
    row = won.row.model_validate({"id": 7, "won_status": "won", "date_closed": "2026-11-26 09:30:00"})
    (fact,) = won(row, NOON)
    moment = dt.datetime(2026, 11, 26, 9, 30, tzinfo=dt.UTC)
    assert won.happened(fact) == (moment, moment)
    (fact,) = reached(reached.row.model_validate({"id": 7, "is_reached": True, "reached_date": "2026-11-26"}), NOON)
    midnight = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    first, last = reached.happened(fact) or (None, None)
    assert (first, last) == (midnight - dt.timedelta(hours=14), midnight + dt.timedelta(hours=36))
    gone = WATCHES["departures"]
    (fact,) = gone(gone.row.model_validate({"id": 7, "active": False, "departure_date": "2020-01-01"}), NOON)
    assert gone.happened(fact) is None, "people write that date, sometimes long after"
