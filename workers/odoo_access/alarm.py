"""A fault of the settings is reported once, not once for each message that meets it."""

import structlog

from purser.errors import Misconfigured, PurserError
from store import fingerprint
from workers.context import WorkerContext

log = structlog.get_logger(__name__)


def alarm(fleet: WorkerContext, error: Misconfigured) -> None:
    """Report a wrong key, database or setting once for all messages, methods and workers that meet it."""
    problem = fleet.redactor.text(str(error))
    name = fingerprint(error=type(error).__name__, message=problem, task="")
    try:
        is_first = fleet.ledger.alarms.is_first(name, problem)
    except PurserError:
        is_first = True
    if is_first:
        log.error(
            "work is held back: a setting is wrong",
            problem=problem,
            what_to_do="see `purser doctor`, correct the setting, restart the workers, then `purser breaker try`",
        )


def alarm_too_long(fleet: WorkerContext, *, about: str, seconds: float) -> None:
    """Report a scan or feed that did not end in its time once a day, not once for each slot.

    `about` names it, such as `scan unbilled-work`; `seconds` is the soft time limit that it ran into.
    """
    problem = f"{about} did not end within {seconds:g} s and was stopped; every slot will end so"
    try:
        is_first = fleet.ledger.alarms.is_first(f"too long: {about}", problem)
    except PurserError:
        is_first = True
    if is_first:
        log.error(
            "work takes longer than its time limit",
            problem=problem,
            what_to_do="raise PURSER_TASK_SOFT_TIME_LIMIT and PURSER_TASK_TIME_LIMIT above it, restart the workers; "
            "`purser controls run NAME` shows how long a scan takes",
        )
