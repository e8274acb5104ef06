"""A missed payment is put before whoever decides at this point: salesperson, leader of the sales team, finance.

The level is the event's, else it is counted from the days since the invoice was due (`level_days`: from which day
each counts). An event of a lower level than the invoice has reached by now is late: what it has reached has its own.
`reviewer` is the login of who decides at the third level. Who is not there is replaced by the one before. Once
nothing is owed any more, open questions of every level are closed.
"""

from collections.abc import Iterator, Sequence
from html import escape

from events.billing import PaymentMissed, PaymentReceived
from purser import Change, Money, Snapshot, activity, automation
from purser.errors import Refusal
from purser.parameters.bounds import Days
from purser.parameters.record_names import Login
from purser.todos import close_todos
from tasks.people import PersonIndex
from tasks.queries.accounting import LEVEL_DAYS
from tasks.queries.availability import ASKING
from tasks.queries.invoicing import Invoice, InvoicedOrder, InvoiceReviewer, InvoiceTodo, SalesTeam

ASKED_TO = {
    1: "Call the customer: why has it not been paid?",
    2: "Decide with the salesperson whether work for this customer goes on.",
    3: "Decide how the money is collected, and whether the account is closed.",
}


@automation(
    "review-account",
    on=PaymentMissed,
    also=(PaymentReceived,),
    reads=(Invoice, InvoicedOrder, SalesTeam, InvoiceReviewer, *ASKING, InvoiceTodo),
    activity_on=("sale.order", "res.partner"),
)
def review_account(
    event: PaymentMissed | PaymentReceived,
    snapshot: Snapshot,
    *,
    level_days: tuple[Days, ...] = LEVEL_DAYS,
    reviewer: Login = "",
) -> Iterator[Change]:
    """A missed payment is put before whoever decides at this point: salesperson, team leader, finance."""
    invoice = snapshot.get(Invoice, event.invoice_id)
    if invoice is None or not invoice.is_owed:  # paid, disputed or withdrawn in the meantime
        why = "Nothing is owed on the invoice any more, or its payment is blocked: nothing has to be decided."
        yield from close_todos(snapshot, InvoiceTodo, prefix=f"invoice/{event.invoice_id}/missed/", because=why)
        return
    if isinstance(event, PaymentReceived):
        return  # paid in part: whoever was asked stays asked
    today = snapshot.today
    due = invoice.invoice_date_due
    if due is not None and due >= today:
        return  # the day was moved: nothing is missed
    reached = sum((today - due).days >= days for days in level_days) if due is not None else 1
    level = event.level or max(reached, 1)
    if level < reached:
        return  # late: a higher level speaks by now
    orders = sorted(snapshot.rows(InvoicedOrder), key=lambda order: order.id)
    desk = orders[0].ref if orders else invoice.desk
    if desk is None:
        raise Refusal(f"{invoice.ref} is not paid, and it has no customer: mend that in Odoo, then try again")
    named = f"{invoice.name} of {invoice.partner_id.name}" if invoice.partner_id else f"{invoice.name}"
    owed = f"{Money(invoice.amount_residual, invoice.currency_id.name)} of {named} were due on {due}."
    yield activity(
        key=f"invoice/{invoice.id}/missed/{level}",
        on=desk,
        summary=f"{invoice.name}: payment missed, level {level}",
        note=f"<p>{escape(owed)} {ASKED_TO[min(level, 3)]}</p>",
        user_id=_asked(invoice, orders, reviewer, snapshot, level),
        deadline=today,
    )


def _asked(
    invoice: Invoice, orders: Sequence[InvoicedOrder], reviewer: str, snapshot: Snapshot, level: int
) -> int | None:
    """Climb as high as the level says, and from there back to the first who is there."""
    sales = [*(order.user_id for order in orders), invoice.invoice_user_id]
    leaders = [team.user_id for order in orders if (team := snapshot.get(SalesTeam, order.team_id)) is not None]
    finance = [user.id for user in snapshot.rows(InvoiceReviewer) if user.login == reviewer]
    rungs = reversed((sales, leaders, finance)[: min(level, 3)])
    return PersonIndex(snapshot).first(*(one for rung in rungs for one in rung))
