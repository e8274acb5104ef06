"""What a customer owes, decided over values: asked for on its day, and on the right desk when it is missed."""

import datetime as dt
from typing import Any

import pytest

from events.billing import InvoicePosted, PaymentMissed, PaymentReceived
from purser import Change, CloseActivity, Ensure, RecordLink, Ref
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.follow_up_invoice import follow_up_invoice
from tasks.automations.review_account import review_account
from tasks.queries.availability import AskableUser
from tasks.queries.invoicing import Invoice, InvoicedOrder, InvoiceReviewer, InvoiceTodo, SalesTeam

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
DUE = dt.date(2026, 11, 10)
SELLER, LEADER, FINANCE, BILLER = 9, 8, 7, 6
ORDER = InvoicedOrder(id=4, name="S00004", user_id=SELLER, team_id=2)
TEAM = SalesTeam(id=2, name="Europe", user_id=LEADER)
REVIEWER = InvoiceReviewer(id=FINANCE, login="fin")
STAFF = tuple(AskableUser(id=one) for one in (SELLER, LEADER, BILLER, FINANCE))


def invoice(**values: Any) -> Invoice:
    own = {"id": 31, "name": "INV/31", "move_type": "out_invoice", "state": "posted", "payment_state": "not_paid"}
    more = {
        "partner_id": [3, "A & B"],
        "invoice_user_id": BILLER,
        "amount_residual": 119.0,
        "currency_id": [1, "EUR"],
    }
    return Invoice.model_validate(own | more | {"invoice_date_due": DUE.isoformat()} | values)


def followed(*rows: Any) -> list[Change]:
    read = snapshot(AS_OF, *rows, *STAFF, reads=follow_up_invoice.reads)
    return list(follow_up_invoice(InvoicePosted(invoice_id=31, number="INV/31"), read))  # type: ignore[arg-type]


def reviewed(level: int | None, *rows: Any, staff: tuple[Any, ...] = STAFF, **tunables: Any) -> list[Any]:
    read = snapshot(AS_OF, *rows, *staff, reads=review_account.reads)
    return list(review_account(PaymentMissed(invoice_id=31, level=level), read, **tunables))


GONE = [
    pytest.param(one, id=" ".join(map(str, one.values())))
    for one in (
        {"payment_state": "paid"},
        {"payment_state": "in_payment"},
        {"payment_state": "blocked"},
        {"state": "draft"},
        {"state": "cancel"},
        {"move_type": "out_refund"},
    )
]


@pytest.mark.parametrize("values", GONE)
def test_what_is_not_owed_any_more_is_left_alone(values: dict[str, Any]) -> None:
    assert followed(invoice(**values), ORDER) == []
    assert reviewed(1, invoice(**values), ORDER) == []


@pytest.mark.parametrize("values", GONE)
def test_open_questions_are_closed_once_nothing_is_owed(values: dict[str, Any]) -> None:
    asked = InvoiceTodo(id=70, keys=("invoice/31/follow-up",)), InvoiceTodo(id=71, keys=("invoice/31/missed/2",))
    other = InvoiceTodo(id=72, keys=("invoice/311/follow-up",))
    for automation, closed in ((follow_up_invoice, asked[0]), (review_account, asked[1])):
        read = snapshot(AS_OF, invoice(**values), ORDER, *STAFF, *asked, other, reads=automation.reads)
        (change,) = automation(PaymentReceived(invoice_id=31, state="paid"), read)
        assert isinstance(change, CloseActivity)
        assert (change.activity, change.key) == (closed.id, closed.keys[0])


def test_who_paid_in_part_is_asked_on_and_nothing_new_is_opened() -> None:
    asked = InvoiceTodo(id=70, keys=("invoice/31/follow-up",)), InvoiceTodo(id=71, keys=("invoice/31/missed/2",))
    for automation in (follow_up_invoice, review_account):
        read = snapshot(AS_OF, invoice(payment_state="partial"), ORDER, *STAFF, *asked, reads=automation.reads)
        assert list(automation(PaymentReceived(invoice_id=31, state="partial"), read)) == []


def test_its_salesperson_asks_some_days_after_it_is_due() -> None:
    (asked,) = followed(invoice(), ORDER)
    assert isinstance(asked, Ensure)
    assert (asked.key, asked.values["res_model"], asked.values["res_id"]) == ("invoice/31/follow-up", "sale.order", 4)
    assert asked.values["user_id"] == RecordLink(Ref("res.users", SELLER))
    assert asked.values["date_deadline"] == dt.date(2026, 11, 13)


def test_without_an_order_it_stands_on_the_customer_and_is_for_who_billed() -> None:
    (asked,) = followed(invoice())
    assert isinstance(asked, Ensure)
    assert (asked.values["res_model"], asked.values["res_id"]) == ("res.partner", 3)
    assert asked.values["user_id"] == RecordLink(Ref("res.users", BILLER))


def test_without_customer_or_due_date_it_is_refused() -> None:
    with pytest.raises(Refusal, match="no customer"):
        followed(invoice(partner_id=False))
    with pytest.raises(Refusal, match="no due date"):
        followed(invoice(invoice_date_due=False), ORDER)


@pytest.mark.parametrize(("level", "user"), [(1, SELLER), (2, LEADER), (3, FINANCE), (5, FINANCE)])
def test_each_level_has_its_desk(level: int, user: int) -> None:
    (asked,) = reviewed(level, invoice(), ORDER, TEAM, REVIEWER, reviewer="fin")
    assert asked.key == f"invoice/31/missed/{level}"
    assert asked.values["user_id"] == RecordLink(Ref("res.users", user))
    assert "119.00 EUR of INV/31 of A &amp; B" in asked.values["note"]


def test_who_is_not_there_is_replaced_by_the_one_before() -> None:
    (asked,) = reviewed(3, invoice(), ORDER, TEAM, staff=STAFF[:1])
    assert asked.values["user_id"] == RecordLink(Ref("res.users", SELLER))
    (asked,) = reviewed(3, invoice(), staff=())
    assert asked.values["user_id"] is None


def test_a_level_that_the_invoice_has_left_behind_is_late() -> None:
    old = invoice(invoice_date_due="2026-11-01")
    assert reviewed(1, old, ORDER) == []
    assert len(reviewed(2, old, ORDER)) == 1
    assert reviewed(None, old, ORDER)[0].key == "invoice/31/missed/2"


def test_a_due_day_that_was_moved_is_not_missed() -> None:
    assert reviewed(1, invoice(invoice_date_due="2026-11-20"), ORDER) == []
