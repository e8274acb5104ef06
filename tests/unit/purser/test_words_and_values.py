"""The vocabulary refuses what makes no sense, and travels on a queue without loss."""

import datetime as dt
import json
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser import CallMethod, Change, CloseActivity, Ensure, Key, Period, PostNote, RecordLink, Ref, Update, XmlId
from purser.cadence import Daily, Every, parse_cadence
from purser.changes import RunOperation, check_key, dump_changes, load_changes
from purser.engine.reconcile import PlannedStep
from purser.errors import Throttled
from workers.controls.run import dump_steps, load_steps

REF = Ref("sale.order", 7)


@pytest.mark.parametrize(("model", "number"), [("sale order", 1), ("Sale.Order", 1), ("sale.order", 0), ("", 1)])
def test_a_reference_to_nothing_cannot_be_written(model: str, number: int) -> None:
    with pytest.raises(ValueError, match="not a record"):
        Ref(model, number)


@pytest.mark.parametrize("text", ["", "sale.order", "sale.order/x", "/7", "sale.order/-1"])
def test_a_text_that_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"reference|record"):
        Ref.parse(text)


def test_a_reference_reads_what_it_writes() -> None:
    assert Ref.parse(str(REF)) == REF


def test_a_period_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="before"):
        Period(dt.date(2026, 1, 2), dt.date(2026, 1, 1))


@given(st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
def test_a_week_runs_from_monday_to_sunday_around_its_day(day: dt.date) -> None:
    week = Period.week_of(day)
    assert (week.first.weekday(), week.last.weekday()) == (0, 6)
    assert week.first <= day <= week.last
    assert (week.last - week.first).days == 6


@pytest.mark.parametrize("key", ["", " a", "a b", "a\tb", "x" * 301, "ä"])
def test_a_key_that_odoo_would_refuse_or_garble_is_refused_here(key: str) -> None:
    with pytest.raises(ValueError, match="business key"):
        check_key(key)


CHANGES: tuple[Change, ...] = (
    Ensure(model="res.partner", key="opportunity/42/customer", values={"name": "Acme", "is_company": True, "n": 3}),
    Ensure(
        model="project.project",
        key="p/1",
        values={"partner_id": Key("res.partner", "c"), "company_id": RecordLink(Ref("res.company", 1)), "x": None},
    ),
    Update(ref=REF, expect={"partner_id": None}, values={"partner_id": Key("res.partner", "c")}),
    CallMethod(ref=REF, method="action_confirm", guard={"state": "draft"}, arguments={"a": [1]}),
    PostNote(on=REF, key="n/1", body="a < b"),
    CloseActivity(activity=4, feedback="done", key="case/x/sale.order/7/-/e0/r0"),
    Ensure(model="mail.activity", key="a/1", values={"activity_type_id": XmlId("mail.mail_activity_data_todo")}),
)


def test_changes_travel_as_json_without_loss() -> None:
    assert load_changes(dump_changes(CHANGES)) == CHANGES


TYPED: tuple[Change, ...] = (
    Ensure(
        model="project.task",
        key="t/1",
        values={
            "day": dt.date(2026, 11, 26),
            "moment": dt.datetime(2026, 11, 26, 8, 0, 1, 250_000, tzinfo=dt.UTC),
            "far": dt.datetime(2026, 11, 26, 8, tzinfo=dt.timezone(dt.timedelta(hours=9))),
            "hours": Decimal("1.50"),
            "name": "2026-11-26",
            "count": 3,
            "open": True,
            "none": None,
        },
    ),
    Update(
        ref=REF, expect={"amount": Decimal("10.00")}, values={"amount": Decimal("12.5"), "on": dt.date(2026, 1, 1)}
    ),
    CallMethod(
        ref=REF,
        method="m",
        guard={"until": dt.date(2026, 1, 1)},
        arguments={"lines": [{"on": dt.date(2026, 1, 2), "share": Decimal("0.1")}], "since": dt.date(2026, 1, 3)},
    ),
    RunOperation(operation="order.draft-invoice", on=REF, key="d/1", arguments={"until": dt.date(2026, 1, 4)}),
)


@pytest.mark.parametrize("change", TYPED, ids=lambda one: one.kind)
def test_dates_moments_and_decimals_keep_their_type_in_json(change: Change) -> None:
    (read,) = load_changes(json.loads(json.dumps(dump_changes([change]))))

    assert read == change
    assert dump_changes([read]) == dump_changes([change])


def test_the_steps_of_a_chunk_keep_the_types_of_their_changes() -> None:
    steps = tuple(PlannedStep(change, None) for change in TYPED)
    assert load_steps(json.loads(json.dumps(dump_steps(steps)))) == steps


def test_a_change_that_an_older_release_wrote_is_read_as_the_text_it_holds() -> None:
    (written,) = dump_changes([Ensure(model="a.b", key="k", values={"on": dt.date(2026, 11, 30)})])
    del written["types"]

    (read,) = load_changes([written])

    assert read == Ensure(model="a.b", key="k", values={"on": "2026-11-30"})


def test_a_value_that_was_edited_or_removed_since_is_read_as_it_stands() -> None:
    change = Ensure(
        model="a.b", key="k", values={"on": dt.date(2026, 11, 30), "n": Decimal(1), "gone": dt.date(2026, 1, 1)}
    )
    (written,) = dump_changes([change])
    written["values"] = {"on": "2026-12-01", "n": None}

    (read,) = load_changes([written])

    assert read == Ensure(model="a.b", key="k", values={"on": dt.date(2026, 12, 1), "n": None})


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ([["values", "on", "date"]], "values.on: 'tomorrow' is not a date"),
        ([["values", "on", "decimal"]], "not a decimal"),
        ([["values", "on", "week"]], "must list paths"),
        ([["values", [], "date"]], "must list paths"),
        ("date", "must be a list"),
        ([["date"]], "must list paths"),
    ],
)
def test_a_list_of_types_that_does_not_fit_is_named(types: object, says: str) -> None:
    written = {"kind": "ensure", "model": "a.b", "key": "k", "values": {"on": "tomorrow"}, "types": types}
    with pytest.raises(ValueError, match=says):
        load_changes([written])


def test_a_change_of_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        load_changes([{"kind": "explode"}])


def test_an_error_that_asks_for_patience_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(Throttled("slow", retry_after=3.5)))  # noqa: S301 - our own bytes
    assert (str(error), error.retry_after) == ("slow", 3.5)


@pytest.mark.parametrize(
    ("text", "cadence"),
    [
        ("every 6 hours", Every(dt.timedelta(hours=6))),
        ("every hour", Every(dt.timedelta(hours=1))),
        ("Every 15 minutes", Every(dt.timedelta(minutes=15))),
        ("daily 06:00", Daily(dt.time(6))),
        ("daily 18:30 mon,thu", Daily(dt.time(18, 30), frozenset({0, 3}))),
    ],
)
def test_a_cadence_is_read_and_written_alike(text: str, cadence: Every | Daily) -> None:
    assert parse_cadence(text) == cadence
    assert parse_cadence(str(cadence)) == cadence


@pytest.mark.parametrize("text", ["", "hourly", "daily 25:00", "daily 06:61", "every 0 hours", "daily 06:00 lundi"])
def test_what_is_no_cadence_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cadence"):
        parse_cadence(text)
