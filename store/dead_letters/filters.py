"""Which letters are meant is one value: a page, a command, a replay and a link that is sent say it alike."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from purser.errors import ConfigurationError
from purser.findings import Ref
from purser.naming import did_you_mean
from store.dead_letters.model import DeadLetterState

SHORTEST = 3
"""A text to look for has so many characters at least: fewer stand in nearly every letter."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d{1,5})([mhd])")
_EXACT = ("queue", "task", "reason", "error", "fingerprint", "correlation", "subject")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterFilter:
    """What a letter must be like to be meant; what is left empty does not matter."""

    state: DeadLetterState = DeadLetterState.DEAD
    queue: str = ""
    task: str = ""
    reason: str = ""
    error: str = ""
    """The class of its error."""
    fingerprint: str = ""
    correlation: str = ""
    """The id of the message that everything began with."""
    subject: str = ""
    """A record it is about, such as `crm.lead/42`."""
    since: dt.datetime | None = None
    """Set aside then or later; what is settled counts by when that was."""
    until: dt.datetime | None = None
    """Set aside before then."""
    text: str = ""
    """Stands in what it carries; capital letters or small ones, as far as they are ASCII."""

    def __post_init__(self) -> None:
        if self.text and len(self.text) < SHORTEST:
            raise ConfigurationError(
                f"text: {self.text!r} is too short to look for: give {SHORTEST} characters or more"
            )
        if any(moment is not None and moment.tzinfo is None for moment in (self.since, self.until)):
            raise ConfigurationError("since, until: a moment has a time zone, such as 2026-01-31T18:00Z")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ConfigurationError(f"since, until: nothing lies between {self.since} and {self.until}")

    def words(self) -> dict[str, str]:
        """Return what matters as text, for a link or the audit trail; `read` reads it."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        if self.state is DeadLetterState.DEAD:
            del found["state"]
        told = {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in found.items()}
        return {name: str(value) for name, value in told.items() if value}

    def exact(self) -> dict[str, str]:
        """Return what an index answers: a dimension and its value."""
        return {name: value for name in _EXACT if (value := getattr(self, name))}

    @classmethod
    def read(cls, words: Mapping[str, str], *, now: dt.datetime | None = None) -> "DeadLetterFilter":
        """Read words, as `words` gives them or a person types them; ConfigurationError says what is wrong.

        A moment may be `30m`, `24h` or `7d` ago; `now` is the present that it counts from, by default this machine's.
        """
        known = [one.name for one in fields(cls)]
        given: dict[str, Any] = {}
        for name, word in words.items():
            value = word.strip() if name != "text" else word
            if name not in known:
                raise ConfigurationError(f"letters are not chosen by `{name}`.{did_you_mean(name, known)}")
            if not value:
                continue
            if name == "state":
                given[name] = _state(value)
            elif name in ("since", "until"):
                given[name] = _moment(name, value, now)
            else:
                given[name] = _subject(value) if name == "subject" else value
        return cls(**given)


DEAD_LETTERS = DeadLetterFilter()


def _state(value: str) -> DeadLetterState:
    try:
        return DeadLetterState(value)
    except ValueError:
        raise ConfigurationError(
            f"state: {value!r} is unknown.{did_you_mean(value, list(DeadLetterState))}"
        ) from None


def _subject(value: str) -> str:
    try:
        return str(Ref.parse(value))
    except ValueError:
        raise ConfigurationError(
            f"subject: {value!r} is no record: write its model and id, such as crm.lead/42"
        ) from None


def _moment(name: str, value: str, now: dt.datetime | None) -> dt.datetime:
    if ago := _AGO.fullmatch(value):
        return (now or dt.datetime.now(dt.UTC)) - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise ConfigurationError(f"{name}: {value!r} is no moment: write 30m, 24h, 7d or 2026-01-31T18:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
