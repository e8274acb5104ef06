"""Who works here, since when and until when, by which calendar, and when they are away."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from purser import OPTIONAL_FIELD, Domain, Many2One, Moment, QueryContext, Row
from tasks.queries.timesheets import TimesheetUnit, reporting_weeks

RECENT = dt.timedelta(days=92)
"""An archived employee nobody touched for this long before the first week in view is not read."""


class Department(Row, model="hr.department", active_test=False, translated=True):
    """A department and who leads it."""

    name: str
    names: frozenset[str] = frozenset()
    parent_id: int | None = None
    manager_id: int | None = None
    """An employee."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:  # noqa: ARG003
        """Read all."""
        return []


class Tag(Row, model="hr.employee.category", optional=True, translated=True):
    """A tag on employees."""

    name: str
    names: frozenset[str] = frozenset()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read all, where the policy speaks of tags."""
        return [] if scope.tunables.get("exempt_tags") else None


class User(Row, model="res.users"):
    """Somebody who can be asked: an active internal user."""

    login: str

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:  # noqa: ARG003
        """Read the active internal users."""
        return [("share", "=", False)]


class Employee(Row, model="hr.employee", active_test=False):
    """One person's employment in one company. A user may have several.

    Ten thousand of these are most of what a scan costs, and Odoo computes some fields one by one. What
    `EmployeeVersion` tells is not asked here, and what few policies speak of is asked in `Profile`.
    """

    name: str
    active: bool
    user_id: int | None = None
    manager_id: int | None = Field(None, alias="parent_id")
    """An employee."""
    company_id: int | None = None
    resource_id: int | None = None
    tz: str | None = None
    work_email: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the active, those archived lately, and those of open cases."""
        lately = _midnight(reporting_weeks(scope).first) - RECENT
        watched = scope.watched_ids(cls.model)
        return [
            *("|", "|"),
            ("active", "=", True),
            ("write_date", ">=", lately),
            ("id", "in", watched),
        ]


class EmployeeVersion(Row, model="hr.version", optional=True):
    """What holds for an employee from a day on. Needs HR rights; contract dates need those of an HR manager."""

    employee_id: int
    since: dt.date = Field(alias="date_version")
    department_id: int | None = None
    calendar_id: int | None = Field(None, alias="resource_calendar_id")
    departure_date: dt.date | None = None
    """The last day of work."""
    contract_start: Annotated[dt.date | None, OPTIONAL_FIELD] = Field(None, alias="contract_date_start")
    contract_end: Annotated[dt.date | None, OPTIONAL_FIELD] = Field(None, alias="contract_date_end")

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read every version of those employees, ended ones too: who ever had a contract counts only inside one."""
        return _those_read(scope, "employee_id")


class CurrentPlacement(Row, model="hr.employee", active_test=False):
    """Where an employee works today and by which calendar; read only where versions are out of sight."""

    created: Moment = Field(alias="create_date")
    department_id: int | None = None
    calendar_id: int | None = Field(None, alias="resource_calendar_id")
    departure_date: Annotated[dt.date | None, OPTIONAL_FIELD] = None
    """The last day of work. HR rights only."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that of those employees, unless their versions were read."""
        return None if scope.snapshot.knows(EmployeeVersion) else _those_read(scope, "id")


class Profile(Row, model="hr.employee", active_test=False):
    """What some policies ask about an employee. HR rights only."""

    tag_ids: Annotated[tuple[int, ...], OPTIONAL_FIELD] = Field((), alias="category_ids")
    hourly_cost: Annotated[Decimal, OPTIONAL_FIELD] = Decimal(0)
    """What an hour costs the company, in its currency."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that of those employees, where the policy speaks of tags or of their cost."""
        asked = scope.tunables.get("exempt_tags") or scope.tunables.get("value_at_cost")
        return _those_read(scope, "id") if asked else None


class Company(Row, model="res.company", active_test=False):
    """A company of the firm."""

    name: str
    currency: Many2One = Field(alias="currency_id")
    calendar_id: int | None = Field(None, alias="resource_calendar_id")

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read all, where somebody counts in days or the policy puts a price on hours."""
        priced = scope.tunables.get("hourly_rate") or scope.tunables.get("value_at_cost")
        return [] if priced or any(unit.in_days for unit in scope.snapshot.rows(TimesheetUnit)) else None


class Calendar(Row, model="resource.calendar", active_test=False):
    """Working hours that several people share."""

    tz: str | None = None
    flexible: bool = Field(False, alias="flexible_hours")
    two_weeks: bool = Field(False, alias="two_weeks_calendar")
    hours_per_day: Decimal = Decimal(0)
    hours_per_week: Annotated[Decimal | None, OPTIONAL_FIELD] = None
    """The hours of a week of whoever works by this calendar."""
    full_time: Annotated[Decimal, OPTIONAL_FIELD] = Field(Decimal(0), alias="full_time_required_hours")
    """What full time means, in Odoo 19 for the company: it counts only where calendars have no hours of their own."""

    @property
    def weekly_cap(self) -> Decimal:
        """Return the hours after which a flexible week is done."""
        return self.full_time if self.hours_per_week is None else self.hours_per_week

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the people and companies read."""
        snapshot = scope.snapshot
        used = {version.calendar_id for version in snapshot.rows(EmployeeVersion)}
        used |= {placement.calendar_id for placement in snapshot.rows(CurrentPlacement)}
        used |= {company.calendar_id for company in snapshot.rows(Company)}
        return [("id", "in", sorted(i for i in used if i))]


class Attendance(Row, model="resource.calendar.attendance"):
    """A stretch of work on a weekday, in hours of wall-clock time."""

    calendar_id: int
    weekday: int = Field(alias="dayofweek")
    hour_from: Decimal
    hour_to: Decimal
    week_type: int | None = None
    """0 or 1 in a calendar of two alternating weeks."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the work of the fixed calendars, without breaks and headings."""
        fixed = [calendar.id for calendar in scope.snapshot.rows(Calendar) if not calendar.flexible]
        return [("calendar_id", "in", fixed), ("day_period", "!=", "lunch"), ("display_type", "=", False)]


class CalendarLeave(Row, model="resource.calendar.leaves"):
    """Approved leave of one person, or a public holiday of a company: time that asks for no work.

    Time of type 'other' (a training, say) counts as worked, so it is expected in the timesheet and not read here.
    """

    starts: Moment = Field(alias="date_from")
    ends: Moment = Field(alias="date_to")
    resource_id: int | None = None
    """Empty on a public holiday."""
    calendar_id: int | None = None
    company_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read what touches the weeks in view."""
        weeks = reporting_weeks(scope)
        since: list[Any] = [("date_to", ">=", _midnight(weeks.first - _A_DAY))]
        if weeks.watched:
            of_cases = set(weeks.watched)
            resources = sorted(
                e.resource_id for e in scope.snapshot.rows(Employee) if e.id in of_cases and e.resource_id
            )
            since = [
                *("|", *since, "&"),
                ("date_to", ">=", _midnight(weeks.oldest - _A_DAY)),
                *("|", ("resource_id", "=", False), ("resource_id", "in", resources)),
            ]
        return [("time_type", "=", "leave"), ("date_from", "<=", _midnight(weeks.last + 2 * _A_DAY)), *since]


_A_DAY = dt.timedelta(days=1)


def _those_read(scope: QueryContext, field: str) -> Domain:
    return [(field, "in", [employee.id for employee in scope.snapshot.rows(Employee)])]


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
