"""Whatever a person settles keeps who did it, why and when."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.clock import moment_of


@dataclass(frozen=True, slots=True)
class Settled:
    """Who settled something, why and when."""

    who: str
    note: str
    at: dt.datetime


def settled_of(raw: Mapping[str, bytes]) -> Settled | None:
    """Read it from the hash of what was settled; None while nobody has."""
    if "settled_at" not in raw:
        return None
    return Settled(who=raw["settled_by"].decode(), note=raw["settled_note"].decode(), at=moment_of(raw["settled_at"]))


def who_said(who: str) -> str:
    """Return `who`, or raise ValueError: an act without a name cannot be audited."""
    if not who.strip():
        raise ValueError("say who does this: `who` is empty")
    return who


def why_said(note: str) -> str:
    """Return `note`, or raise ValueError: this act needs its reason kept."""
    if not note.strip():
        raise ValueError("say why: the note is empty")
    return note
