"""Bytes become a task message whose every part has the right type, or a dead letter: there is no other way in."""

import datetime as dt
import json
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from workers.broker.kombu_envelope import read_envelope, value_problem
from workers.broker.task_message import UnreadableMessage, read_task_message, replace_content
from workers.dead_letters.letter_factory import letter

NOW = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)


def message(headers: Any, body: Any, content_type: str = "application/json", encoding: str = "utf-8") -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return SimpleNamespace(headers=headers, body=raw, content_type=content_type, content_encoding=encoding)


def protocol_2(body: Any = None, **headers: Any) -> Any:
    return message({"task": "purser.look", "id": "m1", **headers}, [[], {}, {}] if body is None else body)


def protocol_1(**changed: Any) -> Any:
    body = {"task": "purser.look", "id": "m1", "args": [], "kwargs": {}, "retries": 0, "eta": None, "expires": None}
    return message({}, {**body, "utc": True, "timelimit": [None, None], "taskset": None, **changed})


WRONG: list[tuple[str, Any]] = [
    ("id", 7),
    ("id", []),
    ("id", ""),
    ("id", "x" * 256),
    ("id", "a\nb"),
    ("task", 7),
    ("task", "x" * 1_000_000),
    ("retries", "x"),
    ("retries", -1),
    ("retries", 10**30),
    ("retries", True),
    ("eta", []),
    ("eta", "tomorrow"),
    ("eta", "0001-01-01T00:00:00+14:00"),
    ("expires", {}),
    ("expires", 7),
    ("timelimit", 7),
    ("timelimit", ["a", "b"]),
    ("timelimit", ["1", None]),
    ("timelimit", [1e308, 1e308]),
    ("timelimit", [-1, None]),
    ("timelimit", [1, 2, 3]),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_header_of_a_wrong_type_or_range_is_refused_in_both_protocols(name: str, value: Any) -> None:
    for sent in (protocol_2(**{name: value}), protocol_1(**{name: value})):
        with pytest.raises(UnreadableMessage, match=f"`{name}`"):
            read_task_message(sent)


@pytest.mark.parametrize("header", ["group", "root_id", "parent_id", "stamped_headers", "stamps"])
def test_other_headers_of_celery_are_checked(header: str) -> None:
    with pytest.raises(UnreadableMessage, match=header):
        read_task_message(protocol_2(**{header: 7}))


@pytest.mark.parametrize("name", ["callbacks", "errbacks", "chord"])
@pytest.mark.parametrize("value", [7, "x", [7]])
def test_what_is_to_be_called_is_checked_in_both_protocols(name: str, value: Any) -> None:
    for sent in (protocol_2([[], {}, {name: value}]), protocol_1(**{name: value})):
        with pytest.raises(UnreadableMessage, match=name):
            read_task_message(sent)


@pytest.mark.parametrize("body", [{"x": 1}, [1, 2], [[], [], {}], [{}, {}, {}], [[], {}, 7], 7, "x", None, [], {}])
def test_a_body_of_another_shape_is_refused(body: Any) -> None:
    with pytest.raises(UnreadableMessage):
        read_task_message(message({"task": "purser.look", "id": "m1"}, json.dumps(body).encode()))


@pytest.mark.parametrize("args", [7, "x", {"a": 1}])
def test_arguments_of_protocol_1_are_checked(args: Any) -> None:
    with pytest.raises(UnreadableMessage):
        read_task_message(protocol_1(args=args))
    with pytest.raises(UnreadableMessage):
        read_task_message(protocol_1(kwargs=[1]))


@pytest.mark.parametrize("body", [b'[[],{"a":1,"a":2},{}]', b'[[{"id":"e","x":{"n":1,"n":1}}],{},{}]'])
def test_a_name_that_stands_twice_in_a_body_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableMessage, match=r"the body is not JSON: it says `[an]` twice"):
        read_task_message(message({"task": "events.accept", "id": "m"}, body))


@pytest.mark.parametrize("deep", [150, 900, 100_000])
def test_nesting_that_pickle_cannot_hold_is_refused(deep: int) -> None:
    nested = b"[" * deep + b"]" * deep
    for sent in (
        message({"task": "t", "id": "m1"}, b'[[], {"a": ' + nested + b"}, {}]"),
        message({}, b'{"task": "t", "id": "m1", "args": [], "kwargs": {"a": ' + nested + b"}}"),
    ):
        with pytest.raises(UnreadableMessage, match=r"cannot be (passed on|decoded)"):
            read_task_message(sent)


@pytest.mark.parametrize("value", [b'"\\ud800"', b"1e400", b"NaN", b"-Infinity"])
def test_text_and_numbers_that_cannot_be_passed_on_are_refused(value: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        read_task_message(message({"task": "t", "id": "m1"}, b'[[], {"a": ' + value + b"}, {}]"))
    assert value_problem({json.loads('"\\udc00"'): 1}) == "a text holds half of a surrogate pair"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [("application/x-python-serialize", "binary"), ("text/plain", "utf-8"), ("application/json", "punycode")],
)
def test_what_is_no_json_in_utf_8_is_not_decoded(content_type: str, encoding: str) -> None:
    with pytest.raises(UnreadableMessage, match="send JSON"):
        read_task_message(message({"task": "t", "id": "m1"}, b"[[], {}, {}]", content_type, encoding))


