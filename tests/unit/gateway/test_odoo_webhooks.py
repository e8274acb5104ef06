"""A rule in Odoo is believed which record changed, and nothing else."""

import hashlib
import json
import threading
from typing import Any

import httpx
import pytest

from gateway.app import include_routers
from gateway.limits import SourceRateLimiter
from tests.unit.gateway.desk import Desk

TOKEN = "R3aL-token-of-a-rule"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.ledger.hooks.add("won", digest(TOKEN), ["crm.lead"])
    return desk


def posted(desk: Desk, told: Any, token: str = TOKEN) -> httpx.Response:
    """Post as Odoo does: the fields somebody chose come along, and nothing is signed."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return desk.post(f"/hooks/odoo/{token}", body, {"content-type": "application/json"})


def hook(**changed: Any) -> dict[str, Any]:
    told = {"_action": "Purser: won(#7)", "_id": 42, "_model": "crm.lead", "id": 42, "partner_name": "Ada"}
    return {**told, **changed}


def test_a_hook_has_somebody_look_at_the_record_and_hands_on_nothing_else(desk: Desk) -> None:
    answer = posted(desk, hook())

    assert (answer.status_code, answer.json()) == (202, {})
    ((task, kwargs, label, options),) = desk.sent
    assert (task, kwargs, label) == ("purser.look", {"model": "crm.lead", "id": 42}, "crm.lead/42")
    assert options["queue"] == "events"


def test_when_a_rule_was_heard_is_remembered(desk: Desk) -> None:
    posted(desk, hook())
    assert [(rule.rule, rule.heard) for rule in desk.ledger.hooks.rules()] == [("won", desk.moment)]


def test_while_a_token_is_exchanged_both_count(desk: Desk) -> None:
    desk.ledger.hooks.add("won", digest("new"), ["crm.lead"])
    assert [posted(desk, hook(), token).status_code for token in ("new", TOKEN)] == [202, 202]
    desk.ledger.hooks.add("won", digest("newer"), ["crm.lead"])
    assert posted(desk, hook()).status_code == 404


@pytest.mark.parametrize(
    ("told", "status", "says"),
    [
        (hook(_model="res.users"), 403, "may not speak of the model"),
        (hook(_model="crm.lead/42"), 422, "_model"),
        (hook(_model=None), 422, "_model"),
        (hook(_model=["crm.lead"]), 422, "_model"),
        (hook(_id=0), 422, "_id"),
        (hook(_id=-1), 422, "_id"),
        (hook(_id=True), 422, "_id"),
        (hook(_id="42"), 422, "_id"),
        (hook(_id=2**31), 422, "_id"),
        (hook(_id=None), 422, "_id"),
        (["crm.lead", 42], 422, "no object"),
        (b"", 422, "not JSON"),
        (b"\xff", 422, "not JSON"),
        (b"[" * 100_000, 422, "not JSON"),
        (b" " * 300_000, 413, "larger than"),
    ],
)
def test_what_is_no_hook_of_the_rule_is_turned_away(desk: Desk, told: Any, status: int, says: str) -> None:
    answer = posted(desk, told)

    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert desk.sent == []
    assert [rule.heard for rule in desk.ledger.hooks.rules()] == [None]


def test_an_unknown_token_is_answered_as_any_other_place_that_is_none(desk: Desk) -> None:
    elsewhere = desk.post("/hooks/odoo", b"{}")
    for token in ("unknown", "x" * 5000, "%00", "%ff", digest(TOKEN)):
        for told in (hook(), b"no JSON"):
            answer = posted(desk, told, token)
            assert (
                (answer.status_code, answer.json())
                == (elsewhere.status_code, elsewhere.json())
                == (404, answer.json())
            )


def test_while_the_broker_is_away_a_hook_is_counted_and_let_go(desk: Desk) -> None:
    desk.broker_takes = 0
    assert [posted(desk, hook()).status_code for _ in "ab"] == [503, 503]
    desk.broker_takes = 1
    assert desk.ask("GET", "/health/ready").json()["missed_hooks"] == 2


def test_while_the_ledger_is_away_too(desk: Desk) -> None:
    desk.redis.connected = False
    assert posted(desk, hook()).status_code == 503


def test_a_broker_that_does_not_answer_is_not_waited_for(desk: Desk) -> None:
    goes_on = threading.Event()

    def hangs(task: str, kwargs: dict[str, Any], **_: Any) -> None:
        goes_on.wait(30)
        desk.sent.append((task, kwargs, "", {}))

    desk.fleet.publish = hangs
    desk.app = include_routers(desk.fleet, ask_broker=lambda: None, hook_within=0.05, pace=SourceRateLimiter(1))

    assert posted(desk, hook()).status_code == 503
    goes_on.set()


def test_the_token_is_in_no_line(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for told in (hook(), hook(_id=0), hook(_model="res.users"), b" " * 300_000):
        posted(desk, told)
    posted(desk, hook(), "guessed-token")
    desk.ask("GET", f"/hooks/odoo/{TOKEN}")
    desk.ask(f"GET-{TOKEN}", f"/{TOKEN}?{TOKEN}", headers={"x": TOKEN})
    desk.broker_takes = 0
    posted(desk, hook())

    said = capsys.readouterr().out
    assert said.count("/hooks/odoo/{token}") >= 6
    for held in (TOKEN, "guessed-token", digest(TOKEN), "Ada"):
        assert held not in said
