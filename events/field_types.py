"""What a fact may hold: ids, days, moments and words, each written in one way on the wire and checked by one rule."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(
    r"(?P<minute>\d{4}-\d\d-\d\dT\d\d:\d\d):(?P<second>\d\d)(\.(?P<fraction>\d+))?"
    r"(?P<zone>Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII | re.IGNORECASE,
)


def _is_day(value: Any) -> Any:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise ValueError("write a day such as 2026-11-22")


def _is_moment(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a moment with its zone as RFC 3339 has it, such as 2026-11-22T09:30:00Z")
    return _read_moment(**found.groupdict())


def _read_moment(minute: str, second: str, fraction: str | None, zone: str) -> dt.datetime:
    """Return the moment of an RFC 3339 text, to the microsecond: further digits are cut off.

    A leap second (23:59:60 in UTC) is read as the second before it, so that it stays on its day.
    """
    is_leap = second == "60"
    text = f"{minute}:{'59' if is_leap else second}.{(fraction or '0')[:6]:0<6}{zone}"
    try:
        moment = dt.datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("the moment is not in the calendar: look at month, day, time and zone") from None
    if is_leap and _in_utc(moment).strftime("%H:%M") != "23:59":
        raise ValueError("second 60 is a leap second, and there is one only at 23:59 UTC")
    return moment


def _in_utc(moment: dt.datetime) -> dt.datetime:
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("the moment is outside of the calendar") from None


MAX_ID = 2**31 - 1
"""Odoo's ids are 32-bit integers."""

Id = Annotated[int, Field(strict=True, gt=0, le=MAX_ID, examples=[42])]
"""The id of a record in Odoo: a whole number, for `true` and "42" are none."""

Count = Annotated[int, Field(strict=True, ge=1, le=9)]
"""The how manieth time."""

Day = Annotated[dt.date, BeforeValidator(_is_day), Field(examples=["2026-11-22"])]
"""A day of the calendar, in the zone of the firm."""

Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_is_moment),
    AfterValidator(_in_utc),
    Field(examples=["2026-11-22T09:30:00Z"]),
]
"""A moment with its zone as RFC 3339 has it, kept in UTC to the microsecond.

One without a zone is refused: nobody knows which moment it is.
"""

Word = Annotated[str, Field(min_length=1, max_length=120, pattern=_ONE_LINE)]
"""A name, number or state on one line. It may be the mark of a fact, and so a part of its identity."""

Text = Annotated[str, Field(max_length=500, pattern=_LINES)]
"""A few words that a person wrote."""


def fingerprint(values: Mapping[str, object]) -> str:
    """Name a state of a record by the fields that count, where Odoo stores no mark: equal values, equal name.

    Whoever tells of a record through whichever door must take the same fields, as Odoo gives them.
    """
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
