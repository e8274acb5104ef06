"""Facts are listed and checked without a fleet; what is sent is exactly what was checked."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from devtools.fake_odoo import FakeOdoo
from events.asyncapi import asyncapi, schema_of
from events.cloudevent import read_event
from events.event import known_events
from events.opportunity import OpportunityWon
from store import FeedCursor, Ledger
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
    assert told.keys() == known_events().keys()
    assert told["invoice.posted.v1"] == schema_of(known_events()["invoice.posted.v1"])
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


# ------------------------------------------------------------------- many events in one file --


def lines(*events: dict[str, Any]) -> str:
    return "\n".join(json.dumps(one) for one in events) + "\n"


def test_a_file_of_lines_is_sent_once_and_sent_on_when_it_is_sent_again(
    operator: Purser, ledger: Ledger, redis_url: str
) -> None:
    told = [{**WON, "id": f"w-{n}", "data": {"opportunity_id": n}} for n in range(1, 31)]
    Path("events.jsonl").write_text(lines(*told, told[0]))
    emit = ("events", "emit", "--file", "events.jsonl", "--note", "the website was down")
    dry = operator(*emit, "--dry-run")
    assert dry.stdout == "events.jsonl: 30 would be sent (30 opportunity.won.v1); 0 cannot be accepted\n"
    for n in range(1, 11):
        ledger.events.mark("/crm", f"w-{n}")
    result = operator(*emit, PURSER_BROKER_URL=redis_url)
    assert result.stdout == (
        "events.jsonl: 20 sent (20 opportunity.won.v1); 10 accepted before; 1 repeated in the file\n"
    )
    (act,) = ledger.audit.tail(1)
    assert (act.action, act.what, act.note) == (
        "events.emit",
        "30 events of events.jsonl",
        "the website was down",
    )
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("events") == 20


def test_all_mistakes_of_a_file_are_told_with_their_lines_and_nothing_is_sent(purser: Purser) -> None:
    wrong = {**WON, "id": "w-2", "type": "opportunity.wn.v1"}
    other = {**WON, "data": {"opportunity_id": 5}}
    Path("events.jsonl").write_text(lines(WON, wrong) + "\n{not json\n" + lines(other))
    emit = ("events", "emit", "--file", "events.jsonl")
    result = purser(*emit, PURSER_BROKER_URL="redis://127.0.0.1:1/0")
    assert result.exit_code == 2
    assert "3 of the events cannot be accepted" in result.stderr
    assert "- events.jsonl, line 2: event type `opportunity.wn.v1` is unknown." in result.stderr
    assert "- events.jsonl, line 4: the event is not JSON" in result.stderr
    assert "- events.jsonl, line 5: another event of this source has the same id, in line 1" in result.stderr
    result = purser(*emit, "--partial", "--dry-run")
    assert result.exit_code == 1
    assert result.stdout == "events.jsonl: 1 would be sent (1 opportunity.won.v1); 3 cannot be accepted\n"


def test_a_list_of_events_is_a_file_of_several_and_a_single_one_may_be_laid_out_on_lines(purser: Purser) -> None:
    result = purser("events", "emit", "--file", "-", "--dry-run", stdin=json.dumps([WON, {**WON, "id": "w-2"}]))
    assert "2 would be sent" in result.stdout
    result = purser("events", "emit", "--file", "-", "--dry-run", stdin=json.dumps(WON, indent=2))
    assert json.loads(result.stdout)["id"] == "w-1"
    result = purser("events", "emit", "--file", "-", "--dry-run", stdin=json.dumps(WON, indent=2)[:-3])
    assert result.stderr == "purser: the event is not JSON: EOF while parsing an object at line 8 column 2\n"


# ------------------------------------------------------------------------------- watches --


def test_watches_are_listed_with_how_far_their_feed_has_come(operator: Purser, ledger: Ledger) -> None:
    start = ledger.now() - dt.timedelta(hours=1)
    cursor = FeedCursor(name="feed/opportunities", started=start, done=start, at=start, looked=7, told=2)
    ledger.cursors.move(None, cursor)
    ledger.cursors.move(None, replace(cursor, name="feed/tickets", looked=0, lacks="no model helpdesk.ticket"))
    ledger.cursors.move(None, replace(cursor, name="backfill/leaves/2026-01-01T00:00:00+00:00"))
    told = json.loads(operator("events", "watches", "--json").stdout)
    by_name = {one["watch"]: one for one in told["watches"]}
    assert by_name["opportunities"]["behind"] >= 3600
    assert by_name["opportunities"]["tells"] == ["opportunity.won.v1", "opportunity.lost.v1"]
    assert by_name["leaves"]["behind"] is None
    assert [one["backfill"] for one in told["backfills"]] == ["backfill/leaves/2026-01-01T00:00:00+00:00"]
    shown = operator("events", "watches")
    assert "tickets: not applicable: no model helpdesk.ticket" in shown.stderr
    assert "unfinished: backfill/leaves/2026-01-01" in shown.stderr


def test_watches_are_listed_without_a_ledger_too(purser: Purser) -> None:
    assert "opportunities" in purser("events", "watches", "--no-lag").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["opportunity", "--since", "2026-01-01"], "Did you mean `opportunities`?"),
        (["opportunities", "--since", "yesterday"], "is no moment"),
        (["missed-payments", "--since", "2026-01-01"], "there is no history to tell"),
        (["opportunities", "--since", "2999-01-01"], "must be before now"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_a_wrong_use(operator: Purser, args: list[str], said: str) -> None:
    odoo = {"URL": "http://127.0.0.1:9", "DB": "x", "LOGIN": "x", "API_KEY": "x"}
    environ = {f"PURSER_ODOO_{name}": value for name, value in odoo.items()}
    result = operator("events", "backfill", *args, "--dry-run", **environ)
    assert result.exit_code == 2, result.stderr
    assert said in result.stderr


def test_a_backfill_tells_what_happened_in_a_range(operator: Purser, redis_url: str) -> None:
    with FakeOdoo() as twin:
        for day in range(1, 6):
            moment = f"2026-03-0{day} 10:00:00"
            lead = {"name": "Deal", "type": "opportunity", "won_status": "won", "date_closed": moment}
            twin.seed("crm.lead", {**lead, "write_date": moment})
        environ = {
            "PURSER_BROKER_URL": redis_url,
            "PURSER_ODOO_URL": twin.url,
            "PURSER_ODOO_DB": twin.db,
            "PURSER_ODOO_LOGIN": "admin",
            "PURSER_ODOO_API_KEY": twin.admin_key,
        }
        asked = ("events", "backfill", "opportunities", "--since", "2026-03-02", "--until", "2026-03-05")
        dry = operator(*asked, "--dry-run", **environ)
        assert dry.stdout.startswith("opportunities: 4 records looked at; 3 would be sent (3 opportunity.won.v1)")
        told = json.loads(operator(*asked, "--json", "--note", "before we began", **environ).stdout)
        assert (told["sent"], told["known"], told["spoiled"]) == ({"opportunity.won.v1": 3}, 0, [])
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("events") == 3
