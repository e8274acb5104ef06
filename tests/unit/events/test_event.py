"""What is no event is refused with the place and the reason, and never with the values."""

import datetime as dt
import json
from typing import Any

import pytest

from events.cloudevent import MAX_BYTES, CloudEvent, read_event
from events.event import known_events
from events.opportunity import OpportunityWon
from purser.errors import Permanent

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


def raw(**changed: Any) -> dict[str, Any]:
    event = CloudEvent.wrap(OpportunityWon(opportunity_id=42), id="e-1", source="crm", time=NOW)
    return {**event.model_dump(mode="json", exclude_none=True), **changed}


def test_a_fact_survives_its_envelope() -> None:
    envelope, fact = read_event(raw())
    assert fact == OpportunityWon(opportunity_id=42)
    assert (envelope.id, envelope.source, envelope.type) == ("e-1", "crm", "opportunity.won.v1")


def test_bytes_are_read_like_values() -> None:
    assert read_event(json.dumps(raw()).encode())[1] == OpportunityWon(opportunity_id=42)


def test_every_fact_is_known_by_its_wire_name() -> None:
    assert known_events()["opportunity.won.v1"] is OpportunityWon


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (raw(type="opportunity.wonn.v1"), "Did you mean `opportunity.won.v1`"),
        (raw(specversion="0.3"), "specversion"),
        (raw(id=""), "id"),
        (raw(data={"opportunity_id": 0}), "opportunity_id: Input should be greater than 0"),
        (raw(data={"opportunity_id": 1, "x": 1}), "x: Extra inputs are not permitted"),
        (raw(data=[1]), "data"),
        ({}, "not a CloudEvent"),
        (b"\xff", "not JSON"),
        ("[" * 10, "not JSON"),
        ("x" * (MAX_BYTES + 1), "send ids, not documents"),
    ],
)
def test_what_is_no_event_is_refused_with_place_and_reason(event: Any, said: str) -> None:
    with pytest.raises(Permanent) as caught:
        read_event(event)
    assert said in str(caught.value)


def test_a_refusal_names_no_values() -> None:
    with pytest.raises(Permanent) as caught:
        read_event(raw(data={"opportunity_id": "ada@example.com"}))
    assert "ada@" not in str(caught.value)
