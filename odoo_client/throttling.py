"""A gate may stand before the door: it is asked before each call to Odoo and told afterwards how the call went.

What keeps the gate is not known here. A client without one calls whenever it is asked to.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from odoo_client.transport import error_mapping
from odoo_client.transport.error_mapping import SerializationConflict
from odoo_client.transport.request import Request
from purser.engine.call_result import CallResult, RetryIn
from purser.errors import Misconfigured, PurserError, Snooze, Throttled, Transient


class CallPermit(Protocol):
    """The right to make one call."""

    def leave(self, verdict: CallResult, seconds: float, retry_after: float | None) -> None:
        """Say how the call went."""


class CallLimiter(Protocol):
    """Whoever decides when Odoo may be called. Neither method raises."""

    def enter(self, kind: str) -> CallPermit | RetryIn:
        """Ask to make a call. Calls of one kind take about equally long; '' is like no other."""


class ThrottledSender:
    """Takes calls through the gate. Who finds it full waits a moment; who finds it shut comes back later."""

    PATIENCE = 2.0
    """Seconds to wait for a free slot before the work is given back."""
    RETURN = 2.0
    """Seconds after which work that found no free slot comes back."""

    def __init__(
        self,
        gate: CallLimiter,
        *,
        timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._gate = gate
        self._timeout = timeout
        self._monotonic = monotonic
        self._sleep = sleep
        self._rng = rng or random.Random()

    def send(self, kind: str, act: Callable[[], Any]) -> Any:
        """Make one call; Snooze when it may not be made now."""
        entered = self._entered(kind)
        began = self._monotonic()
        try:
            answer = act()
        except BaseException as error:
            seconds = self._monotonic() - began
            verdict = verdict_of(error, seconds, self._timeout)
            entered.leave(verdict, seconds, error.retry_after if isinstance(error, Throttled) else None)
            raise
        entered.leave(verdict_on(answer), self._monotonic() - began, None)
        return answer

    def _entered(self, kind: str) -> CallPermit:
        deadline = self._monotonic() + self.PATIENCE
        pause = 0.01
        while isinstance(answer := self._gate.enter(kind), RetryIn):
            if not answer.full:
                raise Snooze(answer.why, after=answer.after)
            if self._monotonic() >= deadline:
                raise Snooze(answer.why, after=self.RETURN)
            self._sleep(self._rng.uniform(pause / 2, pause))
            pause = min(pause * 1.5, 0.2)
        return answer


def kind_of(request: Request) -> str:
    """Name what takes about equally long: a method of a model on one, ten or a hundred records.

    Reads are like no other: how long one takes depends on how much there is to read.
    """
    if request.reads:
        return ""
    records = len(request.arguments.get("data") or request.context.get("purser_changes") or request.ids or ())
    size = next((bound for bound in (1, 10, 100) if records <= bound), 1000)
    return f"{request.model}.{request.method}/{size}"


def verdict_on(answer: Any) -> CallResult:
    """Judge an answer: an import tells of a lost race among its messages."""
    messages = answer.get("messages") if isinstance(answer, Mapping) else None
    lost = isinstance(messages, list) and any(error_mapping.is_lost_race(str(one)) for one in messages)
    return CallResult.CONTENDED if lost else CallResult.ANSWERED


def verdict_of(error: BaseException, seconds: float, timeout: float) -> CallResult:
    """Judge by the error. An Odoo that lets nobody in is left alone at once, by everybody."""
    match error:
        case Throttled():
            return CallResult.THROTTLED
        case SerializationConflict():
            return CallResult.CONTENDED
        case Misconfigured():
            return CallResult.REFUSED
        case Transient():
            return CallResult.TIMED_OUT if seconds >= timeout else CallResult.FAILED
        case PurserError():
            return CallResult.ANSWERED
        case _:
            return CallResult.ABANDONED
