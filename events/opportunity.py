"""Facts about opportunities (`crm.lead`) and what customers agree to (`sale.order`)."""

from pydantic import Field

from events.event import Event
from events.field_types import Day, Id, Instant, Word


class OpportunityWon(Event, type="opportunity.won.v1", about=("crm.lead", "opportunity_id"), mark="closed_at"):
    """A customer said yes. Odoo is read again before anything follows, so the id is all that matters."""

    opportunity_id: Id = Field(description="The id of the crm.lead that was won.")
    won_on: Day | None = Field(None, description="The day it was won, where the sender knows it.")
    closed_at: Instant | None = Field(None, description="When Odoo closed it (`date_closed`).")


class OpportunityLost(Event, type="opportunity.lost.v1", about=("crm.lead", "opportunity_id"), mark="closed_at"):
    """A customer said no."""

    opportunity_id: Id = Field(description="The id of the crm.lead that was lost.")
    closed_at: Instant | None = Field(None, description="When Odoo closed it (`date_closed`).")


class QuotationSigned(Event, type="quotation.signed.v1", about=("sale.order", "order_id"), mark="signed_at"):
    """A customer signed a quotation in the portal."""

    order_id: Id = Field(description="The id of the sale.order that was signed.")
    signed_at: Instant | None = Field(None, description="When it was signed (`signed_on`).")


class ContractExpiring(
    Event, type="contract.expiring.v1", about=("project.project", "project_id"), mark="ends_on", of="contract"
):
    """An engagement reaches its agreed end soon. Community keeps that end on the project (`date`)."""

    project_id: Id = Field(description="The id of the project.project whose end comes near.")
    ends_on: Day | None = Field(None, description="Its agreed end (`date`).")


class SubscriptionChanged(Event, type="subscription.changed.v1", about=("sale.order", "order_id"), mark="state"):
    """A subscription came into another state: renewed, paused, churned. Enterprise only."""

    order_id: Id = Field(description="The id of the sale.order that is the subscription.")
    state: Word | None = Field(
        None, examples=["4_paused"], description="The state it came into (`subscription_state`)."
    )
