"""How often a control is checked, as a value a policy can write: `every 6 hours`, `daily 06:00`."""

import datetime as dt
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Every:
    """A slot every `step`, counted from midnight UTC of 1970-01-01."""

    step: dt.timedelta

    def __post_init__(self) -> None:
        if self.step < dt.timedelta(seconds=1):
            raise ValueError(f"a cadence shorter than a second makes no sense: {self.step}")

    def __str__(self) -> str:
        seconds = int(self.step.total_seconds())
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if seconds % size == 0:
                return f"every {seconds // size} {unit}{'s' if seconds != size else ''}"
        return f"every {seconds} seconds"


@dataclass(frozen=True, slots=True)
class Daily:
    """A slot each day (or on some weekdays, Monday is 0) at a wall-clock time in the policy's time zone."""

    at: dt.time
    weekdays: frozenset[int] = frozenset(range(7))

    def __str__(self) -> str:
        days = "" if len(self.weekdays) == len(_DAYS) else " " + ",".join(_DAYS[d] for d in sorted(self.weekdays))
        return f"daily {self.at:%H:%M}{days}"


Cadence = Every | Daily

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY = re.compile(r"every\s+(\d+)?\s*(second|minute|hour|day)s?", re.IGNORECASE)
_DAILY = re.compile(r"daily\s+(\d{1,2}):(\d{2})(?:\s+([a-z,]+))?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """A span of calendar days around the end of a month in which named work is held back.

    What is held back, and when: from `days_before` the last day of a month to `days_after` it, both included.
    """

    name: str
    what: frozenset[str]
    """Such as `queue:apply`, `control:unbilled-work`, `automation:open-project`, or `all`."""
    days_before: int = 0
    days_after: int = 0
    months: frozenset[int] = frozenset(range(1, 13))
    """The months that end in a freeze; January is 1."""

    def told(self) -> list[object]:
        """Give its values for a hash or a listing."""
        return [self.name, sorted(self.what), self.days_before, self.days_after, sorted(self.months)]


def parse_cadence(text: str) -> Cadence:
    """Read `every 15 minutes`, `every hour`, `daily 06:00` or `daily 06:00 mon,thu`; ValueError otherwise."""
    text = text.strip()
    if match := _EVERY.fullmatch(text):
        return Every(dt.timedelta(**{match[2].lower() + "s": int(match[1] or 1)}))
    if match := _DAILY.fullmatch(text):
        names = match[3].lower().split(",") if match[3] else list(_DAYS)
        if all(name in _DAYS for name in names) and int(match[1]) < 24 and int(match[2]) < 60:
            return Daily(dt.time(int(match[1]), int(match[2])), frozenset(_DAYS.index(n) for n in names))
    raise ValueError(f"{text!r} is no cadence. Write 'every 15 minutes', 'every 6 hours' or 'daily 06:00 mon,thu'")


def minutes(count: int) -> Every:
    """Check every `count` minutes."""
    return Every(dt.timedelta(minutes=count))


def hours(count: int) -> Every:
    """Return a cadence of so many hours."""
    return Every(dt.timedelta(hours=count))


def daily(at: str) -> Cadence:
    """Return a cadence of once a day at `HH:MM` in the policy's time zone."""
    return parse_cadence(f"daily {at}")