def test_protocol_1_is_read_as_protocol_2() -> None:
    sent = protocol_1(
        task="events.accept",
        args=[{"id": "e"}],
        eta="2026-12-01T12:00:40",
        taskset="g",
        retries=2,
        timelimit=[9, None],
    )
    read = read_task_message(sent)
    assert (read.task, read.id, read.args, read.kwargs) == ("purser.accept", "m1", [{"id": "e"}], {})
    assert read.delay_seconds(NOW) == 40
    assert (read.headers["retries"], read.headers["timelimit"], read.headers["group"]) == (2, [9, None], "g")
    replace_content(sent, read)
    assert json.loads(sent.body) == [[{"id": "e"}], {}, {}]
    assert read_task_message(sent).args == [{"id": "e"}]


def test_a_malformed_message_of_protocol_1_keeps_its_task_for_its_letter() -> None:
    sent = protocol_1(expires=1)
    sent.body = sent.body.replace(b'"expires": 1', b'"expires": 1e400')
    with pytest.raises(UnreadableMessage):
        read_task_message(sent)
    assert (sent.headers["task"], sent.headers["id"]) == ("purser.look", "m1")


def test_names_that_celery_uses_for_itself_do_not_reach_it() -> None:
    read = read_task_message(
        protocol_2([[], {}, {"id": "other", "callbacks": None}], is_eager=True, get=7, callbacks=7, _x=1, mine="kept")
    )
    assert not {"is_eager", "get", "callbacks", "_x"} & set(read.headers)
    assert read.headers["mine"] == "kept"
    assert json.loads(read.body) == [[], {}, {}]


def test_headers_that_are_only_displayed_are_cut_and_never_refused() -> None:
    read = read_task_message(protocol_2(shadow=[1], argsrepr=5, kwargsrepr="x" * 5000, origin={}))
    assert set(read.headers) & {"shadow", "argsrepr", "origin"} == set()
    assert len(read.headers["kwargsrepr"]) == 1000


def test_what_was_read_can_be_passed_to_a_process_of_the_pool() -> None:
    deepest = json.loads("[" * 90 + "]" * 90)
    read = read_task_message(protocol_2([[deepest], {}, {}], mine=json.loads("[" * 40 + "]" * 40)))
    assert pickle.loads(pickle.dumps((dict(read.headers), read.args)))[1] == [deepest]  # noqa: S301


def test_an_envelope_without_headers_is_read() -> None:
    raw = {
        "body": "x",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {"delivery_info": {"exchange": "", "routing_key": "events"}, "delivery_tag": "t"},
    }
    assert read_envelope(json.dumps(raw).encode())[1] == ""


@pytest.mark.parametrize("name", ["body", "properties", "headers", "content-type"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x", True, 1.5])
def test_no_type_of_any_part_of_an_envelope_raises(name: str, value: Any) -> None:
    raw: dict[str, Any] = {
        "body": "e30=",
        "headers": {},
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {"delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "t"},
    }
    read_envelope(json.dumps({**raw, name: value}).encode())
    read_envelope(json.dumps({**raw, "properties": {**raw["properties"], "delivery_info": value}}).encode())
    read_envelope(json.dumps({key: kept for key, kept in raw.items() if key != name}).encode())


def test_a_letter_of_a_message_with_any_headers_can_be_stored() -> None:
    stored = letter(
        queue="events",
        body=b"x",
        headers={"task": json.loads('"\\ud800"') + "x" * 1_000_000, "id": 7, "deep": {"a": json.loads('"\\udc00"')}},
        properties=None,
        content_type="",
        content_encoding="",
        reason="unreadable",
        error="MalformedMessage",
        text="",
        traceback="",
        now=NOW,
    )
    assert len(stored.task) == 255
    json.dumps([stored.task, stored.headers], ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ["callbacks", "errbacks", "chain", "chord"])
@pytest.mark.parametrize("value", [0, 0.0, False, "", [], {}])
def test_process_of_the_pool_is_given_no_empty_callback_of_a_wrong_type(name: str, value: Any) -> None:
    sent = protocol_2([[], {"id": 7}, {name: value}])
    read = read_task_message(sent)
    replace_content(sent, read)
    assert json.loads(sent.body) == [[], {"id": 7}, {}]
    assert read.embed == {}


@pytest.mark.parametrize("embed", [None, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
def test_body_that_holds_only_what_was_parsed_stays_as_it_was_sent(embed: Any) -> None:
    sent = protocol_2([[], {"id": 7}, embed])
    assert read_task_message(sent).body == json.dumps([[], {"id": 7}, embed]).encode()
