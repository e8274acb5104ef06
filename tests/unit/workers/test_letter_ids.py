"""Malformed messages are told apart by all that their senders wrote, and recognised when they are delivered again."""

from typing import Any

import pytest

from tests.unit.workers.broker.test_task_message import NOW
from workers.dead_letters.letter_factory import UNREADABLE, letter

SENT: dict[str, Any] = {
    "body": b"x",
    "headers": {"a": 1},
    "properties": {"reply_to": "q", "delivery_tag": "holder/1", "delivery_info": {"queue": "events"}},
    "content_type": "application/json",
    "content_encoding": "utf-8",
}


def letter_id(**changed: Any) -> str:
    made = letter(
        queue="events", reason=UNREADABLE, error="NoTask", text="", traceback="", now=NOW, **{**SENT, **changed}
    )
    assert made.id.startswith("bytes-")
    return made.id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"body": b"y"}),
        ({}, {"headers": {"a": 2}}),
        ({}, {"headers": None}),
        ({}, {"content_type": "text/plain"}),
        ({}, {"content_encoding": "binary"}),
        ({}, {"properties": {"reply_to": "another"}}),
        ({"headers": {"a": 1}, "body": b"x"}, {"headers": None, "body": b'{"a": 1}x'}),
        ({"headers": {"a": "\ud800"}}, {"headers": {"a": "?"}}),
        ({"headers": {"a": "x" * 5000, 1: "b", "c": 1}}, {"headers": {"a": "x" * 5000, 1: "b", "c": 2}}),
    ],
)
def test_malformed_messages_that_differ_are_letters_of_their_own(one: Any, other: Any) -> None:
    assert letter_id(**one) != letter_id(**other)


def test_malformed_message_is_the_same_letter_when_it_is_delivered_again() -> None:
    again = {"reply_to": "q", "delivery_tag": "another/7", "delivery_info": {"queue": "events", "redelivered": True}}
    assert letter_id() == letter_id(properties=again)
