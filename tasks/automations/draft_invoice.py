"""What is ready to be billed becomes a draft invoice, once; what finance should see first becomes its task instead.

Odoo's own wizard makes the draft, by the receipt action (`purser odoo setup`): draft and receipt are one transaction.
Nothing is ever posted: that is for people, and the bot's rights do not allow it. What is over `review_above` in the
currency of the order, what has a line with a discount beyond `standard_discount` percent, what would charge nothing,
and what would become a credit note is put before `reviewer` (a login; else the salesperson) as an activity on the
order. In a currency for which the policy names no limit, everything is.

The amount that is compared is untaxed, and everything that is due now: with a last day of time the draft may say
less. It never says more: the operation is given the amount that was compared, and refuses a draft above it.

An invoice that was cancelled or credited in full does not count as made: the next event makes another draft.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape
from typing import Literal

from events.billing import BillingReady
from purser import (
    Change,
    Money,
    MoneyLimit,
    PostNote,
    RunOperation,
    Snapshot,
    activity,
    automation,
    is_above,
    limit_in,
)
from purser.changes import Value
from purser.errors import Refusal
from purser.parameters.bounds import Days, Percent
from purser.parameters.record_names import Login
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING
from tasks.queries.companies import OwnCompany, own_currency
from tasks.queries.invoicing import (
    InvoiceContact,
    InvoiceOfOrder,
    InvoiceReviewer,
    LineOfOrder,
    OrderToBill,
    undone_invoices,
)
from tasks.queries.sales import CONFIRMED

Detail = Literal["street", "city", "country", "vat", "email"]


@automation(
    "draft-invoice",
    on=BillingReady,
    reads=(OrderToBill, LineOfOrder, InvoiceOfOrder, InvoiceContact, OwnCompany, InvoiceReviewer, *ASKING),
    activity_on=("sale.order",),
    notes_on=("sale.order",),
    operations=("order.draft-invoice",),
)
def draft_invoice(
    event: BillingReady,
    snapshot: Snapshot,
    *,
    review_above: MoneyLimit = Decimal(10_000),
    standard_discount: Percent = Decimal(10),
    reviewer: Login = "",
    review_days: Days = 2,
    mandatory: tuple[Detail, ...] = (),
) -> Iterator[Change]:
    """What is ready to be billed becomes a draft invoice, once; what finance should see first becomes its task."""
    order = snapshot.get(OrderToBill, event.order_id)
    lines = snapshot.rows(LineOfOrder)
    if order is None or order.state == "cancel":
        return  # taken back
    if order.invoice_ids and not lines:  # all of it is on an invoice by now, a draft or more
        yield from _missing_note(event, order, snapshot)
        return
    if missing := list(_missing(order, lines, snapshot, mandatory)):
        raise Refusal(f"{order.ref} is not billed: there is no {', no '.join(missing)}. Mend that, then try again")
    due = Money.rounded(sum((line.amount for line in lines), Decimal(0)), order.currency_id.name)
    key = f"order/{order.id}/invoice/{_occasion(event, lines, snapshot)}"
    limit = limit_in(review_above, due.currency, own_currency(snapshot))
    if reasons := list(_reasons(due, lines, limit, standard_discount)):
        yield activity(
            key=f"{key}/review",
            on=order.ref,
            summary=f"{order.name}: look over it, then draft the invoice",
            note=f"<p>Ready to be billed{escape(_because(event))}. {escape(' '.join(reasons))}</p>",
            user_id=_reviewer(order, reviewer, snapshot),
            deadline=snapshot.today + dt.timedelta(days=review_days),
        )
        return
    arguments: dict[str, Value] = {"at_most": due.amount} | ({} if event.until is None else {"until": event.until})
    yield RunOperation(operation="order.draft-invoice", on=order.ref, key=key, arguments=arguments)
    yield _note(event, order, key, after=key)


def _note(event: BillingReady, order: OrderToBill, key: str, *, after: str | None) -> PostNote:
    said = f"Ready to be billed{_because(event)}. A draft invoice was made."
    return PostNote(on=order.ref, key=f"{key}/note", body=said, after=after)


def _missing_note(event: BillingReady, order: OrderToBill, snapshot: Snapshot) -> Iterator[Change]:
    """Yield the note about the draft that this event made: whoever made it may have died before the note.

    Without a cause the occasion was what was due, which is not to be seen any more: then it is every draft of this
    order that was made so. Each key has one note, so one that is there is not written again.
    """
    made = f"order/{order.id}/invoice/"
    keys = sorted(key for one in snapshot.rows(InvoiceOfOrder) for key in one.keys if key.startswith(made))
    if event.cause:
        own = made + _occasion(event, (), snapshot)
        keys = [key for key in keys if key == own]
    else:
        drafts = {key for one in snapshot.rows(InvoiceOfOrder) if one.state == "draft" for key in one.keys}
        keys = [key for key in keys if key in drafts and _is_of(event, key.removeprefix(made))]
    for key in keys:
        yield _note(event, order, key, after=None)


def _is_of(event: BillingReady, occasion: str) -> bool:
    """Return whether an occasion may be that of an event without a cause, with the same last day of time."""
    digest, _, rest = occasion.partition("/")
    until = "" if event.until is None else str(event.until)
    return _DIGEST.fullmatch(digest) is not None and re.sub(r"(^|/)again-\d+$", "", rest) == until


def _missing(
    order: OrderToBill, lines: Sequence[LineOfOrder], snapshot: Snapshot, mandatory: Sequence[Detail]
) -> Iterator[str]:
    if order.state not in CONFIRMED:
        yield "confirmed order"
    elif not lines:
        yield "work on it to be invoiced"
    address = snapshot.get(InvoiceContact, order.partner_invoice_id.id) if order.partner_invoice_id else None
    there = {} if address is None else address.model_dump()
    for detail in mandatory:
        if not there.get("country_id" if detail == "country" else detail):
            yield f"{detail} of whom the invoice goes to"


def _reasons(
    due: Money, lines: Sequence[LineOfOrder], limit: Decimal | None, standard_discount: Decimal
) -> Iterator[str]:
    """Yield why a person of finance should look first."""
    if limit is None and due.amount > 0:
        yield f"It would be {due}, and the policy names no limit in {due.currency} (`review_above`)."
    elif limit is not None and is_above(due, limit):
        yield f"It would be {due}, which is over {Money(limit, due.currency)}."
    if due.amount < 0:
        yield f"It would be a credit note, of {Money(-due.amount, due.currency)}."
    if not due.amount:
        yield f"It would charge nothing ({due}): make it where that is meant, or enter the price that is missing."
    for line in lines:
        if line.discount > standard_discount:
            yield f"Order line {line.id} has a discount of {line.discount:g} %; {standard_discount:g} % is standard."


def _reviewer(order: OrderToBill, login: str, snapshot: Snapshot) -> int | None:
    """Return whom the policy names, else the salesperson; who is absent today is passed over."""
    named = next((user.id for user in snapshot.rows(InvoiceReviewer) if user.login == login), None)
    return PersonIndex(snapshot).first(named, order.user_id)


def _because(event: BillingReady) -> str:
    cause = f", by {event.cause}" if event.cause else ""
    return cause + (f", with time up to {event.until}" if event.until else "")


def _occasion(event: BillingReady, lines: Sequence[LineOfOrder], snapshot: Snapshot) -> str:
    """Return a name for this time of billing.

    Without a cause it is what is there to be billed: more work is another time. What was billed and then cancelled,
    or credited in full, is to be billed another time too, whatever the cause.
    """
    if event.cause:
        named = event.cause if _SHORT.fullmatch(event.cause) else _digest(event.cause)
    else:
        named = _digest(*(f"{line.id} {line.qty_delivered} {line.qty_invoiced}" for line in lines))
    named = named if event.until is None else f"{named}/{event.until}"
    undone = undone_invoices(snapshot.rows(InvoiceOfOrder))
    return f"{named}/again-{undone}" if undone else named


_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:/@+-]{0,119}")
"""A cause that can be part of a business key as it is."""

_DIGEST = re.compile(r"[0-9a-f]{16}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
