"""Whether and when to try again follows from the error alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser.errors import Conflict, Misconfigured, Permanent, Refusal, Throttled, Transient, UnknownOutcome
from purser.retry import DeadLetter, Refused, Retry, RetryPolicy, decide

POLICY = RetryPolicy(attempts=4, base=1.0, cap=10.0)


def longest(low: float, high: float) -> float:
    return max(low, high)


@pytest.mark.parametrize("error", [Transient("x"), UnknownOutcome("x"), Conflict("x")])
def test_a_passing_failure_is_tried_again_with_growing_bounds(error: Exception) -> None:
    waits = [decide(POLICY, error, attempt=n, rng=longest) for n in (1, 2, 3)]
    assert waits == [Retry(1.0), Retry(2.0), Retry(4.0)]


def test_the_last_attempt_is_set_aside() -> None:
    assert decide(POLICY, Transient("x"), attempt=4, rng=longest) == DeadLetter("attempts spent")


@pytest.mark.parametrize("error", [Permanent("x"), Misconfigured("x"), KeyError("x"), ValueError("x")])
def test_a_permanent_or_unforeseen_error_spends_no_retries(error: Exception) -> None:
    assert decide(POLICY, error, attempt=1, rng=longest) == DeadLetter("permanent failure")


def test_a_refusal_is_for_a_person_and_never_tried_again() -> None:
    assert decide(POLICY, Refusal("no"), attempt=1, rng=longest) == Refused("no")


def test_patience_that_was_asked_for_is_kept() -> None:
    assert decide(POLICY, Throttled("slow", retry_after=7), attempt=1, rng=longest) == Retry(7)


@given(st.integers(1, 50), st.integers(0, 2**32), st.floats(0, 1e6))
def test_a_wait_never_exceeds_its_cap_and_is_never_negative(attempt: int, seed: int, patience: float) -> None:
    policy = RetryPolicy(attempts=100, base=0.5, cap=10.0)
    for error in (Transient("x"), Throttled("x", retry_after=patience)):
        decision = decide(policy, error, attempt=attempt, rng=random.Random(seed).uniform)
        assert isinstance(decision, Retry)
        assert 0 <= decision.after <= policy.cap


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"base": 0.0}, {"base": 5.0, "cap": 1.0}])
def test_a_senseless_policy_cannot_be_written(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"attempts|base"):
        RetryPolicy(**bad)  # type: ignore[arg-type]
