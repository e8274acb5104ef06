"""Each change goes to the bot that has the rights for it, and what hangs on a refusal is refused with it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from config.settings import Settings
from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from odoo_client import ChangeOutcome, ChangeStatus
from purser import Ensure, PostNote, Ref, RunOperation
from purser.changes import Change
from purser.errors import NotSetUp, Refusal, Transient
from tests.unit.workers.replaying import START, World
from workers.context import WorkerContext
from workers.controls.apply_changes import apply_changes
from workers.events import react

ORDER, MILESTONE = Ref("sale.order", 7), Ref("project.milestone", 8)
BILL = RunOperation(operation="order.draft-invoice", on=ORDER, key="order/7/invoice")
REACH = RunOperation(operation="milestone.reach", on=MILESTONE, key="milestone/8/reached")
NOTE = PostNote(on=ORDER, key="order/7/note", body="Billed")
PROJECT = Ensure(model="project.project", key="opportunity/1/project", values={"name": "P"})
TASK = Ensure(model="project.task", key="opportunity/1/task", values={"name": "T"})


class Bot:
    """Carries changes out as it is told to."""

    def __init__(self, answer: Callable[[Change], ChangeStatus | Exception] = lambda _: ChangeStatus.DONE) -> None:
        self.answer = answer
        self.given: list[list[Change]] = []

    def apply(self, changes: Sequence[Change], batch: int = 100) -> tuple[ChangeOutcome, ...]:
        self.given.append(list(changes))
        return tuple(self._outcome(one) for one in changes)

    def _outcome(self, change: Change) -> ChangeOutcome:
        answer = self.answer(change)
        if isinstance(answer, Exception):
            raise answer
        return ChangeOutcome(
            change, answer, reason="the template is gone" if answer is ChangeStatus.REFUSED else "not there"
        )

    def close(self) -> None:
        pass


@pytest.fixture
def world() -> World:
    return World()


def staffed(world: World, *, change: Bot, billing: Bot | None = None) -> WorkerContext:
    world.fleet.__dict__.update(change=change, billing=billing or Bot())
    return world.fleet


def test_what_touches_money_goes_to_the_billing_bot_and_the_order_is_kept(world: World) -> None:
    change, billing = Bot(), Bot()
    outcomes = apply_changes(staffed(world, change=change, billing=billing), [NOTE, REACH, BILL, NOTE])
    assert [one.change for one in outcomes] == [NOTE, REACH, BILL, NOTE]
    assert change.given == [[NOTE, REACH], [NOTE]]
    assert billing.given == [[BILL]]


def test_a_note_of_what_another_bot_was_refused_is_not_written(world: World) -> None:
    change, billing = Bot(), Bot(lambda _: ChangeStatus.REFUSED)
    promise = PostNote(on=ORDER, key="order/7/invoice/note", body="A draft was made", after=BILL.key)
    outcomes = apply_changes(staffed(world, change=change, billing=billing), [BILL, promise, NOTE])
    assert [one.status for one in outcomes] == [ChangeStatus.REFUSED, ChangeStatus.CONFLICT, ChangeStatus.DONE]
    assert change.given == [[NOTE]]


def test_a_billing_bot_of_its_own_is_another_user_and_none_is_the_one_that_writes(world: World) -> None:
    assert world.fleet.billing is world.fleet.change
    told = {**world.fleet.settings.to_environ(), "PURSER_ODOO_BILLING_LOGIN": "biller"}
    own = Settings.load(environ={**told, "PURSER_ODOO_BILLING_API_KEY": "its key"})
    world.fleet.__dict__.pop("billing")
    world.fleet.settings = own
    assert (world.fleet.billing.door.login, world.fleet.change.door.login) == ("biller", "bot")
    world.fleet.disconnect()


def reacting(fleet: WorkerContext, monkeypatch: pytest.MonkeyPatch, *changes: Change) -> Callable[[], Any]:
    """Return what lets an automation react that decides for these changes."""
    monkeypatch.setattr(react, "decide", lambda *_: react.AutomationDecision(changes))
    event = CloudEvent.wrap(OpportunityWon(opportunity_id=1), source="/test", time=START)
    return lambda: react.react(fleet, "open-project", event.model_dump(mode="json", exclude_none=True))


def test_a_conflict_that_hangs_on_a_refusal_is_for_people_not_for_another_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = Bot(lambda one: ChangeStatus.REFUSED if one is PROJECT else ChangeStatus.CONFLICT)
    with pytest.raises(Refusal, match="opportunity/1/project: the template is gone"):
        reacting(staffed(world, change=bot), monkeypatch, PROJECT, TASK)()


def test_a_conflict_alone_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = Bot(lambda _: ChangeStatus.CONFLICT)
    with pytest.raises(Transient, match="still in conflict"):
        reacting(staffed(world, change=bot), monkeypatch, TASK)()


def test_an_odoo_that_is_not_set_up_is_not_applicable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = Bot(lambda _: NotSetUp("this Odoo has no receipt action: run `purser odoo setup`"))
    with pytest.raises(NotSetUp):
        reacting(staffed(world, change=bot), monkeypatch, REACH)()
