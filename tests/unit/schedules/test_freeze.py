"""A freeze holds named work back for calendar days around a month's end, in the firm's own zone."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser.cadence import Freeze
from schedules.freeze import frozen_until

BERLIN = ZoneInfo("Europe/Berlin")
END = Freeze(name="month-end", what=frozenset({"queue:apply"}), days_before=1, days_after=2)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-29T23:59:59", None),
        ("2026-03-30T00:00:00", "2026-04-03T00:00:00"),
        ("2026-04-02T23:59:59", "2026-04-03T00:00:00"),
        ("2026-04-03T00:00:00", None),
        ("2026-12-31T12:00:00", "2027-01-03T00:00:00"),
        ("2027-01-02T12:00:00", "2027-01-03T00:00:00"),
        ("2028-02-28T00:00:00", "2028-03-03T00:00:00"),
    ],
)
def test_it_begins_and_ends_at_local_midnight(now: str, until: str | None) -> None:
    found = frozen_until(at(now), [END], BERLIN, {"all", "queue:apply"})
    assert (found and found.until) == (at(until) if until else None)


def test_it_holds_back_only_what_it_names() -> None:
    assert frozen_until(at("2026-03-31T12:00"), [END], BERLIN, {"all", "queue:events"}) is None


def test_only_the_named_months_end_in_one() -> None:
    yearly = Freeze(name="year", what=frozenset({"all"}), months=frozenset({12}))
    assert frozen_until(at("2026-11-30T12:00"), [yearly], BERLIN, {"all"}) is None
    assert frozen_until(at("2026-12-31T12:00"), [yearly], BERLIN, {"all"}) is not None


def test_the_longest_of_several_counts() -> None:
    longer = Freeze(name="longer", what=frozenset({"all"}), days_after=5)
    found = frozen_until(at("2026-03-31T12:00"), [END, longer], BERLIN, {"all", "queue:apply"})
    assert found is not None
    assert (found.name, found.until) == ("longer", at("2026-04-06T00:00"))


@given(
    st.integers(1_577_836_800, 2_051_222_400),  # 2020 to 2034
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "America/Sao_Paulo", "Asia/Kathmandu"]),
    st.integers(0, 14),
    st.integers(0, 14),
)
def test_who_waits_until_it_ends_is_free_then(seconds: int, zone: str, before: int, after: int) -> None:
    tz, now = ZoneInfo(zone), dt.datetime.fromtimestamp(seconds, dt.UTC)
    freeze = Freeze(
        name="x", what=frozenset({"all"}), days_before=before, days_after=after, months=frozenset({3, 10})
    )
    found = frozen_until(now, [freeze], tz, {"all"})
    if found is not None:
        assert found.until > now
        assert frozen_until(found.until, [freeze], tz, {"all"}) is None
