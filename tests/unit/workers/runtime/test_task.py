"""A task tells the replay that sent its message how it ended, and no other."""

from collections.abc import Callable
from typing import Any

import celery
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from structlog.testing import capture_logs

from purser.errors import NotSetUp, PurserError, Refusal, Snooze, Transient
from store import DelayKind, LetterOutcome
from tests.unit.workers.replaying import World
from workers.dead_letters.replay_one import PART_OF
from workers.events.refusal_handling import RetryOutcome, retry
from workers.runtime.control_flow import RetryLater, SendToDeadLetters
from workers.runtime.task import FleetTask


class Told:
    """What a replay was told."""

    def __init__(self) -> None:
        self.problem: PurserError | None = None
        self.calls: list[tuple[str, str, int, LetterOutcome]] = []

    def tell(self, replay_id: str, letter_id: str, replays: int, ending: LetterOutcome) -> bool:
        if self.problem is not None:
            raise self.problem
        self.calls.append((replay_id, letter_id, replays, ending))
        return True


Run = Callable[..., Any]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def run(told: Told, world: World) -> Run:
    """Return what runs a task that ends so, under these headers."""
    world.ledger.__dict__["replaying"] = told

    def run_one(end: object, **headers: str) -> Any:
        app = celery.Celery("test", task_cls=FleetTask, set_as_current=False)
        app.fleet = world.fleet

        def body() -> object:
            if isinstance(end, Exception):
                raise end
            return end

        task: Any = app.task(name="purser.test")(body)
        task.push_request(id="m1", headers=headers, delivery_info={"routing_key": "events"})
        return task()

    return run_one


MARKED = {PART_OF: "r1/3"}


def test_it_tells_that_its_work_is_done(run: Run, told: Told) -> None:
    assert run({"done": 3, "refused": 0}, **MARKED) == {"done": 3, "refused": 0}
    assert told.calls == [("r1", "m1", 3, LetterOutcome.DONE)]


@pytest.mark.parametrize(
    "end", [{"done": 3, "refused": 1}, Refusal("the order is locked"), NotSetUp("Odoo is not set up")]
)
def test_it_tells_that_something_was_refused(run: Run, told: Told, end: object) -> None:
    run(end, **MARKED)
    assert told.calls == [("r1", "m1", 3, LetterOutcome.REFUSED)]


def test_what_odoo_is_not_set_up_for_waits_in_the_list_and_can_be_sent_again(run: Run, world: World) -> None:
    run(NotSetUp("this Odoo has no receipt action: run `purser odoo setup`"))
    (entry,) = world.ledger.refusals.page().items
    assert (entry.id, "purser odoo setup" in entry.why) == ("m1", True)
    sent: list[str] = []
    world.fleet.publish = lambda task, kwargs, *, label, **options: sent.append(f"{task} {options['task_id']}")
    assert retry(world.fleet, "m1", who="ada", note="set up").ending is RetryOutcome.SENT
    assert sent == ["purser.test m1"]
    assert world.ledger.refusals.page().items == ()


def test_a_message_of_no_replay_tells_nobody(run: Run, told: Told) -> None:
    run({"done": 3})
    assert told.calls == []


@pytest.mark.parametrize("end", [Snooze("paused: all", after=5), Transient("away")])
def test_what_comes_back_later_has_not_ended(run: Run, told: Told, end: Exception) -> None:
    with pytest.raises(RetryLater):
        run(end, **MARKED)
    assert told.calls == []


def test_what_cannot_be_told_now_is_done_again(run: Run, told: Told) -> None:
    told.problem = Transient("the ledger is away")
    with pytest.raises(RetryLater) as later:
        run({"done": 3}, **MARKED)
    assert later.value.kind is DelayKind.RETRY


def test_a_scan_that_is_too_long_at_every_slot_is_reported_once_and_makes_no_letters(
    world: World, told: Told
) -> None:
    world.ledger.__dict__["replaying"] = told
    app = celery.Celery("test", task_cls=FleetTask, set_as_current=False)
    app.fleet = world.fleet
    app.conf.task_soft_time_limit = 240

    def scan(control: str) -> None:
        raise SoftTimeLimitExceeded

    task: Any = app.task(name="purser.scan")(scan)
    with capture_logs() as logs:
        for slot in range(3):
            task.push_request(id=f"s{slot}", headers={}, delivery_info={"routing_key": "scans"})
            assert task(control="unbilled-work") is None
    (alarm,) = [one for one in logs if one["log_level"] == "error"]
    assert "scan unbilled-work did not end within 240 s" in alarm["problem"]
    assert "PURSER_TASK_SOFT_TIME_LIMIT" in alarm["what_to_do"]

    task.push_request(id="s4", headers=MARKED, delivery_info={"routing_key": "scans"})
    with pytest.raises(SendToDeadLetters):
        task(control="unbilled-work")
