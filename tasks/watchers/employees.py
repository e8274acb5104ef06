"""Somebody who changed their place in the firm is told of, and somebody who left it.

Since Odoo 19 department, job and calendar stand on `hr.version`, one record for each span of time; writing one moves
nothing on the employee. Before, Odoo keeps no mark of such a change, and it is not told.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from events.employee import EmployeeChanged, EmployeeDeparted
from events.event import Event
from events.field_types import fingerprint
from purser import OPTIONAL_FIELD, Domain, QueryContext, Row, minutes, watch


class Employment(Row, model="hr.version", optional=True):
    """What holds for an employee from a day on. HR rights only."""

    employee_id: int | None = None
    since: dt.date | None = Field(None, alias="date_version")
    department_id: int | None = None
    job_id: int | None = None
    calendar_id: int | None = Field(None, alias="resource_calendar_id")

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those of somebody; some are templates."""
        return [*scope.look, ("employee_id", "!=", False)]

    @property
    def state(self) -> str:
        """Name what holds: writing the span that counts now leaves its first day as it is."""
        place = {"department": self.department_id, "job": self.job_id, "calendar": self.calendar_id}
        return fingerprint({"since": str(self.since), **place})


class ArchivedEmployee(Row, model="hr.employee", optional=True, active_test=False):
    """An employee whose record was archived. The last day stands there for those with HR rights."""

    active: bool = True
    departure_date: Annotated[dt.date | None, OPTIONAL_FIELD] = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those archived."""
        return [*scope.look, ("active", "=", False)]


@watch("employments", row=Employment, tells=(EmployeeChanged,), every=minutes(15), stamped=False)
def employments(row: Employment, as_of: dt.datetime) -> Iterator[Event]:
    """Somebody has another department, job or calendar from a day on."""
    if row.employee_id:
        yield EmployeeChanged(employee_id=row.employee_id, state=row.state, since=row.since)


@watch("departures", row=ArchivedEmployee, tells=(EmployeeDeparted,), every=minutes(15), stamped=False)
def departures(row: ArchivedEmployee, as_of: dt.datetime) -> Iterator[Event]:
    """Somebody left the firm: their record is archived."""
    if not row.active:
        yield EmployeeDeparted(employee_id=row.id, departed_on=row.departure_date)
