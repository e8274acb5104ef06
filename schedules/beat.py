"""Beat knows each enabled control once, with the offset that keeps controls from starting together."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from purser.cadence import Cadence
from schedules.slots import latest_slot, next_slot, stagger


@dataclass(frozen=True, kw_only=True, slots=True)
class BeatEntry:
    """One control and when it is due."""

    control: str
    cadence: Cadence
    offset: dt.timedelta

    def slot(self, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
        """Give the latest slot that is due at `now`. A slot missed while beat was down is caught up by this one."""
        return latest_slot(self.cadence, now, tz, self.offset)

    def due_after(self, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
        """Give the moment after `now` at which the control is due again."""
        return next_slot(self.cadence, now, tz, self.offset) + self.offset


def beat_entries(cadences: Mapping[str, Cadence]) -> list[BeatEntry]:
    """Build the beat schedule of the enabled controls, by name."""
    return [
        BeatEntry(control=name, cadence=cadence, offset=stagger(name, cadence))
        for name, cadence in sorted(cadences.items())
    ]
