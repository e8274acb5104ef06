"""Whoever calls a task by another of its names, or by place, is read as one who calls it as we do."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.workers.replaying import World
from workers.broker.message import headers_of, values_of
from workers.broker.task_message import read_task_message
from workers.dead_letters.letter_edit import body_with, check, text_of
from workers.dead_letters.letter_factory import subjects_in
from workers.dead_letters.replay_intent import IntentReader
from workers.messages import by_name, own_name

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "w-1",
    "source": "/website",
    "type": "ticket.resolved.v1",
    "data": {"ticket_id": 4},
}


def message(*body: Any, task: Any = "events.accept") -> Any:
    return SimpleNamespace(
        headers={"task": task, "id": "m1"},
        body=json.dumps([*body, {}]).encode(),
        payload=[*body, {}],
        content_type="application/json",
        content_encoding="utf-8",
        errors=None,
    )


def test_a_message_by_place_is_read_by_name() -> None:
    assert values_of(message([EVENT], {})) == values_of(message([], {"event": EVENT})) == {"event": EVENT}
    assert values_of(message([EVENT], {}, task="nobody.knows")) == {}
    assert values_of(message(7, 8)) == values_of(SimpleNamespace(headers=None, payload=None)) == {}


def test_what_is_given_twice_counts_as_named() -> None:
    assert by_name("purser.react", ["a", {}, "more"], {"automation": "b"}) == {"automation": "b", "event": {}}


@pytest.mark.parametrize("task", ["events.accept", "purser.accept"])
def test_a_message_goes_by_the_own_name_of_its_task(task: str) -> None:
    told = message([EVENT], {}, task=task)
    assert headers_of(told) == {"task": "purser.accept", "id": "m1"}
    assert read_task_message(told).task == "purser.accept"


@pytest.mark.parametrize("task", [None, 7, ["events.accept"], "purser.scan"])
def test_any_other_name_stays_what_it_is(task: Any) -> None:
    assert own_name(task) == task


def test_a_letter_by_place_is_about_its_record_and_is_planned_and_edited_by_name() -> None:
    world = World()
    wrong = {**EVENT, "data": {"ticket_id": 0}, "subject": "helpdesk.ticket/4"}
    letter = world.letter(
        "m1",
        "data does not fit",
        task="purser.accept",
        headers={"id": "m1", "task": "purser.accept"},
        body=json.dumps([[wrong], {}, {}]).encode(),
    )
    assert subjects_in(letter) == ("helpdesk.ticket/4",)
    assert "ticket_id" in IntentReader(world.fleet).draft(letter).why
    assert json.loads(text_of(letter)) == {"event": wrong}
    mended = body_with(letter, json.dumps({"event": EVENT}))
    assert json.loads(mended)[:2] == [[], {"event": EVENT}]
    assert check(world.fleet, letter, mended) == ()
    renamed = body_with(letter, json.dumps({"event": {**EVENT, "id": "w-2"}}))
    assert "`event.id` says which message it is" in check(world.fleet, letter, renamed)[0]
