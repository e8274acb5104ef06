"""What was sent is compared with what stands in Odoo and what lies among the dead letters. Pure, so it can be tested.

An effect is one record, note or activity, known by a text that only this message writes; it is counted in Odoo
itself, never by our own keys. A message is lost when an effect of it is missing and no letter keeps the message; it
is doubled when an effect is there twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMessage:
    """One message of the load: its id, and what must stand in Odoo because of it, each once."""

    id: str
    """Empty for bytes that are no message."""
    effects: tuple[str, ...] = ()
    dies: bool = False
    """It cannot be carried out: a dead letter is its right end, and what it did on the way stands once at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryCheck:
    """What became of the messages of one fault."""

    messages: int
    effects: int
    lost: tuple[str, ...]
    """The ids of messages that are nowhere."""
    doubled: tuple[str, ...]
    """The ids of messages of which something is there more than once."""
    dead: int
    expected_dead: int

    @property
    def is_good(self) -> bool:
        """Return whether nothing is lost, nothing doubled, and exactly those are dead that had to die."""
        return not self.lost and not self.doubled and self.dead == self.expected_dead


def check_delivery(
    sent: Sequence[SentMessage], found: Mapping[str, int], letters: Iterable[Collection[str]]
) -> DeliveryCheck:
    """Compare. `letters` gives the ids each new dead letter is known by: its own, and that of what caused it."""
    dead = [set(ids) for ids in letters]
    kept = set[str]().union(*dead)
    named = {one.id for one in sent if one.id}
    nameless = sum(one.dies and not one.id for one in sent) - sum(ids.isdisjoint(named) for ids in dead)
    lost = [one.id for one in sent if one.id and one.id not in kept and _is_missing(one, found)]
    return DeliveryCheck(
        messages=len(sent),
        effects=sum(len(one.effects) for one in sent if not one.dies),
        lost=(*lost, *["bytes without a letter"] * nameless),
        doubled=tuple(one.id for one in sent if any(found.get(effect, 0) > 1 for effect in one.effects)),
        dead=len(dead),
        expected_dead=sum(one.dies for one in sent),
    )


def _is_missing(one: SentMessage, found: Mapping[str, int]) -> bool:
    return one.dies or any(not found.get(effect) for effect in one.effects)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultResult:
    """One row of the table."""

    name: str
    did: str
    """What was done to the fleet, as far as it was seen to happen."""
    verdict: DeliveryCheck
    recovery_seconds: float
    """From the end of the fault until nothing waited any more and every effect stood in Odoo."""
    problem: str = ""
    """Why this row proves nothing: the fault did not bite, or the queues never became empty."""

    unfinished: int = 0
    """Messages that still waited when the patience of the drill ended: neither done nor lost."""

    @property
    def is_good(self) -> bool:
        """Return whether this fault was stood."""
        return self.verdict.is_good and not self.problem

    def with_verdict(self, verdict: DeliveryCheck) -> "FaultResult":
        """Return this row with a later count. While messages wait, nobody can say which of them are lost."""
        return replace(self, verdict=replace(verdict, lost=()) if self.unfinished else verdict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedFault:
    """A fault that cannot be injected here, and why."""

    name: str
    reason: str
