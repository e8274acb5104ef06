"""Facts are listed and checked without a fleet; what is sent is exactly what was checked."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.contract import asyncapi, schema_of
from events.envelope import read_event
from events.fact import known_facts
from events.opportunity import OpportunityWon
from tests.unit.console.conftest import Purser

WON: dict[str, Any] = {
    "specversion": "1.0",
    "id": "w-1",
    "source": "/crm",
    "type": "opportunity.won.v1",
    "data": {"opportunity_id": 4},
}


def test_facts_are_listed_with_what_reacts_to_them(purser: Purser) -> None:
    told = json.loads(purser("events", "list", "--json").stdout)
    assert {"opportunity.won.v1": ["open-project"]}.items() <= {one["type"]: one["reactions"] for one in told}.items()
    assert purser("events", "list").exit_code == 0


def test_a_fact_shows_its_schema(purser: Purser) -> None:
    told = json.loads(purser("events", "schema", "opportunity.won.v1").stdout)
    assert told["required"] == ["opportunity_id"]
    assert told["$schema"].endswith("2020-12/schema")


def test_all_schemas_and_the_document_are_printed_as_they_stand_in_the_reference(purser: Purser) -> None:
    told = json.loads(purser("events", "schema", "--all").stdout)
    assert told.keys() == known_facts().keys()
    assert told["invoice.posted.v1"] == schema_of(known_facts()["invoice.posted.v1"])
    assert json.loads(purser("events", "asyncapi").stdout) == asyncapi()


@pytest.mark.parametrize("args", [[], ["opportunity.won.v1", "--all"]])
def test_one_schema_or_all_of_them_is_asked_for(purser: Purser, args: list[str]) -> None:
    assert purser("events", "schema", *args).exit_code == 2


def test_an_unknown_fact_is_nothing_that_matches(purser: Purser) -> None:
    result = purser("events", "schema", "opportunity.won")
    assert result.exit_code == 3
    assert "Did you mean `opportunity.won.v1`?" in result.stderr


def test_an_event_in_order_is_said_to_be(purser: Purser) -> None:
    Path("won.json").write_text(json.dumps(WON))
    assert purser("events", "validate", "won.json").exit_code == 0
    assert purser("events", "validate", "-", stdin=json.dumps(WON)).exit_code == 0


def test_a_wrong_event_is_told_where_and_why(purser: Purser) -> None:
    result = purser("events", "validate", "-", stdin=json.dumps({**WON, "data": {"opportunity_id": -1}}))
    assert result.exit_code == 1
    assert "opportunity_id" in result.stderr


def test_a_dry_emit_prints_an_event_that_would_be_accepted(purser: Purser) -> None:
    result = purser(
        *("events", "emit", "opportunity.won.v1", "--data", '{"opportunity_id": 4}'),
        *("--id", "x-9", "--source", "/desk", "--dry-run"),
    )
    assert result.exit_code == 0
    envelope, fact = read_event(result.stdout)
    assert (envelope.id, envelope.source, fact) == ("x-9", "/desk", OpportunityWon(opportunity_id=4))
    assert envelope.time is not None


def test_a_file_is_emitted_as_it_stands(purser: Purser) -> None:
    Path("won.json").write_text(json.dumps(WON))
    told = json.loads(purser("events", "emit", "--file", "won.json", "--dry-run").stdout)
    assert WON.items() <= told.items()


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["opportunity.won.v1", "--file", "won.json"],
        ["--file", "won.json", "--data", "{}"],
        ["opportunity.won.v1", "--data", "{"],
        ["opportunity.won.v1", "--data", "[]"],
        ["opportunity.won.v1", "--data", '{"opportunity_id": 0}'],
        ["opportunity.lost.v1", "--data", "{}"],
        ["--file", "nowhere.json"],
    ],
)
def test_what_cannot_be_emitted_is_a_wrong_use_before_anything_is_sent(purser: Purser, args: list[str]) -> None:
    result = purser("events", "emit", *args, PURSER_BROKER_URL="redis://127.0.0.1:1/0")
    assert result.exit_code == 2
    assert result.stderr.startswith("purser: ")
    assert "127.0.0.1" not in result.stderr
