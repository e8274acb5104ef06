"""A moment is kept as whole microseconds since 1970, which Redis sorts and Lua compares without loss."""

import datetime as dt
from collections.abc import Callable

Now = Callable[[], dt.datetime]
"""Gives the present moment, aware."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def to_micros(moment: dt.datetime) -> int:
    """Return the microseconds since 1970; ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: the ledger keeps aware moments only")
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(count: int | str | bytes | float) -> dt.datetime:
    """Return the moment that `to_micros` counted, in UTC."""
    return _EPOCH + int(count) * _MICROSECOND
