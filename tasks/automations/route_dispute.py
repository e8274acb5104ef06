"""A disputed invoice waits for finance to decide, until Odoo says that they have.

Who tells of the dispute may be a mail, a portal or Odoo itself. Whether the customer is right is nothing a fleet
decides: the event stays in the list of refusals, with what the customer says in it, until the payment is blocked in
Odoo, the invoice is paid or withdrawn, or somebody closes it there.
"""

from collections.abc import Iterator

from events.billing import InvoiceDisputed
from purser import Change, Domain, QueryContext, Row, Snapshot, automation
from purser.errors import Refusal

DECIDED = ("blocked", "paid", "in_payment", "reversed")


class DisputedInvoice(Row, model="account.move", optional=True):
    """The invoice, as far as the dispute goes."""

    name: str | None = None
    state: str
    payment_state: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the one the event names."""
        return [("id", "=", scope.event.invoice_id)]


@automation("decide-dispute", on=InvoiceDisputed, reads=(DisputedInvoice,))
def decide_dispute(event: InvoiceDisputed, snapshot: Snapshot) -> Iterator[Change]:
    """A disputed invoice waits for finance to decide."""
    invoice = snapshot.get(DisputedInvoice, event.invoice_id)
    if invoice is not None and invoice.state == "posted" and invoice.payment_state not in DECIDED:
        raise Refusal(
            f"{invoice.ref} ({invoice.name}) is disputed by the customer: block its payment in Odoo and try this "
            "again, or answer the customer and close this"
        )
    yield from ()
