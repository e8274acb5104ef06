"""Facts about the people who do the work: their time, their absence, their place in the firm."""

import datetime as dt

from pydantic import Field

from events.fact import Fact, Id, Instant


class TimesheetSubmitted(Fact, type="timesheet.submitted.v1", about=("hr_timesheet.sheet", "sheet_id"), mark="state"):
    """An employee handed in a timesheet. Community has no sheets: OCA's add-on has."""

    sheet_id: Id = Field(description="The id of the hr_timesheet.sheet.")
    state: str | None = Field(None, max_length=40, description="The state that says so (`state`).")


class TimesheetApproved(Fact, type="timesheet.approved.v1", about=("hr_timesheet.sheet", "sheet_id"), mark="state"):
    """A reviewer accepted a timesheet: its hours may be billed."""

    sheet_id: Id = Field(description="The id of the hr_timesheet.sheet.")
    state: str | None = Field(None, max_length=40, description="The state that says so (`state`).")


class TimesheetRejected(
    Fact, type="timesheet.rejected.v1", about=("hr_timesheet.sheet", "sheet_id"), mark="rejected_at"
):
    """A reviewer gave a timesheet back."""

    sheet_id: Id = Field(description="The id of the hr_timesheet.sheet.")
    rejected_at: Instant | None = Field(None, description="When; Odoo does not store it.")


class LeaveApproved(Fact, type="leave.approved.v1", about=("hr.leave", "leave_id"), mark="state"):
    """Somebody will be away, and those who count on them should know."""

    leave_id: Id = Field(description="The id of the hr.leave.")
    state: str | None = Field(None, max_length=40, description="The state that says so (`state`).")


class LeaveCancelled(Fact, type="leave.cancelled.v1", about=("hr.leave", "leave_id"), mark="state"):
    """An absence that was agreed does not take place."""

    leave_id: Id = Field(description="The id of the hr.leave.")
    state: str | None = Field(None, max_length=40, description="The state that says so (`state`).")


class EmployeeChanged(Fact, type="employee.changed.v1", about=("hr.employee", "employee_id"), mark="since"):
    """Somebody has another department, manager, job or calendar."""

    employee_id: Id = Field(description="The id of the hr.employee.")
    since: dt.date | None = Field(None, description="From which day it counts (`date_version`).")


class EmployeeDeparted(Fact, type="employee.departed.v1", about=("hr.employee", "employee_id"), mark="departed_on"):
    """Somebody left the firm; open work of theirs needs a new owner."""

    employee_id: Id = Field(description="The id of the hr.employee.")
    departed_on: dt.date | None = Field(None, description="Their last day (`departure_date`).")


class StaffingRequested(Fact, type="staffing.requested.v1", about=("project.project", "project_id"), mark="request"):
    """A project needs people it does not have."""

    project_id: Id = Field(description="The id of the project.project.")
    request: str | None = Field(None, max_length=200, description="What tells this request from others.")


class AllocationExpiring(Fact, type="allocation.expiring.v1", about=("planning.slot", "slot_id"), mark="ends_at"):
    """Somebody's planned work ends soon and nothing follows. Planning is an Enterprise application."""

    slot_id: Id = Field(description="The id of the planning.slot.")
    ends_at: Instant | None = Field(None, description="When it ends (`end_datetime`).")
