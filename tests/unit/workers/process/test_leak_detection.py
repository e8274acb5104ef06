"""A message that is held and not worked on goes back, and a place of the pool that nobody has is free again."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state
from kombu.asynchronous.semaphore import LaxBoundedSemaphore
from structlog.testing import capture_logs

from workers.process import leak_detection
from workers.process.leak_detection import LOOK_EVERY, LeakDetector

LEASE = 15.0


class Message:
    def __init__(self, tag: str) -> None:
        self.delivery_tag, self.acknowledged = tag, False


class Request:
    """A request as the worker keeps it."""

    def __init__(self, tag: str) -> None:
        self._message = Message(tag)
        self.acknowledged = self.is_running = False


class World:
    """A worker with two places, what it holds, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.requests: list[Request] = []
        self.running: set[Request] = set()
        self.back: list[str] = []
        self.semaphore = LaxBoundedSemaphore(2)
        self.jobs: dict[int, object] = {}
        self.held: dict[str, Message] = {}

    @property
    def consumer(self) -> Any:
        return SimpleNamespace(
            controller=SimpleNamespace(semaphore=self.semaphore),
            pool=SimpleNamespace(num_processes=2, _pool=SimpleNamespace(_cache=self.jobs)),
            task_consumer=SimpleNamespace(channel=SimpleNamespace(qos=SimpleNamespace(_delivered=self.held))),
        )

    def give_back(self, message: Message) -> None:
        self.back.append(message.delivery_tag)
        self.held.pop(message.delivery_tag, None)


Look = Callable[[float], LeakDetector]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    monkeypatch.setattr(leak_detection, "requests_here", lambda: made.requests)
    monkeypatch.setattr(leak_detection, "give_back", made.give_back)
    monkeypatch.setattr(state, "reserved_requests", made.requests)
    monkeypatch.setattr(state, "active_requests", made.running)
    monkeypatch.setattr(state, "task_ready", made.requests.remove)
    return made


@pytest.fixture
def look(world: World) -> Look:
    """Let time pass while the worker looks again and again."""
    one = LeakDetector(world.consumer, lease=LEASE)

    def pass_(seconds: float) -> LeakDetector:
        for _ in range(int(seconds / LOOK_EVERY) + 1):
            world.now += LOOK_EVERY
            one.look()
        return one

    return pass_


def test_a_message_that_nobody_runs_although_there_is_room_goes_back(world: World, look: Look) -> None:
    lost = Request("h/1")
    world.requests.append(lost)
    world.semaphore.value = 0
    world.jobs |= {1: object(), 2: object()}
    world.semaphore.acquire(lambda request: None, lost)
    look(LEASE - 4)
    assert world.back == []
    with capture_logs() as logged:
        found = look(8)
    assert world.back == ["h/1"]
    assert lost.acknowledged
    assert world.requests == []
    assert list(world.semaphore._waiting) == [], "it is not run here any more"
    assert (found.mended, logged[0]["log_level"]) == (1, "error")


def test_a_message_that_waits_while_all_places_are_taken_stays(world: World, look: Look) -> None:
    world.requests.append(Request("h/1"))
    world.running |= {Request("h/2"), Request("h/3")}
    world.semaphore.value = 0
    world.jobs |= {1: object(), 2: object()}
    assert look(LEASE * 4).stuck == 0
    assert world.back == []
    world.running.pop()
    look(LEASE - 4)
    assert world.back == [], "its time begins when there is room"


def test_a_message_of_which_the_worker_knows_nothing_goes_back(world: World, look: Look) -> None:
    world.held["h/9"] = Message("h/9")
    look(LEASE + 4)
    assert world.back == ["h/9"]


def test_what_is_running_or_done_is_left_alone(world: World, look: Look) -> None:
    runs, done = Request("h/1"), Request("h/2")
    runs.is_running = done.acknowledged = True
    world.requests += [runs, done]
    world.held |= {"h/1": runs._message, "h/2": done._message}
    assert look(LEASE * 4).mended == 0


def test_places_that_nobody_has_are_free_again_and_those_who_wait_are_next(world: World, look: Look) -> None:
    world.semaphore.value = 0
    begun: list[str] = []
    world.semaphore.acquire(begun.append, "the one that waits")
    world.jobs[1] = object()  # one place is taken, the other was lost
    look(LEASE - 4)
    assert begun == []
    found = look(8)
    assert begun == ["the one that waits"]
    assert found.mended == 1


def test_places_that_are_taken_are_not_freed(world: World, look: Look) -> None:
    world.semaphore.value = 0
    world.jobs |= {1: object(), 2: object()}
    assert look(LEASE * 4).mended == 0
    assert world.semaphore.value == 0


def test_a_pool_without_places_to_count_is_left_alone(world: World) -> None:
    consumer = world.consumer
    consumer.controller.semaphore = None
    LeakDetector(consumer, lease=LEASE).look()
