"""What is told from outside goes on the queue under an id of its own, so telling it again is telling the same."""

import uuid
from collections.abc import Sequence
from typing import Any

from events.fact import CloudEvent, Fact
from purser.model import Ref
from workers.fleet import Fleet

ACCEPT, LOOK = "purser.accept", "purser.look"
QUEUE = "events"

_NAMESPACE = uuid.UUID("5f0a7c52-0d0e-5f43-8f3c-2c4f1d9f6f6b")
_AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""Somebody waits for the answer and can ask again: a connection that broke is made anew once, and that is all."""


def tell(fleet: Fleet, told: Sequence[tuple[CloudEvent, Fact]]) -> tuple[bool, ...]:
    """Put events on their queue. Say of each whether it was known: accepted before, or twice among these.

    What is known is not sent again. Transient: broker or ledger is away, and some may be sent by now; telling all of
    them again doubles none.
    """
    names = [(envelope.source, envelope.id) for envelope, _ in told]
    seen = dict(zip(names, fleet.ledger.events.known(names), strict=True))
    known = []
    for name, (envelope, fact) in zip(names, told, strict=True):
        known.append(seen[name])
        if not seen[name]:
            event = envelope.model_dump(mode="json", exclude_none=True)
            _send(fleet, ACCEPT, {"event": event}, f"{envelope.type} {fact.record}", task_id=message_id(*name))
            seen[name] = True
    return tuple(known)


def look(fleet: Fleet, record: Ref) -> None:
    """Have somebody look at a record: it may have become a fact."""
    _send(fleet, LOOK, {"model": record.model, "id": record.id}, f"look {record}")


def message_id(source: str, event_id: str) -> str:
    """Name the message that carries an event."""
    return str(uuid.uuid5(_NAMESPACE, f"{len(source)}:{source}{event_id}"))


def _send(fleet: Fleet, task: str, kwargs: dict[str, Any], label: str, **options: Any) -> None:
    fleet.publish(task, kwargs, label=label, queue=QUEUE, retry=True, retry_policy=_AT_ONCE, **options)
