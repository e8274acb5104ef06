"""A fault of the settings holds everything back and is reported once."""

import structlog

from ledger import fingerprint
from purser.errors import Misconfigured, PurserError
from workers.fleet import Fleet

log = structlog.get_logger(__name__)


def alarm(fleet: Fleet, error: Misconfigured) -> None:
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
