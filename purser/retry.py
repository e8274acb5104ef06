"""Whether a failed attempt is tried again is a pure decision; someone else waits."""

from collections.abc import Callable
from dataclasses import dataclass

from purser.errors import Conflict, Refusal, Throttled, Transient

Rng = Callable[[float, float], float]
"""Gives a number between two bounds, as `random.uniform` does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try. Seconds."""

    attempts: int = 6
    base: float = 0.5
    cap: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")
        if not 0 < self.base <= self.cap:
            raise ValueError(f"base must be above 0 and at most cap: base {self.base}, cap {self.cap}")


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Set it aside, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A person must decide; an engineer need not look."""

    reason: str


def decide(policy: RetryPolicy, error: BaseException, *, attempt: int, rng: Rng) -> Retry | DeadLetter | Refused:
    """Decide what follows when attempt number `attempt` (the first is 1) ended with `error`.

    Waits have full jitter: anything between nothing and the exponential bound, so that a fleet that failed
    together does not come back together. Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    if isinstance(error, Refusal):
        return Refused(str(error))
    if not isinstance(error, (Transient, Conflict)):
        return DeadLetter("permanent failure")
    if attempt >= policy.attempts:
        return DeadLetter("attempts spent")
    bound = min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 30))
    wait = rng(0.0, bound)
    if isinstance(error, Throttled):
        return Retry(min(max(error.retry_after, wait), policy.cap))
    return Retry(wait)
