"""Facts about projects, their milestones and what customers ask beside them."""

from pydantic import Field

from events.event import Event
from events.field_types import Day, Id, Instant, Text, Word


class ProjectCreated(Event, type="project.created.v1", about=("project.project", "project_id"), mark="created_at"):
    """Work on an engagement can be planned."""

    project_id: Id = Field(description="The id of the project.project.")
    created_at: Instant | None = Field(None, description="When it was made (`create_date`).")


class MilestoneApproved(
    Event, type="milestone.approved.v1", about=("project.milestone", "milestone_id"), mark="reached_on"
):
    """Somebody who may has said that a milestone is delivered, in Odoo by ticking it, elsewhere by telling it."""

    milestone_id: Id = Field(description="The id of the project.milestone.")
    reached_on: Day | None = Field(None, description="The day Odoo has it reached (`reached_date`).")
    evidence: Text | None = Field(
        None,
        examples=["protocol of 20 November, signed"],
        description="What proves it, in a few words or an address: a protocol, a mail, a release.",
    )


class ChangeRequestApproved(
    Event, type="change-request.approved.v1", about=("project.task", "task_id"), mark="state"
):
    """The customer agreed to work beside the contract: a task that stands for it was approved."""

    task_id: Id = Field(description="The id of the project.task that stands for the change.")
    state: Word | None = Field(None, examples=["03_approved"], description="The state that says so (`state`).")


class TicketEscalated(Event, type="ticket.escalated.v1", about=("helpdesk.ticket", "ticket_id"), mark="priority"):
    """A support case became urgent. Helpdesk is an add-on: Enterprise's or OCA's."""

    ticket_id: Id = Field(description="The id of the helpdesk.ticket.")
    priority: Word | None = Field(None, examples=["3"], description="The priority it was raised to (`priority`).")


class TicketResolved(Event, type="ticket.resolved.v1", about=("helpdesk.ticket", "ticket_id"), mark="closed_at"):
    """A support case is closed. Helpdesk is an add-on: Enterprise's or OCA's."""

    ticket_id: Id = Field(description="The id of the helpdesk.ticket.")
    closed_at: Instant | None = Field(None, description="When it was closed (`close_date`, with OCA `closed_date`).")


class DocumentSigned(Event, type="document.signed.v1", about=("sale.order", "order_id"), mark="document"):
    """A statement of work came back signed, outside of Odoo's portal."""

    order_id: Id = Field(description="The id of the sale.order that it belongs to.")
    document: Word | None = Field(
        None, examples=["SOW-2026-017"], description="What tells this document from others: its number or checksum."
    )
