"""Approved billable work reaches an invoice within the grace period.

What counts is what no invoice holds yet, not even a draft: a draft that waits is for `stale-drafts`. `since` is the
day of the oldest unit: its timesheet entry, the day its milestone was reached, the day of its expense; where Odoo
keeps no such day (quantities entered by hand, lines billed in advance) the day the order was confirmed, or the line
added if that was later. Amounts are untaxed, in the order's currency, at the order line's price and discount.

An order is judged as a whole, as its next invoice would hold it: posted down payments and credits that are due on
other lines are deducted from what is delivered. Where nothing is left to charge, such as free work, the rule is kept.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from purser import (
    Compliant,
    Exempt,
    Finding,
    Moment,
    Money,
    MoneyLimit,
    Severity,
    Snapshot,
    Verdict,
    control,
    daily,
    limit_in,
)
from purser.parameters.bounds import Days
from tasks.queries.availability import AskableUser
from tasks.queries.companies import OwnCompany, own_currency
from tasks.queries.expenses import ReinvoicedExpense
from tasks.queries.sales import (
    CONFIRMED,
    BilledOrder,
    LineToBill,
    ReachedMilestone,
    UnbilledTime,
    UnitConversion,
    UnitOfMeasure,
)

MINUTE = Decimal("0.01")
"""Hours are shown with two decimals."""
LEAST = Decimal("0.00001")
"""Quantities travel as floats: anything smaller is noise."""


@control(
    "unbilled-work",
    title="Unbilled work",
    reads=(
        LineToBill,
        BilledOrder,
        UnbilledTime,
        ReachedMilestone,
        ReinvoicedExpense,
        UnitOfMeasure,
        OwnCompany,
        AskableUser,
    ),
    every=daily("06:15"),
    severity=Severity.HIGH,
    owner="billing",
    asks=("salesperson",),
    activity_on=("sale.order",),
)
def unbilled_work(
    snapshot: Snapshot, *, grace_days: Days = 5, min_amount: MoneyLimit = Decimal(0), approved_only: bool = True
) -> Iterator[Verdict]:
    """Approved billable work reaches an invoice within the grace period."""
    deadline = snapshot.today - dt.timedelta(days=grace_days)
    seen = {line.order_id for line in snapshot.rows(LineToBill)}
    open_work, to_come = _open_work(snapshot, approved_only), _expenses_to_come(snapshot)
    for order in snapshot.rows(BilledOrder):
        work, money = open_work.get(order.id, ()), _charge(order, open_work.get(order.id, ()))
        least = limit_in(min_amount, order.currency_id.name, own_currency(snapshot))
        if order.state not in CONFIRMED:
            yield Exempt(order.ref, "the order was cancelled" if order.state == "cancel" else "it is not confirmed")
        elif not work and order.invoice_status == "to invoice" and order.id not in seen:
            continue  # The order knows of lines that we may not see: nothing was examined.
        elif money.amount <= 0 or _since(work) >= deadline:
            yield Compliant(order.ref)
        elif least is not None and money.amount < least:
            yield Exempt(order.ref, f"less than {Money(least, money.currency)} is left to bill")
        else:
            yield _finding(order, work, snapshot, to_come.get(order.id, {}))


@dataclass(frozen=True, slots=True)
class _LineToInvoice:
    """What one order line holds for the next invoice: work, or what is deducted from it."""

    amount: Decimal
    hours: Decimal
    since: dt.date
    delivered: bool
    """Done, rather than due in advance."""
    deducted: bool = False
    """A down payment, or a credit that is due."""


def _finding(
    order: BilledOrder, work: Sequence[_LineToInvoice], snapshot: Snapshot, to_come: Mapping[str, Decimal]
) -> Finding:
    salesperson = snapshot.get(AskableUser, order.user_id)
    hours = sum((piece.hours for piece in work), Decimal(0)).quantize(MINUTE)
    return Finding(
        subject=order.ref,
        subject_name=f"{order.name}, {order.partner_id.name}" if order.partner_id else order.name,
        summary=_summary(order, work, hours, to_come),
        since=_since(work),
        owner=salesperson.id if salesperson else None,
        asks={"salesperson": salesperson.id} if salesperson else {},
        desk=order.ref,
        hours_at_risk=hours,
        money_at_risk=_charge(order, work),
    )


def _summary(
    order: BilledOrder, work: Sequence[_LineToInvoice], hours: Decimal, to_come: Mapping[str, Decimal]
) -> str:
    """Say it as in: 24 h and 3,600.00 EUR delivered and not invoiced, oldest since 2026-10-02."""
    amount = f"{_charge(order, work)}"
    what = f"{hours.normalize():f} h and {amount}" if hours else amount
    ways = " or ".join(
        sorted({"delivered" if piece.delivered else "due in advance" for piece in work if not piece.deducted})
    )
    less = sum((piece.amount for piece in work if piece.deducted), Decimal(0))
    deducted = f"; {Money(-less, order.currency_id.name)} of down payments or credits is deducted" if less else ""
    expenses = " and ".join(str(Money(sum_, currency)) for currency, sum_ in sorted(to_come.items()))
    more = f"; approved expenses of {expenses} are not on the order yet" if expenses else ""
    return f"{what} {ways} and not invoiced, oldest since {_since(work)}{deducted}{more}"


def _expenses_to_come(snapshot: Snapshot) -> Mapping[int, Mapping[str, Decimal]]:
    """Sum approved expenses by order and currency: only posting puts them on it, at a price nobody knows yet."""
    sums: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for expense in snapshot.rows(ReinvoicedExpense):
        if expense.sale_order_id and not expense.sale_order_line_id and expense.can_be_reinvoiced:
            sums[expense.sale_order_id][expense.currency_id.name] += expense.untaxed_amount_currency
    return sums


def _charge(order: BilledOrder, work: Sequence[_LineToInvoice]) -> Money:
    """Return what the next invoice of the order would charge."""
    return Money.rounded(sum((piece.amount for piece in work), Decimal(0)), order.currency_id.name)


def _since(work: Sequence[_LineToInvoice]) -> dt.date:
    """Return the day of the oldest piece that brings money: a rebate waits from the start and makes nothing older."""
    return min(piece.since for piece in [p for p in work if p.amount > 0 and not p.deducted] or work)


# ------------------------------------------------------------------------- what is open, and since when --


def _open_work(snapshot: Snapshot, approved_only: bool) -> Mapping[int, list[_LineToInvoice]]:
    """Return the open pieces of each order: work, and what is deducted from it."""
    time = _by_line(snapshot.rows(UnbilledTime))
    clock = UnitConversion(snapshot.rows(UnitOfMeasure))
    ages = _OldestUnits(snapshot)
    found: dict[int, list[_LineToInvoice]] = defaultdict(list)
    for line in snapshot.rows(LineToBill):
        entries = time.get(line.id, ())
        hours_each = _hours_each(line, entries, clock)
        currency = order.currency_id.name if (order := snapshot.get(BilledOrder, line.order_id)) else ""
        quantity = _open_quantity(line)
        if line.is_downpayment or quantity <= -LEAST:
            amount = min(_deduction(line, quantity), Decimal(0)) if line.is_downpayment else quantity * line.price
            if amount:
                money = Money.rounded(amount, currency)
                found[line.order_id].append(
                    _LineToInvoice(
                        money.amount, Decimal(0), ages.since(line, entries), delivered=False, deducted=True
                    )
                )
            continue
        if approved_only and any(not entry.is_approved for entry in entries):
            entries = [entry for entry in entries if entry.is_approved]
            quantity = min(quantity, _approved_quantity(entries, hours_each, clock))
        if quantity < LEAST:
            continue
        delivered = max(min(quantity, line.qty_delivered - line.qty_invoiced), Decimal(0))
        piece = _LineToInvoice(
            amount=Money.rounded(quantity * line.price, currency).amount,
            hours=delivered * (hours_each or Decimal(0)),
            since=ages.since(line, entries),
            delivered=quantity - delivered < LEAST,
        )
        found[line.order_id].append(piece)
    return found


def _deduction(line: LineToBill, quantity: Decimal) -> Decimal:
    """Return what a down payment takes off the next invoice. Odoo's own sum knows prices with tax inside."""
    return line.untaxed_amount_to_invoice or quantity * line.price


