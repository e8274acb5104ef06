"""An edit keeps what was before and after it, by whom and why; what changed in between is worked out when asked."""

import datetime as dt
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from purser.formats.strict_json import read_json


class MissingValue(enum.Enum):
    """Stands where there is no value: one was added or taken away."""

    ABSENT = "absent"


ABSENT: Final = MissingValue.ABSENT


@dataclass(frozen=True, slots=True)
class PatchOperation:
    """One value that is another now. `path` is a JSON pointer, such as `/1/event/data/opportunity_id`."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One change of a letter's body."""

    at: dt.datetime
    who: str
    note: str
    approved: str = ""
    """The second person who let it count; empty where none was asked for."""
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)

    @property
    def patch(self) -> tuple[PatchOperation, ...]:
        """Return what changed, where both bodies are JSON; elsewhere there is only before and after."""
        return patch(self.before, self.after)


def patch(before: bytes, after: bytes) -> tuple[PatchOperation, ...]:
    """Compare two bodies; nothing where one of them is no JSON."""
    try:
        old, new = read_json(before, halves=True), read_json(after, halves=True)
        return tuple(_differences("", _by_name(old, new), new))
    except (ValueError, RecursionError):
        return ()


def _by_name(old: Any, new: Any) -> Any:
    """Return the body of a message with the values that it gives by place under the names they have in another body.

    An edit writes every value by its name, in the order of the places. Other clients send values by place.
    """
    match old, new:
        case [list(args), dict(named), *rest], [[], dict(names), *_] if args:
            free = [name for name in names if name not in named]
            if len(free) >= len(args):
                return [[], {**dict(zip(free, args, strict=False)), **named}, *rest]
    return old


def _differences(path: str, before: Any, after: Any) -> Iterator[PatchOperation]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            inner = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from _differences(inner, before.get(name, ABSENT), after.get(name, ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        for n in range(max(len(before), len(after))):
            old = before[n] if n < len(before) else ABSENT
            new = after[n] if n < len(after) else ABSENT
            yield from _differences(f"{path}/{n}", old, new)
    elif type(before) is not type(after) or before != after:
        yield PatchOperation(path, before, after)
