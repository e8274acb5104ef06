"""A won opportunity has a customer, a project and kick-off activities, however often its winning is told.

What is there already is used. **The customer** is the one the opportunity links, else that of its orders, else the
one with its e-mail address, else the one of its name; several are a refusal that names them. Where nobody is found,
the company and its contact person are made, as Odoo makes them. **The project** is that of the opportunity's orders
(Odoo makes one when an order is confirmed), else one of the same name and customer; several are a refusal.

Else the project is made from the template of the type of service that was sold: a project template whose name, or one
of whose tags, is a tag or the sales team of the opportunity. `templates` names another template for a service.
Without such a template the project is an empty one. The tasks of a template may name roles; `roles` says who plays
which (name of the role, login), and they get the tasks. Odoo forgets a role that nobody plays. Where a quotation of
the opportunity is not confirmed yet, its services are linked with the project, so that confirming it makes no second.

Kick-off activities are for the salesperson, else the leader of the sales team, as far as they may be asked. Once the
deal is taken back they are closed, and asked anew where it is won once more.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

from events.opportunity import OpportunityLost, OpportunityWon
from purser import Change, Ensure, Key, RecordLink, Ref, RunOperation, Snapshot, Update, activity, automation
from purser.changes import Values
from purser.errors import Refusal
from purser.parameters.record_names import Login, RecordNameType
from purser.todos import close_todos
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING
from tasks.queries.crm import (
    KICK_OFF,
    TAKEN_BACK,
    KickOffTodo,
    KnownCustomer,
    LeadOrder,
    LeadOrderLine,
    LeadProduct,
    LeadProject,
    LeadTag,
    LeadTeam,
    WithdrawnKickOff,
    WonLead,
    find_customer,
    service_types,
)
from tasks.queries.projects import ProjectRole, ProjectRoleUser, ProjectTemplate, TemplateTag

Service = Annotated[str, RecordNameType(("crm.tag", "crm.team"))]
TemplateName = Annotated[str, RecordNameType(("project.project", "project.tags"))]
RoleName = Annotated[str, RecordNameType(("project.role",))]
Detail = Literal["email", "phone", "salesperson", "company"]

STEPS = (
    ("staffing", f"{KICK_OFF}name the project manager and the team", 1),
    ("meeting", f"{KICK_OFF}meet the customer and agree the first milestones", 5),
    ("order", f"{KICK_OFF}confirm the order, so that the first hours can be billed", 5),
)
"""Key, summary and days until the deadline of each kick-off activity."""


@automation(
    "open-project",
    on=OpportunityWon,
    also=(OpportunityLost,),
    reads=(
        *(WonLead, LeadTag, LeadTeam, LeadOrder, LeadOrderLine, LeadProduct, KnownCustomer, LeadProject),
        *(TemplateTag, ProjectTemplate, ProjectRole, ProjectRoleUser, *ASKING, KickOffTodo, WithdrawnKickOff),
    ),
    creates=("res.partner", "project.project"),
    writes=("crm.lead", "sale.order.line"),
    activity_on=("project.project",),
    operations=("project.from-template",),
)
def open_project(
    event: OpportunityWon | OpportunityLost,
    snapshot: Snapshot,
    *,
    templates: Mapping[Service, TemplateName] = MappingProxyType({}),
    roles: Mapping[RoleName, Login] = MappingProxyType({}),
    mandatory: tuple[Detail, ...] = (),
) -> Iterator[Change]:
    """A won opportunity has a customer, a project and kick-off activities."""
    lead = snapshot.get(WonLead, event.opportunity_id)
    base = f"opportunity/{event.opportunity_id}"
    if lead is None or not lead.is_won:  # taken back in the meantime: what is true now counts
        yield from close_todos(snapshot, KickOffTodo, prefix=f"{base}/kick-off/", because=TAKEN_BACK)
        return
    there = _customer(lead, snapshot)
    if missing := list(_missing(lead, there, mandatory)):
        raise Refusal(f"{lead.ref} was won, but it has no {', no '.join(missing)}: enter that, then try again")
    found = _project(lead, there, snapshot)
    customer: Key | RecordLink
    if there is not None:
        customer = RecordLink(there)
    else:
        yield from _new_customer(lead, base)
        person = lead.partner_name and lead.contact_name
        customer = Key("res.partner", f"{base}/contact" if person else f"{base}/customer")
    if lead.partner_id is None:
        yield Update(ref=lead.ref, expect={"partner_id": None}, values={"partner_id": customer})
    project: Ref | Key
    if found is not None:
        project = found
    else:
        project = Key("project.project", f"{base}/project")
        yield from _new_project(lead, customer, project, snapshot, templates=templates, roles=roles)
    for key, summary, days in STEPS:
        yield activity(
            key=f"{base}/kick-off/{key}{_again(f'{base}/kick-off/{key}', snapshot)}",
            on=project,
            summary=summary,
            note="<p>Opened by Purser when the opportunity was won.</p>",
            user_id=_asked(lead, snapshot),
            deadline=snapshot.today + dt.timedelta(days=days),
        )


def _again(key: str, snapshot: Snapshot) -> str:
    """Return what tells this kick-off from earlier ones, which were closed because the deal was taken back."""
    earlier = sum(
        any(one == key or one.startswith(f"{key}/") for one in todo.keys) for todo in snapshot.rows(WithdrawnKickOff)
    )
    return f"/again-{earlier}" if earlier else ""


def _asked(lead: WonLead, snapshot: Snapshot) -> int | None:
    team = snapshot.get(LeadTeam, lead.team_id.id if lead.team_id else None)
    return PersonIndex(snapshot).first(lead.user_id, team.user_id if team else None)


# --------------------------------------------------------------------------------- the customer --


def _customer(lead: WonLead, snapshot: Snapshot) -> Ref | None:
    """Return the customer who is there already."""
    if lead.partner_id is not None:
        return Ref("res.partner", lead.partner_id.id)
    orders = snapshot.rows(LeadOrder)
    ordered = {one.partner_id for one in orders if one.is_confirmed} or {one.partner_id for one in orders}
    candidates = sorted(Ref("res.partner", one) for one in ordered if one is not None)
    own = {f"opportunity/{lead.id}/customer", f"opportunity/{lead.id}/contact"}
    if not candidates and any(own.intersection(one.keys) for one in snapshot.rows(KnownCustomer)):
        return None  # made by us before, perhaps without its contact person: their keys find them
    if not candidates:
        candidates = [one.ref for one in find_customer(lead, snapshot.rows(KnownCustomer))]
    if len(candidates) > 1:
        listed = ", ".join(map(str, candidates))
        raise Refusal(
            f"{lead.ref} was won, and {len(candidates)} contacts could be its customer: {listed}. "
            "Choose one on the opportunity, then try again"
        )
    return candidates[0] if candidates else None


def _new_customer(lead: WonLead, base: str) -> Iterator[Change]:
    """Make the company and its contact person, or whichever of them the opportunity names."""
    own = {"email": lead.email_from, "phone": lead.phone, "street": lead.street, "zip": lead.zip, "city": lead.city}
    country = None if lead.country_id is None else RecordLink(Ref("res.country", lead.country_id))
    shared: Values = {name: value for name, value in {**own, "country_id": country}.items() if value is not None}
    company = Key("res.partner", f"{base}/customer")
    yield Ensure(
        model=company.model,
        key=company.key,
        values={"name": lead.partner_name or lead.contact_name, "is_company": bool(lead.partner_name), **shared},
    )
    if lead.partner_name and lead.contact_name:
        person: Values = {"name": lead.contact_name, "is_company": False, "parent_id": company}
        role: Values = {} if lead.function is None else {"function": lead.function}
        yield Ensure(model=company.model, key=f"{base}/contact", values={**person, **shared, **role})


# ---------------------------------------------------------------------------------- the project --


def _project(lead: WonLead, customer: Ref | None, snapshot: Snapshot) -> Ref | None:
    """Return the project that is there already: that of the orders, else one of the deal's name and customer."""
    own = f"opportunity/{lead.id}/project"
    there = {one.id: one for one in snapshot.rows(LeadProject) if not one.is_template}
    if any(own in one.keys for one in there.values()):
        return None  # made by us before: its key finds it
    confirmed = {order.id for order in snapshot.rows(LeadOrder) if order.is_confirmed}
    chosen = {order.project_id for order in snapshot.rows(LeadOrder)}
    lines = {line.project_id for line in snapshot.rows(LeadOrderLine) if line.order_id in confirmed}
    named = {one.id for one in there.values() if _is_of(one, lead, customer)}
    for candidates in (chosen, lines, named):
        refs = [there[one].ref for one in sorted(there) if one in candidates]
        if len(refs) > 1:
            raise Refusal(
                f"{lead.ref} was won, and {len(refs)} projects could be its project: {', '.join(map(str, refs))}. "
                "Name one on the order (its project), or archive the others, then try again"
            )
        if refs:
            return refs[0]
    return None


