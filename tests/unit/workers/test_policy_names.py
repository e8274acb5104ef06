"""The names in a policy are found by the types of its values, and those that Odoo does not know are told."""

from typing import Any

import pytest

from config.policies import parse_policies
from odoo_client import connect
from odoo_client.door import Door
from odoo_client.twin import Twin
from purser.names import names_in
from tasks.house import catalogue
from workers.policy_names import unknown_names

POLICY = """
version: 1
automations:
  open-project: {tunables: {templates: {Audit: Blueprint}, roles: {Lead: nobody}}}
controls:
  missing-timesheets:
    tunables: {exempt_departments: [Board, Bored], exempt_tags: [Partner], exempt_employees: [7, mara]}
"""


def test_every_name_of_a_value_is_found() -> None:
    tunables = catalogue().automation("open-project").tunables
    found = [(str(mark), name) for mark, name in names_in(tunables["templates"].type, {"Audit": "Blueprint"})]
    assert found == [("crm.tag or crm.team", "Audit"), ("project.project or project.tags", "Blueprint")]
    assert list(names_in(tunables["mandatory"].type, ("email",))) == []


@pytest.mark.parametrize("known", [False, True])
def test_names_that_are_nowhere_are_told_with_their_place(known: bool) -> None:
    policies = parse_policies(catalogue(), POLICY, source="test")
    with Twin() as twin:
        if known:
            _make(twin)
        with connect(Door(url=twin.url, db=twin.db, login="admin", api_key=twin.admin_key)) as client:
            found = {(where.rpartition(".")[2], name) for where, _, name in unknown_names(client, policies)}
    always = {("exempt_departments", "Bored")}
    assert found == always if known else found > always


def _make(twin: Any) -> None:
    twin.seed("hr.department", {"name": "Board"})
    twin.seed("hr.employee.category", {"name": "Partner"})
    twin.seed("crm.tag", {"name": "Audit"})
    twin.seed("project.project", {"name": "Blueprint", "is_template": True})
    twin.seed("project.role", {"name": "Lead"})
    for login in ("mara", "nobody"):
        twin.add_user(login, f"key of {login}", ["base.group_user"])
