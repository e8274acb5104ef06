"""What a message carries is shown as text, whatever it is: JSON with its secrets masked, or bytes as escapes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.redact import Redactor
from console.pages import words
from ledger import Letter

MOST = 60_000
"""So many characters of a payload are shown."""
_MOST_READ = 4_000_000
"""More bytes than this are not read as JSON for a page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload as a page shows it."""

    text: str
    size: int
    is_json: bool
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Event:
    """The event that a message is about."""

    type: str
    id: str
    source: str
    subject: str
    time: str


def shown(body: bytes, clean: Redactor) -> Shown:
    """Give a payload as it may be shown."""
    value = read(body)
    text = _unread(body, clean) if value is None else words.pretty(clean.value(carried(value)))
    return Shown(text[:MOST], len(body), value is not None, len(text) > MOST)


def read(body: bytes) -> Any:
    """Read a body as JSON; None when it is none, or too large to be read for a page."""
    if len(body) > _MOST_READ:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def carried(value: Any) -> Any:
    """Give what a task message says: its keyword arguments, where it has nothing else."""
    match value:
        case [[], dict() as kwargs, dict() | None]:
            return kwargs
    return value


def event_of(letter: Letter) -> Event | None:
    """Give the event a message is about, where there is one."""
    told = carried(read(letter.body))
    found = told.get("event") if isinstance(told, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    named = {name: words.plain(found.get(name) or "") for name in ("type", "id", "source", "subject", "time")}
    return Event(**named)


def _unread(body: bytes, clean: Redactor) -> str:
    return words.plain(clean.text(body[: MOST + 1].decode("utf-8", "backslashreplace")))
