"""Whether a failed attempt is tried again is a pure decision; someone else waits."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from purser.errors import Conflict, Misconfigured, NotSetUp, Refusal, Snooze, Throttled, Transient

Rng = Callable[[float, float], float]
"""Gives a number between two bounds, as `random.uniform` does."""

MAX_RETRY_AFTER_SECONDS = 6 * 3600.0
"""Seconds: a `Retry-After` beyond this is taken for a mistake."""

MISCONFIGURED_WAIT = 60.0
"""Seconds until work that met a wrong key or setting looks again."""

JITTER = 0.1
"""How much longer than asked a wait may become, so that a fleet that waits together does not come back together."""


SNOOZE_JITTER_SECONDS = 5.0
"""Seconds by which a snooze becomes longer at most: what was held back until a known moment comes back at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try, in seconds. Waits double from base to cap, or are named one by one."""

    attempts: int = 12
    base: float = 1.0
    cap: float = 3600.0
    waits: tuple[float, ...] = ()
    """The wait after the first attempt, after the second, and so on; the last one again for those after it."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")
        if not 0 < self.base <= self.cap:
            raise ValueError(f"base must be above 0 and at most cap: base {self.base:g}, cap {self.cap:g}")
        if any(wait <= 0 for wait in self.waits):
            raise ValueError(f"a wait is longer than nothing: {', '.join(f'{wait:g}' for wait in self.waits)}")


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Come back after so many seconds; no attempt was spent."""

    after: float
    why: str


@dataclass(frozen=True, slots=True)
class MoveToDeadLetters:
    """Set it aside, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordRefusal:
    """A person must decide; an engineer need not look."""

    reason: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """Let it go: it was held back on purpose, and what comes next does its work."""


Decision = Retry | Snoozed | MoveToDeadLetters | RecordRefusal | Superseded


def decide(
    policy: RetryPolicy, error: BaseException, *, attempt: int, rng: Rng, budget: float | None = None
) -> Decision:
    """Decide what follows when attempt number `attempt` (the first is 1) ended with `error`.

    Waits have full jitter: anything between nothing and the exponential bound, also where the cap is the bound, so
    that a fleet that failed together does not come back together. Source: "Exponential Backoff And Jitter", AWS
    Architecture Blog. A server that asks for patience gets at least what it asks for. Waits that are named one by one
    are kept, with a little more by chance; there a server that asks for patience is asked again when it says.

    `budget` is in how many seconds this work becomes pointless, such as a scan at its next slot: what failed and
    could only be tried after that is set aside; what was only held back until then is overtaken.
    """
    if isinstance(error, Snooze):
        snooze = Snoozed(_add_jitter(error.after, rng, most=SNOOZE_JITTER_SECONDS), error.why)
        return Superseded() if budget is not None and snooze.after >= budget else snooze
    if isinstance(error, (Refusal, NotSetUp)):  # people settle both: by a decision, or by setting Odoo up
        return RecordRefusal(str(error))
    if isinstance(error, Misconfigured):  # nothing is wrong with this work: it waits until the settings are right
        snooze = Snoozed(_add_jitter(MISCONFIGURED_WAIT, rng), f"a setting is wrong: {error}")
        return Superseded() if budget is not None and snooze.after >= budget else snooze
    if not isinstance(error, (Transient, Conflict)):
        return MoveToDeadLetters("permanent failure")
    if attempt >= policy.attempts:
        return MoveToDeadLetters("attempts spent")
    wait = _wait(policy, attempt, rng)
    if isinstance(error, Throttled):
        asked = _add_jitter(min(error.retry_after, MAX_RETRY_AFTER_SECONDS), rng)
        wait = asked if policy.waits else max(wait, asked)
    if budget is not None and wait >= budget:
        return MoveToDeadLetters("next slot comes first")
    return Retry(wait)


def _wait(policy: RetryPolicy, attempt: int, rng: Rng) -> float:
    if policy.waits:
        return _add_jitter(policy.waits[min(attempt, len(policy.waits)) - 1], rng)
    return rng(0.0, min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 60)))


def _add_jitter(seconds: float, rng: Rng, *, most: float = math.inf) -> float:
    """Return at least so many seconds, and a little more by chance, up to `most`."""
    return seconds + rng(0.0, min(JITTER * seconds, most))
