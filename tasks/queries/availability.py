"""What declarations read to know who may be asked, and who of them is absent today.

`tasks/people.py` says what these rows mean.
"""

import datetime as dt
from collections.abc import Iterable

from pydantic import Field

from purser import Domain, Moment, QueryContext, Row

NAMED = "people_named"
"""The value of a read that names further people than the rows do."""

MARGIN = dt.timedelta(hours=38)
"""From any moment to the ends of the days that it is part of somewhere on Earth."""


class AskableUser(Row, model="res.users"):
    """The active colleagues among those whom the rows read before name (their `people`)."""

    active: bool = True

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Leave out archived users and customers with a login: nobody reads their activities."""
        read = scope.snapshot
        people = {one for kind in read.kinds() for row in read.rows(kind) for one in getattr(row, "people", ())}
        people |= set(scope.tunables.get(NAMED, ()))
        known = sorted(one for one in people if one is not None)
        return [("id", "in", known), ("share", "=", False)] if known else None


class WorkRecord(Row, model="hr.employee", optional=True):
    """An active employee record of somebody who may be asked; a person has one in each company they work for."""

    user_id: int
    resource_id: int | None = None
    tz: str | None = None
    manager_id: int | None = Field(None, alias="parent_id")
    """An employee record."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the users."""
        users = sorted(user.id for user in scope.snapshot.rows(AskableUser))
        return [("user_id", "in", users)] if users else None


class AbsentToday(Row, model="resource.calendar.leaves", optional=True):
    """An approved absence around today of one of these records."""

    resource_id: int
    date_from: Moment
    date_to: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read absences only: time of type 'other' is worked."""
        return _absences_near(scope, (one.resource_id for one in scope.snapshot.rows(WorkRecord)))


class ManagerRecord(Row, model="hr.employee", optional=True):
    """The record of the manager of somebody who has an absence around today."""

    user_id: int

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those whose user is active and internal."""
        away = {one.resource_id for one in scope.snapshot.rows(AbsentToday)}
        managers = {one.manager_id for one in scope.snapshot.rows(WorkRecord) if one.resource_id in away}
        known = sorted(one for one in managers if one is not None)
        return [("id", "in", known), ("user_id.active", "=", True), ("user_id.share", "=", False)] if known else None


class ManagerWorkRecord(WorkRecord):
    """An active employee record of such a manager."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the managers, in every company."""
        users = sorted({one.user_id for one in scope.snapshot.rows(ManagerRecord)})
        return [("user_id", "in", users)] if users else None


class AbsentManagerToday(AbsentToday):
    """An approved absence around today of such a manager."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read absences only."""
        return _absences_near(scope, (one.resource_id for one in scope.snapshot.rows(ManagerWorkRecord)))


def _absences_near(scope: QueryContext, resources: Iterable[int | None]) -> Domain | None:
    known = sorted({one for one in resources if one is not None})
    if not known:
        return None
    near = [("date_from", "<", scope.as_of + MARGIN), ("date_to", ">", scope.as_of - MARGIN)]
    return [("time_type", "=", "leave"), ("resource_id", "in", known), *near]


ASKING = (AskableUser, WorkRecord, AbsentToday, ManagerRecord, ManagerWorkRecord, AbsentManagerToday)
"""What a declaration reads, after the rows that name people, to choose among them by `tasks.people.People`.

Managers are read only where somebody has an absence around today.
"""
