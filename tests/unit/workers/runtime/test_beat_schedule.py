"""However far off its machine is, a beat emits each slot in its time, and a worker takes it for that one."""

import datetime as dt
import pickle
from collections import Counter
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from celery.beat import ScheduleEntry

from purser.cadence import Cadence, parse_cadence
from purser.errors import Transient
from schedules.beat import BeatEntry, beat_entries
from schedules.slots import latest_slot, slots_between, stagger
from workers.runtime.beat_schedule import AGAIN, MAX_SLEEP_SECONDS, SlotSchedule, beat_schedule
from workers.shared_clock import FleetClock, utc_now

BERLIN = ZoneInfo("Europe/Berlin")
TRUTH = dt.datetime(2026, 3, 28, 20, tzinfo=dt.UTC)  # the clocks change in the night


class World:
    """The true time, and a ledger that knows it unless it is away."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.away = False

    @property
    def now(self) -> dt.datetime:
        return TRUTH + dt.timedelta(seconds=self.seconds)

    def ledger(self) -> dt.datetime:
        if self.away:
            raise Transient("away")
        return self.now

    def machine(self, off: float) -> FleetClock:
        """Return the clock of a process on a machine that is so many seconds off."""
        return FleetClock(
            self.ledger, local=lambda: self.now + dt.timedelta(seconds=off), steady=lambda: self.seconds
        )


class Beat:
    """A beat process with one control, which looks as often as it is told to."""

    def __init__(self, cadence: Cadence, clock: FleetClock) -> None:
        entry = BeatEntry(kind="control", name="a-control", cadence=cadence, offset=stagger("a-control", cadence))
        (one,) = beat_schedule([entry], BERLIN, clock).values()
        self._entry = ScheduleEntry(name="x", **one)
        self._wakes_at = 0.0

    def emits(self, seconds: float) -> bool:
        """Return whether a message goes out, `seconds` after the start of the world."""
        if seconds < self._wakes_at:
            return False
        due, nap = self._entry.is_due()
        self._wakes_at = seconds + nap
        if due:
            self._entry = next(self._entry)
        return bool(due)


def messages(world: World, beats: list[Beat], days: float) -> Iterator[dt.datetime]:
    """Let time pass in steps of five seconds; give the moment of each message."""
    end = world.seconds + days * 86_400
    while world.seconds <= end:
        for beat in beats:
            if beat.emits(world.seconds):
                yield world.now
        world.seconds += 5


def taken(
    world: World, cadence: Cadence, beats: list[Beat], workers: list[FleetClock], days: float
) -> list[dt.datetime]:
    """Return the slots that a message met undone, in the order in which they were done. Workers take turns."""
    offset, done = stagger("a-control", cadence), dict[dt.datetime, dt.datetime]()
    for n, moment in enumerate(messages(world, beats, days)):
        slot = latest_slot(cadence, workers[n % len(workers)](), BERLIN, offset)
        done.setdefault(slot, moment)
    first, *rest = done
    assert all(done[slot] - slot - offset <= dt.timedelta(seconds=10) for slot in rest), "in its time"
    return [first, *rest]


@pytest.mark.parametrize("text", ["daily 02:30", "every 15 minutes"])
@pytest.mark.parametrize("offs", [(0, 0, 0, 0), (60, -60, -60, 60), (60, 60, 60, 60)])
def test_a_fleet_whose_machines_are_a_minute_off_does_the_slots_of_one_whose_are_right(
    text: str, offs: tuple[float, ...]
) -> None:
    world, cadence = World(), parse_cadence(text)
    one, other, *rest = (world.machine(off) for off in offs)
    slots = taken(world, cadence, [Beat(cadence, one), Beat(cadence, other)], rest, days=1.5)
    assert slots == sorted(set(slots))
    assert slots_between(cadence, slots[0], slots[-1], BERLIN) == len(slots) - 2, "none skipped"
    assert len(slots) == (3 if text.startswith("daily") else 6 * 24 + 1)


def test_a_beat_that_was_an_hour_ahead_before_it_met_the_ledger_emits_the_slot_again_in_its_time() -> None:
    world, cadence = World(), parse_cadence("every 15 minutes")
    world.away = True
    beat = Beat(cadence, world.machine(3600))
    early = list(messages(world, [beat], 2 / 1440))
    assert early, "it believed its machine"
    world.away = False
    slots = {
        latest_slot(cadence, world.now, BERLIN, stagger("a-control", cadence))
        for _ in messages(world, [beat], 1 / 24)
    }
    assert len(slots) >= 4
    assert slots_between(cadence, min(slots), max(slots), BERLIN) == len(slots) - 2, "none skipped"


def test_after_a_day_without_beat_each_control_is_emitted_once_and_then_only_to_make_sure() -> None:
    cadence = parse_cadence("every 15 minutes")
    moment = TRUTH
    schedule = SlotSchedule(cadence, BERLIN, dt.timedelta(0), lambda: moment)
    assert schedule.is_due(TRUTH - dt.timedelta(days=1))[0]
    assert not schedule.is_due(moment)[0]
    emitted, moment = moment, TRUTH + AGAIN - dt.timedelta(seconds=1)
    assert not schedule.is_due(emitted)[0]
    moment = TRUTH + AGAIN + dt.timedelta(seconds=1)
    assert schedule.is_due(emitted)[0]


@pytest.mark.parametrize("text", ["daily 02:30", "every 15 minutes", "every 1 second"])
def test_beat_never_sleeps_past_the_next_slot_nor_longer_than_a_minute(text: str) -> None:
    cadence = parse_cadence(text)
    naps = Counter[bool]()
    for second in range(0, 86_400, 61):
        moment = TRUTH + dt.timedelta(seconds=second)
        schedule = SlotSchedule(cadence, BERLIN, dt.timedelta(0), lambda at=moment: at)  # type: ignore[misc]
        nap = schedule.is_due(moment)[1]
        assert 0 < nap <= MAX_SLEEP_SECONDS
        naps[slots_between(cadence, moment, moment + dt.timedelta(seconds=nap), BERLIN) == 0] += 1
    assert set(naps) == {True}


def test_a_control_is_emitted_as_a_scan_and_a_watch_as_a_feed() -> None:
    cadence = parse_cadence("every 15 minutes")
    entries = [*beat_entries("control", {"a-control": cadence}), *beat_entries("watch", {"deals": cadence})]
    schedule = beat_schedule(entries, BERLIN)
    assert {name: (one["task"], one["kwargs"]) for name, one in schedule.items()} == {
        "scan a-control": ("purser.scan", {"control": "a-control"}),
        "feed deals": ("purser.feed", {"watch": "deals"}),
    }


def test_schedules_are_equal_by_what_they_say_and_can_be_kept() -> None:
    cadence, offset = parse_cadence("daily 02:30"), dt.timedelta(seconds=7)
    schedule = SlotSchedule(cadence, BERLIN, offset, utc_now)
    assert schedule == pickle.loads(pickle.dumps(schedule)) == SlotSchedule(cadence, BERLIN, offset, utc_now)  # noqa: S301
    assert schedule != SlotSchedule(cadence, BERLIN, dt.timedelta(0), utc_now)
