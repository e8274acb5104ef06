"""Letters that are settled and old are buried, and a stone counts them; those of an older release are listed."""

import structlog

from workers.context import WorkerContext
from workers.dead_letters.letter_factory import subjects_in

log = structlog.get_logger(__name__)


def apply_retention(fleet: WorkerContext) -> None:
    """Look after the letters once. Any number of workers may: each letter is buried and listed once."""
    letters = fleet.ledger.letters
    if listed := letters.catch_up(subjects_in):
        log.info("letters listed anew", letters=listed)
    buried = letters.bury(fleet.now() - fleet.policies.dead_letters.retention)
    for grave in buried:
        log.info("letters buried", state=grave.state, task=grave.task, reason=grave.reason, letters=grave.count)
