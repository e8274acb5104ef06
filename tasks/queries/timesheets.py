"""The weeks a scan looks at, and the hours people logged in them."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from purser import (
    OPTIONAL_FIELD,
    Aggregate,
    Domain,
    GroupDate,
    GroupId,
    Period,
    QueryContext,
    Row,
    aggregate,
    group_by,
)

Ids = tuple[int | None, ...]

WEEKS_BACK = 4
WEST, EAST = dt.timedelta(hours=-12), dt.timedelta(hours=14)
"""The zones furthest from UTC: a week is read if it is in view anywhere on Earth."""


@dataclass(frozen=True)
class ReportingWeeks:
    """Whole weeks for everybody, and older ones for the employees of open cases."""

    first: dt.date
    last: dt.date
    oldest: dt.date
    watched: tuple[int, ...]
    """Employees with an open case before `first`."""


def reporting_weeks(scope: QueryContext) -> ReportingWeeks:
    """Return which weeks a scan reads: `weeks_back` before the running one, and those of open cases."""
    utc = scope.as_of.astimezone(dt.UTC)
    back = dt.timedelta(weeks=int(scope.tunables.get("weeks_back", WEEKS_BACK)))
    first = Period.week_of((utc + WEST).date()).first - back
    older = {
        w.subject.id: w.period.first
        for w in sorted(scope.watched, key=lambda w: w.period.first if w.period else first, reverse=True)
        if w.subject.model == "hr.employee" and w.period is not None and w.period.first < first
    }
    return ReportingWeeks(
        first=first,
        last=Period.week_of((utc + EAST).date()).last,
        oldest=min(older.values(), default=first),
        watched=tuple(sorted(older)),
    )


class TimesheetWeek(Aggregate, model="account.analytic.line"):
    """Time logged in one week and unit, by whom.

    A month and the number of an ISO week name one Monday even at the turn of the year. A week that spans two months
    comes as two groups. Who and how much come as arrays in the order of the lines: an eighth of the time and a
    seventh of the bytes of one group per employee, and no names travel. Where Odoo turns leave and public holidays
    into timesheets, two more arrays tell which lines are its own.
    """

    month: GroupDate = group_by("date:month")
    iso_week: int = group_by("date:iso_week_number")
    unit_id: GroupId | None = group_by("product_uom_id", None)
    employee_ids: tuple[int, ...] = aggregate("employee_id:array_agg", ())
    amounts: tuple[float | None, ...] = aggregate("unit_amount:array_agg", ())
    leave_ids: Annotated[Ids, OPTIONAL_FIELD] = aggregate("holiday_id:array_agg", ())
    holiday_ids: Annotated[Ids, OPTIONAL_FIELD] = aggregate("global_leave_id:array_agg", ())

    def quantities(self) -> Mapping[int, Decimal]:
        """Sum what each employee entered by hand; ValueError when the arrays do not match."""
        nobody = (None,) * len(self.employee_ids)
        lines = zip(
            *(self.employee_ids, self.amounts, self.leave_ids or nobody, self.holiday_ids or nobody), strict=True
        )
        sums: dict[int, float] = defaultdict(float)
        for employee, amount, leave, holiday in lines:
            if not leave and not holiday:
                sums[employee] += amount or 0.0
        return {employee: _exact(amount) for employee, amount in sums.items()}

    @property
    def monday(self) -> dt.date:
        """The first day of the week."""
        turn = {(1, True): -1, (12, False): 1}.get((self.month.month, self.iso_week > 26), 0)
        return dt.date.fromisocalendar(self.month.year + turn, self.iso_week, 1)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the weeks in view."""
        weeks = reporting_weeks(scope)
        since: list[Any] = [("date", ">=", weeks.first)]
        if weeks.watched:
            since = ["|", *since, "&", ("date", ">=", weeks.oldest), ("employee_id", "in", list(weeks.watched))]
        return [
            ("project_id", "!=", False),
            ("employee_id", "!=", False),
            ("date", "<=", weeks.last),
            *since,
        ]


@lru_cache(maxsize=4096)
def _exact(amount: float) -> Decimal:
    """Return the number a sum of floats stands for; most people log one of a few."""
    return Decimal(str(round(amount, 6)))


STANDARD_DAY = Decimal(8)
"""Odoo's own unit `Days` has eight hours, whatever a firm's day is."""


class TimesheetUnit(Row, model="uom.uom", active_test=False):
    """A unit of measure, and how many hours it holds where it is a unit of time (Odoo 19: relative to its root)."""

    name: str
    factor: Decimal
    relative_uom_id: int | None = None
    timesheet_widget: str | None = None

    @property
    def in_days(self) -> bool:
        """Return whether it counts days rather than hours."""
        return self.timesheet_widget == "float_toggle" or self.factor >= STANDARD_DAY

    def hours(self, day: Decimal) -> Decimal:
        """Return the hours of one unit where a day of work has `day` hours."""
        if not self.in_days:
            return self.factor
        return day * (self.factor / STANDARD_DAY if self.factor >= STANDARD_DAY else 1)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the units time was logged in."""
        used = {group.unit_id for group in scope.snapshot.rows(TimesheetWeek) if group.unit_id}
        return [("id", "in", sorted(used))] if used else None
