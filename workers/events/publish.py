"""What is told goes on the queue under an id of its own, so telling it again is telling the same, whoever tells."""

import uuid
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from events.cloudevent import CloudEvent
from events.event import known_events
from purser.findings import Ref
from workers.context import WorkerContext

ACCEPT_TASK, LOOK_TASK = "purser.accept", "purser.look"

QUICK_RETRY_POLICY = MappingProxyType({"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0})
"""For somebody who waits for the answer and can ask again: a broken connection is made anew once, and that is all."""

_NAMESPACE = uuid.UUID("5f0a7c52-0d0e-5f43-8f3c-2c4f1d9f6f6b")


def publish_events(fleet: WorkerContext, events: Sequence[CloudEvent], *, at_once: bool = False) -> tuple[bool, ...]:
    """Put events on their queue. Say of each whether it was known: accepted before, or twice among these.

    What is known is not sent again. Transient: broker or ledger is away, and some may be sent by now; telling all of
    them again doubles none.
    """
    names = [(event.source, event.id) for event in events]
    known = dict(zip(names, fleet.ledger.events.known(names), strict=True))
    answers = []
    for name, event in zip(names, events, strict=True):
        answers.append(known[name])
        if not known[name]:
            publish_event(fleet, event, at_once=at_once)
            known[name] = True
    return tuple(answers)


def publish_event(fleet: WorkerContext, event: CloudEvent, *, at_once: bool = False) -> None:
    """Put one event on the queue of its kind, known or not. However often, the message is the same one, by its id."""
    _publish(
        fleet,
        ACCEPT_TASK,
        {"event": event.model_dump(mode="json", exclude_none=True)},
        label=f"{event.type} {event.id}",
        queue=queue_of(event.type),
        task_id=message_id(ACCEPT_TASK, event.source, event.id),
        at_once=at_once,
    )


def enqueue_checks(fleet: WorkerContext, record: Ref, *, at_once: bool = False, **options: Any) -> None:
    """Have somebody look at a record: it may have become a fact."""
    values = {"model": record.model, "id": record.id}
    _publish(fleet, LOOK_TASK, values, label=str(record), queue="events", at_once=at_once, **options)


def queue_of(event_type: str) -> str:
    """Return the queue of an event: master data flows with the bulk, so that no flood of it delays a won deal."""
    kind = known_events().get(event_type)
    return "apply" if kind is not None and kind.is_master() else "events"


def message_id(task: str, source: str, name: str) -> str:
    """Return the id of a message about something, always the same one."""
    return str(uuid.uuid5(_NAMESPACE, f"{task}\n{len(source)}:{source}{name}"))


def _publish(fleet: WorkerContext, task: str, kwargs: dict[str, Any], *, at_once: bool, **options: Any) -> None:
    hurry: dict[str, Any] = {"retry": True, "retry_policy": dict(QUICK_RETRY_POLICY)} if at_once else {}
    fleet.publish(task, kwargs, **options, **hurry)
