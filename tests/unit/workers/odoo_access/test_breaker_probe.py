"""A probe asks Odoo as each of our users, closes the breaker when all are let in, and a wrong key is one alarm."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from purser.errors import Misconfigured
from store import CallResult, CircuitState, LimiterPermit, RetryIn, fingerprint
from tests.unit.odoo_client.canned import Answer, Asked, Canned
from workers.context import WorkerContext
from workers.odoo_access import breaker_probe
from workers.odoo_access.alarm import alarm

NOT_LET_IN = Answer(
    401,
    json.dumps({"name": "werkzeug.exceptions.Unauthorized", "message": "Invalid apikey", "arguments": []}).encode(),
    {"Content-Type": "application/json"},
)


class Odoo:
    """Answers who somebody is, for the keys it knows."""

    def __init__(self) -> None:
        self.keys = {"audit-key", "change-key"}
        self.seen: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        key = asked.headers["authorization"].removeprefix("bearer ").removeprefix("Bearer ")
        self.seen.append(key)
        return Answer(200, b'{"uid": 2}', {"Content-Type": "application/json"}) if key in self.keys else NOT_LET_IN


@pytest.fixture
def odoo() -> Odoo:
    return Odoo()


@pytest.fixture
def fleet(redis_url: str, odoo: Odoo) -> Iterator[WorkerContext]:
    with Canned(odoo) as server:
        given = {
            "PURSER_ODOO_URL": server.url,
            "PURSER_ODOO_DB": "db",
            "PURSER_ODOO_LOGIN": "audit",
            "PURSER_ODOO_API_KEY": "audit-key",
            "PURSER_ODOO_CHANGE_LOGIN": "change",
            "PURSER_ODOO_CHANGE_API_KEY": "change-key",
            "PURSER_ODOO_API": "json2",
            "PURSER_LEDGER_URL": redis_url,
        }

        def nothing(*_: Any, **__: Any) -> None:
            raise AssertionError("nothing is published here")

        made = WorkerContext.assemble(Settings.load(environ=given), nothing, nothing)
        yield made
        made.disconnect()


def open_breaker(fleet: WorkerContext) -> None:
    ticket = fleet.gate.enter("")
    assert isinstance(ticket, LimiterPermit)
    fleet.gate.leave(ticket, CallResult.REFUSED, 0.1)


def test_a_closed_breaker_is_not_probed(fleet: WorkerContext, odoo: Odoo) -> None:
    assert breaker_probe.probe_now(fleet) is None
    assert odoo.seen == []


def test_a_probe_that_all_users_pass_closes_the_breaker(fleet: WorkerContext, odoo: Odoo) -> None:
    open_breaker(fleet)
    assert breaker_probe.probe_now(fleet) == breaker_probe.ProbeResult(works=True)
    assert sorted(set(odoo.seen)) == ["audit-key", "change-key"]
    assert fleet.gate.state().breaker is CircuitState.CLOSED


def test_one_user_that_is_not_let_in_keeps_it_open_and_raises_one_alarm(fleet: WorkerContext, odoo: Odoo) -> None:
    open_breaker(fleet)
    odoo.keys.remove("change-key")
    with capture_logs() as logged:
        for _ in range(3):
            found = breaker_probe.probe_now(fleet)
            assert isinstance(found, breaker_probe.ProbeResult)
            assert not found.works
            assert "does not accept the API key" in found.why
    assert [one["event"] for one in logged if one["log_level"] == "error"] == [
        "work is held back: a setting is wrong"
    ]
    assert [entry.action for entry in fleet.ledger.audit.tail()] == ["alarm"]
    assert fleet.gate.state().is_refused
    assert "does not accept the API key" in fleet.gate.state().why


def test_while_another_process_probes_nobody_else_does(fleet: WorkerContext, odoo: Odoo) -> None:
    open_breaker(fleet)
    assert isinstance(fleet.gate.probe(at_once=True), LimiterPermit)
    assert isinstance(breaker_probe.probe_now(fleet), RetryIn)
    assert odoo.seen == []


def test_the_methods_that_meet_a_wrong_key_raise_one_alarm_together_and_a_new_one_after_it_was_right(
    fleet: WorkerContext,
) -> None:
    def meet(method: str) -> None:
        alarm(fleet, Misconfigured(f"{method}: Odoo does not accept the API key"))

    with capture_logs() as logged:
        meet("crm.lead.search_read")
        meet("project.project.load")
        meet("crm.lead.write on 4 and 2 more")
        assert len(logged) == 1
        open_breaker(fleet)
        breaker_probe.probe_now(fleet)
        logged.clear()
        meet("crm.lead.search_read")
    assert len([one for one in logged if one["log_level"] == "error"]) == 1


def test_the_fingerprint_of_a_wrong_key_contains_no_method_and_no_task() -> None:
    def of(method: str, task: str) -> str:
        return fingerprint(error="Misconfigured", message=f"{method}: Odoo does not accept the API key", task=task)

    assert of("crm.lead.search_read", "purser.react") == of("project.project.load on 3", "purser.apply")
    other = fingerprint(error="Permanent", message="crm.lead.write: no", task="purser.react")
    assert other != fingerprint(error="Permanent", message="crm.lead.read: no", task="purser.react")
