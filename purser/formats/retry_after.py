"""The HTTP header Retry-After as seconds. Source: RFC 9110, sections 5.6.7 and 10.2.3."""

import datetime as dt
import re
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_LONGEST_TEXT = 100


def seconds_to_wait(text: str, *, now: dt.datetime, default: float, longest: float) -> float:
    """Return how many seconds from `now` a Retry-After header asks to wait, from 0 to `longest`.

    A header that is neither a number of seconds nor a date gives `default`. A date without a zone is in UTC. Nothing
    is raised, whatever the other side wrote.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), longest)  # more digits than a float holds are infinite, and so the longest
    moment = _date(text[:_LONGEST_TEXT])
    if moment is None:
        return default
    return min(max(0.0, (moment - now).total_seconds()), longest)


def _date(text: str) -> dt.datetime | None:
    """Return the moment of an HTTP date; None for anything else. The parser of email raises more than it says."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, TypeError, OverflowError, LookupError):
        return None
