"""What declarations read to know who may be asked, and who of them is absent today.

`tasks/people.py` says what these rows mean.
"""

import datetime as dt

from purser import Domain, Moment, Row, Scope

MARGIN = dt.timedelta(hours=38)
"""From any moment to the ends of the days that it is part of somewhere on Earth."""


class Askable(Row, model="res.users"):
    """The active colleagues among those whom the rows read before name (their `people`)."""

    active: bool = True

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Leave out archived users and customers with a login: nobody reads their activities."""
        read = scope.snapshot
        people = {one for kind in read.kinds() for row in read.rows(kind) for one in getattr(row, "people", ())}
        known = sorted(one for one in people if one is not None)
        return [("id", "in", known), ("share", "=", False)] if known else None


class WorkRecord(Row, model="hr.employee", optional=True):
    """An active employee record of somebody who may be asked; a person has one in each company they work for."""

    user_id: int
    resource_id: int | None = None
    tz: str | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read those of the users."""
        users = sorted(user.id for user in scope.snapshot.rows(Askable))
        return [("user_id", "in", users)] if users else None


class AwayToday(Row, model="resource.calendar.leaves", optional=True):
    """An approved absence around today of one of these records."""

    resource_id: int
    date_from: Moment
    date_to: Moment

    @classmethod
    def domain(cls, scope: Scope) -> Domain | None:
        """Read absences only: time of type 'other' is worked."""
        resources = sorted(one.resource_id for one in scope.snapshot.rows(WorkRecord) if one.resource_id is not None)
        if not resources:
            return None
        near = [("date_from", "<", scope.as_of + MARGIN), ("date_to", ">", scope.as_of - MARGIN)]
        return [("time_type", "=", "leave"), ("resource_id", "in", resources), *near]


ASKING = (Askable, WorkRecord, AwayToday)
"""What a declaration reads, after the rows that name people, to choose among them by `tasks.people.People`."""
