"""What an employee had to work in a week, as the rows of a snapshot tell it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from operator import attrgetter
from zoneinfo import ZoneInfo

from purser import Period, Snapshot
from tasks.queries.employees import Attendance, Calendar, CalendarLeave, CurrentPlacement, Employee, EmployeeVersion
from tasks.working_calendar import (
    FixedSchedule,
    FlexibleSchedule,
    Schedule,
    Shift,
    Span,
    epoch_seconds,
    expected,
    in_hours,
    seconds,
    union,
    zone_of,
)

Days = tuple[dt.date, ...]
Spells = tuple[tuple[int | None, Days], ...]
"""Calendars, each with the days of one week on which it holds for somebody employed."""

ONE_DAY = dt.timedelta(days=1)
WORKDAYS = 5
"""Weekly hours of people without a calendar are spread over Monday to Friday."""


@dataclass(frozen=True, slots=True)
class ExpectedWeek:
    """The hours of one week, and whether the employee was employed on any day of it."""

    hours: Decimal
    employed: bool


@dataclass(frozen=True)
class EmploymentHistory:
    """On which days somebody is employed, and by which calendar."""

    versions: Sequence[tuple[dt.date, int | None]]
    """From when which calendar holds; never empty."""
    contracts: Sequence[tuple[dt.date, dt.date]]
    last_day: dt.date

    @cached_property
    def turns(self) -> frozenset[dt.date]:
        """The days that may differ from the day before; between two of them all days are alike."""
        ends = [self.last_day, *(end for _, end in self.contracts)]
        return frozenset(
            [since for since, _ in self.versions]
            + [start for start, _ in self.contracts]
            + [end + ONE_DAY for end in ends if end < dt.date.max]
        )

    def spells(self, week: Period) -> Spells:
        """Return the days of a week on which somebody is employed, by calendar."""
        days, after_monday = _days_of(week.first)
        if self.turns.isdisjoint(after_monday):
            return ((self.calendar_on(week.first), days),) if self.employed_on(week.first) else ()
        found: dict[int | None, Days] = {}
        for day in filter(self.employed_on, days):
            calendar = self.calendar_on(day)
            found[calendar] = (*found.get(calendar, ()), day)
        return tuple(found.items())

    def employed_on(self, day: dt.date) -> bool:
        """Who ever had a contract counts inside contracts only, everybody else from the first version on."""
        if day > self.last_day:
            return False
        if self.contracts:
            return any(start <= day <= end for start, end in self.contracts)
        return day >= self.versions[0][0]

    def surely_over_or_not_begun(self, week: Period) -> bool:
        """Return whether what is known proves a week without a day of employment.

        The first version proves no beginning: a contract that we may not read can be older than it.
        """
        return bool(self.contracts) or week.first > self.last_day

    def calendar_on(self, day: dt.date) -> int | None:
        """Return the calendar of the latest version begun by `day`; the first one also holds before it began."""
        valid = self.versions[0][1]
        for since, calendar in self.versions:
            if since > day:
                break
            valid = calendar
        return valid


class Workforce:
    """The people of a snapshot with their calendars and absences, arranged for looking up.

    Thousands share a week: the same calendar on the same days in the same zone, and no leave of their own. It is
    reckoned once.
    """

    def __init__(self, snapshot: Snapshot, *, flexible_default_hours: Decimal | None = None) -> None:
        self._snapshot = snapshot
        self._schedules: Mapping[int | None, Schedule | None] = {
            **_schedules(snapshot),
            None: _spread(flexible_default_hours),
        }
        self._zones: dict[int, ZoneInfo] = {}
        self._careers: dict[int, EmploymentHistory | None] = {}
        self._reckoned: dict[_Asking, ExpectedWeek | None] = {}

    def department_of(self, employee: Employee) -> int | None:
        """Return the department an employee works in now."""
        placed = self._placements.get(employee.id)
        return placed.department_id if placed else None

    def zone(self, employee: Employee) -> ZoneInfo:
        """Return the zone an employee's days are cut in."""
        if employee.id not in self._zones:
            placed = self._placements.get(employee.id)
            calendar = self._snapshot.get(Calendar, placed.calendar_id) if placed else None
            firm = self._snapshot.as_of.tzinfo
            self._zones[employee.id] = zone_of(employee.tz, calendar.tz if calendar else None, firm=firm)
        return self._zones[employee.id]

    def asked(self, employee: Employee, week: Period) -> ExpectedWeek | None:
        """Return what a week asked of an employee; None where nothing here can tell.

        A right that was taken away must not look like work that is no longer due, so doubt is never zero hours.
        """
        career = self._career(employee)
        if career is None:
            return None
        spells = career.spells(week)
        if not spells and not career.surely_over_or_not_begun(week):
            return None
        asking = (spells, week.first, self.zone(employee), employee.company_id, self._own_leave(employee, week))
        try:
            return self._reckoned[asking]
        except KeyError:
            return self._reckoned.setdefault(asking, self._reckon(asking))

    def _reckon(self, asking: "_Asking") -> ExpectedWeek | None:
        spells, monday, zone, company, leave = asking
        total = 0
        for calendar, days in spells:
            schedule = self._schedules.get(calendar)
            if schedule is None:
                return None
            absences = union([*leave, *self._holidays_near(monday, company, calendar)])
            total += expected(schedule, days, zone, absences)
        return ExpectedWeek(in_hours(total), employed=bool(spells))

    def _career(self, employee: Employee) -> EmploymentHistory | None:
        if employee.id not in self._careers:
            self._careers[employee.id] = self._told(employee)
        return self._careers[employee.id]

    def _told(self, employee: Employee) -> EmploymentHistory | None:
        hr_rights = self._snapshot.knows(EmployeeVersion)
        placed = self._placements.get(employee.id)
        if placed is None:
            return None  # every employee has a version: this one's is out of our sight
        if not hr_rights and not employee.active:
            return None  # the day of departure is out of our sight
        return _career(employee, placed, self._versions.get(employee.id, ()), self.zone(employee))

    def _own_leave(self, employee: Employee, week: Period) -> tuple[Span, ...]:
        leaves = self._leaves.get(employee.resource_id or 0)
        return _near(week.first, leaves) if leaves else ()

    def _holidays_near(self, monday: dt.date, company: int | None, calendar: int | None) -> Iterator[Span]:
        """Yield the holidays of a company for everybody and for one calendar."""
        for key in {(company, None), (company, calendar)}:
            yield from _near(monday, self._holidays.get(key, ()))

    @cached_property
    def _placements(self) -> Mapping[int, EmployeeVersion | CurrentPlacement]:
        """Return the current placements: the latest version begun, else the first, or what stands in for both."""
        today = self._snapshot.today
        found: dict[int, EmployeeVersion | CurrentPlacement] = {
            one.id: one for one in self._snapshot.rows(CurrentPlacement)
        }
        for employee, versions in self._versions.items():
            found[employee] = next((one for one in reversed(versions) if one.since <= today), versions[0])
        return found

    @cached_property
    def _versions(self) -> Mapping[int, Sequence[EmployeeVersion]]:
        """Return the versions of each employee, oldest first."""
        found: dict[int, list[EmployeeVersion]] = defaultdict(list)
        for version in sorted(self._snapshot.rows(EmployeeVersion), key=attrgetter("since")):
            found[version.employee_id].append(version)
        return found

    @cached_property
    def _leaves(self) -> Mapping[int, Sequence[Span]]:
        found: dict[int, list[Span]] = defaultdict(list)
        for absence in self._snapshot.rows(CalendarLeave):
            if absence.resource_id:
                found[absence.resource_id].append((epoch_seconds(absence.starts), epoch_seconds(absence.ends)))
        return found

    @cached_property
    def _holidays(self) -> Mapping[tuple[int | None, int | None], Sequence[Span]]:
        found: dict[tuple[int | None, int | None], list[Span]] = defaultdict(list)
        for absence in self._snapshot.rows(CalendarLeave):
            if not absence.resource_id:
                key = (absence.company_id, absence.calendar_id)
                found[key].append((epoch_seconds(absence.starts), epoch_seconds(absence.ends)))
        return found


