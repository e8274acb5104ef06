"""A replay tries one letter, then a few, then the rest, and stops by itself when letters fail again. Nothing is done.

The next stage begins when every letter of the one before has ended. It stops when

- the canary fails, whatever of,
- a letter comes back with a fingerprint of the chosen ones: the fault is not mended,
- more than 3 letters, and more than 5 in 100 of what was sent, failed of anything else.
"""

import math
from dataclasses import dataclass

from store import ReplayProgress, ReplayStage, ReplayState

SAMPLE_SHARE = 0.05
"""Which part of all letters the sample is."""

MAX_FAILURES, MAX_FAILURE_SHARE = 3, 0.05
"""So many failures are let pass, and such a part of what was sent."""

MAX_IN_FLIGHT = 1000
"""Letters that may be out at once: so a cancel leaves most of them where they are, and queues stay short."""


@dataclass(frozen=True, slots=True)
class SendLetters:
    """Send letters, up to `quota` of this stage."""

    quota: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing for now."""

    why: str


@dataclass(frozen=True, slots=True)
class AdvanceStage:
    """Go on to the next stage."""

    stage: ReplayStage


@dataclass(frozen=True, slots=True)
class StopReplay:
    """Something failed again: a person must look."""

    why: str


@dataclass(frozen=True, slots=True)
class FinishReplay:
    """All is done."""


Move = SendLetters | Hold | AdvanceStage | StopReplay | FinishReplay


def next_action(progress: ReplayProgress) -> Move:
    """Return what a replay does next."""
    replay, out = progress.replay, progress.replay.out
    if replay.state is not ReplayState.RUNNING:
        return Hold(replay.why)
    if why := _stops(progress):
        return StopReplay(why)
    if not progress.left:
        return Hold(f"the last {_letters(out)} under way") if out else FinishReplay()
    quota = stage_quota(replay.stage, replay.total)
    if progress.stage_sent >= quota:
        return Hold(f"{replay.stage} under way") if out else AdvanceStage(_AFTER[replay.stage])
    if out >= MAX_IN_FLIGHT:
        return Hold(f"{_letters(out)} under way")
    return SendLetters(quota)


_AFTER = {
    ReplayStage.CANARY: ReplayStage.SAMPLE,
    ReplayStage.SAMPLE: ReplayStage.REST,
    ReplayStage.REST: ReplayStage.REST,
}


def stage_quota(stage: ReplayStage, total: int) -> int:
    """Return how many letters a stage sends."""
    match stage:
        case ReplayStage.CANARY:
            return 1
        case ReplayStage.SAMPLE:
            return max(1, math.ceil(total * SAMPLE_SHARE))
        case ReplayStage.REST:
            return total


def _stops(progress: ReplayProgress) -> str:
    failed, sent = progress.counted_failed, progress.counted_sent
    if failed and progress.replay.stage is ReplayStage.CANARY:
        return f"the canary failed again: letter {progress.last_failed}. Mend the cause, then resume, or cancel"
    if progress.returned:
        return f"letter {progress.returned} failed again as before. Mend the cause, then resume, or cancel"
    if failed > max(MAX_FAILURES, sent * MAX_FAILURE_SHARE):
        return (
            f"{failed} of {sent} letters failed again, the last is {progress.last_failed}. Look at them, then resume"
        )
    return ""


def _letters(count: int) -> str:
    return "1 letter is" if count == 1 else f"{count} letters are"
