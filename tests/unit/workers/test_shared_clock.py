"""Every process of the fleet reads the ledger's clock, wherever its own machine believes to be in time."""

import datetime as dt
import multiprocessing
from itertools import pairwise
from multiprocessing.connection import Connection

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from purser.errors import Transient
from workers.shared_clock import LEARN_INTERVAL, SLOW, FleetClock, utc_now

TRUTH = dt.datetime(2026, 3, 29, 1, 0, tzinfo=dt.UTC)


class World:
    """A true time, a machine that is off, and a ledger that may be away."""

    def __init__(self, off: float) -> None:
        self.passed = 0.0
        self.stopped = 0.0
        """Seconds that pass between the ledger's answer and its arrival."""
        self.off = off
        self.away = False
        self.asked = 0

    def ledger(self) -> dt.datetime:
        self.asked += 1
        if self.away:
            raise Transient("away")
        answer = TRUTH + dt.timedelta(seconds=self.passed)
        self.passed += self.stopped
        return answer

    @property
    def truth(self) -> dt.datetime:
        return TRUTH + dt.timedelta(seconds=self.passed)

    def local(self) -> dt.datetime:
        return TRUTH + dt.timedelta(seconds=self.passed + self.off)

    def clock(self) -> FleetClock:
        return FleetClock(self.ledger, local=self.local, steady=lambda: self.passed)


@pytest.mark.parametrize("off", [-60.0, 0.0, 60.0])
def test_a_machine_that_is_a_minute_off_tells_the_ledgers_time(off: float) -> None:
    world = World(off)
    clock = world.clock()
    for seconds in (0.0, 10.0, 29.0, 31.0, 4000.0):
        world.passed = seconds
        assert clock() == TRUTH + dt.timedelta(seconds=seconds)


def test_it_asks_now_and_then_and_not_each_time() -> None:
    world = World(0)
    clock = world.clock()
    for _ in range(100):
        clock()
    assert world.asked == 1
    world.passed = LEARN_INTERVAL
    clock()
    assert world.asked == 2


def test_it_goes_on_while_the_ledger_is_away_and_learns_again() -> None:
    world = World(60)
    clock = world.clock()
    assert clock() == TRUTH
    world.away, world.passed = True, 500.0
    assert clock() == TRUTH + dt.timedelta(seconds=500)
    world.away, world.passed = False, 600.0
    assert clock() == TRUTH + dt.timedelta(seconds=600)


def test_who_never_reached_the_ledger_trusts_its_machine() -> None:
    world = World(60)
    world.away = True
    assert world.clock()() == TRUTH + dt.timedelta(seconds=60)


def test_an_answer_that_was_long_on_its_way_does_not_put_a_good_clock_back() -> None:
    world = World(0)
    clock = world.clock()
    clock()
    world.passed, world.stopped = LEARN_INTERVAL, 60.0  # such as a process that was stopped while it asked
    assert clock() == world.truth
    world.passed, world.stopped = world.passed + LEARN_INTERVAL, 0.0
    assert clock() == world.truth


def test_who_has_learned_nothing_takes_a_slow_answer_for_what_it_is_worth() -> None:
    world = World(-60)
    world.stopped = 2 * SLOW
    assert abs(world.clock()() - world.truth) <= dt.timedelta(seconds=SLOW)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, SLOW)), max_size=40), st.floats(-90, 90))
def test_it_never_strays_nor_runs_back_by_more_than_an_answer_takes(
    steps: list[tuple[float, bool, float]], off: float
) -> None:
    world = World(off)
    clock = world.clock()
    told = [clock()]
    for seconds, away, stopped in steps:
        world.passed += seconds
        world.away, world.stopped = away, stopped
        told.append(clock())
        assert abs(told[-1] - world.truth) <= dt.timedelta(seconds=SLOW / 2, microseconds=2)
    assert all(later - one >= -dt.timedelta(seconds=SLOW, microseconds=4) for one, later in pairwise(told))


def test_what_is_wrong_is_logged_once_until_it_has_passed() -> None:
    world = World(60)
    clock = world.clock()
    with structlog.testing.capture_logs() as logs:
        for away in (False, False, True, True, False, True):
            world.away = away
            clock()
            world.passed += LEARN_INTERVAL
    assert [line["event"].split()[0] for line in logs] == ["this", "the", "the"]


def test_a_forked_child_goes_on_with_what_its_parent_learned() -> None:
    answers = [utc_now() + dt.timedelta(hours=1)]

    def ledger() -> dt.datetime:
        if not answers:
            raise Transient("away")
        return answers.pop()

    clock = FleetClock(ledger)
    clock()
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=_tell_the_time, args=(clock, theirs))
    before = clock()
    child.start()
    told = ours.recv()
    child.join()
    assert before <= told <= clock()


def _tell_the_time(clock: FleetClock, to: "Connection[dt.datetime, None]") -> None:
    to.send(clock())
