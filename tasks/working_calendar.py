"""Expected working hours follow the calendar, the day, the person's own zone and every absence.

All reckoning is in whole seconds of real time: a shift over the night the clocks change is as long as it was.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Span = tuple[int, int]
"""From one moment to another, as seconds since 1970 in UTC."""

HOUR = 3600
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch of work on a weekday (Monday is 0), as seconds of wall-clock time after midnight."""

    weekday: int
    start: int
    end: int
    parity: int | None = None
    """0 or 1 in a calendar of two alternating weeks, None where all weeks are alike."""


@dataclass(frozen=True, slots=True)
class FixedSchedule:
    """Work happens at set times of set weekdays."""

    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class FlexibleSchedule:
    """So many seconds a day, each day from Monday on until the week's cap is reached; the time of day is free."""

    per_day: int
    per_week: int


Schedule = FixedSchedule | FlexibleSchedule


def seconds(hours: Decimal) -> int:
    """Return a number of hours as whole seconds."""
    return int((hours * HOUR).to_integral_value())


def in_hours(amount: int) -> Decimal:
    """Return seconds as hours, to the cent."""
    return (Decimal(amount) / HOUR).quantize(CENT)


def zone_of(*names: str | None, firm: dt.tzinfo | None = None) -> ZoneInfo:
    """Return the first zone that is named and known here, else the firm's, else UTC."""
    for name in names:
        zone = _zone(name) if name else None
        if zone is not None:
            return zone
    return firm if isinstance(firm, ZoneInfo) else ZoneInfo("UTC")


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def parity_of(day: dt.date) -> int:
    """Return which of two alternating weeks a day is in. Weeks are counted from the year 1, not as in ISO 8601."""
    return (day.toordinal() - 1) // 7 % 2


def epoch_seconds(moment: dt.datetime) -> int:
    """Return an aware moment as seconds since 1970."""
    return int(moment.timestamp())


def epoch_seconds_of_wall_time(day: dt.date, second: int, zone: ZoneInfo) -> int:
    """Return the instant at which a clock on the wall shows `second` after the midnight that begins `day`."""
    return int((dt.datetime.combine(day, dt.time(), zone) + dt.timedelta(seconds=second)).timestamp())


def day_span(day: dt.date, zone: ZoneInfo) -> Span:
    """Return a day, from its midnight to the next in a zone."""
    return epoch_seconds_of_wall_time(day, 0, zone), epoch_seconds_of_wall_time(day + dt.timedelta(days=1), 0, zone)


def days_between(starts: dt.datetime, ends: dt.datetime, zone: ZoneInfo) -> tuple[dt.date, dt.date]:
    """Return the first and the last day that a stretch of time takes part of, as a zone cuts days.

    What ends at midnight takes nothing of the day that begins then.
    """
    first = starts.astimezone(zone).date()
    return first, max(first, (ends - dt.timedelta(seconds=1)).astimezone(zone).date())


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same time without overlaps, in order."""
    merged: list[Span] = []
    for start, end in sorted(s for s in spans if s[0] < s[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def overlap(span: Span, absences: Sequence[Span]) -> int:
    """Return how many seconds of `span` the `absences` (a union) cover."""
    start, end = span
    return sum(min(end, until) - max(start, since) for since, until in absences if since < end and until > start)


@dataclass(frozen=True, slots=True)
class Day:
    """What a schedule asks of one day before any absence."""

    spans: tuple[Span, ...]
    """The stretches of work; for a flexible schedule the whole day, of which `asked` is part."""
    asked: int

    def without(self, absences: Sequence[Span]) -> int:
        """Return the seconds that remain to be worked beside `absences` (a union)."""
        absent = sum(overlap(span, absences) for span in self.spans)
        return self.asked - min(self.asked, absent)


@lru_cache(maxsize=8192)
def week_of(schedule: Schedule, monday: dt.date, zone: ZoneInfo) -> tuple[Day, ...]:
    """Lay a schedule on the seven days from a Monday on, in a zone."""
    days = [monday + dt.timedelta(days=n) for n in range(7)]
    match schedule:
        case FixedSchedule(shifts):
            return tuple(_fixed(shifts, day, zone) for day in days)
        case FlexibleSchedule(per_day, per_week):
            midnights = [epoch_seconds_of_wall_time(day, 0, zone) for day in [*days, days[-1] + dt.timedelta(days=1)]]
            return tuple(
                Day((span,), min(per_day, max(0, per_week - n * per_day)))
                for n, span in enumerate(pairwise(midnights))
            )


def _fixed(shifts: Sequence[Shift], day: dt.date, zone: ZoneInfo) -> Day:
    parity = parity_of(day)
    spans = union(
        (epoch_seconds_of_wall_time(day, shift.start, zone), epoch_seconds_of_wall_time(day, shift.end, zone))
        for shift in shifts
        if shift.weekday == day.weekday() and shift.parity in {None, parity}
    )
    return Day(spans, sum(end - start for start, end in spans))


def expected(schedule: Schedule, days: Iterable[dt.date], zone: ZoneInfo, absences: Sequence[Span] = ()) -> int:
    """Return the seconds to be worked on some days of one week, less `absences` (a union).

    A flexible week is filled from Monday on even for one who starts on Wednesday, so that a cap never moves hours
    to other days.
    """
    wanted = list(days)
    if not wanted:
        return 0
    week = week_of(schedule, wanted[0] - dt.timedelta(days=wanted[0].weekday()), zone)
    return sum(week[day.weekday()].without(absences) for day in wanted)
