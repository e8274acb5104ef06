"""All workers of an Odoo pass one gate: it shuts while Odoo fails, and narrows while Odoo labours."""

import dataclasses
import datetime as dt
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from store import CallResult, CircuitState, Ledger, LimiterConfig, LimiterPermit, OdooLimiter, RetryIn
from store.fleet.odoo_limiter import MAX_HOLD
from tests.contract.store.making import START, Clock

ODOO = "https://odoo.example.com (db)"
SECOND = dt.timedelta(seconds=1)
BOUNDS = LimiterConfig(failures=3, cooldown=5 * SECOND, longest=18 * SECOND, calls=8, lease=60 * SECOND)


@pytest.fixture
def gate(ledger: Ledger) -> OdooLimiter:
    return ledger.gate(ODOO, BOUNDS)


def entered(gate: OdooLimiter, kind: str = "") -> LimiterPermit:
    answer = gate.enter(kind)
    assert isinstance(answer, LimiterPermit), answer
    return answer


def probing(gate: OdooLimiter) -> LimiterPermit:
    answer = gate.probe()
    assert isinstance(answer, LimiterPermit), answer
    assert answer.probe
    return answer


def turned_away(gate: OdooLimiter) -> RetryIn:
    answer = gate.enter("")
    assert isinstance(answer, RetryIn), answer
    return answer


def make_calls(
    gate: OdooLimiter, verdict: CallResult, times: int = 1, *, kind: str = "", seconds: float = 0.1
) -> None:
    for _ in range(times):
        gate.leave(entered(gate, kind), verdict, seconds)


# ----------------------------------------------------------------------------- the breaker --


def test_failures_in_a_row_shut_the_gate_for_everybody(ledger: Ledger, gate: OdooLimiter) -> None:
    make_calls(gate, CallResult.FAILED, 2)
    assert gate.state().breaker is CircuitState.CLOSED

    make_calls(gate, CallResult.TIMED_OUT)

    neighbour = ledger.gate(ODOO, BOUNDS)
    assert turned_away(neighbour).after == 5.0
    assert "breaker open" in turned_away(neighbour).why
    state = gate.state()
    assert (state.breaker, state.failures, state.since) == (CircuitState.OPEN, 3, START)
    assert state.until == START + 5 * SECOND
    assert isinstance(ledger.gate("another Odoo", BOUNDS).enter(""), LimiterPermit)


@pytest.mark.parametrize("answer", [CallResult.ANSWERED, CallResult.CONTENDED])
def test_an_answer_in_between_begins_the_row_anew(gate: OdooLimiter, answer: CallResult) -> None:
    for _ in range(3):
        make_calls(gate, CallResult.FAILED, 2)
        make_calls(gate, answer)

    assert gate.state().breaker is CircuitState.CLOSED
    assert gate.state().failures == 0


@pytest.mark.parametrize("nothing", [CallResult.ABANDONED, CallResult.THROTTLED])
def test_what_says_nothing_of_odoo_leaves_the_row_as_it_is(
    gate: OdooLimiter, clock: Clock, nothing: CallResult
) -> None:
    make_calls(gate, CallResult.FAILED, 2)
    make_calls(gate, nothing)
    clock.pass_(seconds=1)
    assert gate.state().failures == 2


