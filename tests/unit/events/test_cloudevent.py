"""An envelope is read by rule, and whatever comes instead of one is refused in one way."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.cloudevent import MAX_EXTENSIONS, read_event
from events.event import known_events
from purser.errors import Permanent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WON: dict[str, Any] = {
    "specversion": "1.0",
    "id": "w-1",
    "source": "/crm",
    "type": "opportunity.won.v1",
    "data": {"opportunity_id": 4},
}


@pytest.mark.parametrize(
    "more",
    [
        {"traceparent": TRACE},
        {"partitionkey": "k", "sequence": 7, "urgent": True, "comexampleother": "Ü\u3042"},
        {"datacontenttype": "application/json; charset=utf-8"},
        {"datacontenttype": "application/vnd.firm.won+json"},
        {"dataschema": "https://example.com/won.json", "subject": "crm.lead/4"},
        {"time": None, "subject": None, "traceparent": None, "nothing": None},
    ],
)
def test_what_the_rules_allow_is_kept_and_travels_on(more: dict[str, Any]) -> None:
    envelope, _ = read_event({**WON, **more})
    told = envelope.model_dump(mode="json", exclude_none=True)
    assert {**WON, **{name: value for name, value in more.items() if value is not None}}.items() <= told.items()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"id": "a\nb"}, "id: Value error, it holds a control character"),
        ({"id": "a\ud800"}, "id: "),
        ({"source": "/\ufffe"}, "source: "),
        ({"id": "x" * 201}, "id: String should have at most 200 characters"),
        ({"subject": "x" * 301}, "subject"),
        ({"time": "2026-11-22T09:30:00"}, "write a moment with its zone"),
        ({"time": 1764000000}, "write a moment with its zone"),
        ({"time": "9999-12-31T23:59:59-14:00"}, "outside of the calendar"),
        ({"datacontenttype": "text/xml"}, "data travels as JSON"),
        ({"data_base64": "e30="}, "it has both data and data_base64"),
        ({"data": None, "data_base64": "e30=", "datacontenttype": "image/png"}, "data_base64: only JSON is read"),
        ({"data": None, "data_base64": "e30"}, "data_base64: it is not base64"),
        ({"data": None, "data_base64": 7}, "data_base64: it is not base64"),
        ({"data": None, "data_base64": "\u0661"}, "data_base64: it is not base64"),
        ({"data": None, "data_base64": "e30="}, "opportunity_id: Field required"),
        ({"data": None, "data_base64": "bm8="}, "data_base64: what it holds is not JSON"),
        ({"data": None, "data_base64": "eyJhIjoxLCJhIjoyfQ=="}, "it says `a` twice"),
        ({"data": None, "data_base64": "WzFd"}, "data: Input should be a valid dictionary"),
        ({"Urgent": "1"}, "`Urgent` is no attribute"),
        ({"x" * 41: "1"}, "is no attribute"),
        ({"urgent": 1.5}, "`urgent`: an extension is"),
        ({"urgent": 2**31}, "`urgent`: an extension is"),
        ({"urgent": {"a": 1}}, "`urgent`: an extension is"),
        ({"urgent": "a\x00"}, "`urgent`: an extension is"),
        ({"urgent": "x" * 1001}, "`urgent`: an extension is"),
        ({f"x{n}": n for n in range(MAX_EXTENSIONS + 1)}, "21 extension attributes"),
        ({"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}, "traceparent: "),
        ({"traceparent": TRACE.upper()}, "traceparent: "),
        ({"data": {"opportunity_id": True}}, "opportunity_id"),
        ({"data": {"opportunity_id": 2**31}}, "opportunity_id"),
        ({"data": {"opportunity_id": 4, **{f"f{n}": n for n in range(99)}}}, "and 94 more"),
    ],
)
def test_what_the_rules_do_not_allow_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(Permanent) as caught:
        read_event({**WON, **more})
    assert said in str(caught.value)
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-30T21:40:00.123456789Z", "2026-11-30T21:40:00.123456Z"),  # Go
        ("2026-11-30T21:40:00.1234567+00:00", "2026-11-30T21:40:00.123456Z"),  # .NET
        ("2026-11-30T23:40:00.123456789+02:00", "2026-11-30T21:40:00.123456Z"),  # Java
        ("2026-11-30T21:40:00.123Z", "2026-11-30T21:40:00.123000Z"),  # JavaScript
        ("2026-11-30t21:40:00z", "2026-11-30T21:40:00Z"),
        ("2026-11-30T21:40:00.9999999Z", "2026-11-30T21:40:00.999999Z"),
        ("2026-11-30T21:40:00." + "1" * 60_000 + "Z", "2026-11-30T21:40:00.111111Z"),
        ("2026-11-30T21:40:00.5-00:00", "2026-11-30T21:40:00.500000Z"),
        ("2026-11-30T21:40:00-23:59", "2026-12-01T21:39:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2017-01-01T08:59:60.25+09:00", "2016-12-31T23:59:59.250000Z"),
    ],
)
def test_a_time_is_read_as_rfc_3339_has_it_and_kept_to_the_microsecond(written: str, read: str) -> None:
    event = {**WON, "time": written, "data": {"opportunity_id": 4, "closed_at": written}}

    for raw in (event, json.dumps(event)):
        envelope, fact = read_event(raw)
        assert envelope.model_dump(mode="json")["time"] == read
        assert fact.model_dump(mode="json")["closed_at"] == read


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2026-11-22T09:30:60Z", "there is one only at 23:59 UTC"),
        ("2026-11-22T23:59:60+01:00", "there is one only at 23:59 UTC"),
        ("2026-11-22T09:30:61Z", "not in the calendar"),
        ("2026-02-30T09:30:00Z", "not in the calendar"),
        ("0000-01-01T00:00:00Z", "not in the calendar"),
        ("2026-11-22T09:30:00.Z", "as RFC 3339 has it"),
        ("2026-11-22T09:30:00+24:00", "as RFC 3339 has it"),
        ("2026-11-22T09:30:00+01:60", "as RFC 3339 has it"),
        ("2026-11-22 09:30:00Z", "as RFC 3339 has it"),
        ("２026-11-22T09:30:00Z", "as RFC 3339 has it"),
    ],
)
def test_a_time_that_is_none_is_refused_with_what_is_wrong(written: str, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        read_event({**WON, "time": written})


def test_a_name_that_stands_twice_is_refused_rather_than_read_as_one_of_them() -> None:
    with pytest.raises(Permanent, match="says `id` twice"):
        read_event(json.dumps(WON)[:-1] + ', "id": "w-2"}')


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000, '"\\ud800"', "\x00"])
def test_what_json_has_no_form_for_is_refused(text: str) -> None:
    raw = json.dumps(WON).replace("4", text)
    with pytest.raises(Permanent, match="not JSON"):
        read_event(raw)


@pytest.mark.parametrize(
    "kind", [{}, {"datacontenttype": None}, {"datacontenttype": "application/vnd.firm.won+json"}]
)
def test_data_that_came_as_base64_of_json_is_decoded_and_travels_as_data(kind: dict[str, Any]) -> None:
    event = {name: value for name, value in WON.items() if name != "data"}

    envelope, fact = read_event({**event, **kind, "data_base64": "eyJvcHBvcnR1bml0eV9pZCI6NH0="})

    assert fact == read_event(WON)[1]
    assert envelope.model_dump(mode="json")["data"] == WON["data"]
    assert not envelope.model_extra


def test_a_byte_order_mark_before_an_event_is_skipped() -> None:
    assert read_event(b"\xef\xbb\xbf" + json.dumps(WON).encode()) == read_event(WON)


def test_an_event_knows_its_trace() -> None:
    assert read_event({**WON, "traceparent": TRACE})[0].trace == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert read_event(WON)[0].trace is None


ANYTHING = st.characters(exclude_categories=[])  # halves of characters too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(ANYTHING, max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(ANYTHING, max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*WON, "time", "subject", "datacontenttype", "dataschema", "traceparent", "urgent", "Ä"])
TYPES = st.sampled_from([*known_events(), "opportunity.won.v9"])
FIELDS = st.sampled_from(sorted({name for fact in known_events().values() for name in fact.model_fields}))


@given(JSON | st.dictionaries(NAMES, JSON, max_size=8) | st.text(ANYTHING) | st.binary())
@example(json.loads('{"id": "\\ud800"}'))
@example({"type": "opportunity.won.v1", "id": "1", "source": "x", "data": {"\ud800": 1}})
def test_nothing_but_permanent_rises_from_reading_anything(raw: Any) -> None:
    with suppress(Permanent):
        read_event(raw)


@given(TYPES, st.dictionaries(FIELDS, JSON, max_size=3), st.dictionaries(NAMES, JSON, max_size=3), st.booleans())
def test_nothing_but_permanent_rises_from_reading_what_is_almost_an_event(
    name: str, data: dict[str, Any], more: dict[str, Any], as_text: bool
) -> None:
    event = {**WON, "type": name, "data": data, **more}
    with suppress(Permanent):
        envelope, fact = read_event(json.dumps(event) if as_text else event)
        assert fact.type == envelope.type
        json.dumps(envelope.model_dump(mode="json"), ensure_ascii=False).encode()


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"data":' * 5_000, '{"a":[' * 900 + "]}" * 900])
def test_what_is_nested_deeply_is_no_event(deep: str) -> None:
    with pytest.raises(Permanent):
        read_event(deep)
