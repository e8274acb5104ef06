"""The vocabulary refuses what makes no sense, and travels on a queue without loss."""

import datetime as dt
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser import Call, Change, Close, Ensure, Key, Link, Note, Period, Ref, Update, XmlId, activity
from purser.cadence import Daily, Every, parse_cadence
from purser.changes import check_key, dump_changes, load_changes
from purser.errors import Throttled

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
        values={"partner_id": Key("res.partner", "c"), "company_id": Link(Ref("res.company", 1)), "x": None},
    ),
    Update(ref=REF, expect={"partner_id": None}, values={"partner_id": Key("res.partner", "c")}),
    Call(ref=REF, method="action_confirm", guard={"state": "draft"}, arguments={"a": [1]}),
    Note(on=REF, key="n/1", body="a < b"),
    Close(activity=4, feedback="done", key="case/x/sale.order/7/-/e0/r0"),
    Ensure(model="mail.activity", key="a/1", values={"activity_type_id": XmlId("mail.mail_activity_data_todo")}),
)


def test_changes_travel_as_json_without_loss() -> None:
    assert load_changes(dump_changes(CHANGES)) == CHANGES


def test_dates_and_decimals_travel_as_text() -> None:
    change = activity(key="a/1", on=REF, summary="s", note="n", user_id=None, deadline=dt.date(2026, 11, 30))
    (read,) = load_changes(dump_changes([change]))
    assert isinstance(read, Ensure)
    assert read.values["date_deadline"] == "2026-11-30"
    (read,) = load_changes(dump_changes([Ensure(model="a.b", key="k", values={"d": Decimal("1.50")})]))
    assert isinstance(read, Ensure)
    assert read.values["d"] == "1.50"


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
