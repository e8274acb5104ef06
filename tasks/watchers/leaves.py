"""An absence that was approved is told while it is not over, and one that does not take place after all.

Approving makes a row in somebody's calendar, which every user sees, and taking the approval back deletes it. So each
approval has a row of its own: a request that is moved or approved again is told again. `hr.leave` shows the requests
of others to time-off officers only; it tells which of them were refused or cancelled.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from events.employee import LeaveApproved, LeaveCancelled
from events.event import Event
from purser import OPTIONAL_FIELD, Domain, Moment, QueryContext, Row, minutes, watch

APPROVED = "validate"
CALLED_OFF = ("cancel", "refuse")
"""A manager who takes an approval back refuses the leave; Odoo keeps no trace of its having been approved."""


class CancelledLeave(Row, model="hr.leave", optional=True):
    """A leave that was refused or cancelled."""

    state: str | None = None
    starts: Moment | None = Field(None, alias="date_from")
    ends: Moment | None = Field(None, alias="date_to")
    meeting_id: Annotated[int | None, OPTIONAL_FIELD] = None
    """The meeting that the last approval made in the calendar."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those refused or cancelled."""
        return [*scope.look, ("state", "in", CALLED_OFF)]

    @property
    def mark(self) -> str:
        """Name this refusal: a request that is approved again for the same days may be refused once more.

        Each approval makes a meeting of its own, where the type of time off wants one; else nothing tells them apart.
        """
        approval = "" if self.meeting_id is None else f"@{self.meeting_id}"
        return f"{self.state}:{_span(self)}{approval}"


class CalendarAbsence(Row, model="resource.calendar.leaves", optional=True):
    """What an approved leave takes out of a person's calendar."""

    leave_id: int | None = Field(None, alias="holiday_id")
    starts: Moment | None = Field(None, alias="date_from")
    ends: Moment | None = Field(None, alias="date_to")

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those that come from a leave."""
        return [*scope.look, ("holiday_id", "!=", False)]

    @property
    def mark(self) -> str:
        """Name this approval: its row, and when that begins and ends."""
        return f"{self.id}:{_span(self)}"


def _span(row: CancelledLeave | CalendarAbsence) -> str:
    moments = ("" if one is None else f"{one.astimezone(dt.UTC):%Y-%m-%dT%H:%MZ}" for one in (row.starts, row.ends))
    return "..".join(moments)


@watch("leaves", row=CancelledLeave, tells=(LeaveCancelled,), every=minutes(5))
def leaves(row: CancelledLeave, as_of: dt.datetime) -> Iterator[Event]:
    """A leave that is not over was cancelled or refused."""
    if row.ends is not None and row.ends >= as_of and row.state in CALLED_OFF:
        yield LeaveCancelled(leave_id=row.id, state=row.state, request=row.mark)


@watch("absences", row=CalendarAbsence, tells=(LeaveApproved,), every=minutes(5))
def absences(row: CalendarAbsence, as_of: dt.datetime) -> Iterator[Event]:
    """A leave that is not over was approved, for the first time, for other days or once more."""
    if row.leave_id and row.ends is not None and row.ends >= as_of:
        yield LeaveApproved(leave_id=row.leave_id, state=APPROVED, absence=row.mark)
