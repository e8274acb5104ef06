"""A worker that is up and takes nothing while messages wait is noticed; one that is busy, idle or paused is not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from workers.runtime import maintenance
from workers.runtime.maintenance import LoopActivity, MaintenanceThread, QueueAgeTracker
from workers.shared_clock import utc_now

LIMIT = 60.0


class World:
    """The worker around its housekeeper: the time, what waits on its queues, and what it is at."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waiting: dict[str, tuple[int, bytes | None]] = {}
        self.running: list[str] = []
        self.paused: frozenset[str] = frozenset()
        self.reported: list[Any] = []

    def depth(self, queue: str) -> tuple[int, bytes | None]:
        return self.waiting.get(queue, (0, b"nothing"))

    @property
    def consumer(self) -> Any:
        pool, leaks = SimpleNamespace(num_processes=2), SimpleNamespace(stuck=0, mended=0)
        return SimpleNamespace(
            known_queues=frozenset({"apply", "events"}), paused_queues=self.paused, pool=pool, leaks=leaks
        )

    @property
    def fleet(self) -> Any:
        ledger = SimpleNamespace(crew=SimpleNamespace(report=self.reported.append))
        return SimpleNamespace(settings=SimpleNamespace(ghost_after=LIMIT), now=utc_now, ledger=ledger)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr("workers.runtime.maintenance.time.monotonic", lambda: made.now)
    monkeypatch.setattr(state, "active_requests", made.running)
    return made


@pytest.fixture
def seen(world: World) -> LoopActivity:
    """Return a main loop that turns, and took something just now."""
    return LoopActivity(last_tick=world.now, last_consumed=world.now, has_loop=True)


Wait = Callable[[float], None]


@pytest.fixture
def wait(world: World, seen: LoopActivity) -> Wait:
    """Let time pass while the main loop turns."""

    def pass_(seconds: float) -> None:
        world.now += seconds
        seen.tick()

    return pass_


def keeper(world: World, seen: LoopActivity) -> MaintenanceThread:
    return MaintenanceThread(
        world.fleet,
        name="w@test",
        consumer=world.consumer,
        seen=seen,
        send=lambda entry: None,
        watch=QueueAgeTracker(world.depth),
    )


# ------------------------------------------------------------------------- what waits --


def test_what_waits_is_as_old_as_it_has_been_the_next_one(world: World) -> None:
    watch = QueueAgeTracker(world.depth)
    world.waiting["apply"] = (3, b"first")
    assert watch.ages(["apply", "events"]) == {"apply": 0.0}
    world.now += 20
    assert watch.ages(["apply", "events"]) == {"apply": 20.0}
    world.waiting["events"] = (1, b"other")
    world.now += 5
    assert watch.ages(["apply", "events"]) == {"apply": 25.0, "events": 0.0}


def test_a_queue_that_moves_is_young_however_long_it_is(world: World) -> None:
    watch = QueueAgeTracker(world.depth)
    for number in range(5):
        world.waiting["apply"] = (100, b"%d" % number)
        world.now += 50
        assert watch.ages(["apply"]) == {"apply": 0.0}


def test_a_queue_that_was_empty_in_between_begins_anew(world: World) -> None:
    watch = QueueAgeTracker(world.depth)
    world.waiting["apply"] = (1, None)
    watch.ages(["apply"])
    world.now += 30
    world.waiting["apply"] = (0, None)
    assert watch.ages(["apply"]) == {}
    world.now += 30
    world.waiting["apply"] = (1, None)
    assert watch.ages(["apply"]) == {"apply": 0.0}


def test_where_the_broker_shows_no_mark_a_queue_is_as_old_as_it_has_not_been_empty(world: World) -> None:
    watch = QueueAgeTracker(world.depth)
    for waiting, age in ((5, 0.0), (2, 30.0), (7, 60.0)):
        world.waiting["apply"] = (waiting, None)
        assert watch.ages(["apply"]) == {"apply": age}
        world.now += 30


# -------------------------------------------------------------------------- the ghost --


def test_a_worker_that_takes_nothing_while_messages_wait_is_a_ghost(
    world: World, seen: LoopActivity, wait: Wait
) -> None:
    housekeeper = keeper(world, seen)
    world.waiting["events"] = (1, b"the one")
    housekeeper.report()
    wait(LIMIT)
    housekeeper.report()
    assert housekeeper.is_ghost() == "", "not before the time is over"
    wait(1)
    housekeeper.report()
    assert housekeeper.is_ghost() == "it has taken nothing for 61 s while messages wait for 61 s"
    assert world.reported[-1].oldest == {"events": 61.0}


def test_a_worker_that_took_something_lately_is_none(world: World, seen: LoopActivity, wait: Wait) -> None:
    housekeeper = keeper(world, seen)
    world.waiting["events"] = (1, b"the one")
    housekeeper.report()
    wait(LIMIT * 2)
    seen.consumed()
    housekeeper.report()
    assert housekeeper.is_ghost() == ""


