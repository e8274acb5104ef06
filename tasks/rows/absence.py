"""What declarations read of somebody's absence: when, what of theirs is due then, and who could help.

Odoo shows approved absences to every user (`resource.calendar.leaves`), and requests only to officers. A request that
was refused or cancelled has no absence any more.
"""

import datetime as dt
from typing import Annotated

from pydantic import Field

from purser import IF_KNOWN, Domain, Moment, Named, Row, Scope, Snapshot
from tasks.rows.projects import OPEN

_DAY = dt.timedelta(days=1)


class Absence(Row, model="resource.calendar.leaves"):
    """An approved absence, of the request an event speaks of."""

    resource_id: int | None = None
    date_from: Moment
    date_to: Moment

    @classmethod
    def domain(cls, scope: Scope) -> Domain:
        """Read that of the request."""
        return [("holiday_id", "=", scope.event.leave_id)]


def away(snapshot: Snapshot) -> tuple[dt.date, dt.date] | None:
    """Give the first and the last day of the absence, None where there is none."""
    rows = snapshot.rows(Absence)
    if not rows:
        return None
    return min(row.date_from for row in rows).date(), max(row.date_to for row in rows).date()


def _within(snapshot: Snapshot) -> tuple[dt.datetime, dt.datetime] | None:
    """Give the moments between which something is due, or somebody else away, then: whole days."""
    days = away(snapshot)
    if days is None:
        return None
    first, last = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in days)
    return first, last + _DAY


class AbsentEmployee(Row, model="hr.employee", active_test=False):
    """Whose absence it is."""

    name: str
    user_id: int | None = None
    manager_id: int | None = Field(None, alias="parent_id")
    resource_id: int | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read the employee of the absence."""
        resources = sorted({row.resource_id for row in scope.snapshot.rows(Absence) if row.resource_id is not None})
        return [("resource_id", "in", resources)] if resources else None


class DueTask(Row, model="project.task"):
    """An open task of that person which is due while they are away."""

    name: str
    project_id: Named
    user_ids: tuple[int, ...] = ()
    date_deadline: Moment
    has_template_ancestor: Annotated[bool, IF_KNOWN] = False

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read by whom and when."""
        users = [one.user_id for one in scope.snapshot.rows(AbsentEmployee) if one.user_id is not None]
        within = _within(scope.snapshot)
        if not users or within is None:
            return None
        first, after = within
        due = [("date_deadline", ">=", first), ("date_deadline", "<", after)]
        return [("user_ids", "in", users), ("state", "in", OPEN), ("project_id", "!=", False), *due]


class DueProject(Row, model="project.project"):
    """The project of such a task, and who manages it."""

    user_id: int | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read those of the tasks."""
        return _in_projects(scope, "id")


class TeamTask(Row, model="project.task"):
    """An open task of such a project: whoever works on one knows the project."""

    project_id: int
    user_ids: tuple[int, ...] = ()

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read those that somebody works on."""
        among = _in_projects(scope, "project_id")
        return among and [*among, ("state", "in", OPEN), ("user_ids", "!=", False)]


class Teammate(Row, model="hr.employee"):
    """Somebody else who works on such a project, or the manager of who is away."""

    name: str
    user_id: int | None = None
    resource_id: int | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read those of the tasks, and the manager."""
        users = sorted({user for task in scope.snapshot.rows(TeamTask) for user in task.user_ids})
        managers = [m for one in scope.snapshot.rows(AbsentEmployee) if (m := one.manager_id) is not None]
        return ["|", ("user_id", "in", users), ("id", "in", managers)] if users or managers else None


class TeamAbsence(Row, model="resource.calendar.leaves"):
    """An absence of a teammate at the same time."""

    resource_id: int

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read those that share a day with the absence."""
        resources = [one.resource_id for one in scope.snapshot.rows(Teammate) if one.resource_id is not None]
        within = _within(scope.snapshot)
        if not resources or within is None:
            return None
        first, after = within
        return [("resource_id", "in", resources), ("date_from", "<", after), ("date_to", ">=", first)]


def _in_projects(scope: Scope, field: str) -> Domain | None:
    projects = sorted({task.project_id.id for task in scope.snapshot.rows(DueTask)})
    return [(field, "in", projects)] if projects else None
