"""Unbilled work, judged over values: what counts, how much, since when, and what must not be judged."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser import Compliant, Exempt, Finding, Money, OpenCaseRef, QueryContext, Ref, Row
from purser.testing import ControlVerdicts, evaluate, snapshot
from tasks.controls.unbilled_work import unbilled_work
from tasks.queries.availability import AskableUser
from tasks.queries.companies import OwnCompany
from tasks.queries.expenses import ReinvoicedExpense
from tasks.queries.sales import (
    BilledOrder,
    LineToBill,
    ReachedMilestone,
    UnbilledTime,
    UnitConversion,
    UnitOfMeasure,
)

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
HOUR, DAY, PIECE = 4, 5, 1
UNITS = (
    UnitOfMeasure.model_validate(
        {"id": HOUR, "factor": 1.0, "relative_uom_id": False, "timesheet_widget": "float_time"}
    ),
    UnitOfMeasure.model_validate(
        {"id": DAY, "factor": 8.0, "relative_uom_id": HOUR, "timesheet_widget": "float_toggle"}
    ),
    UnitOfMeasure.model_validate({"id": PIECE, "factor": 1.0, "relative_uom_id": False, "timesheet_widget": False}),
)
ORDER = Ref("sale.order", 7)
FIRM = OwnCompany.model_validate({"id": 1, "currency_id": [1, "EUR"]})


def order(**values: Any) -> BilledOrder:
    own = {"id": ORDER.id, "name": "S00007", "state": "sale", "invoice_status": "to invoice", "user_id": 3}
    more = {"partner_id": [9, "Azure"], "currency_id": [1, "EUR"], "date_order": "2026-09-01 08:00:00"}
    return BilledOrder.model_validate(own | more | values)


def line(**values: Any) -> LineToBill:
    """24 h delivered, nothing invoiced, at 150.00 an hour."""
    own = {"id": 70, "order_id": ORDER.id, "qty_delivered_method": "timesheet", "product_uom_id": HOUR}
    money = {"product_uom_qty": 40.0, "price_unit": 150.0, "price_reduce_taxexcl": 150.0, "discount": 0.0}
    much = {"qty_to_invoice": 24.0, "qty_delivered": 24.0, "qty_invoiced": 0.0, "create_date": "2026-09-01 08:00:00"}
    return LineToBill.model_validate(own | money | much | values)


def time(oldest: str = "2026-10-02", hours: float = 24.0, **values: Any) -> UnbilledTime:
    own = {"so_line": [70, "S00007"], "product_uom_id": [HOUR, "Hours"], "unit_amount:sum": hours, "date:min": oldest}
    return UnbilledTime.model_validate(own | values)


def judged(*rows: Any, as_of: dt.datetime = AS_OF, **tunables: Any) -> ControlVerdicts:
    people = () if any(isinstance(row, AskableUser) for row in rows) else (AskableUser(id=3),)
    return evaluate(
        unbilled_work, snapshot(as_of, *rows, *UNITS, *people, FIRM, reads=unbilled_work.reads), **tunables
    )


def worth(of: ControlVerdicts) -> tuple[object, ...]:
    found = of.finding(ORDER)
    assert found.money_at_risk is not None
    return found.hours_at_risk, found.money_at_risk.amount, found.since


def test_delivered_time_is_found_with_everything_a_person_needs() -> None:
    assert judged(order(), line(), time()).findings == (
        Finding(
            subject=ORDER,
            subject_name="S00007, Azure",
            summary="24 h and 3,600.00 EUR delivered and not invoiced, oldest since 2026-10-02",
            since=dt.date(2026, 10, 2),
            owner=3,
            asks={"salesperson": 3},
            desk=ORDER,
            hours_at_risk=Decimal(24),
            money_at_risk=Money(Decimal(3600), "EUR"),
        ),
    )


@pytest.mark.parametrize(
    ("given_line", "expected"),
    [
        pytest.param(line(qty_to_invoice=0.0, qty_invoiced=8.0), (16, 2400), id="stale zero"),
        pytest.param(line(product_uom_id=PIECE), (24, 3600), id="time sold by the piece"),
        pytest.param(line(product_uom_id=DAY, qty_to_invoice=3.0, qty_delivered=3.0), (24, 450), id="time in days"),
        pytest.param(line(discount=10.0, price_reduce_taxexcl=135.0), (24, 3240), id="discount"),
        pytest.param(
            line(product_uom_qty=0.0, price_reduce_taxexcl=0.0, discount=10.0, qty_invoiced=4.0, qty_to_invoice=20.0),
            (20, 2700),
            id="nothing ordered in advance",
        ),
        pytest.param(
            line(product_uom_qty=0.0, price_reduce_taxexcl=0.0, price_unit=180.0, untaxed_amount_to_invoice=3600.0),
            (24, 3600),
            id="nothing ordered in advance, tax in the price",
        ),
        pytest.param(line(qty_delivered=4.0, qty_to_invoice=10.0), (4, 1500), id="due in advance, partly done"),
        pytest.param(line(qty_to_invoice=24.000000001), (24, 3600), id="float noise"),
    ],
)
def test_hours_and_amount_of_one_line(given_line: LineToBill, expected: tuple[int, int]) -> None:
    assert worth(judged(order(), given_line, time()))[:2] == expected


@pytest.mark.parametrize(
    "given_line",
    [
        pytest.param(line(is_downpayment=True, qty_delivered_method="manual", qty_to_invoice=1.0), id="down payment"),
        pytest.param(line(price_unit=0.0, price_reduce_taxexcl=0.0), id="work without a price"),
        pytest.param(line(discount=100.0, price_reduce_taxexcl=0.0), id="work for free"),
        pytest.param(line(qty_to_invoice=-4.0, qty_invoiced=28.0), id="credit due"),
        pytest.param(line(qty_to_invoice=0.0, qty_invoiced=24.0), id="all invoiced"),
        pytest.param(line(qty_to_invoice=0.0, qty_delivered_method="manual"), id="zero of a line not billed by time"),
    ],
)
def test_what_holds_nothing_to_bill_keeps_the_rule(given_line: LineToBill) -> None:
    assert judged(order(), given_line) == ControlVerdicts((), (Compliant(ORDER),), ())


def down_payment(amount: float, **values: Any) -> LineToBill:
    """Return the order's line of a down payment whose invoice is posted."""
    own = {
        "id": 79,
        "is_downpayment": True,
        "product_uom_qty": 0.0,
        "price_unit": amount,
        "price_reduce_taxexcl": 0.0,
    }
    more = {"qty_delivered": 0.0, "qty_invoiced": 1.0, "qty_to_invoice": -1.0, "qty_delivered_method": "manual"}
    return line(**own, **more, untaxed_amount_to_invoice=-amount, product_uom_id=PIECE, **values)