def _is_of(project: LeadProject, lead: WonLead, customer: Ref | None) -> bool:
    """Return whether a project bears the name and the customer of a deal, and is not that of another deal."""
    of_another = any(key.startswith("opportunity/") for key in project.keys)
    return project.name == lead.name and customer is not None and project.partner_id == customer.id and not of_another


def _new_project(
    lead: WonLead,
    customer: Key | RecordLink,
    project: Key,
    snapshot: Snapshot,
    *,
    templates: Mapping[str, str],
    roles: Mapping[str, str],
) -> Iterator[Change]:
    """Make the project and link the services of quotations with it: confirming one then makes no second project."""
    quoted = _quoted(snapshot)
    company = None if lead.company_id is None else RecordLink(Ref("res.company", lead.company_id))
    values: Values = {"name": lead.name, "partner_id": customer, "company_id": company}
    template = _template(lead, snapshot, templates)
    if template is None:
        billable: Values = {"allow_billable": True} if quoted else {}
        yield Ensure(model=project.model, key=project.key, values={**values, "user_id": None, **billable})
    else:
        arguments = {**values, **_planned(template, snapshot.today), **_players(snapshot, roles)}
        yield RunOperation(operation="project.from-template", on=template.ref, key=project.key, arguments=arguments)
    for line in quoted:
        yield Update(ref=line.ref, expect={"project_id": None}, values={"project_id": project})


