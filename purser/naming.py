"""Names on the wire are explicit, and a misspelt one is answered with the nearest right one."""

import difflib
import re
from collections.abc import Iterable

_WIRE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_LONGEST_NAME = 100
"""Characters of a given name that are compared: it may come from a message, and comparing is slow."""


def is_wire_name(name: str) -> bool:
    """Return whether `name` is lower-case words joined by hyphens."""
    return _WIRE.fullmatch(name) is not None


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ' Did you mean `x`?', else ' Known: ...', to end an error message with."""
    names = sorted(known)
    close = difflib.get_close_matches(given[:_LONGEST_NAME], names, n=1)
    if close:
        return f" Did you mean `{close[0]}`?"
    return f" Known: {', '.join(names)}." if names else " There are none."
