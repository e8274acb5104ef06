"""What declarations read of sales: orders, what of them is still to bill, and how old it is."""

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated

from purser import (
    OPTIONAL_FIELD,
    Aggregate,
    Domain,
    GroupId,
    Many2One,
    Moment,
    QueryContext,
    Row,
    aggregate,
    group_by,
)
from tasks.queries.draft_orders import UnconfirmedOrder

CONFIRMED = ("sale", "done")
"""Up to Odoo 16 a locked order is `done`; later it stays `sale`."""


class LineToBill(Row, model="sale.order.line"):
    """A line of a confirmed order which Odoo calls to be invoiced; drafts already count as invoiced."""

    order_id: int
    qty_to_invoice: Decimal = Decimal(0)
    qty_delivered: Decimal = Decimal(0)
    qty_invoiced: Decimal = Decimal(0)
    qty_delivered_method: str | None = None
    product_uom_qty: Decimal = Decimal(0)
    product_uom_id: int | None = None
    price_unit: Decimal = Decimal(0)
    price_reduce_taxexcl: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    untaxed_amount_to_invoice: Decimal = Decimal(0)
    is_downpayment: bool = False
    is_expense: bool = False
    create_date: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:  # noqa: ARG003 - what is to bill depends on nothing else
        """Select by status, not by quantity: a date-limited invoicing run leaves a stale zero in the quantity."""
        return [("state", "in", CONFIRMED), ("invoice_status", "=", "to invoice"), ("display_type", "=", False)]

    @property
    def price(self) -> Decimal:
        """What one unit brings: untaxed, after the order line's own discount, whatever an invoice line says."""
        if self.product_uom_qty:
            return self.price_reduce_taxexcl
        if self.qty_delivered and not self.qty_invoiced:
            # Nothing was ordered in advance, so Odoo keeps no reduced price; its sum knows prices with tax inside.
            return self.untaxed_amount_to_invoice / self.qty_delivered
        return self.price_unit * (1 - self.discount / 100)


class BilledOrder(Row, model="sale.order"):
    """An order with something to bill, or with an open case."""

    name: str
    state: str
    invoice_status: str | None = None
    user_id: int | None = None
    partner_id: Many2One | None = None
    currency_id: Many2One
    date_order: Moment | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the orders of the lines, and those of open cases."""
        ids = {line.order_id for line in scope.snapshot.rows(LineToBill)}
        ids |= set(scope.watched_ids(cls.model))
        return _among("id", ids)

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)


class UnbilledTime(Aggregate, model="account.analytic.line", optional=True):
    """Time on lines to bill that no invoice holds yet, with the day of its oldest entry."""

    line_id: GroupId = group_by("so_line")
    unit_id: GroupId | None = group_by("product_uom_id", None)
    validated: Annotated[bool | None, OPTIONAL_FIELD] = group_by("validated", None)
    # `bool` keeps "known, but on no sheet" (false) apart from "this database has no sheets" (None).
    sheet_state: Annotated[str | bool | None, OPTIONAL_FIELD] = group_by("sheet_state", None)
    quantity: Decimal = aggregate("unit_amount:sum")
    oldest: dt.date | None = aggregate("date:min", None)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Count time whose invoice was cancelled as unbilled again."""
        unbilled = ["|", ("timesheet_invoice_id", "=", False), ("timesheet_invoice_id.state", "=", "cancel")]
        lines = _lines(scope, "timesheet")
        billable = ("timesheet_invoice_type", "=", "billable_time")
        return [("so_line", "in", lines), ("project_id", "!=", False), billable, *unbilled] if lines else None

    @property
    def is_approved(self) -> bool:
        """Return whether nothing speaks against billing it; a database without approval never objects."""
        return self.validated is not False and self.sheet_state in (None, "done")


class ReachedMilestone(Row, model="project.milestone", optional=True):
    """A reached milestone of a line to bill, and its share of the line's quantity."""

    sale_line_id: int
    reached_date: dt.date | None = None
    quantity_percentage: Decimal = Decimal(0)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of lines delivered by milestones."""
        lines = _lines(scope, "milestones")
        return [("sale_line_id", "in", lines), ("is_reached", "=", True)] if lines else None


class UnitOfMeasure(Row, model="uom.uom", active_test=False):
    """A unit of measure."""

    factor: Decimal = Decimal(1)
    relative_uom_id: Annotated[int | None, OPTIONAL_FIELD] = None
    """What it is a multiple of (since Odoo 19)."""
    category_id: Annotated[int | None, OPTIONAL_FIELD] = None
    """What it can be compared with (until Odoo 18, where the factor is the other way up)."""
    timesheet_widget: Annotated[str | None, OPTIONAL_FIELD] = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:  # noqa: ARG003 - units are the same for everybody
        """Read all: there are a few dozen."""
        return []


class Quotation(UnconfirmedOrder, model="sale.order", optional=True):
    """An order nobody has confirmed yet, or one with an open case."""

    validity_date: dt.date | None = None


class UnitConversion:
    """How many hours one unit holds, for the units that measure time."""

    def __init__(self, units: Iterable[UnitOfMeasure]) -> None:
        known = {unit.id: unit for unit in units}
        # The unit shown as hours and minutes is the hour, whatever a firm calls it.
        hour = min((u.id for u in known.values() if u.timesheet_widget == "float_time"), default=None)
        self._hours: dict[int, Decimal] = {} if hour is None else dict(_in_hours(known, known[hour]))

    def hours_in(self, unit_id: int | None) -> Decimal | None:
        """Return the hours in one unit, or None when it does not measure time."""
        return None if unit_id is None else self._hours.get(unit_id)


def _in_hours(known: dict[int, UnitOfMeasure], hour: UnitOfMeasure) -> Iterator[tuple[int, Decimal]]:
    family = _family(known, hour)
    for unit in known.values():
        if unit.factor and hour.factor and _family(known, unit) == family:
            ratio = hour.factor / unit.factor if unit.category_id else unit.factor / hour.factor
            yield unit.id, ratio


def _family(known: dict[int, UnitOfMeasure], unit: UnitOfMeasure) -> tuple[str, int]:
    """Return what all comparable units share: their category, or the unit they are all multiples of."""
    if unit.category_id:
        return "category", unit.category_id
    seen = {unit.id}
    while unit.relative_uom_id in known and unit.relative_uom_id not in seen:
        unit = known[unit.relative_uom_id]
        seen.add(unit.id)
    return "root", unit.id


def _lines(scope: QueryContext, method: str) -> list[int]:
    return [line.id for line in scope.snapshot.rows(LineToBill) if line.qty_delivered_method == method]


def _among(field: str, ids: Iterable[int | None]) -> Domain | None:
    return [(field, "in", sorted(one for one in ids if one is not None))] if ids else None
