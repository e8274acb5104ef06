"""A replay tries one letter, then a few, then the rest, and stops by itself when letters fail again. Nothing is done.

The next stage begins when every letter of the one before has ended. It stops when

- the canary fails, whatever of,
- a letter comes back with a fingerprint of the chosen ones: the fault is not mended,
- more than 3 letters, and more than 5 in 100 of what was sent, failed of anything else.
"""

import math
from dataclasses import dataclass

from store import ReplayProgress, ReplayStage, ReplayState

SAMPLE = 0.05
"""Which part of all letters the sample is."""

FEW, MANY = 3, 0.05
"""So many failures are let pass, and such a part of what was sent."""

MOST_OUT = 1000
"""Letters that may be out at once: so a cancel leaves most of them where they are, and queues stay short."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send letters, up to `quota` of this stage."""

    quota: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing for now."""

    why: str


@dataclass(frozen=True, slots=True)
class Enter:
    """Go on to the next stage."""

    stage: ReplayStage


@dataclass(frozen=True, slots=True)
class Stop:
    """Something failed again: a person must look."""

    why: str


@dataclass(frozen=True, slots=True)
class End:
    """All is done."""


Move = Send | Wait | Enter | Stop | End


def next_move(progress: ReplayProgress) -> Move:
    """Say what a replay does next."""
    replay, out = progress.replay, progress.replay.out
    if replay.state is not ReplayState.RUNNING:
        return Wait(replay.why)
    if why := _stops(progress):
        return Stop(why)
    if not progress.left:
        return Wait(f"the last {_letters(out)} under way") if out else End()
    quota = quota_of(replay.stage, replay.total)
    if progress.stage_sent >= quota:
        return Wait(f"{replay.stage} under way") if out else Enter(_AFTER[replay.stage])
    if out >= MOST_OUT:
        return Wait(f"{_letters(out)} under way")
    return Send(quota)


_AFTER = {
    ReplayStage.CANARY: ReplayStage.SAMPLE,
    ReplayStage.SAMPLE: ReplayStage.REST,
    ReplayStage.REST: ReplayStage.REST,
}


def quota_of(stage: ReplayStage, total: int) -> int:
    """Give how many letters a stage sends."""
    match stage:
        case ReplayStage.CANARY:
            return 1
        case ReplayStage.SAMPLE:
            return max(1, math.ceil(total * SAMPLE))
        case ReplayStage.REST:
            return total


def _stops(progress: ReplayProgress) -> str:
    failed, sent = progress.counted_failed, progress.counted_sent
    if failed and progress.replay.stage is ReplayStage.CANARY:
        return f"the canary failed again: letter {progress.last_failed}. Mend the cause, then resume, or cancel"
    if progress.returned:
        return f"letter {progress.returned} failed again as before. Mend the cause, then resume, or cancel"
    if failed > max(FEW, sent * MANY):
        return (
            f"{failed} of {sent} letters failed again, the last is {progress.last_failed}. Look at them, then resume"
        )
    return ""


def _letters(count: int) -> str:
    return "1 letter is" if count == 1 else f"{count} letters are"
