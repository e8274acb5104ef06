"""Billing, decided over values: once for each cause, nothing that is not there, and finance first where it must."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from events.billing import BillingReady
from purser import Ensure, PostNote, RecordLink, Ref, RunOperation
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.draft_invoice import draft_invoice
from tasks.queries.availability import AskableUser
from tasks.queries.companies import OwnCompany
from tasks.queries.invoicing import InvoiceContact, InvoiceOfOrder, InvoiceReviewer, LineOfOrder, OrderToBill

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
EVENT = BillingReady(order_id=4, cause="milestone/7/2026-11-19")
SELLER, FINANCE = 9, 8
FIRM = OwnCompany.model_validate({"id": 1, "currency_id": [1, "EUR"]})


def order(**values: Any) -> OrderToBill:
    own = {"id": 4, "name": "S00004", "state": "sale", "user_id": SELLER, "currency_id": [1, "EUR"]}
    return OrderToBill.model_validate(own | {"partner_invoice_id": [6, "Azure"], "invoice_ids": []} | values)


def line(**values: Any) -> LineOfOrder:
    own = {"id": 5, "order_id": 4, "qty_delivered": 10, "qty_to_invoice": 10, "product_uom_qty": 10}
    price = {"price_unit": 100, "price_reduce_taxexcl": 100, "create_date": "2026-10-01 08:00:00"}
    return LineOfOrder.model_validate(own | price | values)


def decided(*rows: Any, event: BillingReady = EVENT, **tunables: Any) -> list[Any]:
    reads = draft_invoice.reads
    return list(draft_invoice(event, snapshot(AS_OF, *rows, FIRM, AskableUser(id=SELLER), reads=reads), **tunables))


def test_what_is_ready_becomes_a_draft_with_a_note_of_its_cause() -> None:
    perform, note = decided(order(), line())
    assert isinstance(note, PostNote)
    assert "by milestone/7/2026-11-19" in note.body
    assert perform == RunOperation(
        operation="order.draft-invoice",
        on=Ref("sale.order", 4),
        key="order/4/invoice/milestone/7/2026-11-19",
        arguments={"at_most": Decimal("1000.00")},
    )


def test_the_note_tells_of_a_draft_only_where_it_was_made() -> None:
    perform, note = decided(order(), line())
    assert note.after == perform.key


def invoice(id_: int, **values: Any) -> InvoiceOfOrder:
    own = {"id": id_, "state": "posted", "move_type": "out_invoice", "payment_state": "not_paid"}
    return InvoiceOfOrder.model_validate(own | {"amount_untaxed": 1000, "reversed_entry_id": False} | values)


def credit(of: int, amount: float, **values: Any) -> InvoiceOfOrder:
    return invoice(of + 50, move_type="out_refund", amount_untaxed=amount, reversed_entry_id=of, **values)


@pytest.mark.parametrize("event", [EVENT, BillingReady(order_id=4), BillingReady(order_id=4, until=AS_OF.date())])
@pytest.mark.parametrize(
    ("invoices", "again"),
    [
        ([invoice(31)], False),
        ([invoice(31, state="draft")], False),
        ([invoice(31), credit(31, 300)], False),
        ([invoice(31), credit(31, 1000, state="draft")], False),
        ([invoice(31, state="cancel")], True),
        ([invoice(31, payment_state="reversed")], True),
        ([invoice(31), credit(31, 1000)], True),
    ],
    ids=["posted", "draft", "credited in part", "credit in draft", "cancelled", "reversed", "credited in full"],
)
def test_what_was_billed_and_undone_is_another_time_of_billing(
    event: BillingReady, invoices: list[InvoiceOfOrder], *, again: bool
) -> None:
    first = decided(order(), line(), event=event)[0].key
    now = decided(order(invoice_ids=[one.id for one in invoices]), line(), *invoices, event=event)[0].key
    assert (now != first) is again
    assert decided(order(invoice_ids=[31]), line(), *invoices, event=event)[0].key == now


def test_a_review_that_was_asked_for_an_undone_invoice_is_asked_for_again() -> None:
    (first,) = decided(order(), line(), review_above=Decimal(1))
    (again,) = decided(order(invoice_ids=[31]), line(), invoice(31, state="cancel"), review_above=Decimal(1))
    assert first.key != again.key


@pytest.mark.parametrize(
    ("currency", "unit", "review_above", "is_drafted"),
    [
        pytest.param("EUR", 999, Decimal(10_000), True, id="below the firm's limit"),
        pytest.param("EUR", 1001, Decimal(10_000), False, id="above the firm's limit"),
        pytest.param("EUR", 1000, Decimal(10_000), True, id="the limit itself is not above it"),
        pytest.param("KWD", 1, Decimal(10_000), False, id="a bare number says nothing of another currency"),
        pytest.param("USD", 1100, {"EUR": Decimal(10_000), "USD": Decimal(11_000)}, True, id="named"),
        pytest.param("USD", 1101, {"EUR": Decimal(10_000), "USD": Decimal(11_000)}, False, id="above the named one"),
        pytest.param("EUR", 1, {"USD": Decimal(11_000)}, False, id="only another one is named"),
        pytest.param("EUR", 1, Decimal(0), False, id="a limit of zero is passed by anything"),
    ],
)
def test_a_limit_counts_in_the_currency_it_is_meant_in(
    currency: str, unit: int, review_above: Any, *, is_drafted: bool
) -> None:
    of = line(price_unit=unit, price_reduce_taxexcl=unit)
    out = decided(order(currency_id=[2, currency]), of, review_above=review_above)
    assert isinstance(out[0], RunOperation) is is_drafted


@pytest.mark.parametrize(
    "of", [line(price_unit=0, price_reduce_taxexcl=0), line(discount=100, price_reduce_taxexcl=0)]
)
def test_free_work_is_put_before_finance_and_not_refused(of: LineOfOrder) -> None:
    (asked,) = decided(order(), of)
    assert isinstance(asked, Ensure)
    assert "would charge nothing (0.00 EUR)" in str(asked.values["note"])


def test_a_down_payment_is_deducted_from_what_is_compared() -> None:
    paid = line(
        id=6,
        is_downpayment=True,
        product_uom_qty=0,
        qty_delivered=0,
        qty_invoiced=1,
        qty_to_invoice=-1,
        price_unit=600,
        price_reduce_taxexcl=0,
        untaxed_amount_to_invoice=-600,
    )
    perform, _ = decided(order(), line(), paid, review_above=Decimal(400))
    assert perform.arguments["at_most"] == Decimal(400)


def test_the_last_day_of_time_is_passed_on_and_is_part_of_the_key() -> None:
    perform, _ = decided(order(), line(), event=EVENT.model_copy(update={"until": dt.date(2026, 10, 31)}))
    assert perform.arguments["until"] == dt.date(2026, 10, 31)
    assert perform.key.endswith("/2026-10-31")


@pytest.mark.parametrize("cause", ["a word", "Ü", "x" * 120, "-x"])
def test_any_cause_makes_a_key(cause: str) -> None:
    perform, _ = decided(order(), line(), event=BillingReady(order_id=4, cause=cause))
    again, _ = decided(order(), line(), event=BillingReady(order_id=4, cause=cause))
    assert perform.key == again.key
    assert perform.key != EVENT.cause


def test_without_a_cause_the_key_is_what_there_is_to_bill() -> None:
    told = BillingReady(order_id=4)
    keys = [decided(order(), line(qty_delivered=n), event=told)[0].key for n in (10, 10, 12)]
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
        (
            (order(state="draft"), InvoiceContact(id=6, city="Bern")),
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
    assert asked.values["user_id"] == RecordLink(Ref("res.users", SELLER))
    reviewer = InvoiceReviewer(id=FINANCE, login="fin")
    (asked,) = decided(order(), of, reviewer, AskableUser(id=FINANCE), reviewer="fin", **tunables)
    assert asked.values["user_id"] == RecordLink(Ref("res.users", FINANCE))


def test_a_stale_zero_of_a_limited_run_counts_as_what_is_delivered_and_not_invoiced() -> None:
    assert line(qty_to_invoice=0, qty_delivered=7, qty_invoiced=3).amount == 400


def test_without_a_cause_the_note_that_a_death_left_out_is_written_too() -> None:
    event = BillingReady(order_id=4)
    perform, note = decided(order(), line(), event=event)
    drafted = order(invoice_ids=[31])
    (again,) = decided(drafted, invoice(31, state="draft", keys=(perform.key,)), event=event)
    assert (again.key, again.body, again.after) == (note.key, note.body, None)
    other = "order/4/invoice/milestone/7/2026-11-19"
    assert decided(drafted, invoice(31, state="draft", keys=(other,)), event=event) == []
    assert decided(drafted, invoice(31, state="posted", keys=(perform.key,)), event=event) == []
