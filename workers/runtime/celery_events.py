"""Events for Flower and whoever reads them: every field has a bounded length, whatever the message held."""

from collections.abc import Mapping
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher

from workers.broker.task_message import MAX_NAME_LENGTH

MAX_FIELD_LENGTH = 2000
"""Characters of one field of an event."""
_NAMES = frozenset({"uuid", "name", "root_id", "parent_id", "hostname", "queue", "exchange", "routing_key"})


def bounded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an event, each cut at its greatest length."""
    return {
        name: _cut(value, MAX_NAME_LENGTH if name in _NAMES else MAX_FIELD_LENGTH) for name, value in fields.items()
    }


def _cut(value: Any, longest: int) -> Any:
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else 0
    if isinstance(value, str):
        return value[:longest]
    text = str(value)
    return value if len(text) <= longest else text[:longest]


class BoundedDispatcher(EventDispatcher):
    """Celery's dispatcher, through which all events of a worker or a publisher pass."""

    def send(self, type: str, *args: Any, **fields: Any) -> Any:  # noqa: A002 - Celery's name for it
        """Send an event, or add it to those that are sent together."""
        return super().send(type, *args, **bounded(fields))

    def publish(self, type: str, fields: Mapping[str, Any], *args: Any, **options: Any) -> Any:  # noqa: A002
        """Send an event with the producer of a message (`task-sent`)."""
        return super().publish(type, bounded(fields), *args, **options)


class FleetEvents(Events):
    """Celery's `app.events` with the dispatcher above."""

    dispatcher_cls = "workers.runtime.celery_events:BoundedDispatcher"
