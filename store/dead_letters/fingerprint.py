"""Failures that differ only in their values bear one short name: one fault to mend, however many messages met it."""

import hashlib
import re

from store.redis_store import text

_UUID = re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)[bru]?(['\"`])[^\n]*?\1(?!\w)")
_NUMBER = re.compile(
    r"\b\d+(?:\.\d+)?e[-+]\d+\b"  # 1.5e-07
    r"|\b0x[0-9a-f]+\b"
    r"|[-+]?\b\d+(?:[.,:_]+\d+)*\b"
    r"|\b(?=[a-f]*\d)[0-9a-f]+\b"  # a token of hexadecimal digits with a decimal one in it
    r"|[-+]?\d+(?:[.,:_]+\d+)*",
    re.IGNORECASE,
)

_LONGEST = 2000
"""Characters of a message that are read: a quote that is never closed is looked for to the end of its line."""


def normalised(message: str) -> str:
    """Return `message` with numbers, uuids, hexadecimal and quoted text replaced: what stays names the fault."""
    message = _QUOTED.sub("'…'", message[:_LONGEST])
    message = _NUMBER.sub("#", _UUID.sub("#", message))
    return " ".join(message.split())[:300]


_CALLED = re.compile(r"^[\w.]+\.\w+(?: on \d+(?: and \d+ more)?)?: ")
"""The method of Odoo, and the records, that a message begins with."""


def fingerprint(*, error: str, message: str, task: str) -> str:
    """Return the same short name to failures that differ only in their values.

    A wrong key, database or address is one fault, whatever task and method met it first.
    """
    if error == "Misconfigured":
        task, message = "", _CALLED.sub("", message)
    told = "\n".join((task, error, normalised(message)))
    return hashlib.sha256(text(told)).hexdigest()[:16]
