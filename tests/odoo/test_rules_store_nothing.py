"""On a real Odoo 19: what Odoo stores in the models our rules are about is the same with and without the rules."""

from collections.abc import Callable, Iterator

import pytest

from odoo_client import OdooClient, provisioning
from odoo_client.provisioning import RULES
from tests.conftest import OdooEnv
from tests.odoo.seeding_sales import Seeder, Values
from tests.odoo.test_setup import Gateway
from tests.unit.odoo_client.canned import Canned
from tests.waiting import wait_until
from workers.doctor.checks import Level
from workers.provisioning import OdooSite

Flow = Callable[[Seeder], list[int]]
_COMPARED = frozenset({"selection", "boolean", "float", "monetary"})
"""Fields whose values are compared; of the others whether there is one: ids, names and moments differ anyhow."""


_STAMPED = frozenset({"date_automation_last", "day_close", "day_open"})
"""Odoo's own mark that some rule has run, and days between two moments of which one is cut to its second."""


def opportunities(firm: Seeder) -> list[int]:
    won = firm.call("crm.stage", "search", domain=[["is_won", "=", True]], limit=1)[0]
    kind = {"default_type": "opportunity", "default_stage_id": won}
    quick = firm.create("crm.lead", kind, name="Quick", partner_name="Quick AG")
    fields = ["name", "type", "stage_id/.id"]
    imported = firm.call("crm.lead", "load", fields=fields, data=[["Imported", "opportunity", str(won)]])["ids"][0]
    marked, moved, lost = (firm.create("crm.lead", name=name, type="opportunity") for name in ("A", "B", "C"))
    firm.call("crm.lead", "action_set_won", ids=[marked])
    firm.write("crm.lead", moved, stage_id=won)
    firm.call("crm.lead", "action_set_lost", ids=[lost])
    return [quick, imported, marked, moved, lost, firm.create("crm.lead", name="D", type="lead", probability=100)]


def orders(firm: Seeder) -> list[int]:
    line = {"product_id": firm.product("order", "manual"), "product_uom_qty": 2, "price_unit": 100}
    signed = firm.quotation(line)
    firm.write("sale.order", signed, signed_by="Ada", signed_on="2026-11-02 10:00:00")
    return [firm.order(line), signed, firm.quotation(line, signed_on="2026-11-02 10:00:00")]


def projects(firm: Seeder) -> list[int]:
    plain = firm.create("project.project", name="P")
    template = firm.create("project.project", name="T", is_template=True)
    firm.write("project.project", plain, allow_milestones=True)
    return [plain, template, firm.create("project.project", name="B", allow_billable=True, partner_id=firm.customer)]


def milestones(firm: Seeder) -> list[int]:
    project = firm.create("project.project", name="P", allow_milestones=True)
    reached = firm.create("project.milestone", name="M", project_id=project, is_reached=True)
    ticked = firm.create("project.milestone", name="N", project_id=project)
    firm.write("project.milestone", ticked, is_reached=True)
    return [reached, ticked]


def tasks(firm: Seeder) -> list[int]:
    project = firm.create("project.project", name="P", allow_task_dependencies=True)
    done = firm.create("project.task", name="Done", project_id=project, state="1_done")
    approved = firm.create("project.task", name="A", project_id=project, state="03_approved")
    written = firm.create("project.task", name="W", project_id=project)
    waits = firm.create("project.task", name="B", project_id=project, depend_on_ids=[[6, 0, [written]]])
    firm.write("project.task", written, state="03_approved")
    return [done, approved, written, waits]


def invoices(firm: Seeder) -> list[int]:
    draft, posted, paid, back = (firm.move(kind, 100) for kind in ("out_invoice",) * 3 + ("out_refund",))
    for move in (posted, paid, back):
        firm.post(move)
    context = {"active_model": "account.move", "active_ids": [paid]}
    wizard = firm.create("account.payment.register", context, amount=60)
    firm.call("account.payment.register", "action_create_payments", ids=[wizard], context=context)
    firm.call("account.move", "action_toggle_block_payment", ids=[posted])
    return [draft, posted, paid, back]


def expenses(firm: Seeder) -> list[int]:
    employee = firm.create("hr.employee", name="E", expense_manager_id=firm.salesperson)
    draft, submitted, refused = (firm.expense(50, "2026-11-02", employee_id=employee) for _ in range(3))
    firm.call("hr.expense", "action_submit", ids=[submitted, refused])
    wizard = firm.create("hr.expense.refuse.wizard", reason="No receipt", expense_ids=[[6, 0, [refused]]])
    firm.call("hr.expense.refuse.wizard", "action_refuse", ids=[wizard])
    return [draft, submitted, refused]


def purchases(firm: Seeder) -> list[int]:
    draft, bought = firm.purchase(80), firm.purchase(90)
    firm.call("purchase.order", "button_confirm", ids=[bought])
    return [draft, bought]


def leaves(firm: Seeder) -> list[int]:
    return [leave for leave, _ in _leaves(firm)]


def absences(firm: Seeder) -> list[int]:
    approved = [leave for leave, is_approved in _leaves(firm) if is_approved]
    found: list[int] = firm.call(
        "resource.calendar.leaves", "search", domain=[["holiday_id", "in", approved]], order="id"
    )
    assert found
    resource = firm.read("hr.employee", firm.employee, "resource_id")["resource_id"]
    own = {"resource_id": resource, "date_from": "2026-11-16 08:00:00", "date_to": "2026-11-16 17:00:00"}
    return [*found, firm.create("resource.calendar.leaves", name="Own", **own)]


