"""`purser breaker` and `purser doctor` show and close the breaker before an Odoo that was away."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devtools.fake_odoo import FakeOdoo
from store import CallResult, CircuitState, Ledger, LimiterPermit, OdooLimiter
from tests.unit.console.conftest import Purser


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    with FakeOdoo() as twin:
        yield twin


@pytest.fixture
def of_odoo(operator: Purser, odoo: FakeOdoo, redis_url: str) -> Purser:
    """Return the command of a fleet whose Odoo is the twin."""

    def run(*args: str, stdin: str = "", **environ: str) -> Any:
        settings = {
            "PURSER_BROKER_URL": redis_url,
            "PURSER_ODOO_URL": odoo.url,
            "PURSER_ODOO_DB": odoo.db,
            "PURSER_ODOO_LOGIN": "admin",
            "PURSER_ODOO_API_KEY": odoo.admin_key,
        }
        return operator(*args, stdin=stdin, **{**settings, **environ})

    return run


def _told(result: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.fixture
def gate(of_odoo: Purser, ledger: Ledger) -> OdooLimiter:
    """Return the gate of that Odoo, whose breaker was opened by a refused key."""
    gate = ledger.gate(_told(of_odoo("breaker", "show", "--json"))["odoo"])
    ticket = gate.enter("")
    assert isinstance(ticket, LimiterPermit)
    gate.leave(ticket, CallResult.REFUSED, 0.1, why="the key is refused")
    return gate


def test_a_closed_breaker_is_shown_and_not_tried(of_odoo: Purser, odoo: FakeOdoo) -> None:
    shown = of_odoo("breaker", "show", "--json")
    assert (shown.exit_code, _told(shown)["breaker"]) == (0, "closed")
    odoo.faults.drop(times=100)
    tried = of_odoo("breaker", "try", "--json")
    assert (tried.exit_code, _told(tried)["tried"], odoo.faults.left) == (0, False, 100)


def test_an_open_breaker_is_shown_with_its_reason(of_odoo: Purser, gate: OdooLimiter) -> None:
    shown = of_odoo("breaker", "show", "--json")
    told = _told(shown)
    assert (shown.exit_code, told["breaker"], told["why"]) == (4, "open", "the key is refused")
    assert told["since"]
    assert told["next_try"]
    assert told["lets_us_in"] is False
    assert "the key is refused" in of_odoo("breaker", "show").stdout


def test_a_try_closes_the_breaker_only_when_odoo_works(of_odoo: Purser, gate: OdooLimiter, odoo: FakeOdoo) -> None:
    odoo.faults.answer(503, times=10)
    failed = of_odoo("breaker", "try", "--json")
    told = _told(failed)
    assert (failed.exit_code, told["breaker"], told["tried"]) == (1, "open", True)
    assert "503" in told["problem"]
    assert gate.state().breaker is CircuitState.OPEN

    odoo.faults.clear()
    closed = of_odoo("breaker", "try", "--json")
    told = _told(closed)
    assert (closed.exit_code, told["breaker"], told["tried"], told["problem"]) == (0, "closed", True, "")
    assert gate.state().breaker is CircuitState.CLOSED
    assert of_odoo("breaker", "show").exit_code == 0


def test_a_try_with_a_wrong_key_leaves_it_open_and_does_not_show_the_key(of_odoo: Purser, gate: OdooLimiter) -> None:
    failed = of_odoo("breaker", "try", PURSER_ODOO_API_KEY="key-of-yesterday")
    assert failed.exit_code == 1
    assert "key-of-yesterday" not in failed.stdout + failed.stderr
    assert gate.state().breaker is CircuitState.OPEN


def test_a_doctor_who_is_let_in_closes_the_breaker(of_odoo: Purser, gate: OdooLimiter) -> None:
    checks = {one["name"]: one for one in json.loads(of_odoo("doctor", "--json").stdout)}
    assert checks["breaker"]["found"] == "closed by this check: Odoo works again"
    assert gate.state().breaker is CircuitState.CLOSED


def test_a_doctor_who_is_not_let_in_leaves_it_open(of_odoo: Purser, gate: OdooLimiter) -> None:
    done = of_odoo("doctor", "--json", PURSER_ODOO_API_KEY="key-of-yesterday")
    checks = {one["name"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == 4
    assert checks["breaker"]["level"] != "ok"
    assert gate.state().breaker is CircuitState.OPEN
