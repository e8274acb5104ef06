"""Expected hours are right for every calendar, zone and absence."""

import datetime as dt
import itertools
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.working_calendar import (
    HOUR,
    FixedSchedule,
    FlexibleSchedule,
    Schedule,
    Shift,
    Span,
    epoch_seconds_of_wall_time,
    expected,
    in_hours,
    overlap,
    parity_of,
    seconds,
    union,
    week_of,
    zone_of,
)

UTC, BERLIN, SAMOA = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")
MONDAY = dt.date(2026, 11, 2)


def fixed(
    days: range | tuple[int, ...] = range(5), *hours: tuple[float, float], parity: int | None = None
) -> FixedSchedule:
    stretches = hours or ((8, 12), (13, 17))
    return FixedSchedule(tuple(Shift(d, int(a * HOUR), int(b * HOUR), parity) for d in days for a, b in stretches))


def flexible(per_day: float, per_week: float) -> FlexibleSchedule:
    return FlexibleSchedule(int(per_day * HOUR), int(per_week * HOUR))


def week(schedule: Schedule, monday: dt.date = MONDAY, zone: ZoneInfo = UTC, *absences: Span) -> Decimal:
    days = [monday + dt.timedelta(days=n) for n in range(7)]
    return in_hours(expected(schedule, days, zone, union(absences)))


def away(day: dt.date, start: float, end: float, zone: ZoneInfo = UTC) -> Span:
    return epoch_seconds_of_wall_time(day, int(start * HOUR), zone), epoch_seconds_of_wall_time(
        day, int(end * HOUR), zone
    )


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        (fixed(), 40),
        (fixed((0, 1, 2)), 24),
        (fixed(range(7), (0, 24)), 168),
        (fixed((0,), (8, 12.5)), 4.5),
        (fixed((0,), (8, 12), (10, 14)), 6),  # overlapping stretches are not worked twice
        (fixed(()), 0),
        (flexible(8, 40), 40),
        (flexible(10, 40), 40),
        (flexible(10, 36), 36),
        (flexible(8, 100), 56),
    ],
)
def test_a_week_without_absence_asks_for_its_calendar(schedule: Schedule, hours: float) -> None:
    assert week(schedule) == Decimal(str(hours))


