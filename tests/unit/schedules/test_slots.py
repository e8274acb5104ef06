"""Slots follow one another without a gap and without a repeat, in every zone."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from purser.cadence import Cadence, Daily, Every, daily, hours, parse_cadence
from schedules.slots import latest_slot, next_slot, seconds_to_next_slot, slots_between, stagger

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # clocks jump at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",  # back and forth around Ramadan
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "America/Nuuk",  # clocks jump from 23:00 into the next day
)
BERLIN = ZoneInfo("Europe/Berlin")

zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.integers(1_577_836_800, 2_051_222_400).map(
    lambda s: dt.datetime.fromtimestamp(s, dt.UTC)
)  # 2020 to 2034
intervals = st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(days=40)).map(Every)
dailies = st.builds(Daily, st.times(), st.frozensets(st.integers(0, 6), min_size=1))
cadences: st.SearchStrategy[Cadence] = st.one_of(intervals, dailies)
offsets = st.timedeltas(dt.timedelta(0), dt.timedelta(minutes=5))


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@given(cadences, moments, zones, offsets)
def test_now_lies_between_the_latest_slot_and_the_next(
    cadence: Cadence, now: dt.datetime, tz: ZoneInfo, offset: dt.timedelta
) -> None:
    assert latest_slot(cadence, now, tz, offset) + offset <= now < next_slot(cadence, now, tz, offset) + offset


@given(cadences, moments, zones, offsets)
def test_no_slot_lies_between_the_latest_and_the_next(
    cadence: Cadence, now: dt.datetime, tz: ZoneInfo, offset: dt.timedelta
) -> None:
    latest, following = (f(cadence, now, tz, offset) for f in (latest_slot, next_slot))
    assert next_slot(cadence, latest, tz) == following
    assert latest_slot(cadence, following - dt.timedelta(microseconds=1), tz) == latest


@given(cadences, moments, moments, zones, offsets)
def test_slots_never_run_backwards(
    cadence: Cadence, one: dt.datetime, other: dt.datetime, tz: ZoneInfo, offset: dt.timedelta
) -> None:
    early, late = sorted((one, other))
    assert latest_slot(cadence, early, tz, offset) <= latest_slot(cadence, late, tz, offset)


@given(cadences, moments, zones)
def test_a_slot_is_its_own_latest(cadence: Cadence, now: dt.datetime, tz: ZoneInfo) -> None:
    slot = latest_slot(cadence, now, tz)
    assert latest_slot(cadence, slot, tz) == slot


@given(cadences, moments, zones, zones)
def test_the_zone_in_which_now_is_written_does_not_matter(
    cadence: Cadence, now: dt.datetime, tz: ZoneInfo, written: ZoneInfo
) -> None:
    assert latest_slot(cadence, now.astimezone(written), tz) == latest_slot(cadence, now, tz)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["00:00", "00:30", "01:59", "02:00", "02:30", "03:00", "12:00", "23:59"])
@pytest.mark.parametrize("year", [2024, 2026])
def test_a_daily_cadence_has_exactly_one_slot_on_each_local_day_of_a_year(zone: str, at: str, year: int) -> None:
    tz, cadence = ZoneInfo(zone), daily(at)
    slots = [next_slot(cadence, dt.datetime(year - 1, 12, 31, 23, 59, 59, tzinfo=tz), tz)]
    while (following := next_slot(cadence, slots[-1], tz)).astimezone(tz).year == year:
        slots.append(following)
    days = [slot.astimezone(tz).date() for slot in slots]
    first = dt.date(year, 1, 1)
    assert days == [first + dt.timedelta(days=n) for n in range(366 if year % 4 == 0 else 365)]


@given(st.times(), st.frozensets(st.integers(0, 6), min_size=1), moments, zones)
def test_only_the_named_weekdays_have_slots(
    at: dt.time, weekdays: frozenset[int], now: dt.datetime, tz: ZoneInfo
) -> None:
    slot = latest_slot(Daily(at, weekdays), now, tz)
    assert slot.astimezone(tz).weekday() in weekdays


def test_a_time_that_does_not_exist_runs_at_the_first_instant_after_the_gap() -> None:
    assert latest_slot(daily("02:30"), utc("2026-03-29 12:00"), BERLIN) == utc("2026-03-29 01:00")


def test_a_gap_that_begins_at_midnight_does_not_move_the_slot_to_another_day() -> None:
    santiago = ZoneInfo("America/Santiago")
    assert next_slot(daily("00:00"), utc("2026-09-05 12:00"), santiago) == utc("2026-09-06 04:00")  # 01:00 there


def test_a_time_that_comes_twice_runs_once_and_the_first_time() -> None:
    at = daily("02:30")
    first = utc("2026-10-25 00:30")
    assert latest_slot(at, utc("2026-10-25 01:45"), BERLIN) == first
    assert next_slot(at, first, BERLIN) == utc("2026-10-26 01:30")


@pytest.mark.parametrize("at", ["00:00", "06:00", "23:59"])
@pytest.mark.parametrize("weekdays", ["", " fri"])
def test_a_local_day_that_was_never_lived_has_no_slot(at: str, weekdays: str) -> None:
    apia = ZoneInfo("Pacific/Apia")  # Friday 2011-12-30 was left out
    cadence = parse_cadence(f"daily {at}{weekdays}")
    slots = [next_slot(cadence, dt.datetime(2011, 12, 20, 12, tzinfo=apia), apia)]
    while slots[-1] < dt.datetime(2012, 1, 10, tzinfo=apia):
        slots.append(next_slot(cadence, slots[-1], apia))
    days = [slot.astimezone(apia).date() for slot in slots]
    lived = [dt.date(2011, 12, 20) + dt.timedelta(days=n) for n in range(40) if n != 10]
    wanted = [day for day in lived if days[0] <= day <= days[-1] and (not weekdays or day.weekday() == 4)]
    assert days == wanted
    assert all(latest_slot(cadence, slot, apia) == slot for slot in slots)


def test_a_gap_that_ends_on_the_next_day_leaves_the_slot_in_its_own() -> None:
    nuuk = ZoneInfo("America/Nuuk")  # 2026-03-28: 23:00 is already the 29th
    slot = latest_slot(parse_cadence("daily 23:30 sat"), utc("2026-03-31 12:00"), nuuk)
    assert slot.astimezone(nuuk) == dt.datetime(2026, 3, 28, 22, 59, 59, tzinfo=nuuk)


@settings(max_examples=25)
@given(st.times(), st.integers(2012, 2037), st.sampled_from(sorted(available_timezones())).map(ZoneInfo))
def test_each_local_day_of_a_year_has_exactly_one_slot_in_every_zone(at: dt.time, year: int, tz: ZoneInfo) -> None:
    cadence = Daily(at)
    slot = next_slot(cadence, dt.datetime(year, 1, 1, tzinfo=tz) - dt.timedelta(microseconds=1), tz)
    days = []
    while (day := slot.astimezone(tz).date()).year == year:
        days.append(day)
        slot = next_slot(cadence, slot, tz)
    count = (dt.date(year + 1, 1, 1) - dt.date(year, 1, 1)).days
    assert days == [dt.date(year, 1, 1) + dt.timedelta(days=n) for n in range(count)]


def test_intervals_are_counted_from_midnight_utc() -> None:
    assert latest_slot(hours(6), utc("2026-11-22 13:05")) == utc("2026-11-22 12:00")
    assert next_slot(hours(6), utc("2026-11-22 12:00")) == utc("2026-11-22 18:00")


def test_an_offset_delays_the_run_and_leaves_the_name_of_the_slot() -> None:
    offset = dt.timedelta(minutes=2)
    assert latest_slot(hours(1), utc("2026-11-22 13:01:59"), offset=offset) == utc("2026-11-22 12:00")
    assert latest_slot(hours(1), utc("2026-11-22 13:02"), offset=offset) == utc("2026-11-22 13:00")


@given(st.text(), cadences)
def test_a_stagger_is_small_beside_the_cadence(name: str, cadence: Cadence) -> None:
    offset = stagger(name, cadence)
    assert dt.timedelta(0) <= offset == stagger(name, cadence)
    match cadence:
        case Every(step):
            assume(step >= dt.timedelta(seconds=10))
            assert offset < min(step / 10, dt.timedelta(minutes=5))
        case Daily():
            assert offset < dt.timedelta(minutes=1)


@pytest.mark.parametrize("cadence", ["every 6 hours", "every 15 minutes", "daily 06:00"])
def test_controls_of_one_cadence_do_not_start_together(cadence: str) -> None:
    names = [f"control-{n}" for n in range(20)]
    offsets = [stagger(name, parse_cadence(cadence)) for name in names]
    assert len(set(offsets)) >= 12


def test_an_offset_survives_the_process() -> None:
    assert stagger("missing-timesheets", hours(6)) == dt.timedelta(seconds=91)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        latest_slot(hours(1), dt.datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_cadence_without_weekdays_is_refused() -> None:
    with pytest.raises(ValueError, match="never due"):
        next_slot(Daily(dt.time(6), frozenset()), utc("2026-01-01"))


def test_slots_over_a_clock_change_are_as_far_apart_as_the_day_was_long() -> None:
    slots = [utc("2026-03-27 12:00")]
    for _ in range(3):
        slots.append(next_slot(daily("06:00"), slots[-1], BERLIN))
    assert [b - a for a, b in pairwise(slots[1:])] == [dt.timedelta(hours=23), dt.timedelta(hours=24)]


@given(cadences, moments, st.integers(0, 40), zones)
def test_slots_between_are_those_one_would_meet_on_the_way(
    cadence: Cadence, start: dt.datetime, steps: int, tz: ZoneInfo
) -> None:
    after = latest_slot(cadence, start, tz)
    until = after
    for _ in range(steps):
        until = next_slot(cadence, until, tz)
    assert slots_between(cadence, after, until, tz) == max(0, steps - 1)


def test_more_missed_slots_than_anybody_counts_are_as_many_as_are_counted() -> None:
    assert slots_between(Every(dt.timedelta(seconds=1)), utc("2020-01-01T00:00"), utc("2026-01-01T00:00")) == 1000


@given(cadences, moments, zones)
def test_the_next_slot_is_never_further_than_the_cadence_says(
    cadence: Cadence, now: dt.datetime, tz: ZoneInfo
) -> None:
    left = seconds_to_next_slot("a-control", cadence, now, tz)
    longest = cadence.step if isinstance(cadence, Every) else dt.timedelta(days=8, hours=25)
    assert 0 < left <= longest.total_seconds()
