"""Dates and datetimes as Odoo writes them: text, naive, UTC; cut into periods for grouping."""

import datetime as dt
import re
from collections.abc import Callable

from odoo_client.twin.refusals import Unknown, Wrong

PARTS: dict[str, Callable[[dt.datetime], int]] = {
    "year_number": lambda day: day.year,
    "quarter_number": lambda day: (day.month + 2) // 3,
    "month_number": lambda day: day.month,
    "iso_week_number": lambda day: day.isocalendar().week,
    "day_of_year": lambda day: day.timetuple().tm_yday,
    "day_of_month": lambda day: day.day,
    "day_of_week": lambda day: day.isoweekday() % 7,
    "hour_number": lambda day: day.hour,
}
PERIODS = ("hour", "day", "week", "month", "quarter", "year")
_RELATIVE = re.compile(r"(today|now|[-+=]).*")


def write(moment: dt.datetime) -> str:
    """Give Odoo's text of a moment."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def read(value: str) -> dt.datetime:
    """Read Odoo's text of a date or datetime."""
    return dt.datetime.fromisoformat(value)


def checked(value: object, type_: str) -> str:
    """Give the text of a date or datetime value in its field's form, or say that it is none."""
    text = str(value)
    if _RELATIVE.fullmatch(text):
        raise Unknown(f"the relative date {text!r}")
    try:
        moment = read(text)
    except ValueError:
        raise Wrong(f"Invalid term {text!r} in expression date: {text!r}") from None
    return moment.strftime("%Y-%m-%d" if type_ == "date" else "%Y-%m-%d %H:%M:%S")


def compared(value: object, op: str, type_: str) -> str:
    """Give the text to compare with: a plain day in a datetime condition ends with its last second."""
    text = checked(value, type_)
    if type_ == "datetime" and len(str(value)) == 10 and op in {"<=", ">"}:
        return text[:10] + " 23:59:59"
    return text


def start(moment: dt.datetime, period: str) -> dt.datetime:
    """Give the first moment of the period around `moment`; weeks begin on Sunday, as they do for en_US."""
    day = moment.replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return day
    day = day.replace(hour=0)
    if period == "week":
        return day - dt.timedelta(days=day.isoweekday() % 7)
    months = {"day": None, "month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}
    month = months[period]
    return day if month is None else day.replace(day=1, month=month)


def after(first: dt.datetime, period: str) -> dt.datetime:
    """Give the first moment of the next period."""
    if period in {"hour", "day", "week"}:
        return first + dt.timedelta(hours={"hour": 1, "day": 24, "week": 168}[period])
    months = first.month - 1 + {"month": 1, "quarter": 3, "year": 12}[period]
    return first.replace(year=first.year + months // 12, month=months % 12 + 1)


def label(first: dt.datetime, period: str) -> str:
    """Name a period as Odoo does in en_US."""
    saturday = first + dt.timedelta(days=6)
    return {
        "hour": f"{first:%H:%M %d %b}",
        "day": f"{first:%d %b %Y}",
        "week": f"W{(saturday.timetuple().tm_yday - 1) // 7 + 1} {saturday.year}",
        "month": f"{first:%B %Y}",
        "quarter": f"Q{(first.month + 2) // 3} {first.year}",
        "year": f"{first.year}",
    }[period]
