"""A won opportunity has a customer, a project and kick-off activities, however often its winning is told.

The project is made from the template of the type of service that was sold: a project template whose name, or one of
whose tags, is a tag or the sales team of the opportunity. `templates` names another template for a type of service.
Without such a template the project is an empty one. The tasks of a template may name roles; `roles` says who plays
which (name of the role, login), and they get the tasks. Odoo forgets a role that nobody plays.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from events.opportunity import OpportunityWon
from purser import Change, Ensure, Key, Link, Perform, Ref, Snapshot, Update, activity, automation
from purser.changes import Values
from purser.errors import Refusal
from tasks.rows.crm import LeadTag, WonLead, service_types
from tasks.rows.projects import ProjectRole, ProjectTemplate, RolePlayer, TemplateTag

Detail = Literal["email", "phone", "salesperson", "company"]

KICK_OFF = (
    ("staffing", "Kick-off: name the project manager and the team", 1),
    ("meeting", "Kick-off: meet the customer and agree the first milestones", 5),
    ("order", "Kick-off: confirm the order, so that the first hours can be billed", 5),
)
"""Key, summary and days until the deadline of each kick-off activity."""


@automation(
    "open-project", on=OpportunityWon, reads=(WonLead, LeadTag, TemplateTag, ProjectTemplate, ProjectRole, RolePlayer)
)
def open_project(
    event: OpportunityWon,
    snapshot: Snapshot,
    *,
    templates: Mapping[str, str] = MappingProxyType({}),
    roles: Mapping[str, str] = MappingProxyType({}),
    mandatory: tuple[Detail, ...] = (),
) -> Iterator[Change]:
    """A won opportunity has a customer, a project and kick-off activities."""
    lead = snapshot.get(WonLead, event.opportunity_id)
    if lead is None or lead.won_status != "won":
        return  # taken back in the meantime: what is true now counts
    if missing := list(_missing(lead, mandatory)):
        raise Refusal(f"{lead.ref} was won, but it has no {', no '.join(missing)}: enter that, then try again")
    base = f"opportunity/{lead.id}"
    customer: Key | Link
    if lead.partner_id is not None:
        customer = Link(Ref("res.partner", lead.partner_id.id))
    else:
        customer = Key("res.partner", f"{base}/customer")
        yield Ensure(
            model="res.partner",
            key=customer.key,
            values={
                "name": lead.partner_name or lead.contact_name,
                "is_company": bool(lead.partner_name),
                "email": lead.email_from,
                "phone": lead.phone,
            },
        )
        yield Update(ref=lead.ref, expect={"partner_id": None}, values={"partner_id": customer})
    project = Key("project.project", f"{base}/project")
    template, values = _template(lead, snapshot, templates), _values(lead, customer)
    if template is None:
        yield Ensure(model=project.model, key=project.key, values={**values, "user_id": None})
    else:
        arguments = {**values, **_players(snapshot, roles)}
        yield Perform(operation="project.from-template", on=template.ref, key=project.key, arguments=arguments)
    for key, summary, days in KICK_OFF:
        yield activity(
            key=f"{base}/kick-off/{key}",
            on=project,
            summary=summary,
            note="<p>Opened by Purser when the opportunity was won.</p>",
            user_id=lead.user_id,
            deadline=snapshot.today + dt.timedelta(days=days),
        )


def _missing(lead: WonLead, mandatory: Sequence[Detail]) -> Iterator[str]:
    if lead.partner_id is None and not lead.partner_name and not lead.contact_name:
        yield "customer"
    there = {"email": lead.email_from, "phone": lead.phone, "salesperson": lead.user_id, "company": lead.company_id}
    for name, words in (("email", "e-mail address"), ("phone", "phone number")):
        if name in mandatory and not there[name]:
            yield words
    yield from (name for name in ("salesperson", "company") if name in mandatory and not there[name])


def _template(lead: WonLead, snapshot: Snapshot, templates: Mapping[str, str]) -> ProjectTemplate | None:
    """Choose the template of the first type of service that has one."""
    tags = {tag.id: tag.name for tag in snapshot.rows(TemplateTag)}
    for service, name in service_types(snapshot, templates).items():
        found = [t for t in snapshot.rows(ProjectTemplate) if name in (t.name, *(tags.get(tag) for tag in t.tag_ids))]
        if len(found) > 1:
            listed = ", ".join(str(one.ref) for one in found)
            raise Refusal(
                f"{lead.ref} was won, and its service `{service}` has {len(found)} project templates: {listed}. "
                "Keep one of that name, or name one in the policy (`templates` of open-project)"
            )
        if found:
            return found[0]
        if service in templates:
            raise Refusal(f"{lead.ref} was won, and the policy names the template `{name}`, which is not in Odoo")
    return None


def _players(snapshot: Snapshot, roles: Mapping[str, str]) -> Values:
    """Give who plays which role, as far as both are there."""
    users = {user.login: user.ref for user in snapshot.rows(RolePlayer)}
    found = [role for role in snapshot.rows(ProjectRole) if roles.get(role.name) in users]
    return {f"role/{role.id}": Link(users[roles[role.name]]) for role in found}


def _values(lead: WonLead, customer: Key | Link) -> Values:
    company = None if lead.company_id is None else Link(Ref("res.company", lead.company_id))
    return {"name": lead.name, "partner_id": customer, "company_id": company}
