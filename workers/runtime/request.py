"""No outcome of a task loses its message: it is done, waits in the ledger, or is kept as a dead letter.

What Celery does when a task ends is here completed: the message is kept elsewhere before it is acknowledged, in one
step where broker and ledger are one Redis. What cannot be kept goes back to its queue.
"""

import contextlib
import re
import weakref
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import structlog
from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.asynchronous import get_event_loop

from purser.errors import PurserError
from store import DelayKind
from workers.broker.message import give_back, queue_of
from workers.broker.redis.channel import IDLE_WAIT_SECONDS, working_numbers
from workers.dead_letters.capture import schedule_retry, to_dead_letters
from workers.runtime.callbacks import TaskCallbacks
from workers.runtime.control_flow import RetryLater, SendToDeadLetters

log = structlog.get_logger(__name__)

_NO_FAILURE = (Ignore, Retry, Terminated, WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
"""How a task ends without having failed: its message is acknowledged, or comes back by itself."""

_LONGEST = 2000
"""Characters of one field of a task event."""
_LONGEST_LABEL = 300
_ERROR_NAME = re.compile(r"[A-Za-z_][\w.]{0,80}")

_requests: Any = weakref.WeakSet()


class FleetRequest(Request):
    """A request whose message is kept before it is acknowledged, and which shows a label rather than its values."""

    acknowledged: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.argsrepr or str(self.kwargsrepr).startswith("{"):  # a stock client writes the values themselves
            self._argsrepr, self._kwargsrepr = "", "sent by another client"
        elif self.kwargsrepr:
            self._kwargsrepr = self._app.fleet.redactor.excerpt(str(self.kwargsrepr), _LONGEST_LABEL)
        self.delivery_info["routing_key"] = queue_of(self._message)  # whoever sent it may have named another
        _requests.add(self)

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Tell about this request, as `inspect active` and Flower ask for it: with the label, never the values."""
        told: dict[str, Any] = super().info(safe=True)
        return told

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name for it
        """Tell Flower and whoever reads the broker's events what happened, without the words of an error.

        These may be about people, or hold a secret. The log and the dead letter say more, redacted.
        """
        super().send_event(type, **{name: self._shown(name, value) for name, value in fields.items()})

    def _shown(self, name: str, value: Any) -> Any:
        match name, value:
            case "exception", str():
                return _error_name(value)
            case "exception", _:
                return type(value).__name__
            case "traceback", str():
                return _frames(value)
            case (("args" | "kwargs" | "result"), _):
                return self._app.fleet.redactor.excerpt(str(value), _LONGEST)
        return value

    @property
    def is_worked_on(self) -> bool:
        """A process of the pool has it, or it has ended and its acknowledgement is on its way."""
        result = self._apply_result() if self._apply_result is not None else None
        return bool(self.acknowledged or self in state.active_requests or result is not None)

    @property
    def is_running(self) -> bool:
        """Return whether a process of the pool has it, or will be given it next."""
        return self in state.active_requests or (self._apply_result is not None and self._apply_result() is not None)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Keep the message where its end says, then let Celery acknowledge.

        A task that was killed for running too long comes here first; Celery tells of the same end once more
        (`on_timeout`), and finds it settled. An error in here gives the message back: the pool would only log it.
        """
        try:
            return self._on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        except MemoryError:  # Celery's sign for a process that ran out of memory
            raise
        except Exception:
            log.exception("the end of a task was not carried out", task=self.name, id=self.id)
            task_ready(self)
            if not self.acknowledged:
                self.acknowledged = True
                later(give_back, self._message)
            return None

    def _on_failure(self, exc_info: Any, *, send_failed_event: bool, return_ok: bool) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if self.acknowledged:  # the message has found its place already
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        if isinstance(error, RetryLater):
            return self._later(error, str(exc_info.traceback))
        if not isinstance(error, (*_NO_FAILURE, Reject)):
            if not self._keep(lambda: self._set_aside(error, str(exc_info.traceback))):
                return None
            self.acknowledged = True
            if not isinstance(
                error, SendToDeadLetters
            ):  # the process that answers an error was killed, or could not answer
                self._publish_errbacks()
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _publish_errbacks(self) -> None:
        """Publish what the sender wants to be called after a failure. That it fails leaves the outcome as it is."""
        try:
            TaskCallbacks.take_from(self._context).failed(self._app.fleet, self._app, self._context)
        except Exception:
            log.exception("callbacks of a failed task were not sent", task=self.name, id=self.id)

    def cancel(self, pool: Any, *args: Any, **kwargs: Any) -> None:
        """Stop the task, for its message goes to others. That it did not end was not its fault: it does not count."""
        with contextlib.suppress(PurserError):
            self._app.fleet.ledger.deliveries.forget(str(self.id))
        super().cancel(pool, *args, **kwargs)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Keep a message that is not wanted any more: an operator revoked it, or it has expired."""
        if not terminated and not self.acknowledged:
            why = "its time had passed before it was begun" if expired else "revoked by an operator"
            kept = self._keep(
                lambda: to_dead_letters(self._app.fleet, self._message, reason=reason, error=reason.title(), text=why)
            )
            self._already_revoked = True
            if not kept:
                return
            self.acknowledged = True
        super()._announce_revoked(reason, terminated, signum, expired)

    def _later(self, end: RetryLater, trace: str) -> None:
        fleet = self._app.fleet
        if self._keep(lambda: schedule_retry(fleet, self._message, kind=end.kind, after=end.after, why=end.why)):
            task_ready(self)
            self.acknowledged = True
            told = str(end.kind) if end.kind is not DelayKind.RETRY else _error_name(end.why)
            self.send_event("task-retried", exception=told, traceback=_frames(trace))

    def _set_aside(self, error: BaseException, trace: str) -> None:
        if isinstance(error, SendToDeadLetters):
            reason, name, text = error.reason, error.error, error.text
        elif isinstance(error, TimeLimitExceeded):
            reason, name, text = "time limit", "TimeLimitExceeded", f"the task ran longer than {error} s"
        else:
            reason, name, text = "permanent failure", type(error).__name__, str(error)
        to_dead_letters(self._app.fleet, self._message, reason=reason, error=name, text=text, trace=trace)

    def _keep(self, keep: Callable[[], None]) -> bool:
        """Keep the message; one that cannot be kept goes back in a moment, and False says so."""
        try:
            keep()
        except Exception as problem:  # noqa: BLE001 - whatever the ledger says, the message must stay
            log.error("not kept, message goes back", task=self.name, id=self.id, problem=str(problem))
            task_ready(self)
            self.acknowledged = True
            later(give_back, self._message)
            return False
        return True


def _frames(trace: str) -> str:
    """Return where an error came from, without its words and without lines of the program that may hold values."""
    return "\n".join(line for line in trace.splitlines() if line.startswith("  File "))[-_LONGEST:]


def _error_name(text: str) -> str:
    """Return the name that an error's text or its `repr` begins with, such as `Transient`; never its words."""
    found = _ERROR_NAME.match(text.removeprefix("<").lstrip())
    return "Error" if found is None else found[0]


def requests_here() -> list[Any]:
    """Return the requests of this process that something still refers to. Safe to call from any thread."""
    return [one for ref in list(_requests.data) if (one := ref()) is not None]


def working(holder: str) -> Collection[str]:
    """Return the numbers of a holder's messages that are still worked on in this process."""
    if state.should_stop is not None or state.should_terminate is not None:
        return ()  # the process ends: whoever lives takes over
    tags = [str(one._message.delivery_tag) for one in requests_here() if one.is_worked_on]
    return working_numbers(holder, tags)


def later(act: Callable[..., Any], *args: Any) -> None:
    """Do something in a moment, so that what fails over and over does not spin."""
    hub = get_event_loop()
    if hub is None:
        act(*args)
    else:
        hub.call_later(IDLE_WAIT_SECONDS, partial(act, *args))  # type: ignore[no-untyped-call]


def forget_job(pool: Any, task_id: str) -> None:
    """Let the pool forget a job that it could not begin: it would wait for it when it ends."""
    jobs = getattr(getattr(pool, "_pool", None), "_cache", None)
    if isinstance(jobs, dict):
        for number, job in tuple(jobs.items()):
            if getattr(job, "correlation_id", None) == task_id and getattr(job, "_payload", None) is None:
                jobs.pop(number, None)
