"""A deal that is won before its order is made has one project on a real Odoo 19."""

import datetime as dt
from typing import Any

from events.opportunity import OpportunityWon
from events.project import ProjectCreated
from odoo_client import OdooClient
from tasks.automations.join_projects import join_projects
from tasks.automations.open_project import open_project
from tests.odoo.seeding_sales import Seeder

AS_OF = dt.datetime(2026, 12, 1, 9, tzinfo=dt.UTC)


def test_an_order_made_after_the_deal_was_won_leaves_one_project(firm: Seeder, odoo: OdooClient) -> None:
    won = firm.call("crm.stage", "search", domain=[["is_won", "=", True]], limit=1)[0]
    own: dict[str, Any] = {"type": "opportunity", "partner_id": firm.customer, "user_id": firm.salesperson}
    lead = firm.create("crm.lead", None, name=f"Deal {firm.tag}", **own)
    firm.write("crm.lead", lead, stage_id=won)
    fact = OpportunityWon(opportunity_id=lead)
    tunables: dict[str, Any] = {"templates": {}, "roles": {}}
    read = odoo.snapshot(open_project.reads, as_of=AS_OF, tunables=tunables, event=fact)
    opened: list[Any] = list(open_project(fact, read))
    odoo.apply(opened)
    projects = [["partner_id", "=", firm.customer]]
    ours = firm.call("project.project", "search", domain=projects)
    assert len(ours) == 1

    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 10}, opportunity_id=lead)
    both = firm.call("project.project", "search", domain=projects)
    (second,) = set(both) - set(ours)

    event = ProjectCreated(project_id=second)
    joined: list[Any] = list(join_projects(event, odoo.snapshot(join_projects.reads, as_of=AS_OF, event=event)))
    odoo.apply(joined)
    again = odoo.snapshot(join_projects.reads, as_of=AS_OF, event=event)
    assert list(join_projects(event, again)) == []
    assert firm.call("project.project", "search", domain=projects) == ours
    (line,) = firm.lines(order)
    assert firm.read("sale.order", order, "project_id")["project_id"] == ours[0]
    assert line["project_id"] == ours[0]
    of_both = [["project_id", "in", both]]
    tasks = firm.call("project.task", "search_read", domain=of_both, fields=["project_id"], load="")
    assert [task["project_id"] for task in tasks] == ours
    assert firm.read("project.project", ours[0], "sale_line_id")["sale_line_id"] == line["id"]
