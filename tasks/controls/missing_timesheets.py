"""Every closed week is fully logged by everybody who had to work in it.

A week runs from Monday to Sunday in the employee's own zone and is closed when that Sunday has ended there. Expected
are the hours of the calendar valid on each day, less public holidays and approved leave; time of type 'other' (a
training) counts as worked and is expected. Logged are the hours people entered: timesheets that Odoo makes from leave
and holidays are left out, so absence is counted once, on the side of expectation.

Who ever had a contract is expected to work inside contracts only; everybody else from the first version on. Contract
dates are readable to an HR manager: with fewer rights the first version decides, and with no HR rights the day the
employee was created and the calendar of today.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from purser import Compliant, Exempt, Finding, Money, Period, Severity, Snapshot, Verdict, control, daily
from purser.parameters.bounds import HoursPerWeek, Price, RecordId
from purser.parameters.record_names import RecordNameType
from tasks.expected_hours import ONE_DAY, ExpectedWeek, Workforce
from tasks.queries.employees import (
    Attendance,
    Calendar,
    CalendarLeave,
    Company,
    CurrentPlacement,
    Department,
    Employee,
    EmployeeVersion,
    Profile,
    Tag,
    User,
)
from tasks.queries.timesheets import STANDARD_DAY, WEEKS_BACK, TimesheetUnit, TimesheetWeek
from tasks.working_calendar import CENT

Upto = Annotated[int, Field(ge=0, le=52)]
Tolerance = Annotated[Decimal, Field(ge=0, le=168, allow_inf_nan=False)]
DepartmentName = Annotated[str, RecordNameType(("hr.department",))]
EmployeeName = Annotated[str, RecordNameType(("hr.employee:work_email", "res.users:login"))]
TagName = Annotated[str, RecordNameType(("hr.employee.category",))]


@control(
    "missing-timesheets",
    title="Missing timesheet",
    every=daily("06:00"),
    severity=Severity.MEDIUM,
    owner="pmo",
    asks=("employee", "manager"),
    asked_on_return=("employee",),
    activity_on=("hr.employee",),
    reads=(
        *(Department, Tag, User, Employee, EmployeeVersion, CurrentPlacement, Profile),
        *(TimesheetWeek, TimesheetUnit, Company),
        *(Calendar, Attendance, CalendarLeave),
    ),
)
def missing_timesheets(
    snapshot: Snapshot,
    *,
    weeks_back: Upto = WEEKS_BACK,
    grace_days: Upto = 0,
    tolerance_hours: Tolerance = Decimal("0.5"),
    flexible_default_hours: HoursPerWeek | None = None,
    exempt_employees: tuple[RecordId | EmployeeName, ...] = (),
    exempt_departments: tuple[DepartmentName, ...] = (),
    exempt_tags: tuple[TagName, ...] = (),
    hourly_rate: Price | None = None,
    value_at_cost: bool = False,
) -> Iterator[Verdict]:
    """Every closed week is fully logged by everybody who had to work in it.

    `flexible_default_hours` are the weekly hours of people without a calendar; left out, they are not examined.
    Employees are exempt by id, login or work e-mail, by tag, or by department, those below it included.
    `hourly_rate` puts a price on a missing hour, in the currency of the employee's company: what cannot be billed
    until it is logged. `value_at_cost` prices it at the employee's own hourly cost instead, where that is readable;
    it is off because an amount divided by hours tells what somebody costs.
    """
    workforce = Workforce(snapshot, flexible_default_hours=flexible_default_hours)
    exemption = _ExemptRoles.of(snapshot, workforce, exempt_employees, exempt_departments, exempt_tags)
    logged = _logged(snapshot)
    watched = _watched(snapshot)
    for employee in snapshot.rows(Employee):
        today = snapshot.as_of.astimezone(workforce.zone(employee)).date()
        due = today - grace_days * ONE_DAY
        exempt = exemption.reason(employee)
        ref = employee.ref
        cases = watched.get(employee.id, frozenset())
        weeks = _window(today, weeks_back)
        for week in sorted(cases.union(weeks)) if cases else weeks:
            if week.last >= due:
                continue
            asked = None if exempt else workforce.asked(employee, week)
            if exempt or (asked and not asked.hours):
                if week in cases:
                    yield Exempt(ref, exempt or _why_nothing(asked), week)
            elif asked:
                done = logged.get((employee.id, week.first), Decimal(0))
                if asked.hours - done <= tolerance_hours:
                    yield Compliant(ref, week)
                else:
                    rate = hourly_rate or (_cost(snapshot, employee) if value_at_cost else None)
                    asks = _asks(snapshot, employee, workforce.department_of(employee))
                    yield _finding(snapshot, employee, week, asked=asked.hours, done=done, rate=rate, asks=asks)


# --------------------------------------------------------------------------------- the finding --


def _finding(
    snapshot: Snapshot,
    employee: Employee,
    week: Period,
    *,
    asked: Decimal,
    done: Decimal,
    rate: Decimal | None,
    asks: Mapping[str, int],
) -> Finding:
    short = asked - done
    return Finding(
        subject=employee.ref,
        subject_name=employee.name,
        period=week,
        summary=f"Week {week.first} to {week.last}: "
        f"{_plain(done)} of {_plain(asked)} h logged, {_plain(short)} h missing",
        since=week.last + ONE_DAY,
        severity=Severity.LOW if short * 4 < asked else None,
        owner=asks.get("employee", asks.get("manager")),
        asks=asks,
        desk=employee.ref,
        hours_at_risk=short,
        money_at_risk=_worth(snapshot, employee, short, rate),
    )


def _plain(hours: Decimal) -> str:
    """Write 12.50 as 12.5 and 40.00 as 40."""
    return f"{hours:.2f}".rstrip("0").rstrip(".")


def _worth(snapshot: Snapshot, employee: Employee, hours: Decimal, rate: Decimal | None) -> Money | None:
    company = snapshot.get(Company, employee.company_id)
    return Money.rounded(hours * rate, company.currency.name) if rate and company else None


def _cost(snapshot: Snapshot, employee: Employee) -> Decimal | None:
    profile = snapshot.get(Profile, employee.id)
    return profile.hourly_cost if profile else None


def _asks(snapshot: Snapshot, employee: Employee, department_id: int | None) -> Mapping[str, int]:
    """Name the active users who can be asked; the manager is the one above, else who leads a department above."""
    own = snapshot.get(User, employee.user_id)
    above = [snapshot.get(Employee, employee.manager_id)]
    above += [snapshot.get(Employee, department.manager_id) for department in _upwards(snapshot, department_id)]
    managers = [
        user.id
        for one in above
        if one and one.id != employee.id and (user := snapshot.get(User, one.user_id)) and user != own
    ]
    return ({"employee": own.id} if own else {}) | ({"manager": managers[0]} if managers else {})


def _upwards(snapshot: Snapshot, department_id: int | None) -> Iterator[Department]:
    """Yield a department and those above it; a circle ends where it closes."""
    seen: set[int] = set()
    here = snapshot.get(Department, department_id)
    while here is not None and here.id not in seen:
        yield here
        seen.add(here.id)
        here = snapshot.get(Department, here.parent_id)


# --------------------------------------------------------------------------------- which weeks --


@lru_cache(maxsize=1024)
def _window(today: dt.date, weeks_back: int) -> tuple[Period, ...]:
    """Return the weeks before the running one, oldest first."""
    running = Period.week_of(today).first
    return tuple(Period.week_of(running - dt.timedelta(weeks=n)) for n in range(weeks_back, 0, -1))


def _watched(snapshot: Snapshot) -> Mapping[int, frozenset[Period]]:
    """Return the weeks of open cases by employee; a period that is no week was never a case of this rule."""
    found: dict[int, set[Period]] = defaultdict(set)
    for one in snapshot.watched:
        if one.subject.model == Employee.model and one.period and one.period == Period.week_of(one.period.first):
            found[one.subject.id].add(one.period)
    return {employee: frozenset(weeks) for employee, weeks in found.items()}


# -------------------------------------------------------------------------------- hours logged --


def _logged(snapshot: Snapshot) -> Mapping[tuple[int, dt.date], Decimal]:
    """Sum the hours of each employee and week. A day counts as many hours as a day has in the company's calendar."""
    hours: dict[tuple[int, dt.date], Decimal] = defaultdict(Decimal)
    for group in snapshot.rows(TimesheetWeek):
        unit, monday = snapshot.get(TimesheetUnit, group.unit_id), group.monday
        in_days = unit is not None and unit.in_days
        for employee, quantity in group.quantities().items():
            day = _day_of(snapshot, employee) if in_days else STANDARD_DAY
            hours[employee, monday] += (quantity * unit.hours(day)) if unit else quantity
    return {key: total.quantize(CENT) for key, total in hours.items()}


