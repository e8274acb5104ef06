"""An absence that was approved is told while it is not over, and one that does not take place after all.

`hr.leave` shows the leaves of others to time-off officers only. To everybody Odoo shows what an approved leave takes
out of somebody's calendar, with the leave it comes from: by that the same fact is told under the same identity.
"""

import datetime as dt
from collections.abc import Iterator

from pydantic import Field

from events.fact import Fact
from events.people import LeaveApproved, LeaveCancelled
from purser import Domain, Moment, Row, Scope, minutes, watch

APPROVED = "validate"
CALLED_OFF = ("cancel", "refuse")
"""A manager who takes an approval back refuses the leave; Odoo keeps no trace of its having been approved."""


class DecidedLeave(Row, model="hr.leave", optional=True):
    """A leave somebody has decided on."""

    state: str | None = None
    ends: Moment | None = Field(None, alias="date_to")

    @classmethod
    def domain(cls, scope: Scope) -> Domain:
        """Read those decided."""
        return [*scope.look, ("state", "in", (APPROVED, *CALLED_OFF))]


class CalendarAbsence(Row, model="resource.calendar.leaves", optional=True):
    """What an approved leave takes out of a person's calendar."""

    leave_id: int | None = Field(None, alias="holiday_id")
    ends: Moment | None = Field(None, alias="date_to")

    @classmethod
    def domain(cls, scope: Scope) -> Domain:
        """Read those that come from a leave."""
        return [*scope.look, ("holiday_id", "!=", False)]


@watch("leaves", row=DecidedLeave, tells=(LeaveApproved, LeaveCancelled), every=minutes(5))
def leaves(row: DecidedLeave, as_of: dt.datetime) -> Iterator[Fact]:
    """A leave that is not over was approved, cancelled or refused."""
    if row.ends is None or row.ends < as_of:
        return
    if row.state == APPROVED:
        yield LeaveApproved(leave_id=row.id, state=row.state)
    elif row.state in CALLED_OFF:
        yield LeaveCancelled(leave_id=row.id, state=row.state)


@watch("absences", row=CalendarAbsence, tells=(LeaveApproved,), every=minutes(5))
def absences(row: CalendarAbsence, as_of: dt.datetime) -> Iterator[Fact]:
    """A leave that is not over was approved, as far as every user sees it."""
    if row.leave_id and row.ends is not None and row.ends >= as_of:
        yield LeaveApproved(leave_id=row.leave_id, state=APPROVED)
