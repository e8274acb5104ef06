"""Which queues the workers read, so that nothing is sent where nobody would take it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from config.queues import QUEUES
from purser.errors import Permanent
from store import DeadLetterFilter, Ledger
from store.fleet.worker_heartbeats import NAME_TAKEN

_NOT_READING = ("gone", NAME_TAKEN)
_MOST_READ = 1000
"""So many letters of queues that no worker reads are looked at, to name these queues."""


@dataclass(frozen=True, slots=True)
class QueueReaders:
    """The workers that live now, and the queues that each of them reads."""

    queues: Mapping[str, tuple[str, ...]]

    @classmethod
    def now(cls, ledger: Ledger) -> "QueueReaders":
        """Read who was heard of within the last minute."""
        living = (one for one in ledger.crew.all() if one.state not in _NOT_READING)
        return cls({one.member.name: one.member.queues for one in living})

    @property
    def read(self) -> frozenset[str]:
        """Return the queues that are read: those of the living workers, or the fleet's own while none is living.

        Messages on the fleet's own queues wait for the workers to be started again.
        """
        if not self.queues:
            return frozenset(QUEUES)
        return frozenset(queue for queues in self.queues.values() for queue in queues)

    def problem(self, queue: str) -> str:
        """Return why a message on this queue would stay there, '' when somebody reads it."""
        if queue in self.read:
            return ""
        return f"no worker reads the queue `{queue}`, so the message would stay there. {self._who()}"

    def problem_with(self, ledger: Ledger, ids: Sequence[str]) -> str:
        """Return why some of these letters would stay on their queues, '' when somebody reads all of them."""
        queues: dict[str, int] = {}
        for letter_queue in self._unread_queues(ledger, ids):
            queues[letter_queue] = queues.get(letter_queue, 0) + 1
        if not queues:
            return ""
        named = ", ".join(f"`{queue}` ({number})" for queue, number in sorted(queues.items()))
        return f"no worker reads these queues, so these letters would stay there: {named}. {self._who()}"

    def _unread_queues(self, ledger: Ledger, ids: Sequence[str]) -> Iterator[str]:
        left = set(ids)
        if len(left) > _MOST_READ:
            for queue in self.read:
                left.difference_update(ledger.letters.ids(DeadLetterFilter(queue=queue)))
        for id_ in sorted(left)[:_MOST_READ]:
            try:
                letter = ledger.letters.get(id_)
            except Permanent:  # one that cannot be read is skipped when its turn comes
                continue
            if letter is not None and letter.queue and letter.queue not in self.read:
                yield letter.queue

    def _who(self) -> str:
        if not self.queues:
            return f"No worker is running; the queues of the fleet are {', '.join(QUEUES)}"
        told = (f"{name} reads {', '.join(queues) or 'none'}" for name, queues in sorted(self.queues.items())[:10])
        return "; ".join(told)


def what_to_do(anyway: str) -> str:
    """Return how to go on; `anyway` says how to send in spite of it."""
    return f"Start a worker that reads the queue (-Q), or {anyway}"