def test_a_down_payment_covers_what_was_delivered_up_to_its_amount() -> None:
    assert judged(order(), line(), time(), down_payment(3600)) == ControlVerdicts((), (Compliant(ORDER),), ())
    assert judged(order(), line(), time(), down_payment(5000)) == ControlVerdicts((), (Compliant(ORDER),), ())
    part = judged(order(), line(), time(), down_payment(1000))
    assert worth(part) == (24, 2600, dt.date(2026, 10, 2))
    assert part.finding(ORDER).summary == (
        "24 h and 2,600.00 EUR delivered and not invoiced, oldest since 2026-10-02; "
        "1,000.00 EUR of down payments or credits is deducted"
    )


def test_a_down_payment_with_tax_inside_its_price_counts_without_it() -> None:
    paid = down_payment(1190).model_copy(update={"untaxed_amount_to_invoice": Decimal(-1000)})
    assert worth(judged(order(), line(), time(), paid))[:2] == (24, 2600)


def test_the_least_amount_is_compared_with_what_is_left_of_the_order() -> None:
    rows = order(), line(), time(), down_payment(3500)
    assert judged(*rows, min_amount=Decimal(101)).exempt
    assert judged(*rows, min_amount=Decimal(100)).findings


def test_a_credit_due_on_one_line_is_deducted_from_the_work_on_another() -> None:
    credit = line(id=71, qty_to_invoice=-4.0, qty_invoiced=28.0)
    assert worth(judged(order(), line(), credit, time())) == (24, 3000, dt.date(2026, 10, 2))
    larger = line(id=71, qty_to_invoice=-30.0, qty_invoiced=54.0)
    assert judged(order(), line(), larger, time()) == ControlVerdicts((), (Compliant(ORDER),), ())


