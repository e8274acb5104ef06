"""Time on the project of a won deal is billable although Odoo made a second project from its order.

An order that is confirmed after the deal was won may make a project of its own beside the one that `open-project`
made: nothing could tell Odoo of it before the order was there. The project of the deal then gets the order's line, so
that time on it is billed and seen by every control, and the salesperson is asked to keep one of the two.
"""

import datetime as dt
from collections.abc import Iterator
from html import escape

from events.project import ProjectCreated
from purser import Change, Link, Snapshot, Update, activity, automation
from tasks.people import People
from tasks.rows.askable import ASKING
from tasks.rows.crm import DealProject, OrderedProject, ProjectLine, ProjectOrder


@automation(
    "join-projects", on=ProjectCreated, reads=(OrderedProject, ProjectLine, ProjectOrder, DealProject, *ASKING)
)
def join_projects(event: ProjectCreated, snapshot: Snapshot, *, answer_days: int = 5) -> Iterator[Change]:
    """Time on the project of a won deal is billable although Odoo made a second project from its order."""
    made = snapshot.get(OrderedProject, event.project_id)
    order = next(iter(snapshot.rows(ProjectOrder)), None)
    if made is None or made.sale_line_id is None or order is None:
        return
    key = f"opportunity/{order.opportunity_id}/project"
    for deal in snapshot.rows(DealProject):
        if key not in deal.keys or deal.id == made.id:
            continue
        line = Link(snapshot.rows(ProjectLine)[0].ref)
        if deal.sale_line_id is None:
            yield Update(
                ref=deal.ref, expect={"sale_line_id": None}, values={"allow_billable": True, "sale_line_id": line}
            )
        yield activity(
            key=f"project/{made.id}/join",
            on=deal.ref,
            summary=f"Two projects for {order.name}: keep one",
            note=f"<p>Odoo made {escape(made.name)} ({made.ref}) from the order, beside {escape(deal.name)} "
            f"({deal.ref}) of the won opportunity. Time on both is billed to the order. Move the tasks into one, and "
            "archive the other.</p>",
            user_id=People(snapshot).first(order.user_id),
            deadline=snapshot.today + dt.timedelta(days=answer_days),
        )
