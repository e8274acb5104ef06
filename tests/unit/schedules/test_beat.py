"""Beat runs each control at its slots, and not all of them at once."""

import datetime as dt
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from purser.cadence import daily, hours
from schedules.beat import BeatEntry, beat_entries
from schedules.slots import stagger

BERLIN = ZoneInfo("Europe/Berlin")


def test_every_control_has_one_entry_with_its_own_offset() -> None:
    entries = beat_entries("control", {"unbilled-work": hours(6), "missing-timesheets": daily("06:00")})
    assert entries == [
        BeatEntry(
            kind="control",
            name="missing-timesheets",
            cadence=daily("06:00"),
            offset=stagger("missing-timesheets", daily("06:00")),
        ),
        BeatEntry(
            kind="control",
            name="unbilled-work",
            cadence=hours(6),
            offset=stagger("unbilled-work", hours(6)),
        ),
    ]


def test_a_firm_without_enabled_controls_has_an_empty_schedule() -> None:
    assert beat_entries("watch", {}) == []


@given(st.integers(1_735_689_600, 1_893_456_000))
def test_waking_when_an_entry_is_due_meets_a_new_slot(seconds: int) -> None:
    now = dt.datetime.fromtimestamp(seconds, dt.UTC)
    for entry in beat_entries("control", {"unbilled-work": hours(6), "missing-timesheets": daily("02:30")}):
        due = entry.due_after(now, BERLIN)
        assert due > now
        assert entry.slot(due, BERLIN) == due - entry.offset > entry.slot(now, BERLIN)