def test_a_line_with_a_negative_price_lowers_the_amount() -> None:
    rebate = {"price_unit": -100.0, "price_reduce_taxexcl": -100.0, "qty_to_invoice": 1.0, "qty_delivered": 0.0}
    lowered = line(id=71, qty_delivered_method="manual", product_uom_id=PIECE, **rebate)
    assert worth(judged(order(), line(), lowered, time())) == (24, 3500, dt.date(2026, 10, 2))


def test_a_rebate_alone_asks_nobody_for_money() -> None:
    rebate = line(qty_delivered_method="manual", price_unit=-100.0, price_reduce_taxexcl=-100.0)
    assert judged(order(), rebate) == ControlVerdicts((), (Compliant(ORDER),), ())


def test_each_line_is_rounded_as_its_invoice_line_will_be() -> None:
    odd = {"qty_to_invoice": 0.5, "qty_delivered": 0.5, "price_reduce_taxexcl": 0.01}
    assert worth(judged(order(), line(**odd), line(id=71, **odd), time()))[:2] == (1, Decimal("0.02"))


def test_lines_of_both_ways_are_said_to_be_so() -> None:
    prepaid = line(id=71, qty_delivered=0.0, qty_to_invoice=10.0, product_uom_id=PIECE, qty_delivered_method="manual")
    found = judged(order(), line(), prepaid, time()).finding(ORDER)
    assert (
        found.summary == "24 h and 5,100.00 EUR delivered or due in advance and not invoiced, oldest since 2026-09-01"
    )


# --------------------------------------------------------------------------------------- since --


@pytest.mark.parametrize(
    ("method", "rows", "since"),
    [
        ("timesheet", [time("2026-10-02"), time("2026-08-30", 1.0)], "2026-08-30"),
        ("timesheet", [], "2026-09-01"),
        ("manual", [time("2026-10-02", so_line=[99, "of another line"])], "2026-09-01"),
    ],
)
def test_the_oldest_unit_says_since_when(method: str, rows: list[UnbilledTime], since: str) -> None:
    given_line = line(qty_delivered_method=method)
    assert judged(order(), given_line, *rows).finding(ORDER).since == dt.date.fromisoformat(since)


def test_a_line_added_after_the_confirmation_is_no_older_than_itself() -> None:
    added = line(qty_delivered_method="manual", create_date="2026-10-30 23:30:00")
    assert judged(order(), added).finding(ORDER).since == dt.date(2026, 10, 30)

    in_vienna = AS_OF.astimezone(dt.timezone(dt.timedelta(hours=1)))
    assert judged(order(), added, as_of=in_vienna).finding(ORDER).since == dt.date(2026, 10, 31)


def milestone(id_: int, day: str | None, share: float) -> ReachedMilestone:
    values = {"id": id_, "sale_line_id": 70, "reached_date": day or False, "quantity_percentage": share}
    return ReachedMilestone.model_validate(values)


@pytest.mark.parametrize(
    ("invoiced", "since"),
    [(0.0, "2026-10-01"), (10.0, "2026-10-20"), (15.0, "2026-10-20"), (20.0, "2026-11-02")],
)
def test_an_invoiced_milestone_says_nothing_of_age(invoiced: float, since: str) -> None:
    reached = [milestone(3, "2026-11-02", 0.25), milestone(1, "2026-10-01", 0.25), milestone(2, "2026-10-20", 0.25)]
    much = {"qty_delivered": 30.0, "qty_invoiced": invoiced, "qty_to_invoice": 30.0 - invoiced}
    given_line = line(qty_delivered_method="milestones", product_uom_id=PIECE, **much)
    found = judged(order(), given_line, *reached, milestone(4, None, 0.0)).finding(ORDER)
    assert (found.since, found.hours_at_risk) == (dt.date.fromisoformat(since), Decimal(0))


