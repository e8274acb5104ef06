"""Beat knows each enabled control and watch once, with the offset that keeps them from starting together."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from purser.cadence import Cadence
from schedules.slots import latest_slot, next_slot, stagger

Kind = Literal["control", "watch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BeatEntry:
    """One control or watch and when it is due."""

    kind: Kind
    name: str
    cadence: Cadence
    offset: dt.timedelta

    def slot(self, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
        """Return the latest slot that is due at `now`. A slot missed while beat was down is caught up by this one."""
        return latest_slot(self.cadence, now, tz, self.offset)

    def due_after(self, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
        """Return the moment after `now` at which it is due again."""
        return next_slot(self.cadence, now, tz, self.offset) + self.offset


def beat_entries(kind: Kind, cadences: Mapping[str, Cadence]) -> list[BeatEntry]:
    """Build the beat schedule of the enabled controls or watches, by name."""
    return [
        BeatEntry(kind=kind, name=name, cadence=cadence, offset=stagger(name, cadence))
        for name, cadence in sorted(cadences.items())
    ]
