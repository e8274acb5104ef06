"""Whatever comes in is answered as described: taken as it is or turned away with a reason, never with a fault."""

import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from events.cloudevent import read_event
from events.event import known_events
from tests.unit.gateway.desk import BATCH, ENVELOPE, Desk, event, signed

DESK = Desk(PURSER_GATEWAY_RATE="1e9")


def desk() -> Desk:
    """Return the gateway as if nothing had been sent: making one takes longer than asking it."""
    DESK.sent.clear()
    return DESK


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "specversion": st.just("1.0") | values,
        "id": st.text(min_size=1, max_size=20) | values,
        "source": st.sampled_from(["/crm", "/crm/eu", "/shop"]) | values,
        "type": st.sampled_from(sorted(known_events())) | values,
        "time": st.just("2026-11-22T09:30:00+01:00") | values,
        "subject": st.text(max_size=8) | values,
        "traceparent": st.text(max_size=8),
        "data": st.dictionaries(st.sampled_from(["opportunity_id", "order_id", "closed_at"]), values, max_size=2)
        | values,
    },
)


@given(told=envelopes, change=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_an_envelope_is_taken_as_it_is_or_turned_away(told: dict[str, Any], change: bool) -> None:
    """Half of them are an event in order with something changed, so that many are taken."""
    told = {**event(), **told} if change else told

    answer = desk().send(told)

    assert answer.status_code in {202, 403, 422}
    if answer.status_code == 202:
        assert [read_event(one) for one in DESK.told] == [read_event(told)]
        assert answer.json() == {"source": told["source"], "id": told["id"], "known": False}
    else:
        assert DESK.sent == []


@given(told=st.lists(st.builds(event, id=st.sampled_from("abc"), source=st.sampled_from(["/crm", "/crm/eu"]))))
@settings(max_examples=40)
def test_of_a_batch_each_identity_is_sent_once(told: list[dict[str, Any]]) -> None:
    answer = desk().send(told, content_type=BATCH)

    names = [(one["source"], one["id"]) for one in told]
    assert [(one["source"], one["id"]) for one in DESK.told] == list(dict.fromkeys(names))
    assert [(one["source"], one["id"]) for one in answer.json()["events"]] == names


@given(body=st.binary(max_size=60), kind=st.sampled_from([ENVELOPE, BATCH]))
@settings(max_examples=60)
def test_no_bytes_are_a_fault(body: bytes, kind: str) -> None:
    assert desk().post("/events", body, signed(body, content_type=kind)).status_code in {202, 422}


SCHEMA = schemathesis.openapi.from_dict(DESK.app.openapi())


@SCHEMA.parametrize()
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_is_described(case: Any) -> None:
    given_ = case.as_transport_kwargs(base_url="http://gateway")
    body = given_.get("data") or (json.dumps(given_["json"]).encode() if "json" in given_ else b"")
    body = body if isinstance(body, bytes) else b""
    headers = {**given_["headers"], **signed(body)} if case.path == "/events" else given_["headers"]

    answer = DESK.ask(given_["method"], given_["url"], content=body, headers=headers, params=given_.get("params"))

    case.validate_response(
        answer,
        checks=[
            schemathesis.checks.not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
