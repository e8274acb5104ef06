"""The words between who calls Odoo and who decides when it may be called."""

import enum
from dataclasses import dataclass


class CallResult(enum.StrEnum):
    """What a call told about Odoo."""

    ANSWERED = "answered"
    """Odoo works, even where the answer is no."""
    CONTENDED = "contended"
    """Odoo works, and another transaction was in the way."""
    THROTTLED = "throttled"
    """It asked for patience."""
    FAILED = "failed"
    """It did not work."""
    REFUSED = "refused"
    """It did not let us in: the key, the login, the database or the address is wrong."""
    TIMED_OUT = "timed out"
    """It did not work in time."""
    ABANDONED = "abandoned"
    """The call was broken off on our side, and says nothing of Odoo."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """No call now: ask again in `after` seconds."""

    after: float
    why: str
    full: bool = False
    """Only for want of a free slot, which may come any moment."""