def expense(**values: Any) -> ReinvoicedExpense:
    own = {"id": 5, "state": "approved", "sale_order_id": ORDER.id, "date": "2026-09-20", "currency_id": [1, "EUR"]}
    return ReinvoicedExpense.model_validate(
        own | {"untaxed_amount_currency": 300.0, "can_be_reinvoiced": True} | values
    )


def test_an_expense_on_the_order_is_as_old_as_its_day() -> None:
    cost = line(qty_delivered_method="analytic", is_expense=True, product_uom_id=PIECE)
    posted = expense(state="posted", sale_order_line_id=70, date="2026-09-20")
    found = judged(order(), cost, posted).finding(ORDER)
    assert (found.since, "expenses" in found.summary) == (dt.date(2026, 9, 20), False)


def test_approved_expenses_are_mentioned_by_currency_and_not_counted() -> None:
    chf = expense(id=6, currency_id=[2, "CHF"], untaxed_amount_currency=40.0)
    ours = expense(id=8, can_be_reinvoiced=False)
    other = expense(id=9, sale_order_id=8)
    of = judged(order(), line(), time(), expense(), chf, ours, other)
    assert worth(of)[:2] == (24, 3600)
    assert of.finding(ORDER).summary.endswith(
        "; approved expenses of 40.00 CHF and 300.00 EUR are not on the order yet"
    )


def test_approved_expenses_alone_are_no_finding() -> None:
    assert judged(order(invoice_status="no"), expense()) == ControlVerdicts((), (Compliant(ORDER),), ())


# ------------------------------------------------------------------------------------ approval --


APPROVED = [{"validated": True}, {"sheet_state": "done"}, {"validated": True, "sheet_state": "done"}]
WAITING = [{"validated": False}, {"sheet_state": "confirm"}, {"sheet_state": False}]


@pytest.mark.parametrize("how", APPROVED)
@pytest.mark.parametrize("how_not", WAITING)
def test_only_approved_time_counts_where_the_database_knows_approval(
    how: dict[str, Any], how_not: dict[str, Any]
) -> None:
    rows = order(), line(), time("2026-10-09", 16.0, **how), time("2026-08-30", 8.0, **how_not)
    assert worth(judged(*rows)) == (16, 2400, dt.date(2026, 10, 9))
    assert worth(judged(*rows, approved_only=False)) == (24, 3600, dt.date(2026, 8, 30))


@pytest.mark.parametrize("how_not", WAITING)
def test_time_that_waits_for_approval_is_not_late(how_not: dict[str, Any]) -> None:
    assert judged(order(), line(), time(**how_not)) == ControlVerdicts((), (Compliant(ORDER),), ())


def test_an_odoo_that_delivers_approved_time_only_is_not_cut_twice() -> None:
    delivered = line(qty_delivered=16.0, qty_to_invoice=16.0)
    both = time("2026-10-09", 16.0, validated=True), time("2026-08-30", 8.0, validated=False)
    assert worth(judged(order(), delivered, *both)) == (16, 2400, dt.date(2026, 10, 9))


def test_approved_time_is_counted_in_the_unit_of_its_line() -> None:
    days = line(product_uom_id=DAY, qty_delivered=3.0, qty_to_invoice=3.0, price_reduce_taxexcl=1200.0)
    both = time("2026-10-09", 16.0, validated=True), time("2026-08-30", 8.0, validated=False)
    assert worth(judged(order(), days, *both))[:2] == (16, 2400)


