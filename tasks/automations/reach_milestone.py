"""A milestone whose evidence is there is reached, and what may be billed because of it is told.

Evidence is what the event brings (a protocol, a mail), or that every task of the milestone is closed. Where nobody
has any, a person is asked to decide: nothing is ticked on somebody's word alone. A milestone that a person has taken
back stays taken back, however often the same approval is told again (a refusal says so); new evidence ticks it anew.

Odoo counts the share of a reached milestone as delivered. Before anything is called ready to be billed, the shares of
the order line must make a whole, and what Odoo has as delivered must be what its milestones say.
"""

import hashlib
from collections.abc import Iterator
from decimal import Decimal

from events.billing import BillingReady
from events.project import MilestoneApproved
from purser import Change, PostNote, Snapshot, Update, activity, automation
from purser.changes import change_key
from purser.errors import Refusal
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING
from tasks.queries.projects import (
    ApprovedMilestone,
    LineMilestone,
    MilestoneLine,
    MilestoneNote,
    MilestoneOrder,
    MilestoneTask,
)
from tasks.queries.sales import CONFIRMED

WHOLE = Decimal("0.001")
"""Shares that miss the whole by no more than this make one: a third is no number of two digits."""

DIGITS = 2
"""Odoo rounds quantities to two digits, or to more where a firm says so (decimal accuracy "Product Unit")."""

NOISE = Decimal("0.0000001")
"""Quantities travel as floats."""


@automation(
    "reach-milestone",
    on=MilestoneApproved,
    reads=(ApprovedMilestone, MilestoneTask, MilestoneNote, MilestoneLine, LineMilestone, MilestoneOrder, *ASKING),
    tells=(BillingReady,),
    writes=("project.milestone",),
    activity_on=("sale.order",),
    notes_on=("project.milestone",),
)
def reach_milestone(event: MilestoneApproved, snapshot: Snapshot) -> Iterator[Change | BillingReady]:
    """A milestone whose evidence is there is reached, and what may be billed because of it is told."""
    milestone = snapshot.get(ApprovedMilestone, event.milestone_id)
    if milestone is None or _taken_back(event, milestone, snapshot):
        return
    evidence, reached = _evidence(event, snapshot), None
    if not milestone.is_reached:
        if evidence is None:
            raise Refusal(f"{milestone.ref} is not reached: {_lacking(snapshot)}")
        update = Update(ref=milestone.ref, expect={"is_reached": False}, values={"is_reached": True})
        reached = change_key(update)
        yield update
    if evidence is not None:
        digest = hashlib.sha256(evidence.encode()).hexdigest()[:12]
        key = f"milestone/{milestone.id}/evidence/{digest}"
        yield PostNote(on=milestone.ref, key=key, body=evidence, after=reached)
    yield from _billing(milestone, snapshot)


def _taken_back(event: MilestoneApproved, milestone: ApprovedMilestone, snapshot: Snapshot) -> bool:
    """Return whether what Odoo told of was taken back since. Raise Refusal where the same approval is told again."""
    if milestone.is_reached:
        return False
    if event.reached_on is not None:
        return True
    evidence = " ".join((_evidence(event, snapshot) or "").split())
    if evidence and any(note.text == evidence for note in snapshot.rows(MilestoneNote)):
        raise Refusal(
            f"{milestone.ref} is not reached: it was, by the same evidence, and somebody has taken it back. "
            "Tick it in Odoo, or tell its approval with new evidence"
        )
    return False


def _evidence(event: MilestoneApproved, snapshot: Snapshot) -> str | None:
    if event.evidence:
        return f"Reached. Evidence: {event.evidence}"
    tasks = snapshot.rows(MilestoneTask)
    return "Reached. Evidence: every task of it is closed." if tasks and not any(t.is_open for t in tasks) else None


def _lacking(snapshot: Snapshot) -> str:
    tasks = snapshot.rows(MilestoneTask)
    still_open = sum(task.is_open for task in tasks)
    state = f"{still_open} of its {len(tasks)} tasks are open" if tasks else "it has no tasks"
    return f"the event brings no evidence, and {state}. Tick it in Odoo, or tell its approval with evidence"


def _billing(milestone: ApprovedMilestone, snapshot: Snapshot) -> Iterator[Change | BillingReady]:
    """Tell that the order can be billed, or ask its salesperson why the milestones do not add up."""
    line = snapshot.get(MilestoneLine, milestone.sale_line_id)
    order = snapshot.get(MilestoneOrder, line.order_id.id) if line is not None else None
    if line is None or order is None or order.state not in CONFIRMED or line.qty_delivered_method != "milestones":
        return
    if wrong := _wrong(line, snapshot):
        yield activity(
            key=f"order/{order.id}/milestones/{line.id}",
            on=order.ref,
            summary=f"{order.name}: milestones do not add up",
            note=f"<p>{wrong} Nothing is billed for its milestones until that is settled.</p>",
            user_id=PersonIndex(snapshot).first(order.user_id),
            deadline=snapshot.today,
        )
        return
    shares = sum(
        (one.quantity_percentage for one in snapshot.rows(LineMilestone) if one.is_reached or one.id == milestone.id),
        Decimal(0),
    )
    due = shares * line.product_uom_qty - line.qty_invoiced
    if due > 0 and not (line.qty_invoiced and due <= _rounding(line.qty_invoiced)):
        reached_on = milestone.reached_date or snapshot.today
        yield BillingReady(order_id=order.id, cause=f"milestone/{milestone.id}/{reached_on}")


def _wrong(line: MilestoneLine, snapshot: Snapshot) -> str:
    """Return what does not add up, '' where all does. The quantity is that before this milestone counts."""
    milestones = snapshot.rows(LineMilestone)
    whole = sum((one.quantity_percentage for one in milestones), Decimal(0))
    if abs(whole - 1) > WHOLE:
        return f"The {len(milestones)} milestones of order line {line.id} are worth {whole:.1%} of it, not 100 %."
    counted = sum((one.quantity_percentage for one in milestones if one.is_reached), Decimal(0))
    counted *= line.product_uom_qty
    if abs(counted - line.qty_delivered) > _rounding(line.qty_delivered):
        has = f"Odoo has {_digits(line.qty_delivered)} of order line {line.id} as delivered"
        return f"{has}; its reached milestones say {_digits(counted)}."
    return ""


def _rounding(quantity: Decimal) -> Decimal:
    """Return by how much rounding alone can have moved a quantity that Odoo keeps: half of its last digit.

    That is no tolerance of so many pieces: a hundredth of a piece may be worth a lot.
    """
    return Decimal(1).scaleb(-_places(quantity)) / 2 + NOISE


def _places(quantity: Decimal) -> int:
    exponent = quantity.normalize().as_tuple().exponent
    return max(DIGITS, -exponent) if isinstance(exponent, int) else DIGITS


def _digits(quantity: Decimal) -> str:
    return f"{quantity:,.{min(_places(quantity), 6)}f}"
