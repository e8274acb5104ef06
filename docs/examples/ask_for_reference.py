"""A customer who said yes is asked for a reference some weeks later."""

import datetime as dt
from collections.abc import Iterator

from events.opportunity import OpportunityWon
from purser import Change, Snapshot, activity, automation
from tasks.queries.crm import WonLead


@automation("ask-for-reference", on=OpportunityWon, reads=(WonLead,), activity_on=("crm.lead",))
def ask_for_reference(event: OpportunityWon, snapshot: Snapshot, *, weeks: int = 6) -> Iterator[Change]:
    """A customer who said yes is asked for a reference some weeks later."""
    lead = snapshot.get(WonLead, event.opportunity_id)
    if lead is None or lead.won_status != "won":
        return  # taken back in the meantime
    yield activity(
        key=f"opportunity/{lead.id}/reference",
        on=lead.ref,
        summary="Ask the customer for a reference",
        note="",
        user_id=lead.user_id,
        deadline=snapshot.today + dt.timedelta(weeks=weeks),
    )
