"""A worker that is told to stop takes nothing more, and ends with its last task or when the time is over."""

import os
import signal

import pytest
from celery.worker import state

from workers.process.shutdown import GRACE, ShutdownController


class Task:
    is_worked_on = True


class World:
    """The worker around it: what it runs, what time it is, and what it was told."""

    def __init__(self) -> None:
        self.running: list[Task] = []
        self.now = 100.0
        self.cancelled = 0
        self.killed: list[int] = []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(state, "reserved_requests", made.running)
    monkeypatch.setattr(state, "should_stop", None)
    monkeypatch.setattr(state, "should_terminate", None)
    monkeypatch.setattr("workers.process.shutdown.time.monotonic", lambda: made.now)
    monkeypatch.setattr(os, "kill", lambda _, number: made.killed.append(number))
    return made


def ended_with() -> object:
    """Return what the main loop would end with."""
    return state.should_stop


@pytest.fixture
def stopping(world: World) -> ShutdownController:
    def cancel() -> None:
        world.cancelled += 1

    return ShutdownController(cancel)


def test_nothing_happens_until_it_is_told(world: World, stopping: ShutdownController) -> None:
    stopping.look()
    assert (world.cancelled, state.should_stop, stopping.is_told) == (0, None, False)


def test_without_a_broker_it_ends_at_once(world: World) -> None:
    stopping = ShutdownController(lambda: None, is_turning=lambda: False)
    stopping._told()
    assert ended_with() == 0


def test_it_takes_nothing_more_and_ends_when_its_tasks_have(world: World, stopping: ShutdownController) -> None:
    world.running.append(Task())
    stopping._told()
    for _ in range(3):
        stopping.look()
    assert (world.cancelled, state.should_stop) == (1, None)
    world.running.clear()
    stopping.look()
    assert ended_with() is None  # the last acknowledgement may still be on its way
    stopping.look()
    assert ended_with() == 0
    assert world.killed == []


def test_tasks_that_run_too_long_are_handed_back(world: World, stopping: ShutdownController) -> None:
    world.running.append(Task())
    stopping._told()
    stopping.look()
    world.now += GRACE + 0.1
    stopping.look()
    assert world.killed == [signal.SIGQUIT]


def test_told_once_more_it_stops_at_once(world: World, stopping: ShutdownController) -> None:
    stopping._told()
    stopping._told()
    assert world.killed == [signal.SIGQUIT]
