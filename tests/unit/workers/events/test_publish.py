"""What follows from a reaction is told once its changes are there, under an identity that makes it the same again."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import fakeredis
import pytest

from config.policy.loader import load_policies
from config.settings import Settings
from devtools.fake_odoo import FakeOdoo
from events.billing import BillingReady, InvoicePosted
from events.cloudevent import CloudEvent
from events.event import Event
from events.project import MilestoneApproved
from purser import Automation, Change, PostNote, Ref, Registry, Snapshot, automation
from purser.engine.predictions import PredictedOutcome
from purser.errors import ConfigurationError, Permanent, Refusal
from store import DeadLetter, Ledger
from tests.unit.workers.dead_letters.test_replay_preview import dead
from workers.context import WorkerContext
from workers.dead_letters.replay_preview import predict, preview_replay
from workers.events import react

MOMENT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
EVENT = MilestoneApproved(milestone_id=7)
READY = BillingReady(order_id=4, cause="milestone/7")
PARTNER = Ref("res.partner", 1)


def on_milestone(*yielded: Any, tells: tuple[type[Event], ...] = (BillingReady,)) -> Automation:
    def follow(event: MilestoneApproved, snapshot: Snapshot) -> Iterator[Change | BillingReady]:
        """Something follows."""
        yield from yielded

    partners = ("res.partner",)
    return automation("follow", on=MilestoneApproved, tells=tells, writes=partners, notes_on=partners)(follow)


@pytest.fixture
def twin() -> Iterator[FakeOdoo]:
    with FakeOdoo() as made:
        yield made


class House:
    """A fleet with one automation, and what it puts on its queue."""

    def __init__(self, twin: FakeOdoo, reaction: Automation) -> None:
        environ = {
            "PURSER_ODOO_URL": twin.url,
            "PURSER_ODOO_DB": twin.db,
            "PURSER_ODOO_LOGIN": "admin",
            "PURSER_ODOO_API_KEY": twin.admin_key,
        }
        declared = Registry.of([reaction])
        settings = Settings.load(need={"odoo"}, environ=environ)
        self.sent: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.fleet = WorkerContext(
            settings, declared, load_policies(declared), self._publish, lambda _: None, lambda: MOMENT
        )
        ledger = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), now=lambda: MOMENT)
        self.fleet.__dict__["ledger"] = ledger

    def react(self) -> Any:
        told = CloudEvent.wrap(EVENT, source="/x", time=MOMENT).model_dump(mode="json", exclude_none=True)
        return react.react(self.fleet, "follow", told)

    def plan(self) -> Any:
        told = CloudEvent.wrap(EVENT, source="/x", time=MOMENT).model_dump(mode="json", exclude_none=True)
        letter: DeadLetter = dead("purser.react", {"automation": "follow", "event": told})
        (found,) = preview_replay(self.fleet, [letter]).letters
        return found

    def _publish(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        self.sent.append((task, kwargs, options))


Open = Callable[[Automation], House]


@pytest.fixture
def open_house(twin: FakeOdoo) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_(reaction: Automation) -> House:
            house = House(twin, reaction)
            stack.callback(house.fleet.disconnect)
            return house

        yield open_


def test_a_fact_that_follows_is_told_after_the_changes_and_again_as_the_same_message(
    twin: FakeOdoo, open_house: Open
) -> None:
    house = open_house(on_milestone(READY, PostNote(on=PARTNER, key="a/note", body="x")))
    house.react()
    house.react()
    (task, kwargs, options), (_, again, the_same) = house.sent
    assert task == "purser.accept"
    assert (kwargs["event"]["source"], kwargs["event"]["id"]) == ("/purser", READY.identity)
    assert (kwargs, options) == (again, the_same)
    assert twin.rows("mail.message", [["body", "=", "<p>x</p>"]], ["body"])


def test_nothing_is_told_of_what_was_refused(open_house: Open) -> None:
    gone = PostNote(on=Ref("res.partner", 10**6), key="a/note", body="x")
    house = open_house(on_milestone(gone, READY))
    assert house.react().refused == 1
    assert house.sent == []


def test_a_fact_that_is_not_declared_is_a_mistake_of_the_automation(open_house: Open) -> None:
    with pytest.raises(Permanent, match=r"`follow` tells billing.ready.v1, which its `tells` does not name"):
        open_house(on_milestone(READY, tells=(InvoicePosted,))).react()


def test_a_preview_and_a_plan_say_what_would_be_told(open_house: Open) -> None:
    house = open_house(on_milestone(READY))
    (shown,) = predict(house.fleet, react.decide(house.fleet, house.fleet.catalogue.automation("follow"), EVENT))
    assert (shown.kind, shown.fate, shown.why) == ("tell", PredictedOutcome.APPLY, "tells billing.ready.v1")
    assert [(field.field, field.then) for field in shown.fields] == [("order_id", 4), ("cause", "milestone/7")]
    planned = house.plan()
    assert (planned.fate, planned.why) == (PredictedOutcome.APPLY, "tells billing.ready.v1")
    assert house.sent == []


def test_a_plan_says_what_an_automation_would_refuse(open_house: Open) -> None:
    def follow(event: MilestoneApproved, snapshot: Snapshot) -> Iterator[Change]:
        """Nothing follows."""
        if event == EVENT:
            raise Refusal("there is no evidence")
        yield from ()

    house = open_house(automation("follow", on=MilestoneApproved)(follow))
    assert (house.plan().fate, house.plan().why) == (PredictedOutcome.REFUSED, "there is no evidence")


def test_facts_that_lead_to_themselves_stop_the_start() -> None:
    def back(event: BillingReady, snapshot: Snapshot) -> Iterator[Change | MilestoneApproved]:
        """It goes round."""
        yield from ()

    back_again = automation("back", on=BillingReady, tells=(MilestoneApproved,))(back)
    with pytest.raises(ConfigurationError, match="in a circle"):
        Registry.of([on_milestone(), back_again])
