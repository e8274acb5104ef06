"""A won deal has one project although Odoo made a second one from its order.

An order that is made and confirmed after the deal was won makes a project of its own beside the one that
`open-project` made: nothing could tell Odoo of it before the order was there. As long as nobody has entered time on
Odoo's project, and it has no milestones, it is joined with that of the deal: the deal's project gets the order's
line, order, lines and tasks name the deal's project, and the other one is archived. Else the deal's project gets the
line, so that time on it is billed and seen by every control, and the salesperson is asked to keep one of the two.
"""

import datetime as dt
from collections.abc import Iterator
from html import escape

from events.project import ProjectCreated
from purser import Change, PostNote, RecordLink, Ref, Snapshot, Update, activity, automation
from purser.changes import change_key
from purser.parameters.bounds import Days
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING
from tasks.queries.crm import (
    DealProject,
    MilestoneOfProject,
    OrderedProject,
    OrderLineOfProject,
    ProjectLine,
    ProjectOrder,
    TaskOfProject,
    TimesheetOfProject,
)


@automation(
    "join-projects",
    on=ProjectCreated,
    reads=(
        *(OrderedProject, ProjectLine, ProjectOrder, OrderLineOfProject, TaskOfProject, MilestoneOfProject),
        *(TimesheetOfProject, DealProject, *ASKING),
    ),
    writes=("project.project", "sale.order", "sale.order.line", "project.task"),
    activity_on=("project.project",),
    notes_on=("project.project",),
)
def join_projects(event: ProjectCreated, snapshot: Snapshot, *, answer_days: Days = 5) -> Iterator[Change]:
    """A won deal has one project although Odoo made a second one from its order."""
    made = snapshot.get(OrderedProject, event.project_id)
    order = next(iter(snapshot.rows(ProjectOrder)), None)
    if made is None or made.sale_line_id is None or order is None or not made.active:
        return
    key = f"opportunity/{order.opportunity_id}/project"
    for deal in snapshot.rows(DealProject):
        if key not in deal.keys or deal.id == made.id:
            continue
        if deal.sale_line_id is None:
            line = RecordLink(Ref("sale.order.line", made.sale_line_id))
            yield Update(
                ref=deal.ref, expect={"sale_line_id": None}, values={"allow_billable": True, "sale_line_id": line}
            )
        if _is_untouched(made, deal, snapshot):
            yield from _join(made, deal, order, snapshot)
        else:
            yield _question(made, deal, order, snapshot, answer_days=answer_days)


def _is_untouched(made: OrderedProject, deal: DealProject, snapshot: Snapshot) -> bool:
    """Return whether nothing is lost when the project that Odoo made goes."""
    is_same_line = deal.sale_line_id in (None, made.sale_line_id)
    return is_same_line and not snapshot.rows(TimesheetOfProject) and not snapshot.rows(MilestoneOfProject)


def _join(made: OrderedProject, deal: DealProject, order: ProjectOrder, snapshot: Snapshot) -> Iterator[Change]:
    """Move everything, write the note, and archive last, once all is moved. Archived projects are not read again."""
    here, there = RecordLink(made.ref), RecordLink(deal.ref)
    moves = [
        Update(ref=ref, expect={"project_id": here}, values={"project_id": there})
        for ref in (
            *((order.ref,) if order.project_id == made.id else ()),
            *(row.ref for row in (*snapshot.rows(OrderLineOfProject), *snapshot.rows(TaskOfProject))),
        )
    ]
    yield from moves
    yield PostNote(
        on=deal.ref,
        key=f"project/{made.id}/joined",
        body=f"Odoo made a second project ({made.ref}, {made.name}) from {order.name}. Nobody had worked on it: its "
        "tasks are moved here, the order names this project, and the other one is to be archived.",
        after=change_key(moves[-1]) if moves else None,
    )
    every_move = tuple(change_key(move) for move in moves)
    yield Update(ref=made.ref, expect={"active": True}, values={"active": False}, after=every_move)


def _question(
    made: OrderedProject, deal: DealProject, order: ProjectOrder, snapshot: Snapshot, *, answer_days: int
) -> Change:
    return activity(
        key=f"project/{made.id}/join",
        on=deal.ref,
        summary=f"Two projects for {order.name}: keep one",
        note=f"<p>Odoo made {escape(made.name)} ({made.ref}) from the order, beside {escape(deal.name)} "
        f"({deal.ref}) of the won opportunity. Time on both is billed to the order. Move the tasks into one, and "
        "archive the other.</p>",
        user_id=PersonIndex(snapshot).first(order.user_id),
        deadline=snapshot.today + dt.timedelta(days=answer_days),
    )
