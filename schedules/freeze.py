"""Whether something is held back by a freeze, and until when."""

import calendar
import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from purser.cadence import Freeze


@dataclass(frozen=True, slots=True)
class Frozen:
    """Something is held back until then."""

    name: str
    until: dt.datetime


def frozen_until(
    now: dt.datetime, freezes: Iterable[Freeze], tz: dt.tzinfo, targets: Collection[str]
) -> Frozen | None:
    """Return the freeze that holds any of these back the longest at `now`, None where none does.

    A freeze begins and ends at midnight in `tz`, whatever the clock change.
    """
    today = now.astimezone(tz).date()
    holding = (
        Frozen(freeze.name, _midnight(last + dt.timedelta(days=1), tz))
        for freeze in freezes
        if not freeze.what.isdisjoint(targets)
        for first, last in _spans(freeze, today)
        if first <= today <= last
    )
    return max(holding, key=lambda one: one.until, default=None)


def _spans(freeze: Freeze, today: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
    """Yield the frozen days around each month's end that may be near."""
    for months in range(-2, 3):
        month = today.month - 1 + months
        year, month = today.year + month // 12, month % 12 + 1
        if month in freeze.months:
            end = dt.date(year, month, calendar.monthrange(year, month)[1])
            yield end - dt.timedelta(days=freeze.days_before), end + dt.timedelta(days=freeze.days_after)


def _midnight(day: dt.date, tz: dt.tzinfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=tz).astimezone(dt.UTC)
