"""A won opportunity, decided over values: whose project it becomes, from which template, and what must be there."""

import datetime as dt
from typing import Any

import pytest

from events.opportunity import OpportunityWon
from purser import Change, Ensure, Key, Link, Perform, Ref, Update
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.open_project import open_project
from tasks.rows.crm import LeadTag, WonLead
from tasks.rows.projects import ProjectRole, ProjectTemplate, RolePlayer, TemplateTag

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
    assert made.values["partner_id"] == Link(Ref("res.partner", 9))


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
    assert isinstance(made, Perform)
    assert (made.operation, made.on) == ("project.from-template", Ref("project.project", chosen))
    assert made.arguments["name"] == "Deal"


def test_the_policy_may_name_another_template_for_a_service() -> None:
    made = project(lead(), AUDIT, template(72, "Blueprint"), templates={"Audit": "Blueprint"})
    assert isinstance(made, Perform)
    assert made.on.id == 72


def test_roles_of_the_template_are_played_by_whom_the_policy_names() -> None:
    roles = ProjectRole(id=6, name="Consultant"), ProjectRole(id=7, name="Auditor")
    named = {"Consultant": "mara", "Auditor": "nobody"}
    made = project(lead(), template(71, "Europe"), *roles, RolePlayer(id=51, login="mara"), roles=named)
    assert isinstance(made, Perform)
    assert made.arguments["role/6"] == Link(Ref("res.users", 51))
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
