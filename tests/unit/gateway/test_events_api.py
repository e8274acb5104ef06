"""An event that is signed and in order is on its queue before the answer says so, and only once."""

import json

import pytest

from events.cloudevent import read_event
from tests.unit.gateway.desk import BATCH, CRM, OLD, PLAIN, SHOP, Desk, event, signed
from workers.events.publish import ACCEPT_TASK, message_id

TRACE = f"00-{'4' * 32}-{'2' * 16}-01"


def test_an_event_is_answered_once_the_broker_has_it(desk: Desk) -> None:
    answer = desk.send(event())

    assert (answer.status_code, answer.json()) == (202, {"source": "/crm", "id": "deal-42", "known": False})
    ((task, kwargs, label, options),) = desk.sent
    assert (task, label) == ("purser.accept", "opportunity.won.v1 deal-42")
    assert read_event(kwargs["event"]) == read_event(event())
    assert (options["queue"], options["task_id"]) == ("events", message_id(ACCEPT_TASK, "/crm", "deal-42"))


@pytest.mark.parametrize("kind", ["application/cloudevents+json", PLAIN, "application/json; charset=UTF-8"])
def test_an_envelope_may_come_as_a_cloudevent_or_as_plain_json(desk: Desk, kind: str) -> None:
    assert desk.send(event(), content_type=kind).status_code == 202


def test_an_event_may_have_its_envelope_in_headers(desk: Desk) -> None:
    body = b'{"opportunity_id": 42}'
    headers = {"ce-specversion": "1.0", "ce-id": "d%C3%A9al%20%22", "ce-source": "/crm", "ce-subject": "crm.lead/42"}
    headers |= {"ce-type": "opportunity.won.v1", "ce-time": "2026-11-22T09:30:00Z", "ce-traceparent": TRACE}

    answer = desk.post("/events", body, {**signed(body, id="d%C3%A9al%20%22", content_type=PLAIN), **headers})

    assert answer.status_code == 202
    (told,) = desk.told
    assert told == event(id='déal "', subject="crm.lead/42", traceparent=TRACE, datacontenttype=PLAIN)


def test_in_headers_the_id_is_the_one_that_is_signed(desk: Desk) -> None:
    body = b'{"opportunity_id": 42}'
    headers = {"ce-specversion": "1.0", "ce-id": "another", "ce-source": "/crm", "ce-type": "opportunity.won.v1"}

    answer = desk.post("/events", body, {**signed(body, id="one", content_type=PLAIN), **headers})

    assert answer.status_code == 401
    assert "webhook-id must be the same as ce-id" in answer.json()["detail"]
    assert desk.sent == []


def test_a_batch_is_answered_event_by_event(desk: Desk) -> None:
    desk.ledger.events.mark("/crm", "b")

    answer = desk.send([event(id="a"), event(id="b"), event(id="a"), event(id="c")], content_type=BATCH)

    assert answer.status_code == 202
    assert [(one["id"], one["known"]) for one in answer.json()["events"]] == [
        ("a", False),
        ("b", True),
        ("a", True),
        ("c", False),
    ]
    assert [told["id"] for told in desk.told] == ["a", "c"]


def test_an_empty_batch_is_in_order(desk: Desk) -> None:
    answer = desk.send([], content_type=BATCH)
    assert (answer.status_code, answer.json()) == (202, {"events": []})


def test_of_a_batch_with_a_mistake_nothing_is_sent_and_all_mistakes_are_told(desk: Desk) -> None:
    batch = [event(id="a"), event(data={"opportunity_id": "ada@example.com"}), "text", event(type="x.v1")]

    answer = desk.send(batch, content_type=BATCH)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [wrong["event"] for wrong in answer.json()["errors"]] == [1, 2, 3]
    assert "data does not fit: opportunity_id" in answer.json()["errors"][0]["reason"]
    assert "ada@" not in answer.text
    assert desk.sent == []


def test_what_was_accepted_before_is_known_and_not_sent_again(desk: Desk) -> None:
    desk.ledger.events.mark("/crm", "deal-42")

    answer = desk.send(event())

    assert (answer.status_code, answer.json()["known"]) == (202, True)
    assert desk.sent == []


