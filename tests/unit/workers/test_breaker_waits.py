"""Hours of an Odoo that is away or does not let us in cost no message its life: it waits, and is done afterwards."""

import datetime as dt
import heapq
import random
from collections.abc import Callable
from typing import Any

import fakeredis
import pytest

from config.policy.loader import load_policies
from odoo_client.throttling import ThrottledSender
from purser.engine.call_result import RetryIn
from purser.engine.retry import MoveToDeadLetters, Retry, Snoozed, Superseded, decide
from purser.errors import Misconfigured, PurserError, Transient
from store import CallResult, CircuitState, Ledger, LimiterPermit, OdooLimiter
from tasks.discovery import load_registry

START = dt.datetime(2026, 11, 26, 22, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
PROBED_EVERY = dt.timedelta(seconds=1)


class Entered:
    """A call that the gate counts."""

    def __init__(self, gate: OdooLimiter, ticket: LimiterPermit) -> None:
        self._gate, self._ticket = gate, ticket

    def leave(self, verdict: CallResult, seconds: float, retry_after: float | None) -> None:
        self._gate.leave(self._ticket, verdict, seconds, retry_after)


class Simulated:
    """Messages of a fleet whose Odoo fails until `ends`, with a probe when one is due and a clock that is moved."""

    def __init__(self, seed: int, failure: PurserError, ends: dt.datetime) -> None:
        self.now = START
        self.failure, self.ends = failure, ends
        self.rng = random.Random(seed)
        self.ledger = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), now=lambda: self.now)
        self.gate = self.ledger.gate("an Odoo")
        self.policy = load_policies(load_registry()).retry("react", failure)
        self.done: dict[int, dt.datetime] = {}
        self.dead: dict[int, dt.datetime] = {}
        self.attempts: dict[int, int] = {}
        self.called: list[dt.datetime] = []

    def enter(self, kind: str) -> Any:
        answer = self.gate.enter(kind)
        return answer if isinstance(answer, RetryIn) else Entered(self.gate, answer)

    def odoo(self) -> str:
        self.called.append(self.now)
        if self.now < self.ends:
            raise self.failure
        return "done"

    def probe(self) -> None:
        ticket = self.gate.probe()
        if isinstance(ticket, LimiterPermit):
            refused = CallResult.REFUSED if isinstance(self.failure, Misconfigured) else CallResult.FAILED
            self.gate.leave(ticket, refused if self.now < self.ends else CallResult.ANSWERED, 0.1)

    def run(self, messages: int, *, until: dt.datetime) -> "Simulated":
        doorman = ThrottledSender(self, timeout=60)
        due = [(START + n * PROBED_EVERY, n, 1) for n in range(messages)]
        probes = START
        while due and due[0][0] < until:
            at, name, attempt = heapq.heappop(due)
            while (until_probe := self.gate.state().until) is not None and max(until_probe, probes) < at:
                self.now = probes = max(until_probe, probes) + PROBED_EVERY
                self.probe()
            self.now = max(self.now, at)
            self.attempts[name] = attempt
            try:
                doorman.send("", self.odoo)
            except PurserError as error:
                match decide(self.policy, error, attempt=attempt, rng=self.rng.uniform):
                    case Retry(after=after):
                        heapq.heappush(due, (self.now + dt.timedelta(seconds=after), name, attempt + 1))
                    case Snoozed(after=after):
                        heapq.heappush(due, (self.now + dt.timedelta(seconds=after), name, attempt))
                    case MoveToDeadLetters() | Superseded():
                        self.dead[name] = self.now
                    case other:
                        raise AssertionError(other) from error
            else:
                self.done[name] = self.now
        return self


DOWN = Transient("crm.lead.search_read: Odoo cannot be reached (ConnectError); nothing was sent")
WRONG_KEY = Misconfigured("crm.lead.search_read: Odoo does not accept the API key")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("messages", [1, 5])
def test_an_odoo_that_is_away_for_hours_costs_no_message_its_life(messages: int, seed: int) -> None:
    ends = START + 3 * HOUR
    fleet = Simulated(seed, DOWN, ends).run(messages, until=ends + 2 * HOUR)
    assert fleet.dead == {}
    assert len(fleet.done) == messages
    assert sum(attempt - 1 for attempt in fleet.attempts.values()) <= 5 + messages, "what opened the breaker, no more"
    assert max(fleet.done.values()) - ends < dt.timedelta(minutes=12)
    assert fleet.gate.state().breaker is CircuitState.CLOSED


def test_a_refused_key_costs_no_message_an_attempt_over_a_night() -> None:
    ends = START + 6 * HOUR
    fleet = Simulated(2, WRONG_KEY, ends).run(8, until=ends + HOUR)
    assert (fleet.dead, len(fleet.done)) == ({}, 8)
    assert set(fleet.attempts.values()) == {1}
    assert len([at for at in fleet.called if at < ends]) == 1, "one call finds out; from then on only probes ask"


def test_without_anybody_who_probes_messages_wait_and_none_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Callable[[Simulated], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr(Simulated, "probe", nothing)
    fleet = Simulated(3, DOWN, START + 100 * HOUR)
    monkeypatch.setattr(fleet.gate, "state", lambda: Never())
    fleet.run(3, until=START + 12 * HOUR)
    assert fleet.dead == {}
    assert len(fleet.called) < 10


class Never:
    """The state of a gate at which nobody waits for a probe."""

    until = None
