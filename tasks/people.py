"""Who counts as one person, when a person is absent, and who may be asked: one definition for all parts.

- **A person** is a user of Odoo. Their employee records, one in each company they work for, are one person's.
- **A person may be asked** when their user is active and internal: portal and archived users read no activities.
- **An absence** is approved time off of type 'leave'. Time of type 'other' (home office, a training) is worked.
- **A record is absent on a day**, as its own zone cuts the day, when absences take at least three hours of it.
- **A person is absent on a day** when each of their active employee records is.

Somebody who is absent today is passed over while there is somebody else to ask; their manager stands in for them.
Where nobody else is left they are asked all the same, and find the question when they return.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from purser import Snapshot
from tasks.queries.availability import (
    AbsentManagerToday,
    AbsentToday,
    AskableUser,
    ManagerRecord,
    ManagerWorkRecord,
    WorkRecord,
)
from tasks.working_calendar import Span, day_span, epoch_seconds, overlap, union, zone_of

ENOUGH = 3 * 3600
"""Seconds of a day from which on somebody is absent that day."""


class PersonRecord(Protocol):
    """An employee record: a row that names the user, the resource and the zone."""

    @property
    def user_id(self) -> int | None:
        """Return the user, None where the record has none."""

    @property
    def resource_id(self) -> int | None:
        """Return the resource that absences name."""

    @property
    def tz(self) -> str | None:
        """Return the zone the record's days are cut in."""


class AbsencePeriod(Protocol):
    """An approved absence of a resource."""

    @property
    def resource_id(self) -> int | None:
        """Return whose absence it is."""

    @property
    def date_from(self) -> dt.datetime:
        """Return when it begins."""

    @property
    def date_to(self) -> dt.datetime:
        """Return when it ends."""


@dataclass(frozen=True)
class Absences:
    """The absences of some people, to be asked by user and day."""

    records: Iterable[PersonRecord]
    away: Iterable[AbsencePeriod]
    firm: dt.tzinfo | None
    """The zone of a record that names none."""

    def is_absent(self, user_id: int | None, day: dt.date) -> bool:
        """Return whether every active employee record of a user is absent on a day; somebody without one is not."""
        own = self._records.get(user_id, ()) if user_id is not None else ()
        return bool(own) and all(self._is_away(record, day) for record in own)

    def _is_away(self, record: PersonRecord, day: dt.date) -> bool:
        spans = self._spans.get(record.resource_id, ())
        return overlap(day_span(day, zone_of(record.tz, firm=self.firm)), spans) >= ENOUGH

    @cached_property
    def _records(self) -> Mapping[int | None, Sequence[PersonRecord]]:
        found: dict[int | None, list[PersonRecord]] = defaultdict(list)
        for record in self.records:
            found[record.user_id].append(record)
        return found

    @cached_property
    def _spans(self) -> Mapping[int | None, Sequence[Span]]:
        found: dict[int | None, list[Span]] = defaultdict(list)
        for one in self.away:
            found[one.resource_id].append((epoch_seconds(one.date_from), epoch_seconds(one.date_to)))
        return {resource: union(spans) for resource, spans in found.items()}


class PersonIndex:
    """Who may be asked today, of those whom the rows of a snapshot name. The snapshot holds `ASKING`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        firm = snapshot.as_of.tzinfo
        self._absences = Absences(snapshot.rows(WorkRecord), snapshot.rows(AbsentToday), firm)
        self._managers = Absences(snapshot.rows(ManagerWorkRecord), snapshot.rows(AbsentManagerToday), firm)

    def may_be_asked(self, user_id: int | None) -> bool:
        """Return whether this is an active, internal user."""
        return self._snapshot.get(AskableUser, user_id) is not None

    def is_absent(self, user_id: int | None) -> bool:
        """Return whether a person is absent today."""
        return self._absences.is_absent(user_id, self._snapshot.today)

    def stand_in(self, user_id: int | None) -> int | None:
        """Return the manager of a person, where that is somebody else who may be asked and is there today."""
        for record in self._snapshot.rows(WorkRecord):
            manager = self._snapshot.get(ManagerRecord, record.manager_id) if record.user_id == user_id else None
            if manager is None or manager.user_id == user_id:
                continue
            if not self._managers.is_absent(manager.user_id, self._snapshot.today):
                return manager.user_id
        return None

    def first(self, *candidates: int | None) -> int | None:
        """Return the first who may be asked and is there today, else a manager of theirs, else the first of them."""
        known = [one for one in candidates if self.may_be_asked(one)]
        present = next((one for one in known if not self.is_absent(one)), None)
        if present is None:
            present = next((manager for one in known if (manager := self.stand_in(one)) is not None), None)
        return known[0] if present is None and known else present
