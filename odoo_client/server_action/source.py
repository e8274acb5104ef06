"""The receipt action is text that runs inside Odoo: it has a version that it tells, and a digest that shows edits."""

import functools
import hashlib
import re
from pathlib import Path

EARLIER: dict[str, int] = {"cbd44b9173690f8528b1f2e015a914496246706add6612c11e2691df8301b154": 1}
"""Digests of the texts of earlier versions: one of these was outgrown, not edited."""


@functools.cache
def action_text() -> str:
    """Return the text, as Odoo is to keep it."""
    return Path(__file__).with_name("action.py.txt").read_text(encoding="utf-8").strip()


def digest(text: str) -> str:
    """Return what tells one text from another, whatever white space Odoo left around it."""
    return hashlib.sha256(text.strip().replace("\r\n", "\n").encode()).hexdigest()


def _version(text: str) -> int:
    found = re.search(r"^VERSION = (\d+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError("the receipt action names no version")
    return int(found[1])


VERSION = _version(action_text())
"""What this release speaks. Another one in Odoo does nothing and says so."""