def test_where_no_time_may_be_read_the_orders_own_count_stands() -> None:
    of = snapshot(AS_OF, order(), line(), *UNITS, AskableUser(id=3), reads=unbilled_work.reads).plus(
        UnbilledTime, None
    )
    assert worth(evaluate(unbilled_work, of)) == (24, 3600, dt.date(2026, 9, 1))


# ------------------------------------------------------------------------------- what is judged --


@pytest.mark.parametrize(
    ("state", "reason"), [("cancel", "the order was cancelled"), ("draft", "it is not confirmed")]
)
def test_an_order_that_is_no_longer_confirmed_is_exempt(state: str, reason: str) -> None:
    assert judged(order(state=state, invoice_status="no")) == ControlVerdicts((), (), (Exempt(ORDER, reason),))


def test_an_order_with_nothing_left_keeps_the_rule() -> None:
    assert judged(order(invoice_status="invoiced")) == ControlVerdicts((), (Compliant(ORDER),), ())


def test_an_order_whose_lines_are_hidden_is_not_judged() -> None:
    assert judged(order(invoice_status="to invoice")) == ControlVerdicts((), (), ())


def test_a_small_amount_is_exempt_and_an_equal_one_is_not() -> None:
    assert judged(order(), line(), time(), min_amount=Decimal(3601)).exempt == (
        Exempt(ORDER, "less than 3,601.00 EUR is left to bill"),
    )
    assert judged(order(), line(), time(), min_amount=Decimal(3600)).findings


@pytest.mark.parametrize(
    ("currency", "min_amount", "is_found"),
    [
        ("KWD", Decimal(10_000), True),
        ("KWD", {"EUR": Decimal(10_000)}, True),
        ("KWD", {"EUR": Decimal(1), "KWD": Decimal(10_000)}, False),
        ("EUR", {"EUR": Decimal(10_000)}, False),
    ],
)
def test_the_least_amount_counts_in_the_currency_it_is_meant_in(
    currency: str, min_amount: Any, *, is_found: bool
) -> None:
    of = judged(order(currency_id=[2, currency]), line(), time(), min_amount=min_amount)
    assert bool(of.findings) is is_found


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "9"), ("KWD", "8.502"), ("EUR", "8.50")])
def test_amounts_are_rounded_to_the_decimals_of_their_currency(currency: str, amount: str) -> None:
    small = line(qty_to_invoice=1.0, qty_delivered=1.0, price_unit=8.5016, price_reduce_taxexcl=8.5016)
    of = judged(order(currency_id=[2, currency]), small, time())
    assert of.finding(ORDER).money_at_risk == Money(Decimal(amount), currency)


@pytest.mark.parametrize(("oldest", "is_late"), [("2026-11-14", True), ("2026-11-15", False), ("2026-11-20", False)])
def test_time_inside_the_grace_period_is_left_alone(oldest: str, is_late: bool) -> None:
    of = judged(order(), line(), time(oldest))
    assert (len(of.findings), len(of.kept)) == ((1, 0) if is_late else (0, 1))


def test_a_salesperson_who_left_is_not_asked() -> None:
    found = judged(order(user_id=4), line(), time()).finding(ORDER)
    assert (found.owner, found.asks, found.desk) == (None, {}, ORDER)


lines = st.lists(
    st.builds(
        lambda to_invoice, delivered, invoiced, method, unit: {
            "qty_to_invoice": to_invoice,
            "qty_delivered": delivered,
            "qty_invoiced": invoiced,
            "qty_delivered_method": method,
            "product_uom_id": unit,
        },
        *[st.integers(-40, 40).map(float)] * 3,
        st.sampled_from(["timesheet", "manual", "milestones", "analytic"]),
        st.sampled_from([HOUR, DAY, PIECE]),
    ),
    max_size=4,
)
days_back = st.integers(0, 60)


