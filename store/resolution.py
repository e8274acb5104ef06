"""Whatever a person settles keeps who did it, why and when."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from store.timestamps import from_micros


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who settled something, why and when."""

    who: str
    note: str
    at: dt.datetime


def resolution_of(raw: Mapping[str, bytes]) -> Resolution | None:
    """Read it from the hash of what was settled; None while nobody has."""
    if "settled_at" not in raw:
        return None
    return Resolution(
        who=raw["settled_by"].decode(), note=raw["settled_note"].decode(), at=from_micros(raw["settled_at"])
    )


def require_actor(who: str) -> str:
    """Return `who`, or raise ValueError: an act without a name cannot be audited."""
    if not who.strip():
        raise ValueError("say who does this: `who` is empty")
    return who


def require_reason(note: str) -> str:
    """Return `note`, or raise ValueError: this act needs its reason kept."""
    if not note.strip():
        raise ValueError("say why: the note is empty")
    return note
