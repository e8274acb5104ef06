"""Stale drafts, computed by hand and found on a real Odoo 19; the clock moves, never the data."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from odoo_client import OdooClient, OdooConnection, connect
from purser import Compliant, Exempt, Finding, Money, OpenCaseRef, Ref, Severity, Verdict
from tasks.controls.stale_drafts import stale_drafts
from tests.conftest import OdooEnv
from tests.odoo.seeding_sales import UNITS, Seeder


def verdict(
    odoo: OdooClient, firm: Seeder, subject: Ref, days: int, *, watched: bool = False, **tunables: Any
) -> Verdict | None:
    """Judge one document so many days from now."""
    as_of = dt.datetime.combine(firm.today() + dt.timedelta(days=days), dt.time(6), dt.UTC)
    tunables = {"large_amount": {"USD": Decimal(10_000)}, **tunables}  # other tests leave companies that use EUR
    cases = [OpenCaseRef(subject, None)] if watched else []
    snapshot = odoo.snapshot(stale_drafts.reads, as_of=as_of, tunables=tunables, watched=cases)
    found = [one for one in stale_drafts(snapshot, **tunables) if one.subject == subject]
    assert len(found) <= 1
    return found[0] if found else None


def finding(odoo: OdooClient, firm: Seeder, subject: Ref, days: int, **more: Any) -> Finding:
    found = verdict(odoo, firm, subject, days, **more)
    assert isinstance(found, Finding), found
    return found


def becomes_stale_after(odoo: OdooClient, firm: Seeder, subject: Ref, days: int) -> Finding:
    """Say that so many days are patience, and give the finding of the day after."""
    assert verdict(odoo, firm, subject, days) == Compliant(subject)
    return finding(odoo, firm, subject, days + 1)


def test_a_draft_invoice_without_an_order_is_a_note_for_its_salesperson(odoo: OdooClient, firm: Seeder) -> None:
    move = Ref("account.move", firm.move("out_invoice", 1200, invoice_user_id=firm.salesperson))

    assert becomes_stale_after(odoo, firm, move, 7) == Finding(
        subject=move,
        subject_name=f"Draft invoice {move.id}, Customer {firm.tag}",
        summary=f"Draft invoice of 1,200.00 USD waits since {firm.today()}",
        since=firm.today(),
        severity=Severity.MEDIUM,
        owner=firm.salesperson,
        asks={"salesperson": firm.salesperson},
        desk=None,
        money_at_risk=Money(Decimal(1200), "USD"),
    )


def test_a_draft_invoice_made_from_an_order_sits_on_that_order(odoo: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("order"), "product_uom_qty": 10, "price_unit": 200})
    move = Ref("account.move", firm.draft_invoice(order))

    found = becomes_stale_after(odoo, firm, move, 7)

    name = firm.read("sale.order", order, "name")["name"]
    assert found.desk == Ref("sale.order", order)
    assert found.asks == {"salesperson": firm.salesperson}
    assert found.summary == f"Draft invoice of 2,000.00 USD waits since {firm.today()}, from {name}"


def test_an_invoice_reset_to_draft_says_so(odoo: OdooClient, firm: Seeder) -> None:
    move = Ref("account.move", firm.move("out_invoice", 1200))
    firm.post(move.id)
    number = firm.read("account.move", move.id, "name")["name"]
    firm.call("account.move", "button_draft", ids=[move.id])

    found = becomes_stale_after(odoo, firm, move, 7)

    assert found.severity is Severity.HIGH
    assert found.subject_name == f"{number}, Customer {firm.tag}"
    assert found.summary.endswith(", it was posted before and reset to draft")


def test_an_invoice_dated_later_waits_from_its_date(odoo: OdooClient, firm: Seeder) -> None:
    later = firm.today() + dt.timedelta(days=20)
    move = Ref("account.move", firm.move("out_invoice", 1200, invoice_date=later.isoformat()))

    assert becomes_stale_after(odoo, firm, move, 27).since == later


def test_an_invoice_that_posts_itself_is_left_alone(odoo: OdooClient, firm: Seeder) -> None:
    later = firm.today() + dt.timedelta(days=60)
    dates = {"date": later.isoformat(), "invoice_date": later.isoformat()}
    move = Ref("account.move", firm.move("out_invoice", 1200, auto_post="at_date", **dates))

    assert verdict(odoo, firm, move, 400) is None
    assert verdict(odoo, firm, move, 400, watched=True) == Exempt(move, "it posts itself on its date")


def test_a_draft_credit_note_is_found(odoo: OdooClient, firm: Seeder) -> None:
    move = Ref("account.move", firm.move("out_refund", 99.5))

    assert becomes_stale_after(odoo, firm, move, 7).summary == (
        f"Draft credit note of 99.50 USD waits since {firm.today()}"
    )


@pytest.mark.parametrize(("kind", "called"), [("in_invoice", "bill"), ("in_refund", "vendor credit note")])
def test_a_draft_bill_asks_whoever_entered_it(odoo: OdooClient, firm: Seeder, kind: str, called: str) -> None:
    move = Ref("account.move", firm.move(kind, 70, ref=f"V-{firm.tag}"))
    author = firm.read("account.move", move.id, "create_uid")["create_uid"]

    found = becomes_stale_after(odoo, firm, move, 10)

    assert found.subject_name == f"V-{firm.tag}, Customer {firm.tag}"
    assert found.summary == f"Draft {called} of 70.00 USD waits since {firm.today()}"
    assert (found.asks, found.desk) == ({"author": author}, None)


def test_a_posted_or_cancelled_document_ends_its_case(odoo: OdooClient, firm: Seeder) -> None:
    posted = Ref("account.move", firm.move("out_invoice", 10))
    firm.post(posted.id)
    cancelled = Ref("account.move", firm.move("out_invoice", 10))
    firm.call("account.move", "button_cancel", ids=[cancelled.id])

    assert verdict(odoo, firm, posted, 400) is None
    assert verdict(odoo, firm, posted, 400, watched=True) == Compliant(posted)
    assert verdict(odoo, firm, cancelled, 400, watched=True) == Exempt(cancelled, "it was cancelled")


def test_a_deleted_document_is_not_spoken_of(odoo: OdooClient, firm: Seeder) -> None:
    move = Ref("account.move", firm.move("out_invoice", 10))
    firm.call("account.move", "unlink", ids=[move.id])

    assert verdict(odoo, firm, move, 400, watched=True) is None


def quotation(firm: Seeder, **values: Any) -> Ref:
    line = {"product_id": firm.product("delivery", "manual", unit=UNITS), "product_uom_qty": 3, "price_unit": 500}
    return Ref("sale.order", firm.quotation(line, **values))


def test_an_old_quotation_without_a_last_day_is_found(odoo: OdooClient, firm: Seeder) -> None:
    subject = quotation(firm, validity_date=False)

    found = becomes_stale_after(odoo, firm, subject, 30)

    assert found.summary == f"Unsent quotation of 1,500.00 USD waits since {firm.today()}"
    assert (found.desk, found.severity) == (subject, Severity.LOW)
    assert found.asks == {"salesperson": firm.salesperson}


def test_a_valid_quotation_is_left_alone_until_the_day_after_its_last(odoo: OdooClient, firm: Seeder) -> None:
    last = firm.today() + dt.timedelta(days=90)
    subject = quotation(firm, validity_date=last.isoformat(), state="sent")

    found = becomes_stale_after(odoo, firm, subject, 90)

    assert found.summary == f"Quotation of 1,500.00 USD waits since {last}, its last day of validity"


def test_a_confirmed_or_cancelled_quotation_ends_its_case(odoo: OdooClient, firm: Seeder) -> None:
    won, lost = quotation(firm), quotation(firm)
    firm.call("sale.order", "action_confirm", ids=[won.id])
    firm.call("sale.order", "action_cancel", ids=[lost.id])

    assert verdict(odoo, firm, won, 400) is None
    assert verdict(odoo, firm, won, 400, watched=True) == Compliant(won)
    assert verdict(odoo, firm, lost, 400, watched=True) == Exempt(lost, "it was cancelled")


def test_a_draft_expense_asks_its_employee(odoo: OdooClient, firm: Seeder) -> None:
    expense = Ref("hr.expense", firm.expense(30, "2026-11-01"))
    user = firm.read("hr.employee", firm.employee, "user_id")["user_id"]

    found = becomes_stale_after(odoo, firm, expense, 10)

    assert found.subject_name == f"Train, Employee {firm.tag}"
    assert found.summary == f"Draft expense of 30.00 USD waits since {firm.today()}"
    assert (found.asks, found.desk, found.severity) == ({"employee": user}, expense, Severity.LOW)


def test_the_expense_of_an_employee_without_user_asks_the_approver(odoo: OdooClient, firm: Seeder) -> None:
    boss = firm.user("boss")
    employee = firm.create("hr.employee", name=f"No user {firm.tag}", expense_manager_id=boss)
    expense = Ref("hr.expense", firm.expense(30, "2026-11-01", employee_id=employee, manager_id=boss))

    assert finding(odoo, firm, expense, 11).asks == {"approver": boss}


def test_a_submitted_expense_asks_its_approver(odoo: OdooClient, firm: Seeder) -> None:
    boss = firm.user("boss")
    employee = firm.create("hr.employee", name=f"Boss's {firm.tag}", expense_manager_id=boss)
    expense = Ref("hr.expense", firm.expense(30, "2026-11-01", employee_id=employee))
    firm.call("hr.expense", "action_submit", ids=[expense.id])
    assert firm.read("hr.expense", expense.id, "state")["state"] == "submitted"

    found = becomes_stale_after(odoo, firm, expense, 5)

    assert found.summary == f"Submitted expense of 30.00 USD waits since {firm.today()}"
    assert (found.asks, found.severity) == ({"approver": boss}, Severity.MEDIUM)


def test_an_approved_expense_ends_its_case(odoo: OdooClient, firm: Seeder) -> None:
    expense = Ref("hr.expense", firm.expense(30, "2026-11-01"))
    firm.call("hr.expense", "action_submit", ids=[expense.id])
    firm.call("hr.expense", "action_approve", ids=[expense.id])

    assert verdict(odoo, firm, expense, 400, watched=True) == Compliant(expense)


def test_a_refused_expense_is_exempt(odoo: OdooClient, firm: Seeder) -> None:
    boss = firm.user("boss")
    employee = firm.create("hr.employee", name=f"Boss's {firm.tag}", expense_manager_id=boss)
    expense = Ref("hr.expense", firm.expense(30, "2026-11-01", employee_id=employee))
    firm.call("hr.expense", "action_submit", ids=[expense.id])
    wizard = firm.create("hr.expense.refuse.wizard", reason="No", expense_ids=[[6, 0, [expense.id]]])
    firm.call("hr.expense.refuse.wizard", "action_refuse", ids=[wizard])

    assert verdict(odoo, firm, expense, 400, watched=True) == Exempt(expense, "it was refused")


def test_a_draft_purchase_asks_its_buyer(odoo: OdooClient, firm: Seeder) -> None:
    buyer = firm.user("buyer")
    purchase = Ref("purchase.order", firm.purchase(11, user_id=buyer))

    found = becomes_stale_after(odoo, firm, purchase, 14)

    assert found.summary == f"Draft purchase of 11.00 USD waits since {firm.today()}"
    assert (found.asks, found.desk) == ({"buyer": buyer}, purchase)


def test_a_confirmed_or_cancelled_purchase_ends_its_case(odoo: OdooClient, firm: Seeder) -> None:
    bought, dropped = Ref("purchase.order", firm.purchase(11)), Ref("purchase.order", firm.purchase(11))
    firm.call("purchase.order", "button_confirm", ids=[bought.id])
    firm.call("purchase.order", "button_cancel", ids=[dropped.id])

    assert verdict(odoo, firm, bought, 400, watched=True) == Compliant(bought)
    assert verdict(odoo, firm, dropped, 400, watched=True) == Exempt(dropped, "it was cancelled")


def test_a_bot_without_purchases_and_expenses_still_gets_the_rest(odoo_env: OdooEnv, firm: Seeder) -> None:
    move = Ref("account.move", firm.move("out_invoice", 1200, invoice_user_id=firm.salesperson))
    expense = Ref("hr.expense", firm.expense(30, "2026-11-01"))
    purchase = Ref("purchase.order", firm.purchase(11))
    login, key = firm.bot("base.group_user", "sales_team.group_sale_salesman_all_leads")

    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as bot:
        assert finding(bot, firm, move, 8).asks == {"salesperson": firm.salesperson}
        assert verdict(bot, firm, expense, 400, watched=True) is None
        assert verdict(bot, firm, purchase, 400, watched=True) is None


def test_more_documents_cost_no_more_calls(odoo: OdooClient, firm: Seeder) -> None:
    def calls() -> int:
        before = odoo.calls
        odoo.snapshot(stale_drafts.reads, as_of=dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
        return odoo.calls - before

    def one_more_of_each() -> None:
        order = firm.order({"product_id": firm.product("order"), "product_uom_qty": 1, "price_unit": 200})
        firm.draft_invoice(order)
        firm.move("in_invoice", 70)
        quotation(firm)
        firm.expense(30, "2026-11-01")
        firm.purchase(11)

    one_more_of_each()
    calls()  # what is learned about the database is remembered
    few = calls()
    one_more_of_each()
    one_more_of_each()

    assert calls() == few <= len(stale_drafts.reads)
