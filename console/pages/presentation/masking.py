"""Whoever edits a payload does not see its secrets, and does not lose them: what was masked goes back as it was."""

from itertools import zip_longest
from typing import Any

from config.observability.redaction import SECRET, Redactor

_NOTHING = object()


def mask(value: Any, clean: Redactor, key: str = "") -> Any:
    """Return JSON with its secrets masked and everything else in its place."""
    if isinstance(value, dict) and not _is_secret(key, clean):
        return {name: mask(one, clean, name) for name, one in value.items()}
    if isinstance(value, list) and not _is_secret(key, clean):
        return [mask(one, clean) for one in value]
    return clean.entry(key, value)


def unmask(edited: Any, original: Any, clean: Redactor, key: str = "") -> Any:
    """Put back what `mask` took out of the original; ValueError for a mask that stands where nothing was masked."""
    if original is not _NOTHING and edited == mask(original, clean, key):
        return original
    if isinstance(edited, dict):
        known = original if isinstance(original, dict) else {}
        return {name: unmask(one, known.get(name, _NOTHING), clean, name) for name, one in edited.items()}
    if isinstance(edited, list):
        were = original[: len(edited)] if isinstance(original, list) else []
        return [unmask(one, was, clean) for one, was in zip_longest(edited, were, fillvalue=_NOTHING)]
    if isinstance(edited, str) and SECRET in edited:
        raise ValueError(f"`{key}` says {SECRET} where nothing was masked: write its whole value")
    return edited


def _is_secret(key: str, clean: Redactor) -> bool:
    return bool(clean.entry(key, "x") == SECRET)