def test_a_flexible_week_is_filled_from_monday_until_the_cap() -> None:
    assert [day.asked // HOUR for day in week_of(flexible(10, 36), MONDAY, UTC)] == [10, 10, 10, 6, 0, 0, 0]


def test_one_who_starts_on_wednesday_gets_wednesday_and_what_follows_of_a_flexible_week() -> None:
    days = [MONDAY + dt.timedelta(days=n) for n in range(2, 7)]
    assert in_hours(expected(flexible(8, 40), days, UTC)) == 24


def test_no_days_ask_for_nothing() -> None:
    assert expected(fixed(), [], UTC) == 0


def test_alternating_weeks_are_counted_from_the_year_one() -> None:
    both = FixedSchedule((*fixed(range(5), parity=0).shifts, *fixed((0,), parity=1).shifts))
    mondays = [dt.date(2026, 12, 21) + dt.timedelta(weeks=n) for n in range(4)]  # ISO weeks 52, 53, 1, 2
    assert [week(both, monday) for monday in mondays] == [40, 8, 40, 8]


@given(st.dates())
def test_a_week_has_one_parity_from_monday_to_sunday_and_the_next_the_other(day: dt.date) -> None:
    monday = day - dt.timedelta(days=min(day.weekday(), day.toordinal() - 1))
    assert parity_of(day) == parity_of(monday)
    assert day.toordinal() <= 7 or parity_of(day - dt.timedelta(days=7)) == 1 - parity_of(day)


@pytest.mark.parametrize(
    ("sunday", "hours"), [(dt.date(2026, 3, 29), 23), (dt.date(2026, 10, 25), 25), (dt.date(2026, 11, 1), 24)]
)
def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(sunday: dt.date, hours: int) -> None:
    around_the_clock = fixed((6,), (0, 24))
    assert week(around_the_clock, sunday - dt.timedelta(days=6), BERLIN) == hours


def test_office_hours_do_not_notice_a_change_of_the_clocks() -> None:
    assert week(fixed(range(7)), dt.date(2026, 10, 19), BERLIN) == 56


def test_a_day_that_a_zone_skipped_asks_for_nothing() -> None:
    skipped = dt.date(2011, 12, 30)  # Samoa crossed the date line
    around_the_clock = fixed((skipped.weekday(),), (0, 24))
    assert week(around_the_clock, dt.date(2011, 12, 26), SAMOA) == 0


@pytest.mark.parametrize(
    ("schedule", "absence", "hours"),
    [
        (fixed(), away(MONDAY, 0, 24), 32),
        (fixed(), away(MONDAY, 8, 12), 36),
        (fixed(), away(MONDAY, 11, 14), 38),  # the lunch break is nobody's loss
        (fixed(), away(MONDAY, 12, 13), 40),
        (fixed(), away(MONDAY + dt.timedelta(days=5), 0, 24), 40),
        (flexible(10, 40), away(MONDAY, 0, 24), 30),
        (flexible(10, 40), away(MONDAY, 9, 12), 37),
        (flexible(10, 40), away(MONDAY + dt.timedelta(days=4), 0, 24), 40),  # past the cap there is nothing to remove
    ],
)
def test_an_absence_takes_what_it_covers(schedule: Schedule, absence: Span, hours: int) -> None:
    assert week(schedule, MONDAY, UTC, absence) == hours


def test_two_absences_at_the_same_time_count_once() -> None:
    assert week(fixed(), MONDAY, UTC, away(MONDAY, 0, 24), away(MONDAY, 8, 17)) == 32


def test_an_absence_is_cut_in_the_zone_of_the_employee() -> None:
    holiday_in_berlin = away(MONDAY, 0, 24, BERLIN)
    assert week(fixed((0,)), MONDAY, BERLIN, holiday_in_berlin) == 0
    assert week(fixed((0,)), MONDAY, ZoneInfo("Pacific/Auckland"), holiday_in_berlin) == 4  # it begins there at noon


spans = st.tuples(st.integers(-50, 220), st.integers(0, 60)).map(
    lambda s: (
        epoch_seconds_of_wall_time(MONDAY, s[0] * HOUR, UTC),
        epoch_seconds_of_wall_time(MONDAY, (s[0] + s[1]) * HOUR, UTC),
    )
)
schedules = st.one_of(
    st.builds(
        lambda shifts: FixedSchedule(tuple(Shift(d, a * HOUR, (a + n) * HOUR) for d, a, n in shifts)),
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, 23), st.integers(0, 8)), max_size=14),
    ),
    st.builds(flexible, st.integers(0, 24), st.integers(0, 100)),
)


@given(schedules, st.lists(spans, max_size=6), spans)
def test_one_more_absence_never_raises_what_is_expected(schedule: Schedule, absences: list[Span], more: Span) -> None:
    assert 0 <= week(schedule, MONDAY, UTC, *absences, more) <= week(schedule, MONDAY, UTC, *absences)


@given(schedules, st.sampled_from([UTC, BERLIN, SAMOA]))
def test_nobody_is_expected_to_work_more_hours_than_a_week_has(schedule: Schedule, zone: ZoneInfo) -> None:
    assert week(schedule, MONDAY, zone) <= 168


@given(st.lists(spans, max_size=8))
def test_a_union_is_in_order_without_overlap_and_covers_the_same_time(given_spans: list[Span]) -> None:
    merged = union(given_spans)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(merged))
    assert all(overlap(span, merged) == span[1] - span[0] for span in given_spans)


@pytest.mark.parametrize(
    ("names", "zone"),
    [
        (("Europe/Berlin", "Asia/Tokyo"), "Europe/Berlin"),
        ((None, "Asia/Tokyo"), "Asia/Tokyo"),
        (("Middle/Earth", "Asia/Tokyo"), "Asia/Tokyo"),
        (("../etc/passwd", None), "UTC"),
        ((), "UTC"),
    ],
)
def test_the_first_zone_that_is_known_counts(names: tuple[str | None, ...], zone: str) -> None:
    assert zone_of(*names).key == zone


def test_hours_become_whole_seconds_and_back() -> None:
    assert seconds(Decimal("7.6")) == 27360
    assert in_hours(27360) == Decimal("7.60")
