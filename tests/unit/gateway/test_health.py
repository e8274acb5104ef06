"""Whoever starts and stops the gateway learns what is away, and its description needs no other host."""

import json

import pytest

from tests.unit.gateway.desk import Desk


def test_it_lives_whatever_is_away(desk: Desk) -> None:
    desk.broker_takes, desk.redis.connected = 0, False
    assert desk.ask("GET", "/health/live").json() == {"status": "live"}


def test_it_is_ready_when_broker_and_ledger_answer(desk: Desk) -> None:
    answer = desk.ask("GET", "/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "missed_hooks": 0})


@pytest.mark.parametrize(
    ("broker", "ledger", "away"),
    [(0, True, "the broker"), (1, False, "the ledger"), (0, False, "the ledger and the broker")],
)
def test_it_names_what_is_away_without_its_address(desk: Desk, broker: int, ledger: bool, away: str) -> None:
    desk.ledger = desk.fleet.__dict__["ledger"] = (
        type(desk.ledger).connect("redis://nowhere.invalid:1") if not ledger else desk.ledger
    )
    desk.broker_takes = broker
    answer = desk.ask("GET", "/health/ready")
    assert (answer.status_code, answer.json()["detail"]) == (503, f"{away} cannot be reached")
    assert answer.headers["retry-after"] == "2"


def test_the_description_lists_every_answer(desk: Desk) -> None:
    told = desk.ask("GET", "/openapi.json").json()
    answers = {path: set(one["post"]["responses"]) for path, one in told["paths"].items() if "post" in one}
    assert answers == {
        "/events": {"202", "400", "401", "403", "408", "413", "415", "422", "429", "503"},
        "/hooks/odoo/{token}": {"202", "400", "403", "404", "408", "413", "422", "503"},
    }
    assert json.dumps(told).count("application/problem+json") == 17


def test_the_page_about_it_needs_no_script_and_no_other_host(desk: Desk) -> None:
    page = desk.ask("GET", "/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<code>POST /hooks/odoo/{token}</code>" in page.text
    assert "This source has sent more than it may" in page.text
    assert "<script" not in page.text
    assert "//" not in page.text.replace("<!doctype", "")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json", "/events", "/nowhere"])
def test_head_is_answered_like_get_without_the_body(desk: Desk, path: str) -> None:
    asked, answer = desk.ask("GET", path), desk.ask("HEAD", path)

    assert (answer.status_code, answer.headers) == (asked.status_code, asked.headers)
    assert answer.content == b""
