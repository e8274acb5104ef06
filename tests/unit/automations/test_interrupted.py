"""A death between two changes of a decision loses none: decided again from what is there, the rest follows."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from events.billing import BillingReady
from events.opportunity import OpportunityWon
from events.project import MilestoneApproved, ProjectCreated
from purser import Change, Ensure, Row
from purser.changes import KINDS, change_key
from purser.testing import snapshot
from tasks.automations.draft_invoice import draft_invoice
from tasks.automations.join_projects import join_projects
from tasks.automations.open_project import open_project
from tasks.automations.reach_milestone import reach_milestone
from tasks.queries.companies import OwnCompany
from tasks.queries.crm import (
    DealProject,
    KnownCustomer,
    LeadOrder,
    LeadOrderLine,
    LeadProduct,
    LeadProject,
    OrderedProject,
    OrderLineOfProject,
    ProjectLine,
    ProjectOrder,
    TaskOfProject,
    WonLead,
)
from tasks.queries.invoicing import InvoiceOfOrder, LineOfOrder, OrderToBill
from tasks.queries.projects import ApprovedMilestone, LineMilestone, MilestoneLine, MilestoneOrder

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
World = Callable[[Sequence[Change]], Iterable[Row]]
"""What an automation reads once these changes were carried out."""


def names(changes: Iterable[Change]) -> set[str]:
    return {change_key(one) for one in changes}


def a_won_deal(done: Sequence[Change]) -> Iterable[Row]:
    """Yield a deal with a firm and a contact person that nobody knows, and an open quotation with one service."""
    made = {change_key(one): 100 + place for place, one in enumerate(done)}
    linked = "update/crm.lead/42" in made
    lead = {"id": 42, "name": "Deal", "won_status": "won", "partner_name": "Quelle", "contact_name": "Ina"}
    person = made.get("opportunity/42/contact")
    yield WonLead.model_validate(
        {**lead, "email_from": "a@q.example", "partner_id": [person, "Ina"] if linked else False}
    )
    for one in done:
        if isinstance(one, Ensure) and one.model == "res.partner":
            values = {"id": made[one.key], "keys": (one.key,), "email_normalized": "a@q.example"}
            shared = {name: one.values[name] for name in ("name", "is_company")}
            yield KnownCustomer.model_validate({**values, **shared})
        if isinstance(one, Ensure) and one.model == "project.project":
            yield LeadProject(id=made[one.key], name="Deal", keys=(one.key,))
    project = made.get("opportunity/42/project") if "update/sale.order.line/41" in made else None
    yield LeadOrder(id=4, name="S4", state="draft")
    yield LeadOrderLine(id=41, order_id=4, product_id=6, project_id=project)
    yield LeadProduct(id=6, service_tracking="task_in_project")


def a_second_project(done: Sequence[Change]) -> Iterable[Row]:
    """Yield a project that Odoo made from the order of a won deal, with a line and a task."""
    made = names(done)
    yield OrderedProject(
        id=60, name="S9", partner_id=9, sale_line_id=91, active="update/project.project/60" not in made
    )
    yield ProjectLine(id=91, order_id=4)
    yield ProjectOrder(id=4, name="S9", opportunity_id=42, project_id=33 if "update/sale.order/4" in made else 60)
    line = 91 if "update/project.project/33" in made else None
    yield DealProject(id=33, name="Deal", keys=("opportunity/42/project",), sale_line_id=line)
    if "update/sale.order.line/91" not in made:
        yield OrderLineOfProject(id=91, project_id=60)
    if "update/project.task/71" not in made:
        yield TaskOfProject(id=71)


def a_milestone(done: Sequence[Change]) -> Iterable[Row]:
    """Yield a milestone that is worth all of an order line."""
    reached = "update/project.milestone/7" in names(done)
    own = {"id": 7, "name": "M", "project_id": [3, "P"], "sale_line_id": 5, "is_reached": reached}
    yield ApprovedMilestone.model_validate({**own, "reached_date": "2026-11-20" if reached else False})
    yield LineMilestone(id=7, is_reached=reached, quantity_percentage=Decimal(1))
    line = {"id": 5, "order_id": [4, "S4"], "product_uom_qty": 10, "qty_delivered_method": "milestones"}
    yield MilestoneLine.model_validate({**line, "qty_delivered": 10 if reached else 0})
    yield MilestoneOrder(id=4, name="S4", state="sale", user_id=9)


def an_order_to_bill(done: Sequence[Change]) -> Iterable[Row]:
    """Yield an order with one line that is to be billed."""
    drafts = [one for one in done if one.kind == "perform"]
    own = {"id": 4, "name": "S4", "state": "sale", "currency_id": [1, "EUR"], "partner_invoice_id": [9, "Q"]}
    yield OrderToBill.model_validate({**own, "invoice_ids": [70 for _ in drafts]})
    yield OwnCompany.model_validate({"id": 1, "currency_id": [1, "EUR"]})
    for one in drafts:
        yield InvoiceOfOrder(id=70, state="draft", move_type="out_invoice", keys=(change_key(one),))
    if not drafts:
        line = {"id": 5, "order_id": 4, "qty_delivered": 4, "qty_invoiced": 0, "qty_to_invoice": 4, "price_unit": 100}
        yield LineOfOrder.model_validate(
            {**line, "product_uom_qty": 4, "price_reduce_taxexcl": 100, "create_date": AS_OF}
        )


CASES: dict[str, tuple[Any, Any, World]] = {
    "open-project": (open_project, OpportunityWon(opportunity_id=42), a_won_deal),
    "join-projects": (join_projects, ProjectCreated(project_id=60), a_second_project),
    "reach-milestone": (reach_milestone, MilestoneApproved(milestone_id=7, evidence="A mail"), a_milestone),
    "draft-invoice": (draft_invoice, BillingReady(order_id=4, cause="milestone/7/2026-11-20"), an_order_to_bill),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_death_between_changes_left_out_follows(case: str) -> None:
    automation, event, world = CASES[case]

    def decide(done: Sequence[Change]) -> list[Any]:
        return list(automation(event, snapshot(AS_OF, *world(done), reads=automation.reads)))

    first = decide(())
    changes = [one for one in first if isinstance(one, KINDS)]
    told = [one for one in first if not isinstance(one, KINDS)]
    assert len(changes) > 1
    for count in range(len(changes)):
        again = decide(changes[:count])
        rest = [one for one in again if isinstance(one, KINDS)]
        assert names(changes[:count]) | names(rest) == names(changes), f"after {count} changes"
        assert [one for one in again if not isinstance(one, KINDS)] == told


def test_join_projects_archives_a_project_only_once_every_task_and_line_is_moved() -> None:
    read = snapshot(AS_OF, *a_second_project(()), reads=join_projects.reads)
    changes: list[Any] = list(join_projects(ProjectCreated(project_id=60), read))
    archived = changes[-1]
    assert archived.values == {"active": False}
    assert set(archived.after) == {"update/sale.order/4", "update/sale.order.line/91", "update/project.task/71"}
