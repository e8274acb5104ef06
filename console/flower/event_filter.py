"""Flower reads task and worker events from everybody on the broker: malformed ones are ignored, values not shown."""

from functools import partial
from typing import Any

import structlog
from flower.events import Events

log = structlog.get_logger(__name__)

MAX_TEXT_LENGTH = 1000
"""Characters of one field."""
MAX_NAME_LENGTH = 200
"""Characters of the name of a worker or task, and of an id."""
_NUMBERS = (
    "timestamp",
    "local_received",
    "freq",
    "active",
    "processed",
    "clock",
    "utcoffset",
    "pid",
    "retries",
    "runtime",
)
_NAMES = ("type", "hostname", "uuid")
_HIDDEN = "sent by another client"


class CheckedEvents(Events):
    """Flower's events without those that would break its pages."""

    def on_event(self, event: Any) -> None:
        """Take an event, or ignore it."""
        checked = checked_event(event)
        if checked is None:
            log.debug("event ignored: it has a field of another type than Celery's")
            return
        self.io_loop.add_callback(partial(self.state.event, checked))


def checked_event(event: Any) -> dict[str, Any] | None:
    """Return an event as the pages may show it; None when a field has another type than Celery gives it."""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    is_task = event["type"].startswith("task-")
    if not all(_is_name(event.get(name)) for name in (_NAMES if is_task else _NAMES[:2])):
        return None
    if not all(_is_number(event[name]) for name in _NUMBERS if event.get(name) is not None):
        return None
    load = event.get("loadavg")
    if load is not None and not (isinstance(load, (list, tuple)) and len(load) == 3 and all(map(_is_number, load))):
        return None
    if is_task and not all(isinstance(event.get(name), (str, type(None))) for name in ("name", "exception", "state")):
        return None
    return {name: _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: Any) -> Any:
    if name == "args" and value:
        return ""
    if name == "kwargs" and str(value).startswith("{"):
        return _HIDDEN
    if name == "name" and isinstance(value, str):
        return value[:MAX_NAME_LENGTH]
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) else value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
