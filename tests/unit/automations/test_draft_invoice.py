"""Billing, decided over values: once for each cause, nothing that is not there, and finance first where it must."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from events.billing import BillingReady
from purser import Ensure, Link, Note, Perform, Ref
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.draft_invoice import draft_invoice
from tasks.rows.askable import Askable
from tasks.rows.billing import BillingAddress, LineOfOrder, OrderToBill, Reviewer

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
EVENT = BillingReady(order_id=4, cause="milestone/7/2026-11-19")
SELLER, FINANCE = 9, 8


def order(**values: Any) -> OrderToBill:
    own = {"id": 4, "name": "S00004", "state": "sale", "user_id": SELLER, "currency_id": [1, "EUR"]}
    return OrderToBill.model_validate(own | {"partner_invoice_id": [6, "Azure"], "invoice_ids": []} | values)


def line(**values: Any) -> LineOfOrder:
    own = {"id": 5, "order_id": 4, "qty_delivered": 10, "qty_to_invoice": 10, "product_uom_qty": 10}
    price = {"price_unit": 100, "price_reduce_taxexcl": 100, "create_date": "2026-10-01 08:00:00"}
    return LineOfOrder.model_validate(own | price | values)


def decided(*rows: Any, event: BillingReady = EVENT, **tunables: Any) -> list[Any]:
    reads = draft_invoice.reads
    return list(draft_invoice(event, snapshot(AS_OF, *rows, Askable(id=SELLER), reads=reads), **tunables))


def test_what_is_ready_becomes_a_draft_with_a_note_of_its_cause() -> None:
    note, perform = decided(order(), line())
    assert isinstance(note, Note)
    assert "by milestone/7/2026-11-19" in note.body
    assert perform == Perform(
        operation="order.draft-invoice",
        on=Ref("sale.order", 4),
        key="order/4/invoice/milestone/7/2026-11-19",
        arguments={},
    )


def test_the_last_day_of_time_is_passed_on_and_is_part_of_the_key() -> None:
    *_, perform = decided(order(), line(), event=EVENT.model_copy(update={"until": dt.date(2026, 10, 31)}))
    assert perform.arguments == {"until": dt.date(2026, 10, 31)}
    assert perform.key.endswith("/2026-10-31")


@pytest.mark.parametrize("cause", ["a word", "Ü", "x" * 120, "-x"])
def test_any_cause_makes_a_key(cause: str) -> None:
    *_, perform = decided(order(), line(), event=BillingReady(order_id=4, cause=cause))
    *_, again = decided(order(), line(), event=BillingReady(order_id=4, cause=cause))
    assert perform.key == again.key
    assert perform.key != EVENT.cause


def test_without_a_cause_the_key_is_what_there_is_to_bill() -> None:
    told = BillingReady(order_id=4)
    keys = [decided(order(), line(qty_delivered=n), event=told)[-1].key for n in (10, 10, 12)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    "rows", [(), (order(state="cancel"), line()), (order(invoice_ids=[31]),)], ids=["gone", "cancelled", "drafted"]
)
def test_what_is_billed_or_taken_back_is_left_alone(rows: tuple[Any, ...]) -> None:
    assert decided(*rows) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((order(),), "no work on it to be invoiced"),
        ((order(state="sent"), line()), "no confirmed order"),
        ((order(), line(price_unit=0, price_reduce_taxexcl=0)), "no price"),
        (
            (order(state="draft"), BillingAddress(id=6, city="Bern")),
            "no confirmed order, no country .*, no vat",
        ),
    ],
)
def test_what_is_missing_is_refused_with_the_whole_list(rows: tuple[Any, ...], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        decided(*rows, mandatory=("city", "country", "vat") if "vat" in words else ())


@pytest.mark.parametrize(
    ("of", "tunables", "words"),
    [
        (line(), {"review_above": Decimal(999)}, "1,000.00 EUR, which is over 999.00"),
        (line(discount=15), {}, "discount of 15 %; 10 % is standard"),
        (line(qty_to_invoice=-2), {}, "a credit note, of 200.00 EUR"),
    ],
)
def test_finance_looks_first_at_much_at_discounts_and_at_credit(
    of: LineOfOrder, tunables: dict[str, Any], words: str
) -> None:
    (asked,) = decided(order(), of, **tunables)
    assert isinstance(asked, Ensure)
    assert words in str(asked.values["note"])
    assert asked.values["user_id"] == Link(Ref("res.users", SELLER))
    reviewer = Reviewer(id=FINANCE, login="fin")
    (asked,) = decided(order(), of, reviewer, reviewer="fin", **tunables)
    assert asked.values["user_id"] == Link(Ref("res.users", FINANCE))


def test_a_stale_zero_of_a_limited_run_counts_as_what_is_delivered_and_not_invoiced() -> None:
    assert line(qty_to_invoice=0, qty_delivered=7, qty_invoiced=3).amount == 400
