"""What declarations read of accounting: invoices and bills that wait to be posted."""

import datetime as dt
from decimal import Decimal

from pydantic import Field

from purser import Domain, Many2One, Moment, QueryContext, Row

CUSTOMER = ("out_invoice", "out_refund")
VENDOR = ("in_invoice", "in_refund")

LEVEL_DAYS = (1, 14, 30)
"""Days after the due day at which each level of reminding is reached."""


class DraftMove(Row, model="account.move"):
    """An invoice, bill or credit note nobody has posted yet, or one with an open case."""

    name: str | None = None
    their_number: str | None = Field(None, alias="ref")
    move_type: str
    state: str
    auto_post: str = "no"
    posted_before: bool = False
    invoice_user_id: int | None = None
    create_uid: int | None = None
    partner_id: Many2One | None = None
    currency_id: Many2One
    amount_total: Decimal = Decimal(0)
    invoice_date: dt.date | None = None
    create_date: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read all that wait without a reason, of any age: the control knows the firm's patience."""
        watched = scope.watched_ids(cls.model)
        kind = ("move_type", "in", CUSTOMER + VENDOR)
        return ["|", ("id", "in", watched), "&", "&", ("state", "=", "draft"), ("auto_post", "=", "no"), kind]

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the document names."""
        return self.invoice_user_id, self.create_uid


class OrderOfDraft(Row, model="sale.order", optional=True):
    """An order from which a draft was made; its salesperson may open it and the bot may write on it."""

    name: str
    user_id: int | None = None
    invoice_ids: tuple[int, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Search from the drafts, so that one call finds the orders of them all."""
        drafts = [m.id for m in scope.snapshot.rows(DraftMove) if m.move_type in CUSTOMER and m.state == "draft"]
        return [("invoice_ids", "in", drafts)] if drafts else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)
