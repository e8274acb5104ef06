"""What declarations read of somebody's absence: when, what of theirs is due then, and who could help.

Odoo shows approved absences to every user (`resource.calendar.leaves`), and requests only to officers. A request that
was refused or cancelled has no absence any more. `tasks/people.py` says who is a person and when they are absent.
"""

import datetime as dt
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from purser import OPTIONAL_FIELD, Domain, Many2One, Moment, QueryContext, Row, Snapshot
from purser.todos import Todo
from tasks.queries.availability import MARGIN
from tasks.queries.projects import OPEN
from tasks.working_calendar import day_span, days_between, zone_of

QUESTION = "who takes this over?"
"""The end of the summary of each question about a task."""


class ApprovedLeave(Row, model="resource.calendar.leaves"):
    """An approved absence, of the request an event speaks of. Time of type 'other' is worked, so it is not read."""

    resource_id: int | None = None
    date_from: Moment
    date_to: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read that of the request."""
        return [("holiday_id", "=", scope.event.leave_id), ("time_type", "=", "leave")]


class LeaveRequest(Row, model="hr.leave", optional=True):
    """The request itself, as far as the reader sees it: its days are those that the person asked for."""

    request_date_from: dt.date | None = None
    request_date_to: dt.date | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the request of the event while it has an absence."""
        return [("id", "=", scope.event.leave_id)] if scope.snapshot.rows(ApprovedLeave) else None


class LeaveEmployee(Row, model="hr.employee", active_test=False):
    """Whose absence it is."""

    name: str
    user_id: int | None = None
    manager_id: int | None = Field(None, alias="parent_id")
    resource_id: int | None = None
    company_id: int | None = None
    tz: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the employee of the absence."""
        resources = sorted(
            {row.resource_id for row in scope.snapshot.rows(ApprovedLeave) if row.resource_id is not None}
        )
        return [("resource_id", "in", resources)] if resources else None


def zone_of_absent(snapshot: Snapshot) -> ZoneInfo:
    """Return the zone in which days of the absence are cut: the person's, else the firm's."""
    return zone_of(*(one.tz for one in snapshot.rows(LeaveEmployee)), firm=snapshot.as_of.tzinfo)


def leave_days(snapshot: Snapshot) -> tuple[dt.date, dt.date] | None:
    """Return the first and the last day of the absence, None where there is none."""
    rows = snapshot.rows(ApprovedLeave)
    if not rows:
        return None
    for request in snapshot.rows(LeaveRequest):
        if request.request_date_from is not None and request.request_date_to is not None:
            return request.request_date_from, request.request_date_to
    return days_between(
        min(row.date_from for row in rows), max(row.date_to for row in rows), zone_of_absent(snapshot)
    )


def _within(snapshot: Snapshot) -> tuple[dt.datetime, dt.datetime] | None:
    """Return the moments between which something is due then: the days of the absence in the person's zone."""
    days = leave_days(snapshot)
    if days is None:
        return None
    zone = zone_of_absent(snapshot)
    first, after = day_span(days[0], zone)[0], day_span(days[1], zone)[1]
    return dt.datetime.fromtimestamp(first, dt.UTC), dt.datetime.fromtimestamp(after, dt.UTC)


class DueTask(Row, model="project.task"):
    """An open task of that person which is due while they are away."""

    name: str
    project_id: Many2One
    user_ids: tuple[int, ...] = ()
    date_deadline: Moment
    has_template_ancestor: Annotated[bool, OPTIONAL_FIELD] = False

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read by whom and when."""
        users = [one.user_id for one in scope.snapshot.rows(LeaveEmployee) if one.user_id is not None]
        within = _within(scope.snapshot)
        if not users or within is None:
            return None
        first, after = within
        due = [("date_deadline", ">=", first), ("date_deadline", "<", after)]
        return [("user_ids", "in", users), ("state", "in", OPEN), ("project_id", "!=", False), *due]


class DueProject(Row, model="project.project"):
    """The project of such a task, and who manages it."""

    user_id: int | None = None
    company_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the tasks."""
        return _in_projects(scope, "id")

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name who manages it."""
        return (self.user_id,)


class TeamTask(Row, model="project.task"):
    """An open task of such a project: whoever works on one knows the project."""

    project_id: int
    user_ids: tuple[int, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those that somebody works on."""
        among = _in_projects(scope, "project_id")
        return among and [*among, ("state", "in", OPEN), ("user_ids", "!=", False)]


class Teammate(Row, model="hr.employee"):
    """A record of somebody who works on such a project, of who is away, or of their manager."""

    name: str
    user_id: int | None = None
    resource_id: int | None = None
    tz: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the tasks, of who is away, and the manager."""
        if not scope.snapshot.rows(DueTask):
            return None
        users = {user for task in scope.snapshot.rows(TeamTask) for user in task.user_ids}
        users |= {one.user_id for one in scope.snapshot.rows(LeaveEmployee) if one.user_id is not None}
        managers = [m for one in scope.snapshot.rows(LeaveEmployee) if (m := one.manager_id) is not None]
        return ["|", ("user_id", "in", sorted(users)), ("id", "in", managers)] if users or managers else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name the user."""
        return (self.user_id,)


class TeamAbsence(Row, model="resource.calendar.leaves"):
    """An absence of a teammate at about the same time."""

    resource_id: int
    date_from: Moment
    date_to: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those near the absence; which of its days they take, each person's zone tells."""
        resources = [one.resource_id for one in scope.snapshot.rows(Teammate) if one.resource_id is not None]
        within = _within(scope.snapshot)
        if not resources or within is None:
            return None
        near = [("date_from", "<", within[1] + MARGIN), ("date_to", ">", within[0] - MARGIN)]
        return [("resource_id", "in", resources), ("time_type", "=", "leave"), *near]


class LeaveTodo(Todo):
    """An open question about a task that falls into an absence."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:  # noqa: ARG003 - its key tells which absence it is about
        """Read the open questions: people may have given the task to somebody else in the meantime."""
        return [("res_model", "=", "project.task"), ("summary", "ilike", QUESTION)]


def _in_projects(scope: QueryContext, field: str) -> Domain | None:
    projects = sorted({task.project_id.id for task in scope.snapshot.rows(DueTask)})
    return [(field, "in", projects)] if projects else None
