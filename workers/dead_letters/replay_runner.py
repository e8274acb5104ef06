"""Many letters go back slowly, whoever is there to send them: each call of `advance` takes a replay one step further.

Every worker calls it twice a second; the ledger lets one of them do it. What the fleet holds back (a pause, a freeze,
an open breaker, a broker that is away) is waited for and costs no letter anything.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from purser.errors import ConfigurationError, Permanent, Snooze, Transient
from purser.formats.strict_json import read_json
from store import (
    CircuitState,
    DeadLetter,
    DeadLetterState,
    InterruptedSend,
    LetterOutcome,
    Replay,
    ReplayProgress,
    TakeResult,
)
from workers.broker.queue_readers import QueueReaders
from workers.context import WorkerContext
from workers.dead_letters.replay_one import is_message, send_letter
from workers.dead_letters.replay_stages import (
    MAX_IN_FLIGHT,
    AdvanceStage,
    FinishReplay,
    Hold,
    SendLetters,
    StopReplay,
    next_action,
)
from workers.messages import concerns

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(seconds=10)
"""How long a replay waits for a holder that died."""

STEP = 0.5
"""Seconds that one step may take for sending."""


def start(
    fleet: WorkerContext,
    ids: Iterable[str],
    *,
    who: str,
    note: str,
    what: str,
    rate: float = 10.0,
    careful: bool = True,
    to_unread_queue: bool = False,
) -> Replay:
    """Begin to replay these letters. The workers do it, the oldest letter first; this only says so to the ledger.

    Raises ConfigurationError where no worker reads the queue of one of them, unless `to_unread_queue`.
    """
    chosen = list(ids)
    problem = "" if to_unread_queue else QueueReaders.now(fleet.ledger).problem_with(fleet.ledger, chosen)
    if problem:
        raise ConfigurationError(
            f"{problem}. Start a worker that reads the queue (-Q), choose other letters, or send them anyway"
        )
    made = fleet.ledger.replays.create(chosen, who=who, note=note, what=what, rate=rate, careful=careful)
    log.info("replay begun", replay=made.id, letters=made.total, what=what, rate=rate, careful=careful, who=who)
    return made


def advance(
    fleet: WorkerContext, replay_id: str, holder: str, *, steady: Callable[[], float] = time.monotonic
) -> Replay | None:
    """Take a replay one step further, unless somebody else does; give it as it is then, None where there is none."""
    replaying = fleet.ledger.replaying
    if replaying.hold(replay_id, holder, lease=LEASE):
        _deal_with_left_over(fleet, replay_id)
        _step(fleet, replay_id, holder, steady)
    return fleet.ledger.replays.get(replay_id)


def _step(fleet: WorkerContext, replay_id: str, holder: str, steady: Callable[[], float]) -> None:
    replaying = fleet.ledger.replaying
    progress = replaying.look(replay_id)
    match next_action(progress):
        case SendLetters(quota):
            until = steady() + STEP
            why = _send_some(fleet, progress, quota, holder, is_over=lambda: steady() > until)
            replaying.say(replay_id, why)
        case Hold(why):
            replaying.say(replay_id, why)
        case AdvanceStage(stage):
            if replaying.enter(replay_id, stage, after=progress.replay.stage):
                log.info("replay goes on", replay=replay_id, stage=stage)
        case StopReplay(why):
            if replaying.stop(replay_id, why):
                log.warning("replay stopped", replay=replay_id, why=why)
        case FinishReplay():
            if replaying.end(replay_id):
                log.info("replay done", replay=replay_id)


def _send_some(
    fleet: WorkerContext, progress: ReplayProgress, quota: int, holder: str, is_over: Callable[[], bool]
) -> str:
    """Send letters for a moment; say what holds the next one back, '' when nothing does but the rate."""
    replay, replaying = progress.replay, fleet.ledger.replaying
    if why := _odoo_holds_back(fleet):
        return why
    for id_ in replaying.next_ids(replay.id):
        letter = _letter(fleet, id_)
        if letter is None:
            replaying.skip(replay.id, id_)
            continue
        try:
            fleet.may_begin(concerns(letter.queue, _values(letter)))
        except Snooze as held:
            return held.why
        took = replaying.take(replay.id, id_, holder, stage=replay.stage, quota=quota, most_out=MAX_IN_FLIGHT)
        if took is TakeResult.GONE:
            continue
        if took is not TakeResult.TAKEN:
            return ""
        if problem := _send(fleet, replay, id_):
            return problem
        if is_over():
            return ""
    return ""


def _odoo_holds_back(fleet: WorkerContext) -> str:
    """Return why no letter should go to Odoo now, '' when nothing holds it back."""
    gate = fleet.gate.state()
    if gate.breaker is not CircuitState.CLOSED:
        return f"breaker open: Odoo {'does not let us in' if gate.is_refused else 'failed several times in a row'}"
    return "Odoo asked for patience" if gate.held_until is not None else ""


def _letter(fleet: WorkerContext, letter_id: str) -> DeadLetter | None:
    """Return a letter that can be sent, None for any other."""
    try:
        letter = fleet.ledger.letters.get(letter_id)
    except Permanent as problem:
        log.warning("letter skipped", letter=letter_id, problem=str(problem))
        return None
    if letter is None or letter.state is not DeadLetterState.DEAD or not is_message(letter):
        return None
    return letter


def _send(fleet: WorkerContext, replay: Replay, letter_id: str) -> str:
    """Send a letter that was taken; say why it could not be, '' when it could."""
    replaying = fleet.ledger.replaying
    begun = fleet.ledger.letters.get(letter_id)
    if begun is None:
        replaying.sent(replay.id, letter_id)
        return ""
    try:
        send_letter(fleet, begun, who=replay.who, note=replay.note, part_of=replay.id)
    except Transient as problem:
        replaying.put_back(replay.id, letter_id)
        log.warning("letter not sent", letter=letter_id, replay=replay.id, problem=str(problem))
        return str(problem)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it must not hold up the others
        replaying.tell(replay.id, letter_id, begun.replays, LetterOutcome.FAILED)
        log.error("letter cannot be sent", letter=letter_id, replay=replay.id, error=type(problem).__name__)
    replaying.sent(replay.id, letter_id)
    return ""


def _deal_with_left_over(fleet: WorkerContext, replay_id: str) -> None:
    """End what somebody who died, or lost the ledger, has begun. A message may go out twice so, under one id."""
    replaying, letters = fleet.ledger.replaying, fleet.ledger.letters
    what, letter_id = replaying.left_over(replay_id)
    if what in (InterruptedSend.NONE, InterruptedSend.BACK):
        return
    replay, begun = fleet.ledger.replays.get(replay_id), letters.get(letter_id)
    is_ours = what is not InterruptedSend.ELSEWHERE and begun is not None and begun.state is DeadLetterState.REPLAYING
    if replay is not None and begun is not None and is_ours:
        if what is InterruptedSend.BEGUN:
            _send(fleet, replay, letter_id)
            return
        letters.finish_replay(begun, who=replay.who, note=replay.note)
    replaying.sent(replay_id, letter_id)


def _values(letter: DeadLetter) -> dict[str, Any]:
    """Return the keyword arguments of a letter's message; nothing readable is nothing known."""
    try:
        values = read_json(letter.body, halves=True)[1]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
