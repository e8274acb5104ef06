"""What declarations read of the sales pipeline."""

from collections.abc import Mapping

from purser import Domain, Named, Row, Scope, Snapshot


class WonLead(Row, model="crm.lead", active_test=False):
    """The opportunity an event speaks of, as it stands now."""

    name: str
    won_status: str | None = None
    partner_id: Named | None = None
    partner_name: str | None = None
    contact_name: str | None = None
    email_from: str | None = None
    phone: str | None = None
    user_id: int | None = None
    team_id: Named | None = None
    tag_ids: tuple[int, ...] = ()
    company_id: int | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain:
        """Read the one opportunity of the event."""
        return [("id", "=", scope.event.opportunity_id)]


class LeadTag(Row, model="crm.tag", optional=True):
    """A tag on the opportunity, such as the service that was sold."""

    name: str

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read those of the opportunity."""
        tags = {tag for lead in scope.snapshot.rows(WonLead) for tag in lead.tag_ids}
        return [("id", "in", sorted(tags))] if tags else None


def service_types(snapshot: Snapshot, templates: Mapping[str, str]) -> dict[str, str]:
    """Give the types of service that an opportunity can be of, its tags before its team, and the template of each.

    A type without one in `templates` names its template itself.
    """
    types = [tag.name for tag in snapshot.rows(LeadTag)]
    types += [lead.team_id.name for lead in snapshot.rows(WonLead) if lead.team_id is not None]
    return {one: templates.get(one, one) for one in types}
