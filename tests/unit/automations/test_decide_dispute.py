"""A dispute is a refusal for as long as finance has not decided, and nothing once they have."""

import datetime as dt

import pytest

from events.billing import InvoiceDisputed
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.route_dispute import DisputedInvoice, decide_dispute

AS_OF = dt.datetime(2026, 11, 22, 7, tzinfo=dt.UTC)
DISPUTE = InvoiceDisputed(invoice_id=7, number="INV/2026/00042", reason="Ada never agreed")


def invoice(payment_state: str | None, state: str = "posted") -> DisputedInvoice:
    return DisputedInvoice.model_validate(
        {"id": 7, "name": "INV/2026/00042", "state": state, "payment_state": payment_state or False}
    )


@pytest.mark.parametrize("payment_state", ["not_paid", "partial"])
def test_an_open_invoice_that_is_disputed_waits_for_a_person(payment_state: str) -> None:
    with pytest.raises(Refusal) as caught:
        list(decide_dispute(DISPUTE, snapshot(AS_OF, invoice(payment_state))))
    assert str(caught.value).startswith("account.move/7 (INV/2026/00042) is disputed")
    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize("rows", [[], [invoice("blocked")], [invoice("paid")], [invoice("not_paid", "cancel")]])
def test_what_is_decided_or_gone_needs_nobody(rows: list[DisputedInvoice]) -> None:
    assert list(decide_dispute(DISPUTE, snapshot(AS_OF, *rows, reads=(DisputedInvoice,)))) == []
