"""No outcome of a task loses its message: it is done, tried again, refused to a person, or kept as a dead letter.

The letter is stored first and the message acknowledged second, so a crash between the two stores it twice under one
id, which is once. What stock Celery would drop or die of (unreadable bytes, unknown tasks, bodies of the wrong shape)
ends here as a letter too.
"""

import random
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated
from celery import Task
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.asynchronous import get_event_loop
from kombu.transport import redis as kombu_redis

from config.settings import Settings
from ledger import RefusalEntry
from purser.errors import PurserError, Transient
from purser.retry import DeadLetter, Refused, RetryPolicy, decide
from purser.retry import Retry as TryAgain
from workers.channel import BREATH
from workers.fleet import Fleet
from workers.letters import SetAside, body_bytes, letter, with_attempt

log = structlog.get_logger(__name__)

MAX_DELIVERIES = 5
"""A message that was begun this often without an end has taken its worker along each time."""


class FleetRequest(Request):
    """A request whose failure is kept before it is acknowledged, and which shows a label rather than its values."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.argsrepr or str(self.kwargsrepr).startswith("{"):  # a stock client writes the values themselves
            self._argsrepr, self._kwargsrepr = "", "sent by another client"

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Tell about this request, as `inspect active` and Flower ask for it: with the label, never the values."""
        told: dict[str, Any] = super().info(safe=True)
        return told

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Store the letter, then let Celery acknowledge. A letter that cannot be stored goes back to the queue."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, Reject):
            # Task.retry raises this when the broker did not take the next try: this one must not vanish.
            return self.reject(requeue=True)
        if not isinstance(error, _NO_FAILURE):
            try:
                self._keep(error, str(exc_info.traceback))
            except Exception as problem:  # noqa: BLE001 - whatever the ledger says, the message must stay
                log.error("letter not stored, message goes back", task=self.name, id=self.id, problem=str(problem))
                task_ready(self)
                return later(self.reject, requeue=True)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _keep(self, error: BaseException, trace: str) -> None:
        if isinstance(error, SetAside):
            reason, name, text = error.reason, error.error, error.text
        elif isinstance(error, TimeLimitExceeded):
            reason, name, text = "time limit", "TimeLimitExceeded", f"the task ran longer than {error} s"
        else:
            reason, name, text = "permanent failure", type(error).__name__, str(error)
        keep(self.app.fleet, self._message, reason=reason, error=name, text=text, trace=trace)