def test_after_the_cooldown_one_probe_goes_and_no_call_is_one(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    assert isinstance(gate.probe(), RetryIn), "not before the cooldown is over"
    clock.pass_(seconds=5)
    assert gate.state().breaker is CircuitState.HALF_OPEN
    assert "half-open" in turned_away(gate).why

    probe = probing(gate)

    assert isinstance(gate.probe(), RetryIn), "one at a time"
    assert "half-open" in turned_away(gate).why
    assert 0 < turned_away(gate).after <= 5

    gate.leave(probe, CallResult.ANSWERED, 0.1)

    assert not entered(gate).probe
    state = gate.state()
    assert (state.breaker, state.failures, state.since, state.until) == (CircuitState.CLOSED, 0, clock.moment, None)


def test_each_failed_probe_doubles_the_cooldown_up_to_its_longest(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    waits = []
    for _ in range(4):
        waits.append(turned_away(gate).after)
        clock.pass_(seconds=waits[-1])
        gate.leave(probing(gate), CallResult.FAILED, 0.1)

    assert waits == [5.0, 10.0, 18.0, 18.0]
    assert gate.state().since == START

    clock.pass_(seconds=18)
    gate.leave(probing(gate), CallResult.ANSWERED, 0.1)
    make_calls(gate, CallResult.FAILED, 3)
    assert turned_away(gate).after == 5.0


def test_a_probe_that_dies_makes_room_for_another_when_its_lease_lapses(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(seconds=5)
    lost = probing(gate)
    clock.pass_(seconds=59)
    turned_away(gate)
    clock.pass_(seconds=1)

    second = probing(gate)
    gate.leave(lost, CallResult.FAILED, 70)
    assert gate.state().breaker is CircuitState.HALF_OPEN
    gate.leave(second, CallResult.ANSWERED, 0.1)
    assert gate.state().breaker is CircuitState.CLOSED


def test_a_call_that_is_renewed_keeps_its_slot_and_one_that_is_not_holds_up_nobody(
    gate: OdooLimiter, clock: Clock
) -> None:
    long, dead = entered(gate), entered(gate)
    others = gate.state().limit - 2
    for _ in range(4):
        clock.pass_(seconds=50)
        gate.renew([long])
    assert gate.state().in_flight == 1
    for _ in range(others + 1):
        entered(gate)
    assert turned_away(gate).full
    gate.renew([dead])  # its slot has lapsed: another has it by now
    gate.leave(long, CallResult.ANSWERED, 200)
    assert isinstance(gate.enter(""), LimiterPermit)


def test_a_probe_that_takes_long_stays_the_only_one_while_it_is_renewed(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(seconds=5)
    probe = probing(gate)
    for _ in range(3):
        clock.pass_(seconds=50)
        gate.renew([probe])
        turned_away(gate)
    gate.leave(probe, CallResult.ANSWERED, 150)
    assert gate.state().breaker is CircuitState.CLOSED


def test_a_probe_broken_off_on_our_side_makes_room_at_once(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(seconds=5)
    gate.leave(probing(gate), CallResult.ABANDONED, 1)
    probing(gate)


def test_calls_from_before_the_breaker_opened_neither_prolong_nor_close_it(ledger: Ledger, clock: Clock) -> None:
    gate = ledger.gate(ODOO, dataclasses.replace(BOUNDS, calls=32))
    early, late, third = entered(gate), entered(gate), entered(gate)
    for ticket in (third, *(entered(gate) for _ in range(2))):
        gate.leave(ticket, CallResult.FAILED, 1)
    clock.pass_(seconds=3)

    gate.leave(early, CallResult.ANSWERED, 3)
    assert turned_away(gate).after == 2.0
    gate.leave(late, CallResult.FAILED, 3)
    assert turned_away(gate).after == 2.0


def test_a_probe_passes_although_the_slots_are_taken_by_calls_that_hang(gate: OdooLimiter, clock: Clock) -> None:
    entered(gate)
    make_calls(gate, CallResult.FAILED, 3)
    assert gate.state().limit == gate.state().in_flight == 1
    clock.pass_(seconds=5)
    probing(gate)


def test_a_side_without_a_harmless_call_is_probed_by_a_call_that_may(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(seconds=5)
    answer = gate.enter("", may_probe=True)
    assert isinstance(answer, LimiterPermit)
    assert answer.probe
    assert isinstance(gate.enter("", may_probe=True), RetryIn)


def test_a_closed_breaker_has_nothing_to_probe(gate: OdooLimiter) -> None:
    assert gate.probe() is None
    assert gate.probe(at_once=True) is None


def test_a_probe_at_once_waits_for_no_cooldown_but_for_another_probe(gate: OdooLimiter) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    probe = gate.probe(at_once=True)
    assert isinstance(probe, LimiterPermit)
    assert isinstance(gate.probe(at_once=True), RetryIn)
    gate.leave(probe, CallResult.ANSWERED, 0.1)
    assert gate.state().breaker is CircuitState.CLOSED


def test_calls_come_back_less_often_the_longer_nobody_probes(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(seconds=5)
    asked = []
    for _ in range(5):
        asked.append(turned_away(gate).after)
        clock.pass_(seconds=asked[-1])
    assert asked == [5.0, 5.0, 10.0, 18.0, 18.0]


def test_an_odoo_that_does_not_let_us_in_is_left_alone_at_once(gate: OdooLimiter, clock: Clock) -> None:
    assert gate.leave(entered(gate), CallResult.REFUSED, 0.1, why="the key is wrong")
    assert turned_away(gate).why == "breaker open: Odoo does not let us in"
    state = gate.state()
    assert (state.breaker, state.is_refused, state.why) == (CircuitState.OPEN, True, "the key is wrong")

    clock.pass_(seconds=5)
    assert not gate.leave(probing(gate), CallResult.REFUSED, 0.1, why="still wrong"), "it was open before"
    assert (gate.state().until, gate.state().why) == (clock.moment + 10 * SECOND, "still wrong")

    clock.pass_(seconds=10)
    gate.leave(probing(gate), CallResult.ANSWERED, 0.1)
    state = gate.state()
    assert (state.breaker, state.is_refused, state.why) == (CircuitState.CLOSED, False, "")


def test_one_call_alone_hears_that_it_opened_the_breaker(gate: OdooLimiter) -> None:
    assert [gate.leave(entered(gate), CallResult.FAILED, 0.1) for _ in range(3)] == [False, False, True]


# ------------------------------------------------------- a clock that was ahead for a moment --


def test_a_breaker_of_a_clock_that_was_a_day_ahead_is_probed_at_once(gate: OdooLimiter, clock: Clock) -> None:
    clock.pass_(days=1)
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(days=-1)
    assert gate.state().breaker is CircuitState.HALF_OPEN
    assert turned_away(gate).after <= BOUNDS.longest.total_seconds()
    gate.leave(probing(gate), CallResult.ANSWERED, 0.1)
    entered(gate)


def test_a_hold_of_a_clock_that_was_a_day_ahead_is_over(gate: OdooLimiter, clock: Clock) -> None:
    clock.pass_(days=1)
    gate.leave(entered(gate), CallResult.THROTTLED, 0.1, retry_after=30)
    clock.pass_(days=-1)
    assert gate.state().held_until is None
    gate.leave(entered(gate), CallResult.THROTTLED, 0.1, retry_after=30)
    assert turned_away(gate).after == 30.0


def test_a_probe_and_calls_of_a_clock_that_was_a_day_ahead_hold_up_nobody(gate: OdooLimiter, clock: Clock) -> None:
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(days=1)
    probing(gate)
    clock.pass_(days=-1)
    clock.pass_(seconds=5)
    gate.leave(probing(gate), CallResult.ANSWERED, 0.1)
    clock.pass_(days=1)
    entered(gate)
    clock.pass_(days=-1)
    assert gate.state().in_flight == 0
    entered(gate)


def test_a_limit_that_shrank_by_a_clock_that_was_ahead_shrinks_again(ledger: Ledger, clock: Clock) -> None:
    gate = ledger.gate(ODOO, LimiterConfig(calls=32, failures=1000))
    clock.pass_(days=1)
    make_calls(gate, CallResult.CONTENDED)
    clock.pass_(days=-1)
    make_calls(gate, CallResult.CONTENDED)
    assert gate.state().limit == 4


# ---------------------------------------------------------------------------------- patience --


def test_odoos_wish_for_patience_holds_everybody(ledger: Ledger, gate: OdooLimiter, clock: Clock) -> None:
    ticket = entered(gate)
    gate.leave(ticket, CallResult.THROTTLED, 0.1, retry_after=30)

    assert turned_away(ledger.gate(ODOO, BOUNDS)).after == 30.0
    assert gate.state().held_until == START + 30 * SECOND

    clock.pass_(seconds=30)
    entered(gate)
    assert gate.state().held_until is None


def test_a_shorter_wish_does_not_end_a_longer_one(gate: OdooLimiter) -> None:
    first, second = entered(gate), entered(gate)
    gate.leave(first, CallResult.THROTTLED, 0.1, retry_after=30)
    gate.leave(second, CallResult.THROTTLED, 0.1, retry_after=3)
    assert turned_away(gate).after == 30.0


@pytest.mark.parametrize("asked", [86_400.0, float("inf")])
def test_no_wish_for_patience_is_granted_beyond_an_hour(gate: OdooLimiter, asked: float) -> None:
    gate.leave(entered(gate), CallResult.THROTTLED, 0.1, retry_after=asked)
    assert turned_away(gate).after == MAX_HOLD.total_seconds()


def test_patience_and_an_open_breaker_are_waited_for_together(gate: OdooLimiter, clock: Clock) -> None:
    ticket = entered(gate)
    make_calls(gate, CallResult.FAILED, 3)
    gate.leave(ticket, CallResult.THROTTLED, 0.1, retry_after=8)
    assert turned_away(gate).after == 8.0
    clock.pass_(seconds=8)
    probing(gate)


# ---------------------------------------------------------------------------------- throttle --


def test_no_more_calls_enter_than_the_limit_and_each_that_leaves_makes_room(gate: OdooLimiter) -> None:
    inside = [entered(gate) for _ in range(gate.state().limit)]
    assert turned_away(gate).full

    gate.leave(inside[0], CallResult.ABANDONED, 0.1)

    entered(gate)
    assert turned_away(gate).full
    assert gate.state().in_flight == gate.state().limit == 2


def test_the_slot_of_a_killed_worker_lapses(gate: OdooLimiter, clock: Clock) -> None:
    for _ in range(2):
        entered(gate)
    clock.pass_(seconds=59)
    turned_away(gate)
    clock.pass_(seconds=1)
    entered(gate)
    assert gate.state().in_flight == 1


def test_the_limit_grows_while_it_is_used_and_never_beyond_the_most(gate: OdooLimiter) -> None:
    for _ in range(200):
        inside = [entered(gate) for _ in range(gate.state().limit)]
        for ticket in inside:
            gate.leave(ticket, CallResult.ANSWERED, 0.1)
    assert gate.state().limit == BOUNDS.calls


def test_a_limit_that_nobody_uses_stays(ledger: Ledger) -> None:
    gate = ledger.gate(ODOO, LimiterConfig(calls=32))
    make_calls(gate, CallResult.ANSWERED, 100)
    assert gate.state().limit == 8


@pytest.mark.parametrize("sign", [CallResult.CONTENDED, CallResult.THROTTLED, CallResult.TIMED_OUT])
def test_signs_of_labour_shrink_the_limit_once_a_second_and_never_below_one(
    ledger: Ledger, clock: Clock, sign: CallResult
) -> None:
    gate = ledger.gate(ODOO, LimiterConfig(calls=32, failures=1000))
    make_calls(gate, sign, 5)
    assert gate.state().limit == 6

    for _ in range(20):
        clock.pass_(seconds=1)
        make_calls(gate, sign)
    assert gate.state().limit == 1
    entered(gate)


def test_a_plain_failure_says_nothing_of_load_until_the_breaker_opens(gate: OdooLimiter) -> None:
    make_calls(gate, CallResult.FAILED, 2)
    assert gate.state().limit == 2
    make_calls(gate, CallResult.FAILED)
    assert gate.state().limit == 1


def test_a_lower_setting_counts_at_once(ledger: Ledger) -> None:
    ledger.gate(ODOO, LimiterConfig(calls=32))
    wide = ledger.gate(ODOO, LimiterConfig(calls=32))
    make_calls(wide, CallResult.CONTENDED)
    narrow = ledger.gate(ODOO, LimiterConfig(calls=1))

    entered(narrow)

    assert turned_away(narrow).full
    assert narrow.state().limit == 1


def busy_calls(gate: OdooLimiter, clock: Clock, *, kind: str, seconds: float, rounds: int) -> None:
    """Fill the gate, let all leave, and let a second pass, again and again."""
    for _ in range(rounds):
        inside = [entered(gate, kind) for _ in range(gate.state().limit)]
        for ticket in inside:
            gate.leave(ticket, CallResult.ANSWERED, seconds)
        clock.pass_(seconds=1)


def test_calls_far_slower_than_their_like_shrink_the_limit(gate: OdooLimiter, clock: Clock) -> None:
    busy_calls(gate, clock, kind="load", seconds=0.2, rounds=30)
    assert gate.state().limit == 8

    busy_calls(gate, clock, kind="load", seconds=2, rounds=3)

    assert gate.state().limit < 5


def test_slow_calls_of_another_kind_do_not(gate: OdooLimiter, clock: Clock) -> None:
    busy_calls(gate, clock, kind="load", seconds=0.2, rounds=30)
    busy_calls(gate, clock, kind="post", seconds=9, rounds=30)
    busy_calls(gate, clock, kind="", seconds=60, rounds=30)
    assert gate.state().limit == 8


def test_calls_too_quick_to_matter_do_not_count_as_slow(gate: OdooLimiter, clock: Clock) -> None:
    busy_calls(gate, clock, kind="load", seconds=0.002, rounds=30)
    busy_calls(gate, clock, kind="load", seconds=0.2, rounds=5)
    assert gate.state().limit == 8


def test_where_few_of_the_calls_are_ours_slowness_changes_nothing(gate: OdooLimiter, clock: Clock) -> None:
    busy_calls(gate, clock, kind="load", seconds=0.2, rounds=30)
    for _ in range(20):
        clock.pass_(seconds=1)
        make_calls(gate, CallResult.ANSWERED, kind="load", seconds=5)
    assert gate.state().limit == 8


def test_a_storm_of_slow_calls_does_not_become_the_custom(gate: OdooLimiter, clock: Clock) -> None:
    busy_calls(gate, clock, kind="load", seconds=0.2, rounds=30)
    for _ in range(500):
        make_calls(gate, CallResult.ANSWERED, kind="load", seconds=3)
    busy_calls(gate, clock, kind="load", seconds=3, rounds=5)
    assert gate.state().limit < 4


# ------------------------------------------------------------------------------------- people --


def test_an_operator_resets_it_and_that_is_audited(ledger: Ledger, gate: OdooLimiter) -> None:
    gate.leave(entered(gate), CallResult.THROTTLED, 0.1, retry_after=600)
    gate.reset(who="ada", note="the proxy was wrong")
    running = entered(gate)
    make_calls(gate, CallResult.FAILED, 3)

    gate.reset(who="ada", note="Odoo is back")

    assert gate.state().breaker is CircuitState.CLOSED
    assert gate.state().in_flight == 1
    gate.leave(running, CallResult.ANSWERED, 0.1)
    entry = ledger.audit.tail(1)[0]
    assert (entry.who, entry.action, entry.what, entry.note) == ("ada", "gate.reset", ODOO, "Odoo is back")
    with pytest.raises(ValueError, match="note"):
        gate.reset(who="ada", note=" ")


def test_a_gate_nobody_has_passed_is_closed_as_breaker_and_empty(gate: OdooLimiter) -> None:
    state = gate.state()
    assert (state.breaker, state.since, state.failures, state.in_flight) == (CircuitState.CLOSED, None, 0, 0)


@pytest.mark.parametrize(
    "bounds", [{"failures": 0}, {"calls": 0}, {"cooldown": dt.timedelta(0)}, {"cooldown": dt.timedelta(hours=1)}]
)
def test_bounds_that_would_let_nobody_in_are_turned_away(bounds: dict[str, dt.timedelta | int]) -> None:
    with pytest.raises(ValueError, match=r"gate|cooldown"):
        LimiterConfig(**bounds)  # type: ignore[arg-type]


def test_without_a_clock_of_its_own_the_gate_goes_by_the_servers(client: redis.Redis) -> None:
    gate = Ledger(client, prefix="by-the-server").gate(ODOO, BOUNDS)
    make_calls(gate, CallResult.FAILED, 3)
    assert 4 < turned_away(gate).after <= 5
    gate.reset(who="test", note="over")


def test_a_ticket_handed_back_twice_counts_once(gate: OdooLimiter) -> None:
    ticket = entered(gate)
    for _ in range(5):
        gate.leave(ticket, CallResult.FAILED, 1)
    assert gate.state().failures == 1


def test_a_call_whose_answer_was_lost_enters_again_with_the_slot_it_has(
    gate: OdooLimiter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.odoo_limiter.uuid.uuid4", lambda: uuid.UUID(int=7))
    first = entered(gate)
    for _ in range(8):
        assert entered(gate) == first
    assert gate.state().in_flight == 1

    gate.leave(first, CallResult.ANSWERED, 0.1)
    make_calls(gate, CallResult.FAILED, 3)
    clock.pass_(seconds=5)
    probing(gate)
    probing(gate)


# ------------------------------------------------------------------------------------ together --


def test_of_many_at_once_never_more_are_inside_than_the_limit(redis_url: str) -> None:
    lock = threading.Lock()
    inside: set[str] = set()
    crowds: list[int] = []
    start = threading.Barrier(8)

    def work(_: int) -> int:
        book = Ledger.connect(redis_url)
        gate = book.gate(ODOO, LimiterConfig(calls=12))
        start.wait(timeout=10)
        passed = turned = 0
        while passed < 20:
            answer = gate.enter("")
            if isinstance(answer, RetryIn):
                assert answer.full
                turned += 1
                continue
            with lock:
                inside.add(answer.id)
                crowds.append(len(inside))
            assert gate.state().in_flight <= 3
            with lock:
                inside.remove(answer.id)
            gate.leave(answer, CallResult.ABANDONED, 0.01)
            passed += 1
        book.close()
        return turned

    with ThreadPoolExecutor(8) as pool:
        turned = sum(pool.map(work, range(8)))

    assert len(crowds) == 160
    assert max(crowds) <= 3
    assert turned > 0


@pytest.mark.parametrize("round_", range(10))
def test_of_many_that_come_after_the_cooldown_one_probes(redis_url: str, round_: int) -> None:
    start = threading.Barrier(8)
    bounds = LimiterConfig(failures=1, cooldown=dt.timedelta(microseconds=1))
    first = Ledger.connect(redis_url)
    make_calls(first.gate(f"{ODOO} {round_}", bounds), CallResult.FAILED)
    first.close()

    def come(_: int) -> bool:
        book = Ledger.connect(redis_url)
        try:
            start.wait(timeout=10)
            answer = book.gate(f"{ODOO} {round_}", bounds).probe()
            return isinstance(answer, LimiterPermit) and answer.probe
        finally:
            book.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(come, range(8))) == [False] * 7 + [True]