def _leaves(firm: Seeder) -> list[tuple[int, bool]]:
    kind = firm.create(
        "hr.leave.type", name="Paid", requires_allocation=False, leave_validation_type="hr", responsible_ids=[]
    )
    made = []
    employee, _ = _employee(firm)
    for day, end in (("2026-11-10", "action_approve"), ("2026-11-11", "action_refuse"), ("2026-11-12", "")):
        values: Values = {"request_date_from": day, "request_date_to": day, "employee_id": employee}
        leave = firm.create("hr.leave", holiday_status_id=kind, **values)
        if end:
            firm.call("hr.leave", end, ids=[leave])
        made.append((leave, end == "action_approve"))
    return made


def employments(firm: Seeder) -> list[int]:
    employee, department = _employee(firm)
    firm.call("hr.employee", "create_version", ids=[employee], values={"date_version": "2026-06-01"})
    found: list[int] = firm.call("hr.version", "search", domain=[["employee_id", "=", employee]], order="id")
    firm.write("hr.version", found[-1], department_id=department)
    return found


def departures(firm: Seeder) -> list[int]:
    stays, leaves_ = _employee(firm)[0], _employee(firm)[0]
    firm.write("hr.employee", leaves_, active=False)
    return [stays, leaves_]


def _employee(firm: Seeder) -> tuple[int, int]:
    department = firm.create("hr.department", name=f"D {firm.tag}")
    return firm.create(
        "hr.employee", name="E", date_version="2025-01-06", contract_date_start="2025-01-06"
    ), department


FLOWS: dict[str, Flow] = {
    flow.__name__: flow
    for flow in (
        *(opportunities, orders, projects, milestones, tasks, invoices, expenses, purchases, leaves, absences),
        *(employments, departures),
    )
}
RULE_OF = {rule.name: rule for rule in RULES}
NOT_IN_COMMUNITY = {"timesheets", "tickets"}


def test_every_rule_has_a_flow() -> None:
    assert FLOWS.keys() | NOT_IN_COMMUNITY == RULE_OF.keys()


def stored(firm: Seeder, model: str, ids: list[int]) -> list[Values]:
    """Read all that is stored of records, but for what differs from record to record."""
    infos = firm.call(model, "fields_get", attributes=["type", "store"])
    fields = [name for name, info in infos.items() if info["store"] and info["type"] not in {"one2many", "binary"}]
    rows = firm.call(model, "read", ids=ids, fields=fields, load="", context={"active_test": False})
    return [
        {name: row[name] if infos[name]["type"] in _COMPARED else bool(row[name]) for name in sorted(fields)}
        for row in sorted(rows, key=lambda row: ids.index(row["id"]))
    ]


def _differences(now: list[Values], before: list[Values]) -> list[str]:
    assert len(now) == len(before)
    return [
        f"record {place}: {name} is {row[name]!r}, {other[name]!r} without rules"
        for place, (row, other) in enumerate(zip(now, before, strict=True))
        for name in row
        if row[name] != other[name] and name not in _STAMPED
    ]


def _wait_until_told(gateway: Gateway, name: str, due: set[int]) -> None:
    """Wait until a rule has told of these records, or of any: on a busy machine the hook comes a moment later."""

    def told() -> bool:
        heard = {id_ for rule, _, id_ in gateway.told if rule == name}
        return bool(heard) and heard >= due

    wait_until(told, within=30, what=f"the rule {name} to tell of {due or 'a record'}")


@pytest.fixture
def site(odoo: OdooClient) -> Iterator[OdooSite]:
    gateway = Gateway()
    provisioning.remove(odoo, provisioning.installed_records(odoo))
    with Canned(gateway.hear) as server:
        yield OdooSite(admin=odoo, bots=(), rules=RULES, gateway=server.url, tokens=gateway)
        provisioning.remove(odoo, provisioning.installed_records(odoo))


@pytest.mark.timeout(400)
def test_what_odoo_stores_is_the_same_with_and_without_our_rules(
    site: OdooSite, odoo_env: OdooEnv, firm: Seeder
) -> None:
    without = {name: stored(firm, RULE_OF[name].model, flow(firm)) for name, flow in FLOWS.items()}
    site.carry_out()
    there = {one.name.removeprefix("rule_") for one in site.standing() if one.name.startswith("rule_")}
    assert there == FLOWS.keys()
    assert isinstance(site.tokens, Gateway)
    for name, flow in FLOWS.items():
        site.tokens.told.clear()
        ids = flow(firm)
        assert _differences(stored(firm, RULE_OF[name].model, ids), without[name]) == [], name
        due = set(ids[:5]) if name == "opportunities" else set()
        _wait_until_told(site.tokens, name, due)
    assert without["opportunities"][0]["won_status"] == "won"


def test_a_rule_of_an_earlier_release_is_named_and_replaced(site: OdooSite, firm: Seeder) -> None:
    site.carry_out()
    (rule,) = (one.id for one in site.standing() if one.name == "rule_opportunities")
    computed = firm.call(
        "ir.model.fields", "search", domain=[["model", "=", "crm.lead"], ["name", "=", "won_status"]]
    )
    before = {"filter_domain": RULE_OF["opportunities"].earlier[0], "trigger_field_ids": [[6, 0, computed]]}
    firm.write("base.automation", rule, **before)
    failed = {one.name: one.found for one in site.check() if one.level is Level.FAIL}
    assert "won_status" in failed["domain of rule_opportunities"]
    assert "filter_domain" in failed["rule opportunity won or lost"]
    site.carry_out()
    assert {one.level for one in site.check()} == {Level.OK}