_Asking = tuple[Spells, dt.date, ZoneInfo, int | None, tuple[Span, ...]]
"""All that the hours of a week depend on: calendars and days, Monday, zone, company, own leave."""


@lru_cache(maxsize=1024)
def _days_of(monday: dt.date) -> tuple[Days, frozenset[dt.date]]:
    """Return the seven days from a Monday on, and those after the Monday."""
    days = tuple(monday + n * ONE_DAY for n in range(7))
    return days, frozenset(days[1:])


def _near(monday: dt.date, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return the spans that touch a week in any zone."""
    since, until = _around(monday)
    return tuple(span for span in spans if span[0] < until and span[1] > since)


@lru_cache(maxsize=1024)
def _around(monday: dt.date) -> Span:
    """Return a span that holds the week in every zone."""
    first, last = (dt.datetime.combine(monday + n * ONE_DAY, dt.time(), dt.UTC) for n in (-1, 8))
    return epoch_seconds(first), epoch_seconds(last)


def _career(
    employee: Employee,
    placed: EmployeeVersion | CurrentPlacement,
    versions: Sequence[EmployeeVersion],
    zone: ZoneInfo,
) -> EmploymentHistory:
    contracts = sorted(
        {(v.contract_start, v.contract_end or dt.date.max) for v in versions if v.contract_start is not None}
    )
    begun = placed.created.astimezone(zone).date() if isinstance(placed, CurrentPlacement) else placed.since
    return EmploymentHistory(
        versions=[(v.since, v.calendar_id) for v in versions] or [(begun, placed.calendar_id)],
        contracts=contracts,
        last_day=_last_day(employee, placed.departure_date, contracts),
    )


def _last_day(employee: Employee, departure: dt.date | None, contracts: Sequence[tuple[dt.date, dt.date]]) -> dt.date:
    """Archived people count until they left; where nothing says when that was, not at all."""
    if departure:
        return departure
    if employee.active:
        return dt.date.max
    left = max((end for _, end in contracts), default=dt.date.max)
    return left if left < dt.date.max else dt.date.min


def _spread(weekly: Decimal | None) -> Schedule | None:
    return None if weekly is None else FlexibleSchedule(seconds(weekly / WORKDAYS), seconds(weekly))


def _schedules(snapshot: Snapshot) -> Mapping[int | None, Schedule | None]:
    shifts: dict[int, list[Attendance]] = defaultdict(list)
    for attendance in snapshot.rows(Attendance):
        shifts[attendance.calendar_id].append(attendance)
    return {calendar.id: _schedule(calendar, shifts[calendar.id]) for calendar in snapshot.rows(Calendar)}


def _schedule(calendar: Calendar, attendances: Sequence[Attendance]) -> Schedule | None:
    """Return the schedule of a calendar; one without any hours says nothing."""
    if calendar.flexible:
        flexible = FlexibleSchedule(seconds(calendar.hours_per_day), seconds(calendar.weekly_cap))
        return flexible if flexible.per_day > 0 and flexible.per_week > 0 else None
    shifts = tuple(
        Shift(a.weekday, seconds(a.hour_from), seconds(a.hour_to), a.week_type if calendar.two_weeks else None)
        for a in attendances
    )
    return FixedSchedule(shifts) if shifts else None