@given(lines, days_back, st.integers(0, 60), st.integers(0, 60))
def test_a_longer_grace_never_finds_more(values: list[dict[str, Any]], age: int, grace: int, longer: int) -> None:
    oldest = (AS_OF.date() - dt.timedelta(days=age)).isoformat()
    rows = [order(), *(line(id=70 + i, **one) for i, one in enumerate(values)), time(oldest)]
    short, long = judged(*rows, grace_days=grace), judged(*rows, grace_days=grace + longer)
    assert {found.subject for found in long.findings} <= {found.subject for found in short.findings}


@given(lines, st.decimals(-100, 10_000, places=2), st.decimals(0, 10_000, places=2))
def test_a_higher_least_amount_never_finds_more(values: list[dict[str, Any]], amount: Decimal, more: Decimal) -> None:
    rows = [order(), *(line(id=70 + i, **one) for i, one in enumerate(values)), time()]
    low, high = judged(*rows, min_amount=amount), judged(*rows, min_amount=amount + more)
    assert len(high.findings) <= len(low.findings)


@given(lines)
def test_a_finding_has_hours_that_are_not_negative_and_a_subject_once(values: list[dict[str, Any]]) -> None:
    rows = [order(), *(line(id=70 + i, **one) for i, one in enumerate(values)), time()]
    of = judged(*rows)
    assert all(found.hours_at_risk >= 0 for found in of.findings)
    assert len(of.findings) + len(of.kept) + len(of.exempt) <= 1


# --------------------------------------------------------------------------------------- reads --


def scope(*rows: Row, watched: tuple[OpenCaseRef, ...] = ()) -> QueryContext:
    return QueryContext(as_of=AS_OF, watched=watched, snapshot=snapshot(AS_OF, *rows, reads=unbilled_work.reads))


def test_orders_of_open_cases_are_read_whatever_their_lines_say() -> None:
    watched = (OpenCaseRef(Ref("sale.order", 12), None), OpenCaseRef(Ref("account.move", 13), None))
    assert BilledOrder.domain(scope(line(), watched=watched)) == [("id", "in", [7, 12])]
    assert BilledOrder.domain(scope(watched=watched)) == [("id", "in", [12])]


def test_with_nothing_to_bill_and_nothing_watched_only_lines_and_units_cost_a_call() -> None:
    calls = [read for read in unbilled_work.reads if read.domain(scope()) is not None]
    assert calls == [LineToBill, UnitOfMeasure]


def test_fields_of_approval_are_asked_for_only_where_they_exist() -> None:
    assert {spec.asked for spec in UnbilledTime.specs() if spec.if_known} == {"validated", "sheet_state"}
    assert {spec.asked for spec in UnbilledTime.specs() if spec.grouped} > {"validated", "sheet_state"}
    plain = UnbilledTime.model_validate({"so_line": 70, "unit_amount:sum": 1.0, "date:min": False})
    assert (plain.validated, plain.sheet_state, plain.oldest, plain.is_approved) == (None, None, None, True)


def test_minutes_add_up_to_hours() -> None:
    minute = UnitOfMeasure.model_validate(
        {"id": 6, "factor": 0.0166667, "relative_uom_id": HOUR, "timesheet_widget": False}
    )
    each = UnitConversion([*UNITS, minute]).hours_in(6)
    assert each is not None
    assert round(each * 6000, 2) == 100


def test_an_older_odoo_converts_by_category() -> None:
    hour = UnitOfMeasure.model_validate({"id": 4, "factor": 8.0, "category_id": 3, "timesheet_widget": "float_time"})
    day = UnitOfMeasure.model_validate({"id": 3, "factor": 1.0, "category_id": 3, "timesheet_widget": "float_toggle"})
    piece = UnitOfMeasure.model_validate({"id": 1, "factor": 1.0, "category_id": 1, "timesheet_widget": False})
    clock = UnitConversion([day, hour, piece])
    assert [clock.hours_in(one) for one in (4, 3, 1, None)] == [1, 8, None, None]


def test_a_database_without_timesheets_knows_no_hours() -> None:
    piece = UnitOfMeasure.model_validate({"id": PIECE, "factor": 1.0})
    assert UnitConversion([piece]).hours_in(PIECE) is None
