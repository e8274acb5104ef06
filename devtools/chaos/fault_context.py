"""What a fault gets into its hands: the stage, the load that flows, and chance."""

import time
from collections.abc import Callable

from devtools.chaos.environment import ChaosEnvironment
from devtools.chaos.fault import FaultNotObserved
from devtools.chaos.workload import Load
from devtools.fake_odoo.fault_injection import FaultQueue

FEW = 5
"""So many wrong answers are a fault."""


class FaultContext:
    """One fault on the stage."""

    def __init__(self, stage: ChaosEnvironment, load: Load) -> None:
        self.stage, self.load, self.rng = stage, load, stage.rng
        self.is_short = stage.plan.is_short
        self.ended = 0.0

    def over(self) -> None:
        """Say that the trouble itself is over now; recovery counts from here."""
        self.ended = time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let the trouble last."""
        self.stage.watch(lambda: False, within=seconds)

    def await_bite(self, look: Callable[[], bool], *, within: float, what: str) -> None:
        """Wait until the trouble is seen, or raise FaultNotObserved."""
        if not self.stage.watch(look, within=within):
            raise FaultNotObserved(f"not seen within {within:g} s: {what}")

    def await_answers(self, faults: FaultQueue, ordered: int, *, within: float, what: str) -> int:
        """Wait until the wrong answers that were ordered of the twin are given; say how many were.

        An open breaker keeps requests from it, so a few of them are enough; the rest are taken back then.
        """
        self.stage.watch(lambda: faults.left == 0, within=within)
        given = ordered - faults.left
        faults.clear()
        if given < min(ordered, FEW):
            raise FaultNotObserved(f"only {given} of {ordered} given within {within:g} s: {what}")
        return given