def test_a_worker_without_anything_to_take_is_none(world: World, seen: LoopActivity, wait: Wait) -> None:
    housekeeper = keeper(world, seen)
    for _ in range(3):
        wait(LIMIT * 10)
        housekeeper.report()
    assert housekeeper.is_ghost() == ""


def test_a_worker_that_was_idle_for_long_gets_its_time_when_something_comes(
    world: World, seen: LoopActivity, wait: Wait
) -> None:
    housekeeper = keeper(world, seen)
    wait(LIMIT * 10)
    world.waiting["events"] = (1, b"the one")
    housekeeper.report()
    assert housekeeper.is_ghost() == ""
    wait(LIMIT + 1)
    housekeeper.report()
    assert housekeeper.is_ghost() == "it has taken nothing for 661 s while messages wait for 61 s"


def test_a_worker_whose_hands_are_full_is_none(world: World, seen: LoopActivity, wait: Wait) -> None:
    housekeeper = keeper(world, seen)
    world.waiting["events"] = (1, b"the one")
    world.running += ["long", "longer"]
    housekeeper.report()
    wait(LIMIT * 2)
    housekeeper.report()
    assert housekeeper.is_ghost() == ""
    world.running.pop()
    assert "taken nothing" in housekeeper.is_ghost()


def test_a_worker_leaves_what_waits_on_a_paused_queue(world: World, seen: LoopActivity, wait: Wait) -> None:
    world.paused = frozenset({"events"})
    housekeeper = keeper(world, seen)
    world.waiting["events"] = (1, b"the one")
    housekeeper.report()
    wait(LIMIT * 2)
    housekeeper.report()
    assert housekeeper.is_ghost() == ""
    assert world.reported[-1].oldest == {}


def test_a_main_loop_that_has_not_turned_is_a_ghost_and_one_that_is_not_there_is_none(
    world: World, seen: LoopActivity
) -> None:
    housekeeper = keeper(world, seen)
    world.now += LIMIT + 1
    assert housekeeper.is_ghost() == "its main loop has not turned for 61 s"
    seen.has_loop = False  # between two connections
    assert housekeeper.is_ghost() == ""


def test_a_ghost_starts_anew_and_one_that_stops_does_not(
    world: World, seen: LoopActivity, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(maintenance, "restart_process", started.append)
    monkeypatch.setattr(state, "should_stop", 0)
    housekeeper = keeper(world, seen)
    world.now += LIMIT + 1
    housekeeper._watch_myself()
    assert started == []
    monkeypatch.setattr(state, "should_stop", None)
    housekeeper._watch_myself()
    assert len(started) == 1


def test_a_worker_whose_broker_takes_no_writes_waits_and_has_its_whole_time_afterwards(
    world: World, seen: LoopActivity, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(maintenance, "restart_process", started.append)
    monkeypatch.setattr(state, "should_stop", None)
    takes_writes = False
    one = MaintenanceThread(
        world.fleet,
        name="w@test",
        consumer=world.consumer,
        seen=seen,
        send=lambda entry: None,
        watch=QueueAgeTracker(world.depth),
        settle=lambda: takes_writes,
    )
    world.waiting["events"] = (1, b"the one")
    for _ in range(20):
        wait(LIMIT / 2)
        one.report()
        one._watch_myself()
    assert started == []
    takes_writes = True
    wait(LIMIT - 1)
    one.report()
    one._watch_myself()
    wait(LIMIT + 2)
    one.report()
    one._watch_myself()
    assert len(started) == 1, "one that still takes nothing a whole time later is a ghost"


def test_no_error_of_a_chore_or_of_the_watch_ends_the_housekeeping(
    world: World, seen: LoopActivity, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = keeper(world, seen)
    turns: list[str] = []

    def fail(what: str) -> None:
        turns.append(what)
        if len(turns) > 7:
            one._stop.set()
        raise AttributeError(what)

    monkeypatch.setattr(maintenance, "EVERY", 0.0)
    monkeypatch.setattr(one, "look", lambda: fail("look"))
    monkeypatch.setattr(one, "_watch_myself", lambda: fail("watch"))
    one._run()
    assert turns == ["look", "watch"] * 4
    assert one.failures == 8


def test_a_housekeeping_that_has_ended_begins_again_and_one_that_was_stopped_does_not(
    world: World, seen: LoopActivity, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = keeper(world, seen)
    begun: list[int] = []
    monkeypatch.setattr(one, "_run", lambda: begun.append(1))
    one.start()
    assert one._thread is not None
    one._thread.join()
    one.revive()
    one._thread.join()
    assert len(begun) == 2
    one._stop.set()
    one.revive()
    assert len(begun) == 2
