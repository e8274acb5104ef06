"""What a sender wants to be called after its task is published, or is a letter of its own: the outcome stands."""

import json
from collections.abc import Callable
from typing import Any

import celery
import pytest
import redis

from tests.unit.workers.replaying import World
from workers.runtime.callbacks import NOT_SENT
from workers.runtime.control_flow import SendToDeadLetters
from workers.runtime.task import FleetTask


def signature(task: str, **options: Any) -> dict[str, Any]:
    return {"task": task, "args": ["own"], "kwargs": {}, "options": options, "subtask_type": None, "immutable": False}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def run(world: World, redis_url: str) -> Callable[..., Any]:
    """Return what runs a task that ends so and has these callbacks."""

    def run_one(end: object, **callbacks: Any) -> Any:
        app = celery.Celery("test", task_cls=FleetTask, set_as_current=False, broker=redis_url)
        app.conf.update(task_create_missing_queues=False, task_queues={"events": {}}, task_default_queue="events")
        app.finalized = True  # without the tasks that other tests share with every application
        app.fleet = world.fleet

        def body() -> object:
            if isinstance(end, Exception):
                raise end
            return end

        task: Any = app.task(name="purser.test", shared=False)(body)
        task.push_request(id="m1", headers={}, delivery_info={"routing_key": "events"}, **callbacks)
        try:
            return task()
        finally:
            task.pop_request()

    return run_one


def sent(redis_url: str, queue: str) -> list[str]:
    with redis.Redis.from_url(redis_url) as client:
        return [json.loads(raw)["headers"]["task"] for raw in client.lrange(queue, 0, -1)]


def test_callbacks_are_published_to_queues_that_the_fleet_does_not_know(
    run: Callable[..., Any], world: World, redis_url: str
) -> None:
    link, following = signature("website.told", queue="website"), signature("website.next", queue="website")
    assert run("done", callbacks=[link], chain=[following]) == "done"
    assert sorted(sent(redis_url, "website")) == ["website.next", "website.told"]
    assert world.ledger.letters.count() == 0


def test_a_failed_task_keeps_its_own_error_and_calls_its_errback(run: Callable[..., Any], redis_url: str) -> None:
    with pytest.raises(SendToDeadLetters, match="the true fault"):
        run(ValueError("the true fault"), errbacks=[signature("website.failed", queue="website")])
    assert sent(redis_url, "website") == ["website.failed"]


def test_a_callback_that_cannot_be_published_is_a_letter_of_its_own(run: Callable[..., Any], world: World) -> None:
    assert run("done", callbacks=[signature("website.told", queue="website", countdown="x")]) == "done"
    (letter,) = world.ledger.letters.page().items
    assert (letter.task, letter.queue, letter.reason) == ("website.told", "website", NOT_SENT)
    assert json.loads(letter.body) == [["done", "own"], {}, {}]


def test_a_chord_is_a_letter_that_says_what_is_not_supported(run: Callable[..., Any], world: World) -> None:
    assert run("done", chord=signature("website.all", queue="website")) == "done"
    (letter,) = world.ledger.letters.page().items
    assert "a chord waits for results" in letter.message
