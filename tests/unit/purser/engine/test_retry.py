"""Whether and when to try again follows from the error alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser.engine.retry import (
    MISCONFIGURED_WAIT,
    MoveToDeadLetters,
    RecordRefusal,
    Retry,
    RetryPolicy,
    Snoozed,
    Superseded,
    decide,
)
from purser.errors import (
    Conflict,
    Misconfigured,
    NotSetUp,
    Permanent,
    Refusal,
    Snooze,
    Throttled,
    Transient,
    UnknownOutcome,
)

POLICY = RetryPolicy(attempts=4, base=1.0, cap=10.0)


def longest(low: float, high: float) -> float:
    return max(low, high)


def shortest(low: float, high: float) -> float:
    return min(low, high)


@pytest.mark.parametrize("error", [Transient("x"), UnknownOutcome("x"), Conflict("x")])
def test_a_passing_failure_is_tried_again_with_growing_bounds(error: Exception) -> None:
    waits = [decide(POLICY, error, attempt=n, rng=longest) for n in (1, 2, 3)]
    assert waits == [Retry(1.0), Retry(2.0), Retry(4.0)]


def test_the_last_attempt_is_set_aside() -> None:
    assert decide(POLICY, Transient("x"), attempt=4, rng=longest) == MoveToDeadLetters("attempts spent")


@pytest.mark.parametrize("error", [Permanent("x"), KeyError("x"), ValueError("x")])
def test_a_permanent_or_unforeseen_error_spends_no_retries(error: Exception) -> None:
    assert decide(POLICY, error, attempt=1, rng=longest) == MoveToDeadLetters("permanent failure")


def test_a_wrong_setting_holds_work_back_and_spends_no_attempt() -> None:
    wrong = Misconfigured("Odoo does not accept the API key")
    decision = decide(POLICY, wrong, attempt=4, rng=shortest)
    assert decision == Snoozed(MISCONFIGURED_WAIT, "a setting is wrong: Odoo does not accept the API key")
    assert decide(POLICY, wrong, attempt=1, rng=shortest, budget=30) == Superseded()


@pytest.mark.parametrize("error", [Refusal("no"), NotSetUp("no")])
def test_what_people_must_settle_is_theirs_and_never_tried_again(error: Exception) -> None:
    assert decide(POLICY, error, attempt=1, rng=longest) == RecordRefusal("no")


def test_patience_that_was_asked_for_is_kept_and_never_cut_by_the_cap() -> None:
    impatient = RetryPolicy(attempts=4, base=1.0, cap=2.0)
    decision = decide(impatient, Throttled("slow", retry_after=90), attempt=1, rng=shortest)
    assert decision == Retry(90.0)


def test_a_senseless_wish_for_patience_has_an_end() -> None:
    decision = decide(POLICY, Throttled("slow", retry_after=1e9), attempt=1, rng=shortest)
    assert decision == Retry(6 * 3600.0)


def test_waits_that_are_named_one_by_one_are_kept_and_the_last_one_stays() -> None:
    policy = RetryPolicy(attempts=5, waits=(5.0, 300.0))
    shorter = [decide(policy, Transient("x"), attempt=n, rng=shortest) for n in (1, 2, 3, 4)]
    longer = [decide(policy, Transient("x"), attempt=n, rng=longest) for n in (1, 2)]
    assert shorter == [Retry(5.0), Retry(300.0), Retry(300.0), Retry(300.0)]
    assert longer == [Retry(5.5), Retry(330.0)]
    assert decide(policy, Transient("x"), attempt=5, rng=longest) == MoveToDeadLetters("attempts spent")
    asked = decide(policy, Throttled("x", retry_after=60), attempt=2, rng=shortest)
    assert asked == Retry(60.0), "a server that says when is asked again then, sooner or later than usual"
    with pytest.raises(ValueError, match="longer than nothing"):
        RetryPolicy(waits=(0.0,))


@given(st.integers(1, 200), st.integers(0, 2**32), st.floats(0, 6 * 3600))
def test_a_wait_stays_within_its_bound_and_keeps_what_was_asked_for(attempt: int, seed: int, patience: float) -> None:
    policy, rng = RetryPolicy(attempts=1000, base=0.5, cap=10.0), random.Random(seed).uniform
    usual = decide(policy, Transient("x"), attempt=attempt, rng=rng)
    asked = decide(policy, Throttled("x", retry_after=patience), attempt=attempt, rng=rng)
    assert isinstance(usual, Retry)
    assert isinstance(asked, Retry)
    assert 0 <= usual.after <= min(policy.cap, policy.base * 2 ** (attempt - 1))
    assert patience <= asked.after <= max(policy.cap, patience * 1.1 + 1e-6)


@given(st.floats(0.001, 1e4), st.floats(1, 1e4), st.integers(1, 2000))
def test_bounds_never_shrink_and_end_at_the_cap(base: float, factor: float, attempt: int) -> None:
    policy = RetryPolicy(attempts=10_000, base=base, cap=base * factor)
    one, other = (decide(policy, Transient("x"), attempt=n, rng=longest) for n in (attempt, attempt + 1))
    assert isinstance(one, Retry)
    assert isinstance(other, Retry)
    assert base <= one.after <= other.after <= policy.cap


def test_waits_at_the_cap_are_spread_from_nothing_to_the_cap() -> None:
    rng = random.Random(7).uniform
    waits = [decide(POLICY, Transient("x"), attempt=3, rng=rng) for _ in range(200)]
    seconds = [wait.after for wait in waits if isinstance(wait, Retry)]
    assert min(seconds) < 0.4
    assert max(seconds) > 3.6


def test_what_the_fleet_holds_back_itself_spends_no_attempt_however_often() -> None:
    decision = decide(POLICY, Snooze("paused: all", after=30.0), attempt=99, rng=shortest)
    assert decision == Snoozed(30.0, "paused: all")


@given(st.floats(0.1, 1e4), st.floats(0, 1e4), st.integers(0, 2**32))
def test_nothing_waits_beyond_its_budget(budget: float, after: float, seed: int) -> None:
    rng = random.Random(seed).uniform
    held = decide(POLICY, Snooze("paused: all", after=after), attempt=1, rng=rng, budget=budget)
    failed = decide(POLICY, Throttled("x", retry_after=after), attempt=1, rng=rng, budget=budget)
    match held:
        case Snoozed(after=wait):
            assert wait < budget
        case _:
            assert held == Superseded()
            assert after * 1.1 >= budget
    match failed:
        case Retry(after=wait):
            assert wait < budget
        case _:
            assert failed == MoveToDeadLetters("next slot comes first")


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"base": 0.0}, {"base": 5.0, "cap": 1.0}])
def test_a_senseless_policy_cannot_be_written(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"attempts|base"):
        RetryPolicy(**bad)  # type: ignore[arg-type]
