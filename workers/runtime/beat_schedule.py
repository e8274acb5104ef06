"""Beat emits the due moments of controls and watches. It keeps no file: the ledger knows what was done, and twice is
once."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from celery.schedules import BaseSchedule

from purser.cadence import Cadence
from schedules.beat import BeatEntry
from schedules.slots import latest_slot, next_slot
from workers.shared_clock import utc_now

MAX_SLEEP_SECONDS = 60.0
"""Seconds until beat looks at an entry again at the latest, so that a moved clock is noticed."""

AGAIN = dt.timedelta(minutes=10)
"""A slot is emitted again after this time: nothing happens if it is done; what was lost or failed heals."""

Now = Callable[[], dt.datetime]

_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SlotSchedule(BaseSchedule):  # type: ignore[misc, unused-ignore]
    """Due for every slot of a cadence, and again until it is surely done; missed slots are due once, together."""

    def __init__(self, cadence: Cadence, zone: dt.tzinfo, offset: dt.timedelta, now: Now) -> None:
        super().__init__(nowfun=now)
        self.cadence, self.zone, self.offset = cadence, zone, offset

    def is_due(self, last_run_at: dt.datetime) -> tuple[bool, float]:
        """Return whether a slot has come since `last_run_at`, and in how many seconds to ask again."""
        now = self.now()
        due = latest_slot(self.cadence, now, self.zone, self.offset) + self.offset
        again = next_slot(self.cadence, now, self.zone, self.offset) + self.offset
        set_back = last_run_at > now  # the clock was far ahead when it emitted
        is_due = set_back or last_run_at < max(due, now - AGAIN)
        return is_due, min(max((again - now).total_seconds(), 0.01), MAX_SLEEP_SECONDS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotSchedule) and self._values == other._values

    def __hash__(self) -> int:
        return hash((self.cadence, self.offset))

    @property
    def _values(self) -> tuple[object, ...]:
        return self.cadence, self.zone, self.offset

    def __repr__(self) -> str:
        return f"<{self.cadence}, {self.offset} late>"

    def __reduce__(self) -> Any:
        return type(self), (self.cadence, self.zone, self.offset, self.nowfun)


_TASKS = {"control": "scan", "watch": "feed"}


def beat_schedule(entries: list[BeatEntry], zone: dt.tzinfo, now: Now = utc_now) -> dict[str, dict[str, Any]]:
    """Return Celery's form of the schedule. A fresh beat finds the current slot due; one that is done is skipped."""
    return {
        f"{_TASKS[entry.kind]} {entry.name}": {
            "task": f"purser.{_TASKS[entry.kind]}",
            "schedule": SlotSchedule(entry.cadence, zone, entry.offset, now),
            "kwargs": {entry.kind: entry.name},
            "last_run_at": _NEVER,
            "options": {"argsrepr": "", "kwargsrepr": entry.name},
        }
        for entry in entries
    }
