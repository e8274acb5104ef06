"""Every error says what happens next, so one `except` is enough for a caller.

PurserError
├── ConfigurationError            a declaration, setting or policy is wrong: the start stops
├── Transient          try again
│   ├── Throttled      try again, not before `retry_after` seconds
│   └── UnknownOutcome try again; it may already have happened
├── Snooze             the fleet itself holds the work back: come back `after` seconds later, no attempt spent
├── Conflict           the record moved: look again, decide again
├── Refusal            the rules or Odoo say no: a person of the business decides
├── NotApplicable      this database does not have what a declaration reads
│   └── NotSetUp       ... nor what `purser odoo setup` makes: people set it up, then it is tried again
└── Permanent          an engineer must look; spends no retries
    └── Misconfigured  wrong key, database or setting: hold everything back, tell the operator once
"""

from collections.abc import Callable


class PurserError(Exception):
    """The root of everything Purser raises on purpose."""


class ConfigurationError(PurserError):
    """A declaration, setting or policy is wrong; the process must not start."""


class Transient(PurserError):
    """A technical failure that is expected to pass: try again."""


class Throttled(Transient):
    """The other side asked for patience: try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Callable[..., "Throttled"], tuple[str, float]]:
        return _throttled, (str(self), self.retry_after)


def _throttled(message: str, retry_after: float) -> Throttled:
    return Throttled(message, retry_after=retry_after)


class UnknownOutcome(Transient):
    """The request may have been carried out: the answer was lost, not the effect."""


class Snooze(PurserError):
    """The fleet itself holds the work back (breaker open, paused, frozen): come back later, no attempt is spent.

    `after` is in seconds; `why` names what holds it, such as "paused: queue:apply".
    """

    def __init__(self, why: str, *, after: float) -> None:
        super().__init__(why)
        self.why, self.after = why, after

    def __reduce__(self) -> tuple[Callable[..., "Snooze"], tuple[str, float]]:
        return _snooze, (self.why, self.after)


def _snooze(why: str, after: float) -> Snooze:
    return Snooze(why, after=after)


class Conflict(PurserError):
    """A record is neither as expected nor as wanted: look again, decide again."""


class Refusal(PurserError):
    """A business exception: the rules or Odoo say no. Never retried blindly."""


class NotApplicable(PurserError):
    """The database lacks a model, field or right that a declaration reads."""


class NotSetUp(NotApplicable):
    """Odoo was not set up for this operation: a person does that, once, and then it is tried again."""


class Permanent(PurserError):
    """A technical failure that will not pass by itself."""


class Misconfigured(Permanent):
    """The door itself is wrong: key, database, address or rights."""
