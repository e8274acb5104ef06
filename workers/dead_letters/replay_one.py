"""Put dead letters back to be tried with today's code: publish first, take off the list second, so none is lost.

The message keeps its id. If it fails again it is the same letter with one more attempt.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from store import DeadLetter, DeadLetterState
from workers.broker.queue_readers import QueueReaders
from workers.context import WorkerContext
from workers.dead_letters.letter_factory import HEADER, UNREADABLE, WAITING_SINCE

log = structlog.get_logger(__name__)

PART_OF = "purser-replay"
"""The header of a message whose end a replay is told of. It stays while the message is tried again."""


class ReplayStatus(enum.StrEnum):
    """What became of one letter that was asked for."""

    REPLAYED = "replayed"
    WOULD_REPLAY = "would replay"
    UNREADABLE = "unreadable"
    """Bytes that are no task message: there is nothing a worker could try."""
    NOT_DEAD = "not dead"
    """No such letter, or it was replayed or discarded already."""
    UNREAD = "no reader"
    """No worker reads its queue: the message would stay there."""


@dataclass(frozen=True, slots=True)
class ReplayedLetter:
    """The answer for one letter."""

    id: str
    status: ReplayStatus
    queue: str = ""
    task: str = ""
    why: str = ""
    """Why it was left as it is, where its status does not say it all."""


def replay(
    fleet: WorkerContext,
    ids: Sequence[str],
    *,
    who: str,
    note: str,
    dry_run: bool = False,
    to_unread_queue: bool = False,
) -> list[ReplayedLetter]:
    """Replay letters by id. `who` and `note` (why) go to the audit stream. Raises Transient when the broker is away:
    the letters not yet sent stay dead. So do those whose queue no worker reads, unless `to_unread_queue`."""
    readers = None if to_unread_queue else QueueReaders.now(fleet.ledger)
    return [_replay(fleet, id_, readers, who=who, note=note, dry_run=dry_run) for id_ in ids]


def _replay(
    fleet: WorkerContext, id_: str, readers: QueueReaders | None, *, who: str, note: str, dry_run: bool
) -> ReplayedLetter:
    letters = fleet.ledger.letters
    letter = letters.get(id_)
    if letter is None or letter.state is not DeadLetterState.DEAD:
        return ReplayedLetter(id_, ReplayStatus.NOT_DEAD)
    if not is_message(letter):
        return ReplayedLetter(id_, ReplayStatus.UNREADABLE, letter.queue)
    if readers is not None and (problem := readers.problem(letter.queue)):
        return ReplayedLetter(id_, ReplayStatus.UNREAD, letter.queue, letter.task, problem)
    if dry_run:
        return ReplayedLetter(id_, ReplayStatus.WOULD_REPLAY, letter.queue, letter.task)
    begun = letters.begin_replay(id_)
    if begun is None:
        return ReplayedLetter(id_, ReplayStatus.NOT_DEAD)
    send_letter(fleet, begun, who=who, note=note)
    return ReplayedLetter(id_, ReplayStatus.REPLAYED, letter.queue, letter.task)


def send_letter(fleet: WorkerContext, begun: DeadLetter, *, who: str, note: str, part_of: str = "") -> None:
    """Put a letter whose replay was begun on its queue and settle it; when that fails it is dead again.

    `part_of` is the id of the replay that wants to be told how it ends.
    """
    letters = fleet.ledger.letters
    try:
        fleet.ledger.deliveries.forget(begun.id)
        fleet.resend(_marked(begun, part_of))
    except Exception:
        letters.abort_replay(begun)
        raise
    letters.finish_replay(begun, who=who, note=note)
    log.info("letter replayed", letter=begun.id, task=begun.task, queue=begun.queue, who=who, part_of=part_of)


def _marked(begun: DeadLetter, part_of: str) -> DeadLetter:
    headers = {name: value for name, value in begun.headers.items() if name != PART_OF}
    mark = {PART_OF: f"{part_of}/{begun.replays}"} if part_of else {}
    return replace(begun, headers={**headers, **mark})


def part_of(headers: Mapping[str, Any] | None) -> tuple[str, int] | None:
    """Return the replay that a message is part of, and which replay of its letter this is; None for one of none."""
    mark = (headers or {}).get(PART_OF)
    if not isinstance(mark, str):
        return None
    name, _, number = mark.partition("/")
    return (name, int(number)) if name and number.isdecimal() else None


def is_message(letter: DeadLetter) -> bool:
    """Return whether a letter holds a task message, rather than bytes nobody could read."""
    return bool(letter.reason != UNREADABLE and letter.task and letter.headers.get("id") and letter.queue)


_SPENT = frozenset({HEADER, WAITING_SINCE, "eta", "x-death"})
"""Headers that tell of attempts before."""


def fresh_headers(letter: DeadLetter) -> dict[str, object]:
    """Return the headers to try a letter with again: its own, as on a first attempt.

    A message goes out under the id of its letter, which is another than it had where two messages shared one.
    """
    headers = {name: value for name, value in letter.headers.items() if name not in _SPENT}
    return {**headers, "id": letter.id, "retries": 0, "eta": None}
