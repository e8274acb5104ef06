"""What declarations read of the sales pipeline."""

from purser import Domain, Named, Row, Scope


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
    company_id: int | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain:
        """Read the one opportunity of the event."""
        return [("id", "=", scope.event.opportunity_id)]