def _quoted(snapshot: Snapshot) -> list[LeadOrderLine]:
    """Return the services of open quotations of which confirming makes a project."""
    open_ones = {order.id for order in snapshot.rows(LeadOrder) if not order.is_confirmed}
    lines = [one for one in snapshot.rows(LeadOrderLine) if one.order_id in open_ones and one.project_id is None]
    makes = {one.id for one in snapshot.rows(LeadProduct) if one.makes_a_task}
    return sorted((one for one in lines if one.product_id in makes), key=lambda one: (one.order_id, one.id))


def _missing(lead: WonLead, customer: Ref | None, mandatory: Sequence[Detail]) -> Iterator[str]:
    if customer is None and not lead.partner_name and not lead.contact_name:
        yield "customer"
    there = {"email": lead.email_from, "phone": lead.phone, "salesperson": lead.user_id, "company": lead.company_id}
    for name, words in (("email", "e-mail address"), ("phone", "phone number")):
        if name in mandatory and not there[name]:
            yield words
    yield from (name for name in ("salesperson", "company") if name in mandatory and not there[name])


def _template(lead: WonLead, snapshot: Snapshot, templates: Mapping[str, str]) -> ProjectTemplate | None:
    """Choose the template of the first type of service that has one."""
    tags = {tag.id: tag.names | {tag.name} for tag in snapshot.rows(TemplateTag)}
    for service, name in service_types(snapshot, templates).items():
        found = [
            one
            for one in snapshot.rows(ProjectTemplate)
            if name in one.names | {one.name} or any(name in tags.get(tag, ()) for tag in one.tag_ids)
        ]
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


def _planned(template: ProjectTemplate, today: dt.date) -> Values:
    """Return the planned days of a project from a template that has some: it starts today and lasts as long.

    Without them Odoo lets it start on the server's day.
    """
    if template.date_start is None or template.date is None:
        return {}
    return {"date_start": today, "date": today + (template.date - template.date_start)}


def _players(snapshot: Snapshot, roles: Mapping[str, str]) -> Values:
    """Return who plays which role, as far as both are there."""
    users = {user.login: user.ref for user in snapshot.rows(ProjectRoleUser)}
    found: dict[str, RecordLink] = {}
    for role in snapshot.rows(ProjectRole):
        logins = [roles[name] for name in sorted(role.names | {role.name}) if name in roles]
        found |= {f"role/{role.id}": RecordLink(users[login]) for login in logins[:1] if login in users}
    return dict(found)