def _open_quantity(line: LineToBill) -> Decimal:
    """Return what no invoice holds. Odoo's zero may be stale on a line billed by time; its status is not."""
    if not line.qty_to_invoice and line.qty_delivered_method == "timesheet":
        return line.qty_delivered - line.qty_invoiced
    return line.qty_to_invoice


def _hours_each(line: LineToBill, entries: Iterable[UnbilledTime], clock: UnitConversion) -> Decimal | None:
    """Return the hours in one unit of the line. Time sold by the piece counts one piece per timesheet unit."""
    hours = clock.hours_in(line.product_uom_id)
    if hours is None and line.qty_delivered_method == "timesheet":
        return next((h for e in entries if (h := clock.hours_in(e.unit_id)) is not None), Decimal(1))
    return hours


def _approved_quantity(entries: Iterable[UnbilledTime], hours_each: Decimal | None, clock: UnitConversion) -> Decimal:
    """Return approved time in the line's unit. Whether Odoo counts the rest as delivered is an option of the firm."""
    hours = sum((e.quantity * (clock.hours_in(e.unit_id) or 1) for e in entries), Decimal(0))
    return hours / (hours_each or 1)


def _by_line(time: Iterable[UnbilledTime]) -> Mapping[int, list[UnbilledTime]]:
    found: dict[int, list[UnbilledTime]] = defaultdict(list)
    for entry in time:
        found[entry.line_id].append(entry)
    return found


class _OldestUnits:
    """Since when a line has had something to bill."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._milestones: dict[int, list[ReachedMilestone]] = defaultdict(list)
        for milestone in snapshot.rows(ReachedMilestone):
            self._milestones[milestone.sale_line_id].append(milestone)
        self._expenses: dict[int, list[dt.date]] = defaultdict(list)
        for expense in snapshot.rows(ReinvoicedExpense):
            if expense.sale_order_line_id and expense.date:
                self._expenses[expense.sale_order_line_id].append(expense.date)

    def since(self, line: LineToBill, entries: Iterable[UnbilledTime]) -> dt.date:
        """Return the day of the line's oldest open unit, or the first day it can have been open."""
        days = [entry.oldest for entry in entries if entry.oldest] + self._expenses[line.id]
        days += [day for day in [self._reached(line)] if day]
        return min(days, default=self._agreed(line))

    def _reached(self, line: LineToBill) -> dt.date | None:
        """Return the day of the first reached milestone that the invoiced quantity does not cover."""
        covered = line.qty_invoiced
        dated = [(m.reached_date, m) for m in self._milestones[line.id] if m.reached_date]
        for day, milestone in sorted(dated, key=lambda found: (found[0], found[1].id)):
            covered -= milestone.quantity_percentage * line.product_uom_qty
            if covered < -LEAST:
                return day
        return None

    def _agreed(self, line: LineToBill) -> dt.date:
        order = self._snapshot.get(BilledOrder, line.order_id)
        added = self._day(line.create_date)
        return max(added, self._day(order.date_order)) if order and order.date_order else added

    def _day(self, moment: Moment) -> dt.date:
        return moment.astimezone(self._snapshot.as_of.tzinfo).date()
