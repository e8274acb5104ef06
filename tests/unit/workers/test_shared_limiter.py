"""A gate that cannot be asked stands open, and that is said once a minute."""

import socket
from collections.abc import Collection, Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from config.settings import BotRole, Settings
from odoo_client import connect
from purser.engine.call_result import CallResult, RetryIn
from purser.errors import Permanent, PurserError, Snooze, Transient
from store import CircuitState, LimiterPermit
from tests.waiting import wait_until
from workers.context import WorkerContext, connection_for
from workers.shared_limiter import SAID_EVERY, UNASKED, SharedLimiter


class Kept:
    """A gate of the ledger that answers, or is away."""

    def __init__(self) -> None:
        self.problem: PurserError | None = None
        self.answer: LimiterPermit | RetryIn = LimiterPermit("t", "k")
        self.asked = 0
        self.left: list[tuple[str, CallResult, float, float | None]] = []
        self.renewed: list[tuple[str, ...]] = []

    def enter(self, kind: str) -> LimiterPermit | RetryIn:
        self.asked += 1
        if self.problem:
            raise self.problem
        return self.answer

    def leave(
        self, ticket: LimiterPermit, verdict: CallResult, seconds: float, retry_after: float | None = None
    ) -> None:
        if self.problem:
            raise self.problem
        self.left.append((ticket.id, verdict, seconds, retry_after))

    def renew(self, tickets: Collection[LimiterPermit]) -> None:
        self.renewed.append(tuple(ticket.id for ticket in tickets))


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def shared(kept: Kept, time: Time) -> SharedLimiter:
    structlog.reset_defaults()
    gate: Any = kept
    return SharedLimiter(lambda: gate, monotonic=time)


def test_what_the_ledger_says_counts(kept: Kept, shared: SharedLimiter) -> None:
    entered = shared.enter("k")
    assert not isinstance(entered, RetryIn)
    entered.leave(CallResult.THROTTLED, 1.5, 30)
    assert kept.left == [("t", CallResult.THROTTLED, 1.5, 30)]

    kept.answer = RetryIn(4, "breaker open")
    assert shared.enter("k") == kept.answer


@pytest.mark.parametrize("problem", [Transient("the ledger is away"), Permanent("a damaged key")])
def test_a_gate_that_cannot_be_asked_is_passed(kept: Kept, shared: SharedLimiter, problem: PurserError) -> None:
    kept.problem = problem
    entered = shared.enter("k")
    assert not isinstance(entered, RetryIn)
    entered.leave(CallResult.FAILED, 1, None)
    assert kept.left == []


def test_a_ticket_that_cannot_be_handed_back_hurts_nobody(kept: Kept, shared: SharedLimiter) -> None:
    entered = shared.enter("k")
    assert not isinstance(entered, RetryIn)
    kept.problem = Transient("the ledger is away")
    entered.leave(CallResult.ANSWERED, 1, None)
    assert kept.left == []


def test_a_ledger_that_is_away_is_not_asked_for_each_call(kept: Kept, shared: SharedLimiter, time: Time) -> None:
    kept.problem = Transient("the ledger is away")
    for _ in range(10):
        shared.enter("k")
    assert kept.asked == 1

    time.now += UNASKED
    kept.problem = None
    kept.answer = RetryIn(4, "breaker open")
    assert shared.enter("k") == kept.answer


def test_it_is_said_once_a_minute(kept: Kept, shared: SharedLimiter, time: Time) -> None:
    kept.problem = Transient("the ledger is away")
    with capture_logs() as said:
        while time.now < SAID_EVERY:
            shared.enter("k")
            time.now += 1
        assert len(said) == 1
        shared.enter("k")
    assert len(said) == 2
    assert kept.asked > 2


# ----------------------------------------------------------------------------------- the fleet --


@pytest.fixture
def nobody_there() -> Iterator[str]:
    """Yield an address at which nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def fleet_of(odoo: str, ledger: str | None) -> WorkerContext:
    given = {f"PURSER_ODOO_{name}": "x" for name in ("DB", "LOGIN", "API_KEY")}
    given |= {"PURSER_ODOO_URL": odoo, "PURSER_ODOO_API": "json2"}
    if ledger is not None:
        given["PURSER_LEDGER_URL"] = ledger

    def nothing(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is published here")

    return WorkerContext.assemble(Settings.load(environ=given), nothing, nothing)


def test_what_one_worker_meets_holds_all_of_them_back_and_not_the_doctor(redis_url: str, nobody_there: str) -> None:
    first, second = fleet_of(nobody_there, redis_url), fleet_of(nobody_there, redis_url)
    for n in range(5):
        with pytest.raises(Transient, match="cannot be reached"):
            (first.audit if n % 2 else first.change).search_count("res.partner", [])

    for client in (first.audit, second.change):
        with pytest.raises(Snooze, match="breaker open") as caught:
            client.search_count("res.partner", [])
        assert 0 < caught.value.after <= 5
    assert second.gate.state().breaker is CircuitState.OPEN
    with connect(connection_for(second.settings, BotRole.AUDIT)) as alone:
        assert "cannot be reached" in alone.ping().problem

    for fleet in (first, second):
        fleet.disconnect()


@pytest.mark.parametrize("ledger", [None, "redis://127.0.0.1:1/0"])
def test_without_a_ledger_odoo_is_called_all_the_same(nobody_there: str, ledger: str | None) -> None:
    fleet = fleet_of(nobody_there, ledger)
    for _ in range(8):
        with pytest.raises(Transient, match="cannot be reached"):
            fleet.audit.search_count("res.partner", [])
    fleet.disconnect()


def test_a_disconnected_fleet_asks_through_a_ledger_of_its_own(redis_url: str, nobody_there: str) -> None:
    fleet = fleet_of(nobody_there, redis_url)
    before = fleet.gate
    fleet.disconnect()
    assert fleet.gate is not before
    assert fleet.gate.state().in_flight == 0
    fleet.disconnect()


def test_calls_under_way_are_renewed_and_those_that_ended_are_not(
    shared: SharedLimiter, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.shared_limiter.RENEW_EVERY", 0.01)
    kept.answer = LimiterPermit("one", "k")
    shared.enter("k")
    kept.answer = LimiterPermit("two", "k")
    going = shared.enter("k")
    assert not isinstance(going, RetryIn)
    wait_until(lambda: ("one", "two") in kept.renewed, what="both calls to be renewed")
    going.leave(CallResult.ANSWERED, 0.1, None)
    wait_until(lambda: kept.renewed[-1] == ("one",), what="the other call to be renewed alone")
    shared.forget(LimiterPermit("one", "k"))
    wait_until(lambda: shared._thread is None, what="the thread to end")
