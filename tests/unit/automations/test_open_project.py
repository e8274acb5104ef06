"""A won opportunity, decided over values: whose project it becomes, from which template, and what must be there."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from events.opportunity import OpportunityLost, OpportunityWon
from events.project import ProjectCreated
from purser import Change, CloseActivity, Ensure, Key, PostNote, RecordLink, Ref, Row, RunOperation, Update
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.join_projects import join_projects
from tasks.automations.open_project import open_project
from tasks.queries.availability import AskableUser
from tasks.queries.crm import (
    DealProject,
    KickOffTodo,
    KnownCustomer,
    LeadOrder,
    LeadOrderLine,
    LeadProduct,
    LeadProject,
    LeadTag,
    LeadTeam,
    OrderedProject,
    OrderLineOfProject,
    ProjectLine,
    ProjectOrder,
    TaskOfProject,
    TimesheetOfProject,
    WithdrawnKickOff,
    WonLead,
)
from tasks.queries.projects import ProjectRole, ProjectRoleUser, ProjectTemplate, TemplateTag

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
EVENT = OpportunityWon(opportunity_id=42)
AUDIT = LeadTag(id=1, name="Audit")


def lead(**values: Any) -> WonLead:
    own = {"id": 42, "name": "Deal", "won_status": "won", "partner_id": [9, "Azure"], "user_id": 5}
    return WonLead.model_validate({**own, "team_id": [3, "Europe"], **values})


def template(id_: int, name: str, *tags: int) -> ProjectTemplate:
    return ProjectTemplate(id=id_, name=name, is_template=True, tag_ids=tags)


def decided(*rows: Any, **tunables: Any) -> list[Change]:
    return list(open_project(EVENT, snapshot(AS_OF, *rows, reads=open_project.reads), **tunables))  # type: ignore[arg-type]


def project(*rows: Any, **tunables: Any) -> Change:
    found = [one for one in decided(*rows, **tunables) if getattr(one, "key", "") == "opportunity/42/project"]
    assert len(found) == 1
    return found[0]


def test_a_deal_that_was_taken_back_is_left_alone() -> None:
    assert decided(lead(won_status="pending")) == []
    assert decided() == []


def test_without_a_template_the_project_is_an_empty_one() -> None:
    made = project(lead())
    assert isinstance(made, Ensure)
    assert made.values["partner_id"] == RecordLink(Ref("res.partner", 9))


def test_a_project_from_a_template_with_days_starts_on_the_day_of_the_firm() -> None:
    """Left to itself, Odoo takes the day of its server."""
    planned = template(8, "Europe").model_copy(
        update={"date_start": dt.date(2026, 1, 30), "date": dt.date(2026, 3, 1)}
    )
    tokyo = dt.datetime(2026, 11, 20, 3, tzinfo=ZoneInfo("Asia/Tokyo"))  # still the 19th in UTC
    rows = snapshot(tokyo, lead(), LeadTeam(id=3, name="Europe"), planned, reads=open_project.reads)
    (made,) = (one for one in open_project(EVENT, rows) if isinstance(one, RunOperation))
    assert (made.arguments["date_start"], made.arguments["date"]) == (dt.date(2026, 11, 20), dt.date(2026, 12, 20))


def test_an_unknown_customer_is_made_and_written_on_the_opportunity() -> None:
    customer, linked, made, *todo = decided(lead(partner_id=False, partner_name="Azure Ltd"))
    key = Key("res.partner", "opportunity/42/customer")
    assert isinstance(customer, Ensure)
    assert (customer.key, customer.values["is_company"]) == (key.key, True)
    assert isinstance(linked, Update)
    assert linked.values == {"partner_id": key}
    assert isinstance(made, Ensure)
    assert made.values["partner_id"] == key
    assert len(todo) == 3


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ((AUDIT, template(70, "Audit")), 70),
        ((AUDIT, template(70, "Our way", 8), TemplateTag(id=8, name="Audit")), 70),
        ((template(71, "Europe"),), 71),
        ((AUDIT, template(71, "Europe"), template(70, "Audit")), 70),
    ],
    ids=["by a tag", "by a tag of both", "by the team", "the tag counts first"],
)
def test_the_template_is_that_of_the_type_of_service(rows: tuple[Any, ...], chosen: int) -> None:
    made = project(lead(tag_ids=[1]), *rows)
    assert isinstance(made, RunOperation)
    assert (made.operation, made.on) == ("project.from-template", Ref("project.project", chosen))
    assert made.arguments["name"] == "Deal"


def test_the_policy_may_name_another_template_for_a_service() -> None:
    made = project(lead(), AUDIT, template(72, "Blueprint"), templates={"Audit": "Blueprint"})
    assert isinstance(made, RunOperation)
    assert made.on.id == 72


def test_roles_of_the_template_are_played_by_whom_the_policy_names() -> None:
    roles = ProjectRole(id=6, name="Consultant"), ProjectRole(id=7, name="Auditor")
    named = {"Consultant": "mara", "Auditor": "nobody"}
    made = project(lead(), template(71, "Europe"), *roles, ProjectRoleUser(id=51, login="mara"), roles=named)
    assert isinstance(made, RunOperation)
    assert made.arguments["role/6"] == RecordLink(Ref("res.users", 51))
    assert "role/7" not in made.arguments


@pytest.mark.parametrize(
    ("rows", "tunables", "words"),
    [
        ((lead(partner_id=False),), {}, "no customer"),
        ((lead(email_from=False, phone=False),), {"mandatory": ("email", "phone")}, "no e-mail address, no phone"),
        ((lead(user_id=False),), {"mandatory": ("salesperson", "company")}, "no salesperson, no company"),
        ((lead(), AUDIT), {"templates": {"Audit": "Blueprint"}}, "names the template `Blueprint`, which is not in"),
        ((lead(), AUDIT, template(1, "Audit"), template(2, "Audit")), {}, "2 project templates: project.project/1, "),
    ],
)
def test_what_is_missing_is_refused_with_the_whole_list(
    rows: tuple[Any, ...], tunables: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        decided(*rows, **tunables)


# ------------------------------------------------------------------ what is there already is used --

QUELLE = KnownCustomer(id=50, name="Quelle GmbH", email_normalized="office@quelle.example", is_company=True)
UNLINKED = {"partner_id": False, "partner_name": "Quelle GmbH", "contact_name": "Ina Quell"}


def customer_of(*rows: Any) -> Any:
    return next(one for one in decided(*rows) if isinstance(one, Update)).values["partner_id"]


@pytest.mark.parametrize("email", ["Office@Quelle.example", "Ina <office@quelle.example>"])
def test_the_customer_is_found_by_e_mail_address(email: str) -> None:
    other = KnownCustomer(id=51, name="Quelle GmbH", is_company=True)
    assert customer_of(lead(**UNLINKED, email_from=email), QUELLE, other) == RecordLink(QUELLE.ref)


def test_the_customer_is_found_by_name_where_no_address_is_known() -> None:
    named = KnownCustomer(id=52, name="quelle  gmbh", is_company=True)
    person = KnownCustomer(id=53, name="Quelle GmbH", is_company=False)
    child = KnownCustomer(id=54, name="Quelle GmbH", is_company=True, parent_id=50)
    assert customer_of(lead(**UNLINKED), named, person, child) == RecordLink(named.ref)


def test_of_a_firm_and_its_people_with_one_address_the_contact_person_is_chosen() -> None:
    firm = KnownCustomer(
        id=50, name="Quelle", email_normalized="a@q.example", is_company=True, commercial_partner_id=50
    )
    ina = KnownCustomer(
        id=51, name="Ina Quell", email_normalized="a@q.example", commercial_partner_id=50, parent_id=50
    )
    given = {**UNLINKED, "email_from": "a@q.example"}
    assert customer_of(lead(**given), firm, ina) == RecordLink(ina.ref)
    assert customer_of(lead(**given | {"contact_name": "Otto"}), firm, ina) == RecordLink(firm.ref)


def test_several_customers_are_a_refusal_that_names_them() -> None:
    rows = (
        KnownCustomer(id=50, name="Quelle GmbH", is_company=True),
        KnownCustomer(id=51, name="Quelle GmbH", is_company=True),
    )
    with pytest.raises(Refusal, match=r"2 contacts could be its customer: res.partner/50, res.partner/51"):
        decided(lead(**UNLINKED), *rows)


def test_the_customer_of_the_order_is_the_customer_of_the_deal() -> None:
    assert customer_of(lead(**UNLINKED), LeadOrder(id=4, name="S4", state="sale", partner_id=77), QUELLE).ref.id == 77


def test_a_new_company_comes_with_its_contact_person() -> None:
    company, person, linked, made, *_ = decided(lead(**UNLINKED, email_from="a@b.example", function="CFO"))
    assert isinstance(company, Ensure)
    assert isinstance(person, Ensure)
    assert (company.key, company.values["name"]) == ("opportunity/42/customer", "Quelle GmbH")
    assert (person.key, person.values["name"], person.values["function"]) == (
        "opportunity/42/contact",
        "Ina Quell",
        "CFO",
    )
    assert person.values["parent_id"] == Key("res.partner", "opportunity/42/customer")
    assert "phone" not in company.values, "what the opportunity does not say is left out"
    assert isinstance(linked, Update)
    assert isinstance(made, Ensure)
    assert linked.values["partner_id"] == made.values["partner_id"] == Key("res.partner", "opportunity/42/contact")


def test_the_project_of_a_confirmed_order_is_the_project_of_the_deal() -> None:
    order = LeadOrder(id=4, name="S4", state="sale", partner_id=9, project_id=33)
    changes = decided(lead(), order, LeadProject(id=33, name="S4 - Audit", partner_id=9))
    assert {(one.values["res_model"], one.values["res_id"]) for one in changes if isinstance(one, Ensure)} == {
        ("project.project", 33)
    }


def test_a_project_of_the_deals_name_and_customer_is_its_project_unless_it_is_of_another_deal() -> None:
    by_hand = LeadProject(id=33, name="Deal", partner_id=9)
    assert {one.values["res_id"] for one in decided(lead(), by_hand) if isinstance(one, Ensure)} == {33}
    other = LeadProject(id=34, name="Deal", partner_id=9, keys=("opportunity/41/project",))
    elsewhere = LeadProject(id=35, name="Deal", partner_id=10)
    assert isinstance(project(lead(), other, elsewhere), Ensure)


def test_two_projects_are_a_refusal_that_names_them() -> None:
    orders = [LeadOrder(id=4 + n, name=f"S{n}", state="sale", partner_id=9, project_id=33 + n) for n in range(2)]
    there = [LeadProject(id=33 + n, name=f"S{n}", partner_id=9) for n in range(2)]
    with pytest.raises(Refusal, match=r"project.project/33, project.project/34"):
        decided(lead(), *orders, *there)


def test_services_of_an_open_quotation_are_linked_with_the_project_and_nothing_confirms_it() -> None:
    order = LeadOrder(id=4, name="S4", state="draft", partner_id=9)
    lines = LeadOrderLine(id=41, order_id=4, product_id=6), LeadOrderLine(id=42, order_id=4, product_id=7)
    products = LeadProduct(id=6, service_tracking="task_in_project"), LeadProduct(id=7, service_tracking="no")
    made, linked = (
        one
        for one in decided(lead(), order, *lines, *products)
        if one.kind == "update" or (isinstance(one, Ensure) and one.model == "project.project")
    )
    assert isinstance(made, Ensure)
    assert made.values["allow_billable"] is True
    assert "sale_line_id" not in made.values, "Odoo confirms a quotation whose line a project gets"
    assert isinstance(linked, Update)
    assert (linked.ref, linked.values) == (lines[0].ref, {"project_id": Key("project.project", made.key)})


def test_kick_off_is_for_the_salesperson_else_the_leader_of_the_team_else_nobody() -> None:
    team = LeadTeam(id=3, user_id=8)
    for staff, user in (((5, 8), 5), ((8,), 8), ((), None)):
        asked = [
            one
            for one in decided(lead(), team, *(AskableUser(id=one) for one in staff))
            if getattr(one, "model", "") == "mail.activity"
        ]
        assert {one.values["user_id"] for one in asked} == {RecordLink(Ref("res.users", user)) if user else None}  # type: ignore[union-attr]


def test_kick_off_of_a_deal_that_was_taken_back_is_closed() -> None:
    todos = (
        KickOffTodo(id=1, keys=("opportunity/42/kick-off/order",)),
        KickOffTodo(id=2, keys=("opportunity/421/kick-off/order",)),
    )
    for event in (EVENT, OpportunityLost(opportunity_id=42)):
        read = snapshot(AS_OF, lead(won_status="lost"), *todos, reads=open_project.reads)
        (closed,) = open_project(event, read)
        assert isinstance(closed, CloseActivity)
        assert (closed.activity, closed.key) == (1, "opportunity/42/kick-off/order")


def test_the_project_of_the_deal_gets_the_line_of_an_order_that_made_a_second_one() -> None:
    made = OrderedProject(id=60, name="S9 - Audit", partner_id=9, sale_line_id=91)
    order = ProjectOrder(id=4, name="S9", opportunity_id=42, user_id=5)
    deal = DealProject(id=33, name="Deal", keys=("opportunity/42/project",))
    other = DealProject(id=34, name="Other", keys=("opportunity/43/project",))
    rows = (made, ProjectLine(id=91, order_id=4), order, other, AskableUser(id=5))
    joined, asked = join_projects(
        ProjectCreated(project_id=60),
        snapshot(AS_OF, *rows, TimesheetOfProject(id=1), deal, reads=join_projects.reads),
    )
    assert isinstance(joined, Update)
    assert (joined.ref, joined.values["sale_line_id"]) == (deal.ref, RecordLink(Ref("sale.order.line", 91)))
    assert isinstance(asked, Ensure)
    assert "project.project/60" in str(asked.values["note"])
    assert list(join_projects(ProjectCreated(project_id=60), snapshot(AS_OF, *rows, reads=join_projects.reads))) == []
    of_odoo = (OrderLineOfProject(id=91, project_id=60), TaskOfProject(id=71))
    read = snapshot(AS_OF, *rows, *of_odoo, deal, reads=join_projects.reads)
    changes = list(join_projects(ProjectCreated(project_id=60), read))
    updates = {str(one.ref): one.values for one in changes if isinstance(one, Update)}
    there = {"project_id": RecordLink(deal.ref)}
    assert updates["sale.order.line/91"] == updates["project.task/71"] == there
    assert updates["project.project/60"] == {"active": False}
    assert isinstance(changes[-2], PostNote), "an archived project is not looked at again: the note comes before"


def test_a_deal_that_is_won_once_more_is_kicked_off_once_more() -> None:
    def keys(*rows: Row) -> list[str]:
        asked = [one for one in decided(lead(), *rows) if getattr(one, "model", "") == "mail.activity"]
        return [one.key for one in asked if isinstance(one, Ensure)]

    base = "opportunity/42/kick-off"
    assert keys() == [f"{base}/{step}" for step in ("staffing", "meeting", "order")]
    once = tuple(WithdrawnKickOff(id=n, keys=(f"{base}/{step}",)) for n, step in enumerate(("staffing", "order"), 1))
    assert keys(*once) == [f"{base}/staffing/again-1", f"{base}/meeting", f"{base}/order/again-1"]
    twice = WithdrawnKickOff(id=8, keys=(f"{base}/staffing/again-1",))
    assert keys(*once, twice)[0] == f"{base}/staffing/again-2"