def test_told_twice_before_anybody_accepted_it_is_one_message_by_its_id(desk: Desk) -> None:
    desk.send(event(), id="msg-1")
    desk.send(event(), id="msg-2")

    assert len({options["task_id"] for *_, options in desk.sent}) == 1


# -------------------------------------------------------------------------------------- who --


@pytest.mark.parametrize("by", [CRM, OLD])
def test_while_secrets_are_exchanged_both_count(desk: Desk, by: str) -> None:
    assert desk.send(event(), by=by).status_code == 202


@pytest.mark.parametrize(
    ("source", "by", "status"),
    [
        ("/crm", CRM, 202),
        ("/crm/eu", CRM, 202),
        ("/crmx", CRM, 403),
        ("/", CRM, 403),
        ("/shop", CRM, 403),
        ("/shop", SHOP, 202),
        ("/crm", SHOP, 403),
    ],
)
def test_a_secret_signs_for_its_own_source_and_what_lies_under_it(
    desk: Desk, source: str, by: str, status: int
) -> None:
    assert desk.send(event(source=source), by=by).status_code == status
    assert len(desk.sent) == (status == 202)


def test_one_foreign_event_turns_a_batch_away(desk: Desk) -> None:
    answer = desk.send([event(), event(id="x", source="/shop")], content_type=BATCH)

    assert answer.status_code == 403
    assert desk.sent == []


def test_without_sources_there_is_no_door_for_events() -> None:
    desk = Desk(PURSER_GATEWAY_SECRETS="")
    assert desk.send(event()).status_code == 404


# ------------------------------------------------------------------------------------- away --


def test_while_the_broker_is_away_the_same_may_be_sent_again(desk: Desk) -> None:
    desk.broker_takes = 1
    batch = [event(id="a"), event(id="b")]

    answer = desk.send(batch, content_type=BATCH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    desk.broker_takes = 10
    assert desk.send(batch, content_type=BATCH).status_code == 202

    ids = [options["task_id"] for *_, options in desk.sent]
    assert ids == [
        message_id(ACCEPT_TASK, "/crm", "a"),
        message_id(ACCEPT_TASK, "/crm", "a"),
        message_id(ACCEPT_TASK, "/crm", "b"),
    ]


def test_while_the_ledger_is_away_nothing_is_taken(desk: Desk) -> None:
    desk.redis.connected = False

    answer = desk.send(event())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert desk.sent == []


def test_a_source_that_is_faster_than_its_rate_is_told_when_to_come_again() -> None:
    now = 0.0
    desk = Desk(steady=lambda: now, PURSER_GATEWAY_RATE="2")
    batch = [event(id=str(n)) for n in range(22)]

    assert desk.send(batch, content_type=BATCH).status_code == 202
    refused = desk.send(event())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert desk.send(event(source="/shop"), by=SHOP).status_code == 202
    now = 1.0
    assert desk.send(event()).status_code == 202


# ------------------------------------------------------------------------------------ faults --


def test_a_fault_of_ours_is_answered_and_its_text_is_nowhere(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("deal-42 of ada@example.com")

    monkeypatch.setattr(desk.ledger.events, "known", broken)

    answer = desk.send(event())

    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    said = capsys.readouterr()
    assert "RuntimeError" in said.out + said.err
    assert "ada@" not in answer.text + said.out + said.err


def test_an_answer_is_kept_by_nobody_and_taken_for_nothing_else(desk: Desk) -> None:
    answer = desk.send(event())
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_request_leaves_one_line_without_what_it_held(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps(event(id="secret-id", subject="Ada", data={"opportunity_id": 470815})).encode()
    desk.post("/events", body, signed(body, id="msg-of-ada"))

    (line,) = [line for line in capsys.readouterr().out.splitlines() if line]
    for held in ("secret-id", "msg-of-ada", "Ada", "v1,", "470815"):
        assert held not in line
    for told in ("/events", "202", "/crm"):
        assert told in line
