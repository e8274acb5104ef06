"""The schedule of a storm: which fault strikes when and whom, all of it decided by one seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from devtools.chaos.environment import WORKERS
from devtools.chaos.fault import Against
from devtools.chaos.storm.storm_fault import StormFault


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledStrike:
    """One fault of a schedule."""

    fault: StormFault
    worker: str
    """The worker it strikes, where it strikes a worker."""
    seed: int
    """What decides all that is left to chance while it is injected."""
    pause_seconds: float
    """How long whoever has injected it waits before the next one."""

    @property
    def resource(self) -> str:
        """What nobody else may strike meanwhile."""
        return f"worker {self.worker}" if self.fault.target == "worker" else self.fault.target


def draw_schedule(
    faults: Sequence[StormFault], count: int, *, against: Against, own_ledger: bool, seed: int
) -> list[ScheduledStrike]:
    """Return a schedule of `count` faults, the same for the same seed."""
    rng = random.Random(seed)
    possible = [one for one in faults if against in one.brokers and (own_ledger or one.target != "ledger")]
    drawn = rng.choices(possible, weights=[one.weight for one in possible], k=count)
    return [
        ScheduledStrike(
            fault=one,
            worker=rng.choice(WORKERS),
            seed=rng.randrange(2**32),
            pause_seconds=rng.expovariate(1 / 0.6),
        )
        for one in drawn
    ]
