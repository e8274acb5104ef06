"""What becomes of an invoice is told: posted, disputed, paid, or not paid although its day has passed."""

import datetime as dt
from collections.abc import Iterator

from events.billing import InvoiceDisputed, InvoicePosted, PaymentMissed, PaymentReceived
from events.event import Event
from purser import Domain, QueryContext, Row, WatchTrigger, hours, minutes, watch
from purser.parameters.bounds import Days
from tasks.queries.accounting import LEVEL_DAYS

OWED = ("out_invoice", "out_receipt")
"""What a customer owes. A credit note is owed by the firm."""

PAID = ("in_payment", "paid", "partial")
BLOCKED = "blocked"
"""Somebody in finance stopped the reminders: the customer disputes it."""

MAX_LEVELS = 9


class PostedInvoice(Row, model="account.move", optional=True):
    """An invoice a customer has, or a receipt."""

    name: str | None = None
    payment_state: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read what is posted."""
        return [*scope.look, ("move_type", "in", OWED), ("state", "=", "posted")]


class OverdueInvoice(Row, model="account.move", optional=True):
    """An invoice whose day has passed, and of which something is open."""

    invoice_date_due: dt.date | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read what is open. With instalments the due day is that of the last one."""
        is_open = [("state", "=", "posted"), ("payment_state", "in", ("not_paid", "partial"))]
        return [
            *scope.look,
            ("move_type", "in", OWED),
            *is_open,
            ("invoice_date_due", "<", scope.today),
        ]


@watch("invoices", row=PostedInvoice, tells=(InvoicePosted, InvoiceDisputed, PaymentReceived), every=minutes(5))
def invoices(row: PostedInvoice, as_of: dt.datetime) -> Iterator[Event]:
    """An invoice was posted, disputed or paid, the last also in part."""
    yield InvoicePosted(invoice_id=row.id, number=row.name)
    if row.payment_state == BLOCKED:
        yield InvoiceDisputed(invoice_id=row.id, number=row.name)
    if row.payment_state in PAID:
        yield PaymentReceived(invoice_id=row.id, state=row.payment_state)


@watch(
    "missed-payments", row=OverdueInvoice, tells=(PaymentMissed,), every=hours(6), by=WatchTrigger.TIME, stamped=False
)
def missed_payments(
    row: OverdueInvoice, as_of: dt.datetime, *, level_days: tuple[Days, ...] = LEVEL_DAYS
) -> Iterator[Event]:
    """An invoice is open so many days after its due day (`level_days`) that another reminder is due.

    Only the level that is reached by now is told: of one that was passed while nobody looked, nothing need follow.
    """
    late = (as_of.date() - row.invoice_date_due).days if row.invoice_date_due else 0
    reached = sum(late >= days for days in level_days)
    if reached:
        yield PaymentMissed(invoice_id=row.id, level=min(reached, MAX_LEVELS))
