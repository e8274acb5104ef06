"""What declarations read of billing: an order and what is to bill on it, an invoice and its order, who is asked."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from purser import Domain, Many2One, QueryContext, Ref, Row
from purser.parameters.money_limits import is_credited_in_full
from purser.todos import Todo
from tasks.queries.accounting import CUSTOMER
from tasks.queries.sales import LineToBill


class OrderToBill(Row, model="sale.order"):
    """The order an event speaks of, as it stands now."""

    name: str
    state: str
    user_id: int | None = None
    partner_invoice_id: Many2One | None = None
    currency_id: Many2One
    invoice_ids: tuple[int, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the one order of the event."""
        return [("id", "=", scope.event.order_id)]

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)


class LineOfOrder(LineToBill, model="sale.order.line"):
    """A line of that order which Odoo calls to be invoiced; drafts already count as invoiced."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Select as for all orders, and only this one."""
        return [("order_id", "=", scope.event.order_id), *super().domain(scope)]

    @property
    def amount(self) -> Decimal:
        """What it would add to an invoice, untaxed; a date-limited run leaves a stale zero in `qty_to_invoice`."""
        if self.is_downpayment and self.untaxed_amount_to_invoice:
            return self.untaxed_amount_to_invoice  # it knows a price with tax inside
        return (self.qty_to_invoice or self.qty_delivered - self.qty_invoiced) * self.price


class InvoiceOfOrder(Row, model="account.move", optional=True, keyed=True):
    """An invoice or credit note of that order, as it stands now."""

    state: str
    move_type: str
    payment_state: str | None = None
    amount_untaxed: Decimal = Decimal(0)
    keys: tuple[str, ...] = ()
    reversed_entry_id: int | None = None
    """The invoice that a credit note is for."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the order, the cancelled ones among them."""
        invoices = sorted({id_ for order in scope.snapshot.rows(OrderToBill) for id_ in order.invoice_ids})
        return [("id", "in", invoices)] if invoices else None


def undone_invoices(invoices: Iterable[InvoiceOfOrder]) -> int:
    """Return how many invoices charge nothing any more: they were cancelled, or credited in full."""
    known = tuple(invoices)
    credited: dict[int | None, Decimal] = defaultdict(Decimal)
    for one in known:
        if one.move_type == "out_refund" and one.state == "posted":
            credited[one.reversed_entry_id] += one.amount_untaxed
    return sum(one.move_type == "out_invoice" and _is_undone(one, credited[one.id]) for one in known)


def _is_undone(invoice: InvoiceOfOrder, credited: Decimal) -> bool:
    in_full = is_credited_in_full(invoice.amount_untaxed, credited)
    return invoice.state == "cancel" or invoice.payment_state == "reversed" or in_full


class InvoiceContact(Row, model="res.partner", active_test=False):
    """Whom the invoice goes to."""

    street: str | None = None
    city: str | None = None
    country_id: int | None = None
    vat: str | None = None
    email: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that of the order, where the policy calls some of it mandatory."""
        asked = scope.tunables["mandatory"]
        partners = [o.partner_invoice_id.id for o in scope.snapshot.rows(OrderToBill) if o.partner_invoice_id]
        return [("id", "in", partners)] if asked and partners else None


class InvoiceReviewer(Row, model="res.users"):
    """The colleague whom the policy names by login to look over what touches money."""

    login: str

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that user, where one is named."""
        login = scope.tunables["reviewer"]
        return [("login", "=", login), ("share", "=", False)] if login else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name the user."""
        return (self.id,)


class Invoice(Row, model="account.move"):
    """The invoice an event speaks of, as it stands now."""

    name: str | None = None
    move_type: str
    state: str
    payment_state: str | None = None
    partner_id: Many2One | None = None
    invoice_user_id: int | None = None
    invoice_date_due: dt.date | None = None
    amount_residual: Decimal = Decimal(0)
    currency_id: Many2One

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the one invoice of the event."""
        return [("id", "=", scope.event.invoice_id)]

    @property
    def is_owed(self) -> bool:
        """Return whether a customer still owes it: not a credit note, not paid, not withdrawn, not disputed."""
        is_open = self.state == "posted" and self.payment_state in ("not_paid", "partial")
        return is_open and self.move_type in ("out_invoice", "out_receipt")

    @property
    def desk(self) -> Ref | None:
        """The customer: what is asked about an invoice without an order stands there."""
        return None if self.partner_id is None else Ref("res.partner", self.partner_id.id)

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the invoice names."""
        return (self.invoice_user_id,)


class InvoiceTodo(Todo):
    """An open question about the invoice."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those on orders and customers whose summary begins with the number of the invoice."""
        named = [one.name for one in scope.snapshot.rows(Invoice) if one.name]
        desks = ("res_model", "in", ("sale.order", "res.partner"))
        return [desks, ("summary", "ilike", f"{named[0]}: ")] if named else None


class InvoicedOrder(Row, model="sale.order", optional=True):
    """An order that the invoice bills; the bot may write on it, and its salesperson may open it."""

    name: str
    user_id: int | None = None
    team_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Search from the invoice."""
        invoices = [one.id for one in scope.snapshot.rows(Invoice) if one.move_type in CUSTOMER]
        return [("invoice_ids", "in", invoices)] if invoices else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)


class SalesTeam(Row, model="crm.team", optional=True):
    """The sales team of those orders, and who leads it."""

    name: str
    user_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the orders."""
        teams = {order.team_id for order in scope.snapshot.rows(InvoicedOrder)} - {None}
        return [("id", "in", sorted(t for t in teams if t is not None))] if teams else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name who leads it."""
        return (self.user_id,)
