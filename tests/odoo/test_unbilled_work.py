"""Unbilled work, computed by hand and found on a real Odoo 19."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from odoo_client import OdooClient, OdooConnection, connect
from purser import Compliant, Exempt, Finding, Money, OpenCaseRef, Ref, Verdict
from purser.errors import NotApplicable
from tasks.controls.unbilled_work import unbilled_work
from tasks.queries.sales import BilledOrder
from tests.conftest import OdooEnv
from tests.odoo.seeding_sales import DAYS, UNITS, Seeder


def verdict(
    odoo: OdooClient, firm: Seeder, order: int, *, days: int = 30, watched: bool = False, **tunables: Any
) -> Verdict | None:
    """Judge one order so many days from now."""
    subject = Ref("sale.order", order)
    as_of = dt.datetime.combine(firm.today() + dt.timedelta(days=days), dt.time(6), dt.UTC)
    cases = [OpenCaseRef(subject, None)] if watched else []
    snapshot = odoo.snapshot(unbilled_work.reads, as_of=as_of, tunables=tunables, watched=cases)
    found = [one for one in unbilled_work(snapshot, **tunables) if one.subject == subject]
    assert len(found) <= 1
    return found[0] if found else None


def finding(odoo: OdooClient, firm: Seeder, order: int, **more: Any) -> Finding:
    found = verdict(odoo, firm, order, **more)
    assert isinstance(found, Finding), found
    return found


def worth(found: Finding) -> tuple[object, ...]:
    assert found.money_at_risk is not None
    return found.hours_at_risk, found.money_at_risk.amount, found.since


def test_delivered_time_is_found_with_its_hours_amount_and_oldest_day(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    line = firm.lines(order)[0]
    firm.log(line, "2026-10-02", 16)
    firm.log(line, "2026-11-02", 8)

    found = finding(odoo, firm, order)

    name = firm.read("sale.order", order, "name")["name"]
    assert found == Finding(
        subject=Ref("sale.order", order),
        subject_name=f"{name}, Customer {firm.tag}",
        summary="24 h and 3,600.00 USD delivered and not invoiced, oldest since 2026-10-02",
        since=dt.date(2026, 10, 2),
        owner=firm.salesperson,
        asks={"salesperson": firm.salesperson},
        desk=Ref("sale.order", order),
        hours_at_risk=Decimal(24),
        money_at_risk=Money(Decimal(3600), "USD"),
    )


def test_a_stale_zero_left_by_a_date_limited_invoice_is_found(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery")
    billed = {"product_id": product, "product_uom_qty": 40, "price_unit": 150}
    order = firm.order(billed, billed | {"product_uom_qty": 0, "price_unit": 100, "discount": 10})
    first, second = firm.lines(order)
    firm.log(first, "2026-10-02", 16)
    firm.log(first, "2026-11-02", 8)
    firm.log(second, "2026-10-05", 4)
    firm.draft_invoice(order, date_start_invoice_timesheet="2026-11-01", date_end_invoice_timesheet="2026-11-30")
    stale = firm.lines(order)[1]
    assert (stale["qty_delivered"], stale["qty_to_invoice"], stale["invoice_status"]) == (4, 0, "to invoice")

    # 16 h at 150, and the 4 h of the stale zero at 100 less 10 %
    assert worth(finding(odoo, firm, order)) == (20, 2400 + 360, dt.date(2026, 10, 2))


def test_what_a_draft_invoice_holds_is_no_longer_unbilled(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    firm.draft_invoice(order)

    assert verdict(odoo, firm, order) is None
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))


def test_a_cancelled_or_deleted_draft_makes_its_time_unbilled_again(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    firm.call("account.move", "button_cancel", ids=[firm.draft_invoice(order)])

    assert worth(finding(odoo, firm, order)) == (16, 2400, dt.date(2026, 10, 2))

    firm.call("account.move", "unlink", ids=[firm.draft_invoice(order)])

    assert worth(finding(odoo, firm, order)) == (16, 2400, dt.date(2026, 10, 2))


def test_time_on_a_prepaid_line_is_nothing_to_bill_once_the_line_is_invoiced(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("order"), "product_uom_qty": 10, "price_unit": 200})
    firm.log(firm.lines(order)[0], "2026-10-02", 4)

    due = finding(odoo, firm, order)
    assert worth(due) == (4, 2000, firm.today())  # billable since it was ordered; 4 of its 10 hours are worked
    assert due.summary.startswith("4 h and 2,000.00 USD due in advance and not invoiced")

    firm.draft_invoice(order)
    firm.log(firm.lines(order)[0], "2026-10-03", 5)
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))


def test_a_reached_milestone_is_found_and_an_open_one_is_not(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery", "milestones", unit=UNITS)
    order = firm.order({"product_id": product, "product_uom_qty": 4, "price_unit": 1000})
    line = firm.lines(order)[0]
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))

    milestone = firm.milestone(line, 0.25)
    firm.write("project.milestone", milestone, reached_date="2026-11-03")

    assert worth(finding(odoo, firm, order)) == (0, 1000, dt.date(2026, 11, 3))


def test_an_invoiced_milestone_does_not_make_the_next_one_older(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery", "milestones", unit=UNITS)
    order = firm.order({"product_id": product, "product_uom_qty": 4, "price_unit": 1000})
    line = firm.lines(order)[0]
    firm.write("project.milestone", firm.milestone(line, 0.5), reached_date="2026-09-01")
    firm.draft_invoice(order)
    firm.write("project.milestone", firm.milestone(line, 0.25), reached_date="2026-11-03")

    assert worth(finding(odoo, firm, order)) == (0, 1000, dt.date(2026, 11, 3))


def test_a_quantity_entered_by_hand_is_found_since_the_confirmation(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery", "manual", unit=UNITS)
    order = firm.order({"product_id": product, "product_uom_qty": 5, "price_unit": 80, "discount": 25})
    firm.write("sale.order.line", firm.lines(order)[0]["id"], qty_delivered=2)

    found = finding(odoo, firm, order)

    assert worth(found) == (0, 120, firm.today())
    assert found.summary == f"120.00 USD delivered and not invoiced, oldest since {firm.today()}"


def test_a_discount_given_on_the_invoice_only_does_not_change_what_is_left(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery", "manual", unit=UNITS)
    order = firm.order({"product_id": product, "product_uom_qty": 5, "price_unit": 80})
    line = firm.lines(order)[0]["id"]
    firm.write("sale.order.line", line, qty_delivered=2)
    draft = firm.draft_invoice(order)
    billed = firm.call(
        "account.move.line", "search", domain=[["move_id", "=", draft], ["sale_line_ids", "in", [line]]]
    )
    firm.write("account.move.line", billed[0], discount=50)
    firm.post(draft)
    firm.write("sale.order.line", line, qty_delivered=5)

    assert worth(finding(odoo, firm, order)) == (0, 240, firm.today())


def test_a_line_in_days_counts_its_hours_and_its_price_per_day(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery", unit=DAYS)
    order = firm.order({"product_id": product, "product_uom_qty": 5, "price_unit": 1200})
    firm.log(firm.lines(order)[0], "2026-10-06", 12)

    assert worth(finding(odoo, firm, order)) == (12, 1800, dt.date(2026, 10, 6))


def test_the_amount_is_in_the_currency_of_the_order(odoo: OdooClient, firm: Seeder) -> None:
    (euro,) = firm.call("res.currency", "search", domain=[["name", "=", "EUR"]], context={"active_test": False})
    firm.write("res.currency", euro, active=True)
    prices = firm.create("product.pricelist", name=f"Euro {firm.tag}", currency_id=euro)
    product = firm.product("delivery")
    order = firm.order({"product_id": product, "product_uom_qty": 40, "price_unit": 150}, pricelist_id=prices)
    firm.log(firm.lines(order)[0], "2026-10-02", 16)

    found = finding(odoo, firm, order)

    assert found.money_at_risk == Money(Decimal(2400), "EUR")
    assert found.summary.startswith("16 h and 2,400.00 EUR delivered")


@pytest.mark.parametrize("ordered", [40, 0])
def test_the_amount_is_untaxed_even_where_prices_hold_the_tax(odoo: OdooClient, firm: Seeder, ordered: int) -> None:
    tax = firm.create("account.tax", name=f"20 % {firm.tag}", amount=20, price_include_override="tax_included")
    billed = {"product_id": firm.product("delivery"), "product_uom_qty": ordered, "price_unit": 180}
    order = firm.order(billed | {"tax_ids": [[6, 0, [tax]]]})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)

    assert worth(finding(odoo, firm, order)) == (16, 2400, dt.date(2026, 10, 2))


def test_a_credit_due_is_no_work_to_bill(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    draft = firm.draft_invoice(order)
    billed = firm.call("account.move.line", "search", domain=[["move_id", "=", draft], ["quantity", "=", 16]])
    firm.write("account.move.line", billed[0], quantity=20)
    line = firm.lines(order)[0]
    assert (line["qty_to_invoice"], line["invoice_status"]) == (-4, "to invoice")

    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))


def test_a_down_payment_covers_work_up_to_its_amount(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    draft = firm.draft_invoice(order, advance_payment_method="fixed", fixed_amount=600)
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))

    firm.post(draft)
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))

    firm.log(firm.lines(order)[0], "2026-10-02", 1)
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))

    firm.log(firm.lines(order)[0], "2026-10-05", 5)
    assert worth(finding(odoo, firm, order)) == (6, 300, dt.date(2026, 10, 2))


def test_an_approved_expense_is_mentioned_and_counts_once_it_is_posted(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    expense = firm.expense(300, "2026-09-20", sale_order_id=order)
    firm.call("hr.expense", "action_submit", ids=[expense])
    firm.call("hr.expense", "action_approve", ids=[expense])
    assert verdict(odoo, firm, order, watched=True) == Compliant(Ref("sale.order", order))

    firm.log(firm.lines(order)[0], "2026-10-02", 2)
    found = finding(odoo, firm, order)
    assert worth(found) == (2, 300, dt.date(2026, 10, 2))
    assert found.summary.endswith("; approved expenses of 300.00 USD are not on the order yet")

    firm.post_expense(expense)
    found = finding(odoo, firm, order)
    assert worth(found) == (2, 600, dt.date(2026, 9, 20))
    assert "expenses" not in found.summary


def test_a_cancelled_order_is_exempt(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    firm.call("sale.order", "action_cancel", ids=[order])

    assert verdict(odoo, firm, order) is None
    assert verdict(odoo, firm, order, watched=True) == Exempt(Ref("sale.order", order), "the order was cancelled")


def test_an_archived_salesperson_is_not_asked(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    firm.write("res.users", firm.salesperson, active=False)

    found = finding(odoo, firm, order)

    assert (found.owner, dict(found.asks)) == (None, {})


BOT = (
    *("base.group_user", "hr.group_hr_user", "project.group_project_manager", "account.group_account_readonly"),
    *("sales_team.group_sale_salesman_all_leads", "hr_expense.group_hr_expense_user"),
)


def test_a_bot_that_is_no_administrator_finds_the_same(odoo_env: OdooEnv, odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    login, key = firm.bot(*BOT)

    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as bot:
        assert finding(bot, firm, order) == finding(odoo, firm, order)


def test_a_bot_that_may_not_read_time_still_finds_the_money(odoo_env: OdooEnv, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    firm.log(firm.lines(order)[0], "2026-10-02", 16)
    login, key = firm.bot("base.group_user", "sales_team.group_sale_salesman_all_leads")

    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as bot:
        assert worth(finding(bot, firm, order)) == (16, 2400, firm.today())


def test_an_order_whose_lines_are_hidden_is_not_judged(odoo_env: OdooEnv, firm: Seeder) -> None:
    product = firm.product("order", "manual", unit=UNITS)
    order = firm.order({"product_id": product, "product_uom_qty": 4, "price_unit": 1000})
    login, key = firm.bot("base.group_user", "project.group_project_manager", "account.group_account_readonly")

    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as narrowed:
        cases = [OpenCaseRef(Ref("sale.order", order), None)]
        seen = narrowed.snapshot(unbilled_work.reads, as_of=dt.datetime(2027, 6, 1, tzinfo=dt.UTC), watched=cases)

    assert [row.invoice_status for row in seen.rows(BilledOrder) if row.id == order] == ["to invoice"]
    assert order not in {verdict.subject.id for verdict in unbilled_work(seen)}


def test_not_being_allowed_to_read_orders_is_no_empty_answer(odoo_env: OdooEnv, firm: Seeder) -> None:
    login, key = firm.bot("base.group_user")

    with (
        connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as bot,
        pytest.raises(NotApplicable),
    ):
        bot.snapshot(unbilled_work.reads, as_of=dt.datetime(2027, 1, 1, tzinfo=dt.UTC))


def test_work_inside_the_grace_period_is_left_alone(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("order"), "product_uom_qty": 10, "price_unit": 200})

    assert verdict(odoo, firm, order, days=5) == Compliant(Ref("sale.order", order))
    assert isinstance(verdict(odoo, firm, order, days=6), Finding)
    assert verdict(odoo, firm, order, days=6, grace_days=6) == Compliant(Ref("sale.order", order))


def test_more_orders_cost_no_more_calls(odoo: OdooClient, firm: Seeder) -> None:
    product = firm.product("delivery")

    def calls() -> int:
        before = odoo.calls
        odoo.snapshot(unbilled_work.reads, as_of=dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
        return odoo.calls - before

    def one_more() -> None:
        order = firm.order({"product_id": product, "product_uom_qty": 40, "price_unit": 150})
        firm.log(firm.lines(order)[0], "2026-10-02", 1)

    one_more()
    calls()  # what is learned about the database is remembered
    few = calls()
    for _ in range(5):
        one_more()

    assert calls() == few <= len(unbilled_work.reads)
