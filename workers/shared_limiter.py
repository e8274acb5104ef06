"""The gate before Odoo is kept in the ledger; while the ledger is away it stands open."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from odoo_client import CallPermit
from purser.errors import PurserError
from store import CallResult, LimiterPermit, OdooLimiter, RetryIn

log = structlog.get_logger(__name__)

UNASKED = 5.0
"""Seconds for which a gate that could not be asked is not asked again: each call would wait for the ledger first."""

SAID_EVERY = 60.0

RENEW_EVERY = 4.0
"""Seconds between two renewals of the slots of calls: three of them fit into a lease."""


class SharedLimiter:
    """Asks the ledger before each call. Holding back serves Odoo and never correctness, so no answer means go."""

    def __init__(self, gate: Callable[[], OdooLimiter], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gate = gate
        self._monotonic = monotonic
        self._ask_again = self._say_again = float("-inf")
        self._lock = threading.Lock()
        self._under_way: dict[str, LimiterPermit] = {}
        self._thread: threading.Thread | None = None

    def enter(self, kind: str) -> CallPermit | RetryIn:
        """Ask to make a call."""
        if self._monotonic() < self._ask_again:
            return _UncountedPermit()
        try:
            gate = self._gate()
            answer = gate.enter(kind)
        except PurserError as error:
            self.away(error)
            return _UncountedPermit()
        if isinstance(answer, RetryIn):
            return answer
        with self._lock:
            self._under_way[answer.id] = answer
            if self._thread is None or not self._thread.is_alive():  # nor does it live on in a forked child
                self._thread = threading.Thread(target=self._renew, name="odoo calls", daemon=True)
                self._thread.start()
        return _CountedPermit(self, gate, answer)

    def forget(self, ticket: LimiterPermit) -> None:
        """Let a call be over."""
        self._under_way.pop(ticket.id, None)

    def _renew(self) -> None:
        """Keep the slots of calls that take long; those of a killed process lapse, and hold up nobody."""
        while True:
            time.sleep(RENEW_EVERY)
            with self._lock:
                under_way = tuple(self._under_way.values())
                if not under_way:
                    self._thread = None
                    return
            with contextlib.suppress(PurserError):
                self._gate().renew(under_way)

    def away(self, problem: PurserError) -> None:
        """Remember for a moment that the ledger does not answer, and say so once a minute."""
        now = self._monotonic()
        self._ask_again = now + UNASKED
        if now >= self._say_again:
            self._say_again = now + SAID_EVERY
            log.warning("odoo is called without asking the gate", problem=str(problem))


class _UncountedPermit:
    """A call that nobody counts."""

    def leave(self, verdict: CallResult, seconds: float, retry_after: float | None) -> None:
        """There is nobody to tell."""


@dataclass(frozen=True, slots=True)
class _CountedPermit:
    """A call that the ledger counts."""

    shared: SharedLimiter
    gate: OdooLimiter
    ticket: LimiterPermit

    def leave(self, verdict: CallResult, seconds: float, retry_after: float | None) -> None:
        """Tell the ledger how the call went; a ticket that cannot be handed back lapses."""
        self.shared.forget(self.ticket)
        try:
            self.gate.leave(self.ticket, verdict, seconds, retry_after)
        except PurserError as error:
            self.shared.away(error)
