"""A storm fault: what goes wrong, what it strikes, and how often it is drawn."""

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from devtools.chaos.environment import ChaosEnvironment
from devtools.chaos.fault import Against, FaultNotObserved

Target = Literal["worker", "beat", "broker", "ledger", "link", "odoo"]
"""What a fault strikes. Two faults never strike the same process or server at the same time."""


class StormStrike:
    """One fault of the schedule while it is injected: the fleet, the worker it is aimed at, and its chance."""

    def __init__(self, stage: ChaosEnvironment, worker: str, seed: int, ordered: set[int]) -> None:
        self.stage, self.worker = stage, worker
        self.rng = random.Random(seed)
        self._ordered = ordered

    def signal(self, name: str, number: signal.Signals, *, group: bool = False) -> int:
        """Signal a process, or it and its children. What ends a process is noted as ordered first. Return its id."""
        pid = self.stage.pid(name)
        if not pid:
            raise FaultNotObserved(f"{name} does not run")
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            self._ordered.add(pid)
        self.stage.signal(name, number, group=group)
        return pid

    def expect_exit(self, name: str) -> None:
        """Note that the end of this process is ordered."""
        self._ordered.add(self.stage.pid(name))

    def last(self, shortest: float, longest: float) -> None:
        """Let the fault last for a time drawn by lot, in seconds."""
        self.stage.watch(lambda: False, within=self.rng.uniform(shortest, longest))


Inject = Callable[[StormStrike], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class StormFault:
    """One kind of fault."""

    name: str
    target: Target
    inject: Inject
    weight: float
    """How often it is drawn, in comparison with the others."""
    brokers: frozenset[Against]


def storm_fault(
    name: str, target: Target, *, weight: float = 1.0, brokers: tuple[Against, ...] = ("redis", "rabbitmq")
) -> Callable[[Inject], StormFault]:
    """Make a storm fault of a function. It raises FaultNotObserved when there was nothing to strike."""

    def made(inject: Inject) -> StormFault:
        return StormFault(name=name, target=target, inject=inject, weight=weight, brokers=frozenset(brokers))

    return made
