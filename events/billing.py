"""Facts about what is billed and what it costs: orders, invoices, payments, expenses, purchases."""

from pydantic import Field

from events.event import Event
from events.field_types import Count, Day, Id, Instant, Text, Word


class BillingReady(Event, type="billing.ready.v1", about=("sale.order", "order_id"), mark="cause"):
    """An order has work on it that can be billed. Told by the fleet itself, or by whoever knows."""

    order_id: Id = Field(description="The id of the sale.order.")
    cause: Word | None = Field(
        None,
        examples=["milestone/7"],
        description="What made it ready, such as the milestone: it tells one time from the next.",
    )
    until: Day | None = Field(None, description="The last day of time that is to be billed.")


class InvoicePosted(Event, type="invoice.posted.v1", about=("account.move", "invoice_id"), mark="number"):
    """A customer owes the firm money. Odoo stores no moment of it; the number is given then, and once."""

    invoice_id: Id = Field(description="The id of the account.move.")
    number: Word | None = Field(None, examples=["INV/2026/00042"], description="Its number (`name`).")


class InvoiceDisputed(Event, type="invoice.disputed.v1", about=("account.move", "invoice_id"), mark="number"):
    """A customer says that an invoice is wrong, or somebody in finance blocked its payment."""

    invoice_id: Id = Field(description="The id of the account.move.")
    number: Word | None = Field(None, examples=["INV/2026/00042"], description="Its number (`name`).")
    reason: Text | None = Field(
        None, examples=["We never agreed to the travel costs."], description="What the customer says."
    )


class PaymentReceived(Event, type="payment.received.v1", about=("account.move", "invoice_id"), mark="state"):
    """An invoice is paid, or partly."""

    invoice_id: Id = Field(description="The id of the account.move.")
    state: Word | None = Field(None, examples=["paid"], description="How far it is paid (`payment_state`).")


class PaymentMissed(Event, type="payment.missed.v1", about=("account.move", "invoice_id"), mark="level"):
    """The day an invoice was to be paid has passed. Each level of reminding is a fact of its own."""

    invoice_id: Id = Field(description="The id of the account.move.")
    level: Count | None = Field(None, examples=[1], description="The how manieth reminder is due.")


class ExpenseSubmitted(Event, type="expense.submitted.v1", about=("hr.expense", "expense_id"), mark="state"):
    """An employee handed in an expense."""

    expense_id: Id = Field(description="The id of the hr.expense.")
    state: Word | None = Field(None, examples=["submitted"], description="The state that says so (`state`).")


class ExpenseRejected(Event, type="expense.rejected.v1", about=("hr.expense", "expense_id"), mark="state"):
    """An approver refused an expense."""

    expense_id: Id = Field(description="The id of the hr.expense.")
    state: Word | None = Field(None, examples=["refused"], description="The state that says so (`state`).")


class PurchaseApproved(
    Event, type="purchase.approved.v1", about=("purchase.order", "purchase_id"), mark="approved_at"
):
    """The firm ordered something: a subcontractor may begin."""

    purchase_id: Id = Field(description="The id of the purchase.order.")
    approved_at: Instant | None = Field(None, description="When (`date_approve`).")
