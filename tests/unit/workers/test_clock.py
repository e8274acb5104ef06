"""Every process of the fleet reads the ledger's clock, wherever its own machine believes to be in time."""

import datetime as dt

import pytest

from purser.errors import Transient
from workers.clock import LEARN_EVERY, FleetClock

TRUTH = dt.datetime(2026, 3, 29, 1, 0, tzinfo=dt.UTC)


class World:
    """A true time, a machine that is off, and a ledger that may be away."""

    def __init__(self, off: float) -> None:
        self.passed = 0.0
        self.off = off
        self.away = False
        self.asked = 0

    def ledger(self) -> dt.datetime:
        self.asked += 1
        if self.away:
            raise Transient("away")
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
    world.passed = LEARN_EVERY
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
