"""What an employee had to work in a week, as the rows of a snapshot tell it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from purser import Period, Snapshot
from tasks.hours import Fixed, Flexible, Schedule, Shift, Span, expected, in_hours, instant, seconds, union, zone_of
from tasks.rows.people import Absence, Attendance, Calendar, Employee, Version

WORKDAYS = 5
"""Weekly hours of people without a calendar are spread over Monday to Friday."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The hours of one week, and whether the employee was employed on any day of it."""

    hours: Decimal
    employed: bool


@dataclass(frozen=True)
class Career:
    """On which days somebody is employed, and by which calendar."""

    versions: Sequence[tuple[dt.date, int | None]]
    """From when which calendar holds; never empty."""
    contracts: Sequence[tuple[dt.date, dt.date]]
    last_day: dt.date

    def employed_on(self, day: dt.date) -> bool:
        """Who ever had a contract counts inside contracts only, everybody else from the first version on."""
        if day > self.last_day:
            return False
        if self.contracts:
            return any(start <= day <= end for start, end in self.contracts)
        return day >= self.versions[0][0]

    def surely_over_or_not_begun(self, week: Period) -> bool:
        """Say whether what is known proves a week without a day of employment.

        The first version proves no beginning: a contract that we may not read can be older than it.
        """
        return bool(self.contracts) or week.first > self.last_day

    def calendar_on(self, day: dt.date) -> int | None:
        """Give the calendar of the latest version begun by `day`; the first one also holds before it began."""
        valid = self.versions[0][1]
        for since, calendar in self.versions:
            if since > day:
                break
            valid = calendar
        return valid


class Workforce:
    """The people of a snapshot with their calendars and absences, arranged for looking up."""

    def __init__(self, snapshot: Snapshot, *, flexible_default_hours: Decimal | None = None) -> None:
        self._snapshot = snapshot
        self._schedules: Mapping[int | None, Schedule | None] = {
            **_schedules(snapshot),
            None: _spread(flexible_default_hours),
        }
        self._careers: dict[int, Career | None] = {}

    def zone(self, employee: Employee) -> ZoneInfo:
        """Give the zone an employee's days are cut in."""
        calendar = self._snapshot.get(Calendar, employee.calendar_id)
        return zone_of(employee.tz, calendar.tz if calendar else None)

    def asked(self, employee: Employee, week: Period) -> Asked | None:
        """Give what a week asked of an employee; None where nothing here can tell.

        A right that was taken away must not look like work that is no longer due, so doubt is never zero hours.
        """
        career = self._career(employee)
        if career is None:
            return None
        days: dict[int | None, list[dt.date]] = {}
        for day in (week.first + dt.timedelta(days=n) for n in range(7)):
            if career.employed_on(day):
                days.setdefault(career.calendar_on(day), []).append(day)
        if not days and not career.surely_over_or_not_begun(week):
            return None
        total = 0
        for calendar, of_calendar in days.items():
            schedule = self._schedules.get(calendar)
            if schedule is None:
                return None
            total += expected(schedule, of_calendar, self.zone(employee), self._absences(employee, calendar, week))
        return Asked(in_hours(total), employed=bool(days))

    def _career(self, employee: Employee) -> Career | None:
        if employee.id not in self._careers:
            self._careers[employee.id] = self._told(employee)
        return self._careers[employee.id]

    def _told(self, employee: Employee) -> Career | None:
        versions = self._versions.get(employee.id, [])
        hr_rights = self._snapshot.knows(Version)
        if hr_rights and not versions:
            return None  # every employee has a version: this one's is out of our sight
        if not hr_rights and not employee.active:
            return None  # the day of departure is out of our sight
        return _career(employee, versions, self.zone(employee))

    def _absences(self, employee: Employee, calendar: int | None, week: Period) -> Sequence[Span]:
        """Give the absences near a week: own leave, and the holidays of the company for everybody or the calendar."""
        since, until = _around(week)
        spans = list(self._leaves.get(employee.resource_id or 0, ()))
        for key in {(employee.company_id, None), (employee.company_id, calendar)}:
            spans += self._holidays.get(key, ())
        return union(span for span in spans if span[0] < until and span[1] > since)

    @cached_property
    def _versions(self) -> Mapping[int, Sequence[Version]]:
        found: dict[int, list[Version]] = defaultdict(list)
        for version in self._snapshot.rows(Version):
            found[version.employee_id].append(version)
        return found

    @cached_property
    def _leaves(self) -> Mapping[int, Sequence[Span]]:
        found: dict[int, list[Span]] = defaultdict(list)
        for absence in self._snapshot.rows(Absence):
            if absence.resource_id:
                found[absence.resource_id].append((instant(absence.starts), instant(absence.ends)))
        return found

    @cached_property
    def _holidays(self) -> Mapping[tuple[int | None, int | None], Sequence[Span]]:
        found: dict[tuple[int | None, int | None], list[Span]] = defaultdict(list)
        for absence in self._snapshot.rows(Absence):
            if not absence.resource_id:
                key = (absence.company_id, absence.calendar_id)
                found[key].append((instant(absence.starts), instant(absence.ends)))
        return found


def _around(week: Period) -> Span:
    """Give a span that holds the week in every zone."""
    day = dt.timedelta(days=1)
    first, last = (dt.datetime.combine(d, dt.time(), dt.UTC) for d in (week.first - day, week.last + 2 * day))
    return instant(first), instant(last)


def _career(employee: Employee, versions: Sequence[Version], zone: ZoneInfo) -> Career:
    contracts = sorted(
        {(v.contract_start, v.contract_end or dt.date.max) for v in versions if v.contract_start is not None}
    )
    known = sorted(((v.since, v.calendar_id) for v in versions), key=lambda one: one[0])
    return Career(
        versions=known or [(employee.created.astimezone(zone).date(), employee.calendar_id)],
        contracts=contracts,
        last_day=_last_day(employee, contracts),
    )


def _last_day(employee: Employee, contracts: Sequence[tuple[dt.date, dt.date]]) -> dt.date:
    """Archived people count until they left; where nothing says when that was, not at all."""
    if employee.departure_date:
        return employee.departure_date
    if employee.active:
        return dt.date.max
    left = max((end for _, end in contracts), default=dt.date.max)
    return left if left < dt.date.max else dt.date.min


def _spread(weekly: Decimal | None) -> Schedule | None:
    return None if weekly is None else Flexible(seconds(weekly / WORKDAYS), seconds(weekly))


def _schedules(snapshot: Snapshot) -> Mapping[int | None, Schedule | None]:
    shifts: dict[int, list[Attendance]] = defaultdict(list)
    for attendance in snapshot.rows(Attendance):
        shifts[attendance.calendar_id].append(attendance)
    return {calendar.id: _schedule(calendar, shifts[calendar.id]) for calendar in snapshot.rows(Calendar)}


def _schedule(calendar: Calendar, attendances: Sequence[Attendance]) -> Schedule | None:
    """Give the schedule of a calendar; one without any hours says nothing."""
    if calendar.flexible:
        flexible = Flexible(seconds(calendar.hours_per_day), seconds(calendar.hours_per_week))
        return flexible if flexible.per_day > 0 and flexible.per_week > 0 else None
    shifts = tuple(
        Shift(a.weekday, seconds(a.hour_from), seconds(a.hour_to), a.week_type if calendar.two_weeks else None)
        for a in attendances
    )
    return Fixed(shifts) if shifts else None
