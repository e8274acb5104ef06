"""A posted invoice has a day on which its salesperson asks for the payment, unless it has come.

The task stands on the order, or on the customer where the invoice has no order: the bot may only read invoices. Its
day is counted from the day the invoice is due; of an invoice in instalments that is the last one. Once nothing is
owed any more, the question is closed.
"""

import datetime as dt
from collections.abc import Iterator

from events.billing import InvoicePosted, PaymentReceived
from purser import Change, Snapshot, activity, automation
from purser.errors import Refusal
from purser.parameters.bounds import Days
from purser.todos import close_todos
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING
from tasks.queries.invoicing import Invoice, InvoicedOrder, InvoiceTodo


@automation(
    "follow-up-invoice",
    on=InvoicePosted,
    also=(PaymentReceived,),
    reads=(Invoice, InvoicedOrder, *ASKING, InvoiceTodo),
    activity_on=("sale.order", "res.partner"),
)
def follow_up_invoice(
    event: InvoicePosted | PaymentReceived, snapshot: Snapshot, *, days: Days = 3
) -> Iterator[Change]:
    """A posted invoice has a day on which its salesperson asks for the payment, unless it has come."""
    invoice = snapshot.get(Invoice, event.invoice_id)
    if invoice is None or not invoice.is_owed:  # paid, disputed or withdrawn in the meantime, or a credit note
        why = "Nothing is owed on the invoice any more, or its payment is blocked: nobody has to ask for it."
        yield from close_todos(snapshot, InvoiceTodo, prefix=f"invoice/{event.invoice_id}/follow-up", because=why)
        return
    if isinstance(event, PaymentReceived):
        return  # paid in part: whoever was asked stays asked
    orders = sorted(snapshot.rows(InvoicedOrder), key=lambda order: order.id)
    desk = orders[0].ref if orders else invoice.desk
    if desk is None or invoice.invoice_date_due is None:
        lacking = "customer" if desk is None else "due date"
        raise Refusal(f"{invoice.ref} was posted, but it has no {lacking}: mend that in Odoo, then try again")
    asked = PersonIndex(snapshot).first(*(order.user_id for order in orders), invoice.invoice_user_id)
    yield activity(
        key=f"invoice/{invoice.id}/follow-up",
        on=desk,
        summary=f"{invoice.name}: has it been paid?",
        note=f"<p>It is due on {invoice.invoice_date_due}. Odoo shows it as paid once the payment is there.</p>",
        user_id=asked,
        deadline=invoice.invoice_date_due + dt.timedelta(days=days),
    )
