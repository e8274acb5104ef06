"""A task's errors are answered by a pure decision: again later, refused to a person, or set aside."""

import random
import traceback
from typing import Any

import structlog
from celery import Task
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from purser.engine.retry import MoveToDeadLetters, RecordRefusal, Snoozed, Superseded, decide
from purser.engine.retry import Retry as TryAgain
from purser.errors import Misconfigured, PurserError, Transient
from store import DelayKind, LetterOutcome, RefusalRecord
from workers.context import WorkerContext
from workers.dead_letters.capture import mark_handled
from workers.dead_letters.letter_factory import covers_of
from workers.dead_letters.replay_one import part_of
from workers.events.refusal_handling import as_change
from workers.messages import by_name, concerns
from workers.odoo_access.alarm import alarm, alarm_too_long
from workers.runtime.callbacks import TaskCallbacks
from workers.runtime.control_flow import RetryLater, SendToDeadLetters
from workers.runtime.request import FleetRequest

log = structlog.get_logger(__name__)

MAX_DELIVERIES = 5
"""A message that was begun again this often without an end has taken its worker along each time."""


class FleetTask(Task):
    """A task that asks before it begins whether it may, and whose errors `purser.engine.retry.decide` answers."""

    abstract = True
    Request = FleetRequest
    max_retries = None  # how often is for `decide` to say, not for Celery

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task and decide what its error means."""
        fleet: WorkerContext = self.app.fleet
        request = self.request
        values = by_name(self.name, args, kwargs)
        callbacks = TaskCallbacks.take_from(request)
        with structlog.contextvars.bound_contextvars(correlation=request.root_id, message=request.id, task=self.name):
            try:
                self._stop_poison(fleet)
                fleet.may_begin(self._concerns(values))
                result = self.run(*args, **kwargs)
                callbacks.succeeded(fleet, self.app, request, result)
                self._tell_replay(fleet, LetterOutcome.REFUSED if _is_refused(result) else LetterOutcome.DONE)
                return result
            except (Ignore, Reject, Retry, SendToDeadLetters):
                raise
            except Exception as error:  # noqa: BLE001 - every error has an answer
                try:
                    return self._answer(fleet, error, values)
                except SendToDeadLetters:
                    callbacks.failed(fleet, self.app, request)
                    raise

    def _answer(self, fleet: WorkerContext, error: Exception, kwargs: dict[str, Any]) -> None:
        if isinstance(error, SoftTimeLimitExceeded) and self._is_left_to_next_slot(fleet, kwargs):
            return
        name, text = type(error).__name__, str(error) if isinstance(error, PurserError) else _brief(error)
        attempt = (self.request.retries or 0) + 1
        kind = self.name.removeprefix("purser.")
        policy = fleet.policies.retry(kind, error)
        budget = fleet.seconds_left(self.name, kwargs)
        match decide(policy, error, attempt=attempt, rng=random.uniform, budget=budget):
            case TryAgain(after=after):
                log.warning("trying again", attempt=attempt, after=round(after, 2), error=name, text=text)
                raise RetryLater(DelayKind.RETRY, after, f"{name}: {text}") from error
            case Snoozed(after=after, why=why):
                log.info("snoozed", after=round(after, 2), why=why)
                if isinstance(error, Misconfigured):
                    alarm(fleet, error)
                raise RetryLater(DelayKind.SNOOZE, after, why) from error
            case Superseded():
                log.info("overtaken by its next slot", why=text)
                if isinstance(error, Misconfigured):
                    alarm(fleet, error)
                self._tell_replay(fleet, LetterOutcome.DONE)
            case RecordRefusal(reason=reason):
                self._refused(fleet, reason, kwargs)
                log.warning("refused")
                self._tell_replay(fleet, LetterOutcome.REFUSED)
            case MoveToDeadLetters(reason=reason):
                raise SendToDeadLetters(reason, name, text) from error

    def _is_left_to_next_slot(self, fleet: WorkerContext, values: dict[str, Any]) -> bool:
        """Report work of a slot that did not end in its time, once; return False where no later slot does it again.

        What was too long at one slot is too long at the next one: a dead letter for each would say nothing new. A
        message that a replay sent is kept as a letter, for whoever replayed it.
        """
        if fleet.seconds_left(self.name, values) is None or part_of(self.request.headers) is not None:
            return False
        about = covers_of(self.name, values).replace("/", " ", 1)
        alarm_too_long(fleet, about=about, seconds=_soft_limit(self))
        return True

    def _tell_replay(self, fleet: WorkerContext, ending: LetterOutcome) -> None:
        """Say to the replay that sent this message how it ended. It is told before the message is acknowledged."""
        sent_by = part_of(self.request.headers)
        if sent_by is not None:
            name, number = sent_by
            fleet.ledger.replaying.tell(name, str(self.request.id), number, ending)

    def _concerns(self, kwargs: dict[str, Any]) -> tuple[str, ...]:
        """Name what could be paused or frozen and would hold this task back."""
        queue = (self.request.delivery_info or {}).get("routing_key")
        return concerns(str(queue), kwargs)

    def _stop_poison(self, fleet: WorkerContext) -> None:
        """Stop a message that keeps taking its worker along. Only what was begun counts; first deliveries cost
        nothing."""
        if not (self.request.delivery_info or {}).get("redelivered"):
            return
        try:
            begun = fleet.ledger.deliveries.count(str(self.request.id))
        except Transient as error:
            log.warning("delivery not counted", problem=str(error))
            return
        if begun >= MAX_DELIVERIES:
            raise SendToDeadLetters("too many deliveries", "PoisonMessage", f"begun {begun} times without an end")

    def _refused(self, fleet: WorkerContext, reason: str, kwargs: dict[str, Any]) -> None:
        now = fleet.now()
        message = str(self.request.id)
        fleet.ledger.refusals.add(
            RefusalRecord(
                id=message,
                task=self.name,
                what=message,
                why=reason,
                change=as_change(self.name, kwargs),
                first_at=now,
                last_at=now,
            )
        )
        mark_handled(fleet.ledger, kwargs)


def _soft_limit(task: Task) -> float:
    """Return the seconds after which this run of a task was asked to stop."""
    _, soft = task.request.timelimit or (None, None)
    return float(soft or task.soft_time_limit or task.app.conf.task_soft_time_limit or 0)


def _is_refused(result: Any) -> bool:
    """Return whether a task that came to its end was refused some of its changes."""
    return isinstance(result, dict) and bool(result.get("refused"))


def _brief(error: BaseException) -> str:
    """Return what an unforeseen error was, on one line: its own words may be long."""
    return traceback.format_exception_only(error)[-1].strip()[:500]