def _day_of(snapshot: Snapshot, employee_id: int) -> Decimal:
    employee = snapshot.get(Employee, employee_id)
    company = snapshot.get(Company, employee.company_id) if employee else None
    calendar = snapshot.get(Calendar, company.calendar_id) if company else None
    return calendar.hours_per_day if calendar and calendar.hours_per_day else STANDARD_DAY


# ------------------------------------------------------------------------------- who is exempt --


def _named(names: frozenset[str], wanted: Sequence[str]) -> str | None:
    """Return the word of the policy that is one of a record's names, in whatever language."""
    return next((one for one in wanted if one.strip() in names), None)


def _why_nothing(asked: ExpectedWeek | None) -> str:
    on_leave = asked is not None and asked.employed
    return "no work is left in this week: leave or holidays" if on_leave else "not employed in this week"


@dataclass(frozen=True)
class _ExemptRoles:
    """Whom the policy leaves out, with the words it uses for them."""

    workforce: Workforce
    employees: frozenset[str]
    logins: Mapping[int, str]
    departments: Mapping[int, str]
    tags: Mapping[int, str]
    """The tags by the employees who carry one."""

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        workforce: Workforce,
        employees: Sequence[int | str],
        departments: Sequence[str],
        tags: Sequence[str],
    ) -> "_ExemptRoles":
        """Look up what the policy names; a department stands for those below it too."""
        return cls(
            workforce=workforce,
            employees=frozenset(str(one).strip().casefold() for one in employees),
            logins={user.id: user.login for user in snapshot.rows(User)},
            departments={
                department.id: named
                for department in snapshot.rows(Department)
                for above in _upwards(snapshot, department.id)
                if (named := _named(above.names | {above.name}, departments))
            },
            tags={
                profile.id: named
                for tag in snapshot.rows(Tag)
                if (named := _named(tag.names | {tag.name}, tags))
                for profile in snapshot.rows(Profile)
                if tag.id in profile.tag_ids
            },
        )

    def reason(self, employee: Employee) -> str | None:
        """Return why the policy leaves an employee out, or None."""
        if self.employees and self._is_named(employee):
            return "exempt by policy: named in exempt_employees"
        if self.departments and (name := self.departments.get(self.workforce.department_of(employee) or 0)):
            return f"exempt by policy: department {name}"
        tag = self.tags.get(employee.id)
        return f"exempt by policy: tag {tag}" if tag else None

    def _is_named(self, employee: Employee) -> bool:
        names = (str(employee.id), employee.work_email, self.logins.get(employee.user_id or 0))
        return any(name and name.casefold() in self.employees for name in names)
