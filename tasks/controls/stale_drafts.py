"""A draft is finished or thrown away in time: invoices, bills, quotations, expenses and purchases.

`since` is the day from which a document waits: the day it was made; an invoice dated later waits from its date, a
quotation with a last day of validity from that day, a submitted expense from its last change (Odoo keeps no day of
submission). What waits on purpose is left alone: what posts itself, and a quotation that is still valid. A document
that was posted before and reset to draft says so: its number may be out of the house already.
Amounts are as the document shows them, in its own currency, taxes included. One that reaches `large_amount` is one
step more severe; in a currency for which the policy names no limit, any amount is.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from purser import (
    Compliant,
    Exempt,
    Finding,
    Many2One,
    Moment,
    Money,
    MoneyLimit,
    Ref,
    Severity,
    Snapshot,
    Verdict,
    control,
    daily,
    limit_in,
    reaches,
)
from purser.parameters.bounds import Days
from tasks.people import PersonIndex
from tasks.queries.accounting import CUSTOMER, DraftMove, OrderOfDraft
from tasks.queries.availability import ASKING
from tasks.queries.companies import OwnCompany, own_currency
from tasks.queries.expenses import ExpenseEmployee, PendingExpense
from tasks.queries.purchases import DraftPurchase
from tasks.queries.sales import Quotation

_KIND = {
    "out_invoice": "Draft invoice",
    "out_refund": "Draft credit note",
    "in_invoice": "Draft bill",
    "in_refund": "Draft vendor credit note",
}


@control(
    "stale-drafts",
    title="Stale draft",
    reads=(DraftMove, OrderOfDraft, Quotation, PendingExpense, ExpenseEmployee, DraftPurchase, OwnCompany, *ASKING),
    every=daily("06:30"),
    severity=Severity.MEDIUM,
    owner="billing",
    asks=("salesperson", "author", "employee", "approver", "buyer"),
    activity_on=("sale.order", "hr.expense", "purchase.order"),
    notes_on=("account.move",),
)
def stale_drafts(
    snapshot: Snapshot,
    *,
    invoice_days: Days = 7,
    bill_days: Days = 10,
    quotation_days: Days = 30,
    expired_days: Days = 0,
    expense_days: Days = 10,
    submitted_expense_days: Days = 5,
    purchase_days: Days = 14,
    large_amount: MoneyLimit = Decimal(10_000),
) -> Iterator[Verdict]:
    """A draft is finished or thrown away in time: invoices, bills, quotations, expenses and purchases."""
    today = snapshot.today
    for judged in (
        *_moves(snapshot, invoice_days, bill_days),
        *_quotations(snapshot, quotation_days, expired_days),
        *_expenses(snapshot, expense_days, submitted_expense_days),
        *_purchases(snapshot, purchase_days),
    ):
        if not isinstance(judged, _StaleDocument):
            yield judged
        elif judged.since >= today - dt.timedelta(days=judged.patience):
            yield Compliant(judged.subject)
        else:
            yield _finding(judged, snapshot, large_amount)


@dataclass(frozen=True, kw_only=True, slots=True)
class _StaleDocument:
    """A document that waits for somebody, for however long."""

    subject: Ref
    name: str
    what: str
    since: dt.date
    patience: int
    severity: Severity
    money: Money
    candidates: tuple[tuple[str, int | None], ...]
    """Whom to ask, nearest first: the first who is still there answers for it."""
    desk: Ref | None
    remark: str = ""


_Judged = Iterator[_StaleDocument | Compliant | Exempt]

_WORSE = {Severity.LOW: Severity.MEDIUM, Severity.MEDIUM: Severity.HIGH}


def _finding(waiting: _StaleDocument, snapshot: Snapshot, large_amount: MoneyLimit) -> Finding:
    limit = limit_in(large_amount, waiting.money.currency, own_currency(snapshot))
    is_large = reaches(waiting.money, limit)
    severity = _WORSE.get(waiting.severity, waiting.severity) if is_large else waiting.severity
    people = PersonIndex(snapshot)
    known = [(audience, id_) for audience, id_ in waiting.candidates if id_ is not None and people.may_be_asked(id_)]
    asks = ([one for one in known if not people.is_absent(one[1])] or known)[:1]
    return Finding(
        subject=waiting.subject,
        subject_name=waiting.name,
        summary=f"{waiting.what} of {waiting.money} waits since {waiting.since}{waiting.remark}",
        since=waiting.since,
        severity=severity,
        owner=asks[0][1] if asks else None,
        asks=dict(asks),
        desk=waiting.desk,
        money_at_risk=waiting.money,
    )


# --------------------------------------------------------------------------------- invoices and bills --


def _moves(snapshot: Snapshot, invoice_days: int, bill_days: int) -> _Judged:
    orders = {id_: order for order in reversed(snapshot.rows(OrderOfDraft)) for id_ in order.invoice_ids}
    for move in snapshot.rows(DraftMove):
        if move.state == "posted":
            yield Compliant(move.ref)
        elif move.state == "cancel":
            yield Exempt(move.ref, "it was cancelled")
        elif move.auto_post != "no":
            yield Exempt(move.ref, "it posts itself on its date")
        elif move.move_type in CUSTOMER:
            yield _invoice(move, orders.get(move.id), snapshot, invoice_days)
        else:
            yield _bill(move, snapshot, bill_days)


def _invoice(move: DraftMove, order: OrderOfDraft | None, snapshot: Snapshot, days: int) -> _StaleDocument:
    """Judge a draft for a customer. Its case sits on the order: the biller of a firm may not write on invoices."""
    made = _day(snapshot, move.create_date)
    salesperson = ("salesperson", move.invoice_user_id)
    return _StaleDocument(
        subject=move.ref,
        name=_named(move.name if move.name != "/" else None, _KIND[move.move_type], move.id, move.partner_id),
        what=_KIND[move.move_type],
        since=max(made, move.invoice_date) if move.invoice_date else made,
        patience=days,
        severity=Severity.HIGH if move.posted_before else Severity.MEDIUM,
        money=_money(move.amount_total, move.currency_id),
        candidates=(salesperson, ("salesperson", order.user_id if order else None), ("author", move.create_uid)),
        desk=order.ref if order else None,
        remark=(f", from {order.name}" if order else "") + _before(move),
    )


def _bill(move: DraftMove, snapshot: Snapshot, days: int) -> _StaleDocument:
    """Judge a draft of a vendor's document. Its own date is the vendor's and says nothing about our waiting."""
    name = move.their_number or (move.name if move.name != "/" else None)
    return _StaleDocument(
        subject=move.ref,
        name=_named(name, _KIND[move.move_type], move.id, move.partner_id),
        what=_KIND[move.move_type],
        since=_day(snapshot, move.create_date),
        patience=days,
        severity=Severity.HIGH if move.posted_before else Severity.MEDIUM,
        money=_money(move.amount_total, move.currency_id),
        candidates=(("author", move.create_uid),),
        desk=None,
        remark=_before(move),
    )


def _before(move: DraftMove) -> str:
    return ", it was posted before and reset to draft" if move.posted_before else ""


# ----------------------------------------------------------------- quotations, expenses and purchases --


def _quotations(snapshot: Snapshot, days: int, expired_days: int) -> _Judged:
    for quotation in snapshot.rows(Quotation):
        if quotation.state == "cancel":
            yield Exempt(quotation.ref, "it was cancelled")
        elif quotation.state not in {"draft", "sent"}:
            yield Compliant(quotation.ref)
        else:
            until = quotation.validity_date
            sent = "Quotation" if quotation.state == "sent" else "Unsent quotation"
            yield _StaleDocument(
                subject=quotation.ref,
                name=_named(quotation.name, "Quotation", quotation.id, quotation.partner_id),
                what=sent,
                since=until or _day(snapshot, quotation.date_order or quotation.create_date),
                patience=expired_days if until else days,
                severity=Severity.LOW,
                money=_money(quotation.amount_total, quotation.currency_id),
                candidates=(("salesperson", quotation.user_id),),
                desk=quotation.ref,
                remark=", its last day of validity" if until else "",
            )


def _expenses(snapshot: Snapshot, draft_days: int, submitted_days: int) -> _Judged:
    for expense in snapshot.rows(PendingExpense):
        if expense.state == "refused":
            yield Exempt(expense.ref, "it was refused")
        elif expense.state not in {"draft", "submitted"}:
            yield Compliant(expense.ref)
        else:
            is_draft = expense.state == "draft"
            employee = snapshot.get(ExpenseEmployee, expense.employee_id)
            theirs, approver = ("employee", employee.user_id if employee else None), ("approver", expense.manager_id)
            yield _StaleDocument(
                subject=expense.ref,
                name=f"{expense.name}, {employee.name}" if employee else expense.name,
                what="Draft expense" if is_draft else "Submitted expense",
                since=_day(snapshot, expense.create_date if is_draft else expense.write_date),
                patience=draft_days if is_draft else submitted_days,
                severity=Severity.LOW if is_draft else Severity.MEDIUM,
                money=_money(expense.total_amount_currency, expense.currency_id),
                candidates=(theirs, approver) if is_draft else (approver,),
                desk=expense.ref,
            )


def _purchases(snapshot: Snapshot, days: int) -> _Judged:
    for purchase in snapshot.rows(DraftPurchase):
        if purchase.state == "cancel":
            yield Exempt(purchase.ref, "it was cancelled")
        elif purchase.state not in {"draft", "sent"}:
            yield Compliant(purchase.ref)
        else:
            yield _StaleDocument(
                subject=purchase.ref,
                name=_named(purchase.name, "Purchase", purchase.id, purchase.partner_id),
                what="Draft purchase",
                since=_day(snapshot, purchase.date_order or purchase.create_date),
                patience=days,
                severity=Severity.LOW,
                money=_money(purchase.amount_total, purchase.currency_id),
                candidates=(("buyer", purchase.user_id),),
                desk=purchase.ref,
            )


# -------------------------------------------------------------------------------------------- values --


def _day(snapshot: Snapshot, moment: Moment) -> dt.date:
    return moment.astimezone(snapshot.as_of.tzinfo).date()


def _money(amount: Decimal, currency: Many2One) -> Money:
    return Money.rounded(amount, currency.name)


def _named(name: str | None, kind: str, number: int, partner: Many2One | None) -> str:
    """Return a name people know it by; most drafts have none yet."""
    own = name or f"{kind} {number}"
    return f"{own}, {partner.name}" if partner else own
