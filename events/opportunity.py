"""Facts about opportunities (`crm.lead`)."""

import datetime as dt

from pydantic import Field

from events.fact import Fact
from purser.model import Ref


class OpportunityWon(Fact, type="opportunity.won.v1"):
    """A customer said yes. Odoo is read again before anything follows, so the id is all that matters."""

    opportunity_id: int = Field(gt=0, description="The id of the crm.lead that was won.")
    won_on: dt.date | None = Field(None, description="The day it was won, where the sender knows it.")

    @property
    def record(self) -> Ref:
        """Name the opportunity."""
        return Ref("crm.lead", self.opportunity_id)
