"""What a message carries is shown as text, whatever it is: JSON with its secrets masked, or bytes as escapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.observability.redaction import Redactor
from console.pages.presentation import formatting
from purser.formats.strict_json import InvalidJson, read_json
from store import DeadLetter

MAX_CHARACTERS = 60_000
"""So many characters of a payload are shown."""
_MOST_READ = 4_000_000
"""More bytes than this are not read as JSON for a page."""


@dataclass(frozen=True, slots=True)
class PayloadView:
    """A payload as a page shows it."""

    text: str
    size: int
    is_json: bool
    is_cut: bool


@dataclass(frozen=True, slots=True)
class EventView:
    """The event that a message is about."""

    type: str
    id: str
    source: str
    subject: str
    time: str


def payload_view(body: bytes, clean: Redactor) -> PayloadView:
    """Return a payload as it may be shown."""
    value = read(body)
    if value is None:
        text, is_cut = _unread(body, clean), len(body) > MAX_CHARACTERS
    else:
        budget = _MaskingBudget(MAX_CHARACTERS, clean)
        text = formatting.pretty(clean.value(budget.spent_on(carried_event(value))))
        is_cut = budget.left <= 0
    return PayloadView(text[:MAX_CHARACTERS], len(body), value is not None, is_cut or len(text) > MAX_CHARACTERS)


def read(body: bytes) -> Any:
    """Read a body as JSON; None when it is none, says a name twice, or is too large to be read for a page."""
    if len(body) > _MOST_READ:
        return None
    try:
        return read_json(body, halves=True)
    except InvalidJson:
        return None


def carried_event(value: Any) -> Any:
    """Return what a task message says: its keyword arguments, where it has nothing else."""
    match value:
        case [[], dict() as kwargs, dict() | None]:
            return kwargs
    return value


def event_of(letter: DeadLetter) -> EventView | None:
    """Return the event a message is about, where there is one."""
    told = carried_event(read(letter.body))
    found = told.get("event") if isinstance(told, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    named = {name: formatting.plain(found.get(name) or "") for name in ("type", "id", "source", "subject", "time")}
    return EventView(**named)


class _MaskingBudget:
    """So many characters of a value are worth looking at: masking takes its time."""

    def __init__(self, left: int, clean: Redactor) -> None:
        self.left = left
        self._clean = clean

    def spent_on(self, value: Any) -> Any:
        """Return a value as far as the budget goes."""
        match value:
            case str():
                kept = self._clean.excerpt(value, max(self.left, 0))
                self.left -= len(value) + 2
                return kept
            case dict():
                return {name: self._part(one, len(name)) for name, one in value.items() if self.left > 0}
            case list():
                return [self._part(one, 0) for one in value if self.left > 0]
        self.left -= 4
        return value

    def _part(self, value: Any, more: int) -> Any:
        self.left -= 4 + more
        return self.spent_on(value)


def _unread(body: bytes, clean: Redactor) -> str:
    return formatting.plain(
        clean.head(body[: 2 * MAX_CHARACTERS].decode("utf-8", "backslashreplace"), MAX_CHARACTERS)
    )
