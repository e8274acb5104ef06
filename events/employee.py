"""Facts about the people who do the work: their time, their absence, their place in the firm."""

from pydantic import Field

from events.event import Event
from events.field_types import Day, Id, Instant, Word


class TimesheetSubmitted(
    Event, type="timesheet.submitted.v1", about=("hr_timesheet.sheet", "sheet_id"), mark="state"
):
    """An employee handed in a timesheet. Community has no sheets: OCA's add-on has."""

    sheet_id: Id = Field(description="The id of the hr_timesheet.sheet.")
    state: Word | None = Field(None, examples=["confirm"], description="The state that says so (`state`).")


class TimesheetApproved(Event, type="timesheet.approved.v1", about=("hr_timesheet.sheet", "sheet_id"), mark="state"):
    """A reviewer accepted a timesheet: its hours may be billed."""

    sheet_id: Id = Field(description="The id of the hr_timesheet.sheet.")
    state: Word | None = Field(None, examples=["done"], description="The state that says so (`state`).")


class TimesheetRejected(Event, type="timesheet.rejected.v1", about=("hr_timesheet.sheet", "sheet_id"), mark="state"):
    """A reviewer gave a timesheet back: it is a draft again, and no moment of it is stored."""

    sheet_id: Id = Field(description="The id of the hr_timesheet.sheet.")
    state: Word | None = Field(None, examples=["draft"], description="The state it went back to (`state`).")


class LeaveApproved(Event, type="leave.approved.v1", about=("hr.leave", "leave_id"), mark="absence"):
    """Somebody will be away, and those who count on them should know."""

    leave_id: Id = Field(description="The id of the hr.leave.")
    state: Word | None = Field(None, examples=["validate"], description="The state that says so (`state`).")
    absence: Word | None = Field(
        None,
        examples=["812:2026-12-21T07:00Z..2026-12-22T16:00Z"],
        description="What tells this approval from an earlier one: the id of its resource.calendar.leaves, and when "
        "that begins and ends. A request that is moved, or approved again, has another.",
    )


class LeaveCancelled(Event, type="leave.cancelled.v1", about=("hr.leave", "leave_id"), mark="request"):
    """An absence that was agreed does not take place."""

    leave_id: Id = Field(description="The id of the hr.leave.")
    state: Word | None = Field(None, examples=["cancel"], description="The state that says so (`state`).")
    request: Word | None = Field(
        None,
        examples=["cancel:2026-12-21T07:00Z..2026-12-22T16:00Z@31"],
        description="What tells this from an earlier one of the same request: its state, when it was to begin and to "
        "end, and the meeting that its last approval made in the calendar.",
    )


class EmployeeChanged(Event, type="employee.changed.v1", about=("hr.employee", "employee_id"), mark="state"):
    """Somebody has another department, job or calendar. Odoo stores no mark that each of these moves."""

    employee_id: Id = Field(description="The id of the hr.employee.")
    state: Word | None = Field(
        None,
        examples=["6f1c5b0a9d2e4837"],
        description="What tells these values from others: see `fingerprint` in events/field_types.py.",
    )
    since: Day | None = Field(None, description="From which day it counts (`date_version`).")


class EmployeeDeparted(Event, type="employee.departed.v1", about=("hr.employee", "employee_id"), mark="departed_on"):
    """Somebody left the firm; open work of theirs needs a new owner."""

    employee_id: Id = Field(description="The id of the hr.employee.")
    departed_on: Day | None = Field(None, description="Their last day (`departure_date`).")


class StaffingRequested(Event, type="staffing.requested.v1", about=("project.project", "project_id"), mark="request"):
    """A project needs people it does not have."""

    project_id: Id = Field(description="The id of the project.project.")
    request: Word | None = Field(
        None, examples=["two testers in March"], description="What tells this request from others."
    )


class AllocationExpiring(Event, type="allocation.expiring.v1", about=("planning.slot", "slot_id"), mark="ends_at"):
    """Somebody's planned work ends soon and nothing follows. Planning is an Enterprise application."""

    slot_id: Id = Field(description="The id of the planning.slot.")
    ends_at: Instant | None = Field(None, description="When it ends (`end_datetime`).")
