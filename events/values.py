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
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _is_day(value: Any) -> Any:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise ValueError("write a day such as 2026-11-22")


def _is_moment(value: Any) -> Any:
    if isinstance(value, dt.datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return value
    raise ValueError("write a moment with its zone, such as 2026-11-22T09:30:00Z")


def _in_utc(moment: dt.datetime) -> dt.datetime:
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("the moment is outside of the calendar") from None


MOST_ID = 2**31 - 1
"""Odoo's ids are 32-bit integers."""

Id = Annotated[int, Field(strict=True, gt=0, le=MOST_ID, examples=[42])]
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
"""A moment with its zone, kept in UTC. One without a zone is refused: nobody knows which moment it is."""

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
