"""Put dead letters back to be tried with today's code: publish first, take off the list second, so none is lost.

The message keeps its id. If it fails again it is the same letter with one more attempt.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from ledger import Letter, LetterState
from workers.fleet import Fleet
from workers.letters import HEADER, UNREADABLE

log = structlog.get_logger(__name__)


class Status(enum.StrEnum):
    """What became of one letter that was asked for."""

    REPLAYED = "replayed"
    WOULD_REPLAY = "would replay"
    UNREADABLE = "unreadable"
    """Bytes that are no task message: there is nothing a worker could try."""
    NOT_DEAD = "not dead"
    """No such letter, or it was replayed or discarded already."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The answer for one letter."""

    id: str
    status: Status
    queue: str = ""
    task: str = ""


def replay(fleet: Fleet, ids: Sequence[str], *, who: str, note: str, dry_run: bool = False) -> list[Replayed]:
    """Replay letters by id. `who` and `note` (why) go to the audit stream. Raises Transient when the broker is away:
    the letters not yet sent stay dead."""
    return [_replay(fleet, id_, who=who, note=note, dry_run=dry_run) for id_ in ids]


def _replay(fleet: Fleet, id_: str, *, who: str, note: str, dry_run: bool) -> Replayed:
    letters = fleet.ledger.letters
    letter = letters.get(id_)
    if letter is None or letter.state is not LetterState.DEAD:
        return Replayed(id_, Status.NOT_DEAD)
    if not is_message(letter):
        return Replayed(id_, Status.UNREADABLE, letter.queue)
    if dry_run:
        return Replayed(id_, Status.WOULD_REPLAY, letter.queue, letter.task)
    begun = letters.begin_replay(id_)
    if begun is None:
        return Replayed(id_, Status.NOT_DEAD)
    try:
        fleet.ledger.deliveries.forget(id_)
        fleet.resend(begun)
    except Exception:
        letters.abort_replay(begun)
        raise
    letters.finish_replay(begun, who=who, note=note)
    log.info("letter replayed", letter=id_, task=letter.task, queue=letter.queue, who=who)
    return Replayed(id_, Status.REPLAYED, letter.queue, letter.task)


def is_message(letter: Letter) -> bool:
    """Say whether a letter holds a task message, rather than bytes nobody could read."""
    return bool(letter.reason != UNREADABLE and letter.task and letter.headers.get("id") and letter.queue)


def fresh_headers(letter: Letter) -> dict[str, object]:
    """Give the headers to try a letter with again: its own, as on a first attempt."""
    headers = {name: value for name, value in letter.headers.items() if name not in (HEADER, "eta", "x-death")}
    return {**headers, "retries": 0, "eta": None}
