"""What a storm did, and what became of the messages that flowed through it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from devtools.chaos.environment import ProcessExit

JUST = "too many deliveries"
"""The only reason for a dead letter in a storm: the process of the message was killed each time it began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StormRound:
    """The result of one round: its faults, the messages that flowed meanwhile, and what was found of them in Odoo."""

    seed: int
    faults: Counter[str]
    not_injected: Counter[str] = field(default_factory=Counter)
    """Faults that found nothing to strike; they count for nothing."""
    messages: int
    effects: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    dead: Counter[str]
    """The dead letters by reason and task. They are kept, so they are not lost."""
    exits: tuple[ProcessExit, ...]
    """Processes that ended without an order of the storm."""
    restarts_in_place: int
    """How often a worker started itself anew without ending, such as after it was frozen past its lease."""
    seconds: float
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether nothing was lost or doubled, nobody ended without an order, and everything came to its end.

        A message whose process was killed too often may be set aside; any other dead letter is charged to a message
        that was not at fault.
        """
        return not (self.lost or self.doubled or self.exits or self.problem or self.unjust)

    @property
    def unjust(self) -> Counter[str]:
        """Dead letters that trouble of the servers does not justify."""
        return Counter({reason: times for reason, times in self.dead.items() if not reason.startswith(JUST)})


def facts(rounds: Sequence[StormRound]) -> dict[str, Any]:
    """Return everything for programs."""
    return {
        "faults": sum(sum(one.faults.values()) for one in rounds),
        "messages": sum(one.messages for one in rounds),
        "effects": sum(one.effects for one in rounds),
        "lost": sum(len(one.lost) for one in rounds),
        "doubled": sum(len(one.doubled) for one in rounds),
        "exits": [one._asdict() for this in rounds for one in this.exits],
        "restarts_in_place": sum(one.restarts_in_place for one in rounds),
        "dead": dict(sum((one.dead for one in rounds), Counter[str]())),
        "by_fault": dict(sorted(sum((one.faults for one in rounds), Counter[str]()).items())),
        "not_injected": dict(sorted(sum((one.not_injected for one in rounds), Counter[str]()).items())),
        "problems": [one.problem for one in rounds if one.problem],
        "seconds": round(sum(one.seconds for one in rounds)),
    }
