"""A timesheet that was handed in or accepted is told. Community has no sheets: OCA's `hr_timesheet_sheet` has.

A sheet that is given back is a draft again, as if nothing had been: that is not told.
"""

import datetime as dt
from collections.abc import Iterator

from events.employee import TimesheetApproved, TimesheetSubmitted
from events.event import Event
from purser import Domain, QueryContext, Row, minutes, watch

SUBMITTED, APPROVED = "confirm", "done"


class DecidedSheet(Row, model="hr_timesheet.sheet", optional=True):
    """A timesheet that waits for its reviewer, or that one accepted."""

    state: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those in a state that says so."""
        return [*scope.look, ("state", "in", (SUBMITTED, APPROVED))]


@watch("timesheets", row=DecidedSheet, tells=(TimesheetSubmitted, TimesheetApproved), every=minutes(5))
def timesheets(row: DecidedSheet, as_of: dt.datetime) -> Iterator[Event]:
    """A timesheet was handed in or accepted."""
    if row.state == SUBMITTED:
        yield TimesheetSubmitted(sheet_id=row.id, state=row.state)
    elif row.state == APPROVED:
        yield TimesheetApproved(sheet_id=row.id, state=row.state)