_NO_FAILURE = (Ignore, Retry, Terminated, WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
"""How a task ends without having failed: its message is acknowledged, or comes back by itself."""


def later(act: Callable[..., Any], **kwargs: Any) -> None:
    """Do something in a moment, so that what fails over and over does not spin."""
    hub = get_event_loop()
    if hub is None:
        act(**kwargs)
    else:
        hub.call_later(BREATH, partial(act, **kwargs))  # type: ignore[no-untyped-call]


def keep(fleet: Fleet, message: Any, *, reason: str, error: str, text: str, trace: str = "") -> None:
    """Store a kombu message as a dead letter."""
    queue = (message.delivery_info or {}).get("routing_key") or ""
    stored = letter(
        queue=queue,
        body=body_bytes(message.body),
        headers=message.headers if isinstance(message.headers, dict) else None,
        properties=message.properties,
        content_type=message.content_type or "",
        content_encoding=message.content_encoding or "",
        reason=reason,
        error=error,
        text=fleet.redactor.text(text),
        traceback=fleet.redactor.text(trace),
        now=fleet.now(),
    )
    fleet.ledger.letters.store(stored)
    log.error("dead letter", letter=stored.id, queue=queue, task=stored.task, reason=reason, error=error)


def retry_policy(settings: Settings) -> RetryPolicy:
    """Give the patience of every task: about half a minute, which outlasts a restart of Odoo.

    A delayed message waits in a worker's memory, unacknowledged; waits stay well below the visibility timeout, for
    a longer one would be delivered again while it waits.
    """
    return RetryPolicy(attempts=10, cap=min(10.0, 0.6 * settings.visibility_timeout))


class FleetTask(Task):
    """A task whose errors are answered by a pure decision: again, refused, or set aside."""

    abstract = True
    Request = FleetRequest
    max_retries = None  # how often is for `decide` to say, not for Celery

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task and decide what its error means."""
        fleet: Fleet = self.app.fleet
        request = self.request
        with structlog.contextvars.bound_contextvars(correlation=request.root_id, message=request.id, task=self.name):
            try:
                self._stop_poison(fleet)
                return self.run(*args, **kwargs)
            except (Ignore, Reject, Retry, SetAside):
                raise
            except Exception as error:
                name, text = type(error).__name__, str(error) if isinstance(error, PurserError) else _brief(error)
                attempt = (request.retries or 0) + 1
                match decide(retry_policy(fleet.settings), error, attempt=attempt, rng=random.uniform):
                    case TryAgain(after=after):
                        log.warning("trying again", attempt=attempt, after=round(after, 2), error=name, text=text)
                        headers = with_attempt(request.headers, at=fleet.now(), error=f"{name}: {text}")
                        shown = {"argsrepr": request.argsrepr or "", "kwargsrepr": request.kwargsrepr or ""}
                        raise self.retry(exc=error, countdown=after, headers=headers, **shown) from error
                    case Refused(reason=reason):
                        self._refused(fleet, reason)
                        log.warning("refused")
                        return None
                    case DeadLetter(reason=reason):
                        raise SetAside(reason, name, text) from error

    def _stop_poison(self, fleet: Fleet) -> None:
        """Stop a message that keeps taking its worker along. First deliveries cost nothing."""
        if not (self.request.delivery_info or {}).get("redelivered"):
            return
        try:
            begun = fleet.ledger.deliveries.count(str(self.request.id))
        except Transient as error:
            log.warning("delivery not counted", problem=str(error))
            return
        if begun >= MAX_DELIVERIES:
            raise SetAside("too many deliveries", "PoisonMessage", f"begun {begun} times without an end")

    def _refused(self, fleet: Fleet, reason: str) -> None:
        now = fleet.now()
        message = str(self.request.id)
        fleet.ledger.refusals.add(
            RefusalEntry(id=message, task=self.name, what=message, why=reason, first_at=now, last_at=now)
        )


def _brief(error: BaseException) -> str:
    """Say what an unforeseen error was, on one line: its own words may be long."""
    return traceback.format_exception_only(error)[-1].strip()[:500]


class FleetConsumer(Consumer):
    """A consumer that no bytes can stop: what stock code would drop or die of is kept as a letter."""

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep a message that is none of Celery's."""
        self._set_aside(message, "unreadable", "UnknownMessage", "no task message: the headers name no task")

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Keep a message for a task that this worker does not know."""
        name = message.headers.get("task")
        self._set_aside(message, "unknown task", "NotRegistered", f"no task is called {name!r}")

    def on_invalid_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Keep a message that Celery finds malformed."""
        self._set_aside(message, "unreadable", type(exc).__name__, str(exc))

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """Keep a message whose body cannot be decoded."""
        self._set_aside(message, "unreadable", type(exc).__name__, str(exc))

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Look at a message before stock code does: some shapes would end the worker."""
        inner = super().create_task_handler(*args, **kwargs)
        self._renew_while_working()

        def on_task_received(message: Any) -> Any:
            problem = _malformed(message)
            if problem:
                return self._set_aside(message, "unreadable", "MalformedMessage", problem)
            try:
                return inner(message)
            except Exception as error:
                if isinstance(error, self.connection_errors) and not isinstance(error, KeyError):
                    raise  # KeyError counts as one in kombu 5.7, and is what a missing header raises
                return self._set_aside(message, "unreadable", type(error).__name__, str(error))

        return on_task_received

    def _set_aside(self, message: Any, reason: str, error: str, text: str) -> None:
        try:
            keep(self.app.fleet, message, reason=reason, error=error, text=text[:500])
        except Exception as problem:  # noqa: BLE001 - the ledger may be away: nothing may end the worker or be lost
            log.error("letter not stored, message goes back", reason=reason, problem=str(problem))
            later(message.reject_log_error, logger=log, errors=self.connection_errors, requeue=True)
        else:
            message.ack_log_error(log, self.connection_errors)

    _renewal: Any = None

    def _renew_while_working(self) -> None:
        """On Redis, keep what is being worked on from coming back by the clock: its time begins anew and anew.

        So the visibility timeout counts from the death of a worker rather than from the start of a task.
        """
        if self._renewal is not None:
            self._renewal.cancel()
        channel = self.task_consumer.channel
        if self.hub is not None and isinstance(channel, kombu_redis.Channel):
            self._renewal = self.hub.call_repeatedly(channel.visibility_timeout / 3, self._renew, channel)

    def _renew(self, channel: Any) -> None:
        tags = [request._message.delivery_tag for request in tuple(state.reserved_requests)]
        if not tags:
            return
        try:
            with channel.conn_or_acquire() as client:
                client.zadd(channel.unacked_index_key, dict.fromkeys(tags, time.time()), xx=True)
        except channel.connection_errors as error:
            log.warning("work in progress not renewed, it may be begun twice", problem=str(error))


def _malformed(message: Any) -> str:
    """Say what is wrong with a message that claims to be a task; '' when nothing is."""
    headers = message.headers
    if not isinstance(headers, dict) or not isinstance(headers.get("task"), str):
        return ""  # none of Celery's: on_unknown_message says so
    if not isinstance(headers.get("id"), str):
        return "the header `id` is missing or no string"
    for name, kinds in _HEADER_TYPES.items():
        if headers.get(name) is not None and not isinstance(headers[name], kinds):
            return f"the header `{name}` has the wrong type"
    limits = headers.get("timelimit") or ()
    if len(limits) not in (0, 2) or not all(limit is None or isinstance(limit, (int, float)) for limit in limits):
        return "the header `timelimit` holds something else than two numbers"
    if not all(isinstance(stamp, str) for stamp in headers.get("stamped_headers") or ()):
        return "the header `stamped_headers` holds something else than names"
    if message.content_type != "application/json":
        return ""  # refused by kombu with a clear error of its own
    try:
        body = message.payload
    except Exception as error:  # noqa: BLE001 - deep nesting raises RecursionError, codecs raise anything
        return f"the body cannot be decoded: {type(error).__name__}"
    if not (isinstance(body, (list, tuple)) and len(body) == 3):
        return "the body is not [args, kwargs, embed]"
    args, kwargs, embed = body
    if (
        not isinstance(args, (list, tuple))
        or not isinstance(kwargs, dict)
        or not isinstance(embed, (dict, type(None)))
    ):
        return "the body is not [list, object, object]"
    return ""


_HEADER_TYPES: dict[str, tuple[type, ...]] = {
    "stamped_headers": (list,),
    "stamps": (dict,),
    "timelimit": (list, tuple),
    "retries": (int,),
    "eta": (str,),
    "expires": (str, int, float),
    "group": (str,),
    "root_id": (str,),
    "parent_id": (str,),
}
