"""One clock for the fleet: machines may be a minute apart, and every slot must be the same one on all of them."""

import datetime as dt
import os
import time
from collections.abc import Callable

import structlog

from purser.errors import PurserError

log = structlog.get_logger(__name__)

LEARN_INTERVAL = 30.0
"""Seconds between two looks at the ledger's clock."""

APART = 5.0
"""Seconds: a machine whose clock is further off than this is told of."""

SLOW = 2.0
"""Seconds: an answer that took longer may be old by then, such as that of a process which was stopped in between."""


def utc_now() -> dt.datetime:
    """Read this machine's clock."""
    return dt.datetime.now(dt.UTC)


class FleetClock:
    """The ledger server's clock, asked now and then and carried on by this machine's steady one.

    While the ledger is away what was learned last goes on; who has learned nothing yet trusts this machine.
    """

    def __init__(
        self,
        ledger_now: Callable[[], dt.datetime],
        *,
        local: Callable[[], dt.datetime] = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger_now, self._local, self._steady = ledger_now, local, steady
        self._learned: tuple[dt.datetime, float] | None = None
        self._asked_at: float | None = None
        self._told: set[str] = set()

    def __call__(self) -> dt.datetime:
        """Return the present moment, in UTC."""
        present = self._steady()
        if self._asked_at is None or present - self._asked_at >= LEARN_INTERVAL:
            self._asked_at = present
            self._learn()
        if self._learned is None:
            return self._local()
        moment, then = self._learned
        return moment + dt.timedelta(seconds=self._steady() - then)

    def _learn(self) -> None:
        asked = self._steady()
        try:
            moment = self._ledger_now()
        except PurserError as error:
            self._tell("away", "the ledger's clock cannot be read", problem=str(error))
            return
        answered = self._steady()
        self._told.discard("away")
        if answered - asked > SLOW and self._learned is not None:
            return  # what was learned before is nearer the truth
        self._learned = (moment.astimezone(dt.UTC), (asked + answered) / 2)
        apart = (moment - self._local()).total_seconds()
        if abs(apart) > APART:
            self._tell("apart", "this machine's clock is off, the ledger's counts", seconds=round(apart, 1))
        else:
            self._told.discard("apart")

    def _tell(self, what: str, text: str, **facts: object) -> None:
        """Log something once, until it has passed."""
        if what not in self._told:
            log.warning(text, pid=os.getpid(), **facts)
        self._told.add(what)
