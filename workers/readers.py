"""Whether anybody reads a queue: what is put on another one would count as sent and wait there for ever."""

from collections.abc import Collection
from dataclasses import dataclass

from config.queues import QUEUES
from ledger import Ledger

GONE = "gone"


@dataclass(frozen=True, slots=True)
class Readers:
    """The queues of this fleet, and those that living workers read; none of these is known where no worker reports."""

    living: Collection[str]

    @classmethod
    def of(cls, ledger: Ledger) -> "Readers":
        """Ask the ledger which workers live."""
        return cls(frozenset(name for one in ledger.crew.all() if one.state != GONE for name in one.member.queues))

    def unknown(self, queue: str) -> str | None:
        """Return why nobody will ever read a queue; None for one of this fleet's, or one that a worker reads."""
        if queue in QUEUES or queue in self.living:
            return None
        return (
            f"no worker of this fleet reads the queue `{queue}`, only {', '.join(QUEUES)}: start a worker for it "
            f"(`purser worker -Q {queue}`), or discard the letter and have its sender use another queue"
        )

    def waiting(self, queue: str) -> str | None:
        """Return why a queue stands still at this moment; None where a living worker reads it, or none reports."""
        if not self.living or queue in self.living:
            return None
        return f"no living worker reads the queue `{queue}`: start one; `purser workers list` shows who reads what"
