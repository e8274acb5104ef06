"""A won opportunity has a customer, a project and kick-off activities, however often its winning is told."""

import datetime as dt
from collections.abc import Iterator

from events.opportunity import OpportunityWon
from purser import Change, Ensure, Key, Link, Ref, Snapshot, Update, activity, automation
from tasks.rows.crm import WonLead

KICK_OFF = (
    ("staffing", "Kick-off: name the project manager and the team", 1),
    ("meeting", "Kick-off: meet the customer and agree the first milestones", 5),
    ("order", "Kick-off: confirm the order, so that the first hours can be billed", 5),
)
"""Key, summary and days until the deadline of each kick-off activity."""


@automation("open-project", on=OpportunityWon, reads=(WonLead,))
def open_project(event: OpportunityWon, snapshot: Snapshot) -> Iterator[Change]:
    """A won opportunity has a customer, a project and kick-off activities."""
    lead = snapshot.get(WonLead, event.opportunity_id)
    if lead is None or lead.won_status != "won":
        return  # taken back in the meantime: what is true now counts
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
                "name": lead.partner_name or lead.contact_name or lead.name,
                "is_company": bool(lead.partner_name),
                "email": lead.email_from,
                "phone": lead.phone,
            },
        )
        yield Update(ref=lead.ref, expect={"partner_id": None}, values={"partner_id": customer})
    project = Key("project.project", f"{base}/project")
    yield Ensure(
        model="project.project",
        key=project.key,
        values={"name": lead.name, "partner_id": customer, "company_id": _company(lead), "user_id": None},
    )
    for key, summary, days in KICK_OFF:
        yield activity(
            key=f"{base}/kick-off/{key}",
            on=project,
            summary=summary,
            note="<p>Opened by Purser when the opportunity was won.</p>",
            user_id=lead.user_id,
            deadline=snapshot.as_of.date() + dt.timedelta(days=days),
        )


def _company(lead: WonLead) -> Link | None:
    return None if lead.company_id is None else Link(Ref("res.company", lead.company_id))
