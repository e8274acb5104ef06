"""Dates and datetimes as Odoo writes them: text, naive, UTC."""

import datetime as dt

from devtools.fake_odoo.odoo_errors import NotFound

_FORMS = {"date": "%Y-%m-%d", "datetime": "%Y-%m-%d %H:%M:%S"}


def write(moment: dt.datetime) -> str:
    """Return Odoo's text of a moment."""
    return moment.astimezone(dt.UTC).strftime(_FORMS["datetime"])


def checked(value: object, type_: str) -> str:
    """Return the text of a date or datetime value in its field's form; `-7d` and the like are not known."""
    try:
        return dt.datetime.fromisoformat(str(value)).strftime(_FORMS[type_])
    except ValueError:
        raise NotFound(f"the {type_} {value!r}") from None


def compared(value: object, op: str, type_: str) -> str:
    """Return the text to compare with: a plain day in a datetime condition ends with its last second."""
    is_day = type_ == "datetime" and len(str(value)) == 10 and op in {"<=", ">"}
    return f"{value} 23:59:59" if is_day else checked(value, type_)
