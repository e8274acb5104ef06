"""Master data flows behind the bulk and has an owner; what follows from an event correlates by its trace."""

import dataclasses
import datetime as dt
from typing import Any

import pytest
import structlog

from config.policy.master_data import MasterDataOwners
from events.cloudevent import CloudEvent
from events.customer import CustomerChanged
from events.event import Event
from events.opportunity import OpportunityWon
from purser import Snapshot, automation
from purser.errors import Refusal
from purser.registry import Registry
from tests.unit.workers.replaying import CATALOGUE, World
from workers.events.publish import publish_events, queue_of
from workers.events.react import accept

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@automation("greet", on=CustomerChanged)
def greet(event: CustomerChanged, snapshot: Snapshot) -> Any:
    """A customer is greeted."""
    yield from ()


class Desk(World):
    """A fleet whose broker takes down what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        from config.policy.loader import parse_policies

        self.published: list[tuple[str, dict[str, Any]]] = []
        self.fleet.catalogue = Registry.of([*CATALOGUE.automations.values(), greet])
        self.fleet.policies = parse_policies(self.fleet.catalogue, "version: 1", source="none")
        self.fleet.publish = self._take

    def _take(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        self.published.append((task, options))

    def owned(self) -> None:
        owners = MasterDataOwners({"customer": ("/crm",)})
        self.fleet.policies = dataclasses.replace(self.fleet.policies, ownership=owners)


def event(fact: Event, source: str = "/website", **more: Any) -> dict[str, Any]:
    told = CloudEvent.wrap(fact, source=source, time=dt.datetime(2026, 11, 22, tzinfo=dt.UTC))
    return {**told.model_dump(mode="json", exclude_none=True), **more}


WON, CHANGED = OpportunityWon(opportunity_id=7), CustomerChanged(customer_id=7)


def test_master_data_flows_on_the_queue_of_the_bulk() -> None:
    desk = Desk()
    for fact in (WON, CHANGED):
        publish_events(desk.fleet, [CloudEvent.model_validate(event(fact))])
        accept(desk.fleet, event(fact), holder="m1")
    assert [(task, options["queue"]) for task, options in desk.published] == [
        ("purser.accept", "events"),
        ("purser.react", "events"),
        ("purser.accept", "apply"),
        ("purser.react", "apply"),
    ]
    assert queue_of("nobody.knows.v1") == "events"


def test_master_data_from_another_than_its_owner_is_refused_and_not_counted_as_seen() -> None:
    desk = Desk()
    desk.owned()
    told = event(CHANGED)
    with pytest.raises(Refusal, match="to /crm"):
        accept(desk.fleet, told, holder="m1")
    assert desk.published == []
    assert not desk.ledger.events.seen(told["source"], told["id"])
    assert accept(desk.fleet, event(CHANGED, source="/crm/desk"), holder="m2") == ("greet",)


def test_what_follows_from_an_event_correlates_by_its_trace() -> None:
    desk = Desk()
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        accept(desk.fleet, event(WON, traceparent=TRACEPARENT), holder="m1")
        accept(desk.fleet, event(WON, id="another"), holder="m2")
    assert [options.get("root_id") for _, options in desk.published] == [TRACE_ID, None]
    assert [line.get("correlation") for line in logs if line["event"] == "event accepted"] == [TRACE_ID, None]
