"""An opportunity that was won or lost is told, with the moment at which Odoo closed it."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from events.event import Event
from events.opportunity import OpportunityLost, OpportunityWon
from purser import OPTIONAL_FIELD, Domain, Moment, QueryContext, Row, minutes, watch


class ClosedLead(Row, model="crm.lead", active_test=False):
    """An opportunity that Odoo calls closed: won, or lost and archived.

    Odoo 19 can store `won_status` as pending beside a probability of 100, a won stage and a closing date, for good: a
    rule may have it computed while the record is being created. So stage and probability count as well.
    """

    type: str | None = None
    active: bool = True
    probability: float = 0.0
    won_status: Annotated[str | None, OPTIONAL_FIELD] = None
    """Odoo 19 and later; before, probability and archiving say it."""
    closed_at: Moment | None = Field(None, alias="date_closed")

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those with a closing date. A probability of 100 counts in a won stage only, as it does for Odoo."""
        certain = ["|", ("probability", "!=", 100), ("stage_id.is_won", "=", True)]
        return [*scope.look, ("date_closed", "!=", False), *certain]

    @property
    def is_won(self) -> bool:
        """Return whether the customer said yes, and nobody has taken that back."""
        return self.won_status == "won" or (self.active and self.probability >= 100)

    @property
    def is_lost(self) -> bool:
        """Return whether the customer said no."""
        return self.won_status == "lost" if self.won_status else not self.active and not self.probability


@watch("opportunities", row=ClosedLead, tells=(OpportunityWon, OpportunityLost), every=minutes(5))
def opportunities(row: ClosedLead, as_of: dt.datetime) -> Iterator[Event]:
    """An opportunity was won or lost."""
    if row.type == "lead":
        return  # nobody has qualified it: a lead that is dropped is no lost opportunity
    if row.is_won:
        yield OpportunityWon(opportunity_id=row.id, closed_at=row.closed_at)
    elif row.is_lost:
        yield OpportunityLost(opportunity_id=row.id, closed_at=row.closed_at)
