"""Whatever happens in whatever order, the gate in Redis does what a few lines of plain Python say it should."""

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import redis
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from store import CallResult, CircuitState, LimiterConfig, LimiterPermit, RetryIn
from tests.contract.store.making import Clock, fresh

BOUNDS = LimiterConfig(
    failures=3,
    cooldown=dt.timedelta(seconds=5),
    longest=dt.timedelta(seconds=8),
    calls=12,
    lease=dt.timedelta(seconds=40),
)
COOLDOWN, LONGEST, LEASE = 5_000, 8_000, 40_000
ANSWERS = {CallResult.ANSWERED, CallResult.CONTENDED}
FAILURES = {CallResult.FAILED, CallResult.TIMED_OUT, CallResult.REFUSED}
VERDICTS = st.sampled_from(
    [*CallResult, CallResult.FAILED, CallResult.FAILED, CallResult.ANSWERED, CallResult.ANSWERED]
)
LABOUR = {CallResult.CONTENDED, CallResult.THROTTLED, CallResult.TIMED_OUT}


@dataclass
class Model:
    """The gate as one would explain it. Times are milliseconds since the start."""

    now: int = 0
    limit: float = 3.0
    failures: int = 0
    opens: int | None = None
    cooldown: int = COOLDOWN
    held: int = 0
    shrunk: int = -1_000_000
    probe: tuple[str, int] | None = None
    calls: dict[str, int] = field(default_factory=dict)

    def asked(self, *, probes: bool) -> str:
        """Return what the next who asks is told."""
        if probes and self.opens is None:
            return "closed"
        if self.held > self.now or (self.opens or 0) > self.now:
            return "wait"
        if self.opens is not None:
            return "wait" if not probes or (self.probe and self.probe[1] > self.now) else "probe"
        return "full" if len(self.living()) >= math.floor(self.limit) else "go"

    def living(self) -> list[str]:
        return [ticket for ticket, ends in self.calls.items() if ends > self.now]

    def enter(self, ticket: LimiterPermit) -> None:
        if ticket.probe:
            self.probe = (ticket.id, self.now + LEASE)
        else:
            self.calls = {one: self.calls[one] for one in self.living()}
        self.calls[ticket.id] = self.now + LEASE

    def leave(self, ticket: str, verdict: CallResult, patience: int) -> None:
        used = len(self.calls)
        if self.calls.pop(ticket, None) is None:
            return
        self._break(ticket, verdict)
        if verdict is CallResult.THROTTLED:
            self.held = max(self.held, self.now + 1000 * patience)
        if verdict in LABOUR and self.now - self.shrunk >= 1000:
            self.limit, self.shrunk = round(max(1.0, self.limit * 0.75), 6), self.now
        elif verdict is CallResult.ANSWERED and used * 2 >= self.limit:
            self.limit = round(min(12.0, self.limit + 1 / self.limit), 6)

    def _break(self, ticket: str, verdict: CallResult) -> None:
        if self.opens is None:
            self.failures = 0 if verdict in ANSWERS else self.failures + (verdict in FAILURES)
            if verdict is CallResult.REFUSED or (self.failures >= 3 and verdict in FAILURES):
                self.opens, self.cooldown, self.limit = (
                    self.now + COOLDOWN,
                    COOLDOWN,
                    round(max(1.0, self.limit / 2), 6),
                )
        elif self.probe and self.probe[0] == ticket:
            self.probe = None
            if verdict in ANSWERS:
                self.opens, self.failures = None, 0
            elif verdict in FAILURES:
                self.cooldown = min(2 * self.cooldown, LONGEST)
                self.opens, self.failures = self.now + self.cooldown, self.failures + 1


class GateMachine(RuleBasedStateMachine):
    """Calls come, go, die and hang, and time passes."""

    client: redis.Redis
    tickets: Bundle[LimiterPermit] = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.gate = fresh(self.client, self.clock).gate("an Odoo", BOUNDS)
        self.model = Model()

    @rule(target=tickets)
    def enter(self) -> Any:
        entered = self._enter()
        return multiple() if entered is None else entered

    @rule(target=tickets)
    def probe(self) -> Any:
        entered = self._enter(probes=True)
        return multiple() if entered is None else entered

    @rule(ticket=consumes(tickets), verdict=VERDICTS, patience=st.integers(0, 20))
    def leave(self, ticket: LimiterPermit, verdict: CallResult, patience: int) -> None:
        self._leave(ticket, verdict, patience)

    @rule(ticket=tickets, verdict=VERDICTS)
    def leave_and_perhaps_again_later(self, ticket: LimiterPermit, verdict: CallResult) -> None:
        self._leave(ticket, verdict, 1)

    @rule(verdict=VERDICTS, times=st.integers(1, 4))
    def call(self, verdict: CallResult, times: int) -> None:
        for _ in range(times):
            ticket = self._enter()
            if ticket is not None:
                self._leave(ticket, verdict, 7)

    @rule(milliseconds=st.sampled_from([1, 400, 999, 1000, 3000, 5000, 10_000, 40_000]))
    def pass_time(self, milliseconds: int) -> None:
        self.clock.pass_(milliseconds=milliseconds)
        self.model.now += milliseconds

    @precondition(lambda self: self.model.opens is not None)
    @rule()
    def wait_for_the_cooldown(self) -> None:
        assert self.model.opens is not None
        self.pass_time(max(self.model.opens - self.model.now, 0))

    @precondition(lambda self: len(self.model.calls) > 2)
    @rule()
    def reset(self) -> None:
        self.gate.reset(who="test", note="test")
        self.model = Model(now=self.model.now, calls=self.model.calls)

    @invariant()
    def agrees(self) -> None:
        state, model = self.gate.state(), self.model
        assert state.in_flight == len(model.living())
        assert state.limit == math.floor(model.limit)
        assert 1 <= state.limit <= 12
        assert state.failures == model.failures
        assert (state.breaker is CircuitState.CLOSED) == (model.opens is None)
        assert (state.breaker is CircuitState.OPEN) == (model.opens is not None and model.opens > model.now)

    def _enter(self, *, probes: bool = False) -> LimiterPermit | None:
        expected = self.model.asked(probes=probes)
        answer = self.gate.probe() if probes else self.gate.enter("")
        match answer:
            case None:
                assert expected == "closed"
                return None
            case LimiterPermit():
                assert expected == ("probe" if answer.probe else "go")
                self.model.enter(answer)
                return answer
            case RetryIn():
                assert expected == ("full" if answer.full else "wait")
                return None

    def _leave(self, ticket: LimiterPermit, verdict: CallResult, patience: int) -> None:
        self.gate.leave(ticket, verdict, 0.1, patience)
        self.model.leave(ticket.id, verdict, patience)


def test_the_gate_agrees_with_plain_python(client: redis.Redis) -> None:
    machine = type("OnThisServer", (GateMachine,), {"client": client})
    run(machine, settings=settings(max_examples=60, stateful_step_count=60))
