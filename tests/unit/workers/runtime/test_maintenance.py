"""Each worker takes replays further beside its tasks, and hands them on when it stops."""

from typing import Any

import pytest

from tests.unit.workers.replaying import World
from workers.runtime.maintenance import LoopActivity, MaintenanceThread, QueueAgeTracker


@pytest.fixture
def world() -> World:
    return World()


def housekeeper(world: World, name: str) -> MaintenanceThread:
    consumer: Any = None
    watch = QueueAgeTracker(lambda queue: (0, None))
    return MaintenanceThread(
        world.fleet, name=name, consumer=consumer, seen=LoopActivity(), send=lambda entry: None, watch=watch
    )


def test_it_takes_every_replay_a_step_further(world: World) -> None:
    replays = [world.start(world.die(1, first=n)) for n in range(3)]
    housekeeper(world, "w1@host").advance_replays()
    assert [world.ledger.replays.get(replay.id).sent for replay in replays] == [1, 1, 1]  # type: ignore[union-attr]


def test_a_replay_that_cannot_be_read_holds_up_no_other(world: World) -> None:
    broken, sound = (world.start(world.die(1, first=n)) for n in range(2))
    store = world.ledger.letters._store
    store.client.hset(store.key("replay", broken.id), "created", "yesterday")
    housekeeper(world, "w1@host").advance_replays()
    assert [letter.id for letter in world.queue] == ["m001"]
    assert world.ledger.replays.get(sound.id).sent == 1  # type: ignore[union-attr]


def test_a_worker_that_stops_lets_the_next_go_on_at_once(world: World) -> None:
    replay = world.start(world.die(2))
    first, second = housekeeper(world, "w1@host"), housekeeper(world, "w1@host")
    first.advance_replays()
    world.work()
    for _ in range(3):
        second.advance_replays()
    assert len(world.sent) == 1, "even under the same name it is another worker"
    first.stop()
    for _ in range(3):
        world.pass_(seconds=0.5)
        second.advance_replays()
    assert len(world.sent) == 2
    assert world.ledger.replays.get(replay.id).sent == 2  # type: ignore[union-attr]
