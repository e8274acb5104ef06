"""JSON as RFC 8259 has it, in and out: no NaN or Infinity, no name twice in one object, no half of a character."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_NAME = 40


class InvalidJson(ValueError):
    """A text is not JSON, or not JSON that has one meaning. The sentence holds no value of the text."""


def read_json(text: str | bytes, *, halves: bool = False) -> Any:
    """Read JSON. Raises InvalidJson with what is wrong and where, and nothing else.

    Bytes are UTF-8; a byte order mark before them is skipped, as RFC 8259 section 8.1 allows. With `halves`, strings
    may hold halves of characters (`\\ud800`): what was kept of a damaged message is read again.
    """
    try:
        if not halves:
            text = (text.encode() if isinstance(text, str) else text).removeprefix(_BYTE_ORDER_MARK)
            from_json(text, allow_inf_nan=False)  # stricter than the next one, but it keeps the last of equal names
        plain = text if isinstance(text, str) else text.decode()
        return json.loads(plain, object_pairs_hook=each_name_once, parse_float=_finite, parse_constant=_no_number)
    except InvalidJson:
        raise
    except UnicodeError:
        raise InvalidJson("it is not UTF-8, or holds half of a character") from None
    except RecursionError:
        raise InvalidJson("it is nested too deeply") from None
    except ValueError as error:
        raise InvalidJson(str(error)) from None


def write_json(value: Any, *, indent: int | None = None, compact: bool = False, ensure_ascii: bool = True) -> str:
    """Write JSON. A float that JSON has no form for becomes null; compact is without spaces."""
    separators = (",", ":") if compact else None
    data = finite(value)
    return json.dumps(data, indent=indent, separators=separators, ensure_ascii=ensure_ascii, allow_nan=False)


def finite(value: Any) -> Any:
    """Return JSON data with null in place of NaN and the infinities."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {name: finite(one) for name, one in value.items()}
        case list() | tuple():
            return [finite(one) for one in value]
    return value


def each_name_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises InvalidJson for a name that is there twice: readers keep either."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidJson(f"it says `{shown_name(name)}` twice: say it once")
        found[name] = value
    return found


def shown_name(name: str) -> str:
    """Return a name from outside as it may stand in a message: ASCII, and not longer than 40 characters."""
    plain = name.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}..."


def _no_number(name: str) -> Any:
    raise InvalidJson(f"{name} is not JSON: write a number, or null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidJson("a number is too large")
    return number
