"""How a task ends when it is not done: it comes back later, or its message is set aside."""

from collections.abc import Callable
from typing import Any

from celery.exceptions import Retry

from store import DelayKind


class RetryLater(Retry):
    """Ends a task whose message waits in the ledger: of which kind, for how many seconds, and why."""

    def __init__(self, kind: str, after: float, why: str) -> None:
        super().__init__(message=why, when=after)
        self.kind, self.after, self.why = DelayKind(kind), after, why

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (str(self.kind), self.after, self.why)


class SendToDeadLetters(Exception):
    """Ends a task whose message becomes a dead letter: why, which error, and what it said."""

    def __init__(self, reason: str, error: str, text: str) -> None:
        super().__init__(reason, error, text)
        self.reason, self.error, self.text = reason, error, text

    def __repr__(self) -> str:
        """Leave out what the error said: Celery tells everybody on the broker the `repr` of what ended a task."""
        return f"{self.error} ({self.reason})"

    def __str__(self) -> str:
        return f"{self.reason}: {self.error}: {self.text}"
