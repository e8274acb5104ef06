"""A slot is the moment a control is due: the same for every process that asks, whatever the clock change.

A slot is named by its unstaggered moment; the control runs at `slot + offset`. So two controls of one cadence share
their slots and do not start together, and changing an offset renames nothing.
"""

import datetime as dt
import hashlib

from purser.cadence import Cadence, Daily, Every

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)
_LONGEST_STAGGER = dt.timedelta(minutes=5)
_DAILY_STAGGER = dt.timedelta(minutes=1)
NO_OFFSET = dt.timedelta(0)
MAX_MISSED_SLOTS = 1000
"""More missed slots than this are not told apart."""


def latest_slot(
    cadence: Cadence, now: dt.datetime, tz: dt.tzinfo = dt.UTC, offset: dt.timedelta = NO_OFFSET
) -> dt.datetime:
    """Return the latest slot, in UTC, that is due at `now`: the last one with `slot + offset <= now`."""
    moment = _utc(now) - offset
    match cadence:
        case Every(step):
            return _EPOCH + (moment - _EPOCH) // step * step
        case Daily():
            return max(slot for slot in _around(cadence, moment, tz) if slot <= moment)


def next_slot(
    cadence: Cadence, now: dt.datetime, tz: dt.tzinfo = dt.UTC, offset: dt.timedelta = NO_OFFSET
) -> dt.datetime:
    """Return the first slot, in UTC, that is not yet due at `now`: the first one with `slot + offset > now`."""
    moment = _utc(now) - offset
    match cadence:
        case Every(step):
            return _EPOCH + ((moment - _EPOCH) // step + 1) * step
        case Daily():
            return min(slot for slot in _around(cadence, moment, tz) if slot > moment)


def slots_between(cadence: Cadence, after: dt.datetime, until: dt.datetime, tz: dt.tzinfo = dt.UTC) -> int:
    """Count the slots after one moment and before another, `MAX_MISSED_SLOTS` at most."""
    if isinstance(cadence, Every):
        first = (_utc(after) - _EPOCH) // cadence.step
        last = -((_EPOCH - _utc(until)) // cadence.step)  # rounded up: a slot at `until` itself is not before it
        return min(max(0, last - first - 1), MAX_MISSED_SLOTS)
    count, slot = 0, next_slot(cadence, after, tz)
    while slot < _utc(until) and count < MAX_MISSED_SLOTS:
        count, slot = count + 1, next_slot(cadence, slot, tz)
    return count


def seconds_to_next_slot(name: str, cadence: Cadence, now: dt.datetime, tz: dt.tzinfo) -> float:
    """Return the seconds until a control is due again."""
    offset = stagger(name, cadence)
    return (next_slot(cadence, now, tz, offset) + offset - _utc(now)).total_seconds()


def stagger(name: str, cadence: Cadence) -> dt.timedelta:
    """Return the offset of a control: whole seconds, always the same for a name, and small beside its cadence."""
    bound = min(cadence.step / 10, _LONGEST_STAGGER) if isinstance(cadence, Every) else _DAILY_STAGGER
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return number % max(1, bound // _SECOND) * _SECOND


def _utc(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a moment must carry a time zone: {moment}")
    return moment.astimezone(dt.UTC)


def _around(cadence: Daily, moment: dt.datetime, tz: dt.tzinfo) -> list[dt.datetime]:
    """List the slots of the days near `moment`: at least one before it and one after it."""
    if not cadence.weekdays:
        raise ValueError("a daily cadence without weekdays is never due")
    today = moment.astimezone(tz).date()
    days = (today + n * _DAY for n in range(-15, 16))  # a weekday comes back in 7, or in 14 where one is left out
    walls = (dt.datetime.combine(day, cadence.at) for day in days if day.weekday() in cadence.weekdays)
    return [slot for wall in walls if (slot := _instant(wall, tz)) is not None]


def _instant(wall: dt.datetime, tz: dt.tzinfo) -> dt.datetime | None:
    """Return the first instant at which clocks in `tz` show `wall`.

    Where they skip it, the first instant after the gap counts, or the last second before it where the gap ends on
    another day. None: they skip the whole day.
    """
    first, second = (wall.replace(tzinfo=tz, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if first <= second:  # a usual time, or one that comes twice: the first counts
        return first
    jump = _end_of_gap(second, first, tz)
    near = (jump, jump - _SECOND)
    return next((moment for moment in near if moment.astimezone(tz).date() == wall.date()), None)


def _end_of_gap(before: dt.datetime, after: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
    """Find the instant between two others at which the clocks jumped."""
    offset_after = after.astimezone(tz).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if middle.astimezone(tz).utcoffset() == offset_after:
            after = middle
        else:
            before = middle
    return after
