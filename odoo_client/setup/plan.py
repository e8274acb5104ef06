"""What is to be made, mended or left is decided by comparing what is wanted with what was found. Pure."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from odoo_client.receipts import EARLIER, digest
from odoo_client.receipts.performing import marked
from odoo_client.setup.hooks import Hook, masked
from odoo_client.setup.wanted import ACTION, COMPANIES, GROUP, Companies, Ids, Marked, Named, Ours, Wanted, Wish


class Do(enum.StrEnum):
    """What is to be done with one record."""

    MAKE = "make"
    MEND = "mend"
    """Ours to change: outgrown by this release, not finished, given a new token, or asked for with force."""
    KEEP = "keep"
    CHANGED = "changed"
    """People changed it: told, and left alone."""
    LACKS = "not here"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as it should be, both sides as people read them."""

    field: str
    now: str
    then: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One record, and what is to be done with it."""

    wanted: Wanted
    do: Do
    id: int | None = None
    differences: tuple[Difference, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """What is to be written, as JSON; what names a record that is not there yet is missing."""
    is_ours: bool = True
    """It bears our external id: somebody's user is used, not owned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A record that is there; relations as ids."""

    id: int
    values: Mapping[str, Any]
    is_ours: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """All that was found: records by our names, and the ids behind what values name."""

    records: Mapping[str, Found]
    ids: Mapping[Named, int | None]

    def id_of(self, named: Named) -> int | None:
        """Give the id behind a name."""
        if isinstance(named, Ours):
            found = self.records.get(named.name)
            return None if found is None else found.id
        return self.ids.get(named)


def plan(wanted: Sequence[Wanted], known: Known, *, force: bool = False) -> tuple[Item, ...]:
    """Compare. What people changed is left alone unless `force`."""
    return tuple(_item(one, known, force=force) for one in wanted)


def _item(one: Wanted, known: Known, *, force: bool) -> Item:
    if one.lacks:
        return Item(wanted=one, do=Do.LACKS)
    found = known.records.get(one.name)
    if found is None:
        values = _written({**one.once, **one.values}, known)
        return Item(wanted=one, do=Do.MAKE, values=values)
    wishes = one.values if found.is_ours or not one.login else _membership(one.values)
    off = {name: wish for name, wish in wishes.items() if not _holds(one, name, wish, found, known)}
    if not off:
        return Item(wanted=one, do=Do.KEEP, id=found.id, is_ours=found.is_ours)
    due = off if force else {name: wish for name, wish in off.items() if _is_due(one, name, wish, found, known)}
    if "filter_domain" in due:  # Odoo adds the fields of a new domain to the trigger, unless both are written at once
        due = {**due, "trigger_field_ids": one.values["trigger_field_ids"]}
    values = _joined(due if force else _membership(due), known) if one.login else _written(due, known)
    for name, wish in due.items():
        if isinstance(wish, Companies):
            lacking = wish.lacking(found.values.get(name) or ()) if force else wish.new(found.values.get(name) or ())
            values[name] = [[4, id_] for id_ in lacking]
    return Item(
        wanted=one,
        do=Do.MEND if due else Do.CHANGED,
        id=found.id,
        differences=tuple(_told(name, found.values.get(name), wish, known) for name, wish in off.items()),
        values=values,
        is_ours=found.is_ours,
    )


def _membership(values: Mapping[str, Wish]) -> dict[str, Wish]:
    """Give only that a user is there and in our group: of one that people made, the rest is theirs."""
    return {name: (Ours(GROUP),) if isinstance(wish, tuple) else wish for name, wish in values.items()}


_UNSET_TIMEZONES = (None, False, "", "UTC")
"""What a bot has whose set-up, by an earlier release, knew of no time zone."""


def _is_due(one: Wanted, name: str, wish: Wish, found: Found, known: Known) -> bool:
    """Say whether a difference is ours to mend without being forced."""
    if isinstance(wish, Marked):
        return not found.values.get(name)
    if isinstance(wish, Hook):
        return wish.is_new
    if one.login and isinstance(wish, tuple):
        return known.id_of(Ours(GROUP)) not in found.values.get(name, ())
    if isinstance(wish, Companies):
        return found.is_ours and bool(wish.new(found.values.get(name) or ()))
    if one.login and name == "tz":
        return found.is_ours and found.values.get(name) in _UNSET_TIMEZONES
    if one.name == COMPANIES:
        return True
    if one.rule is not None and name in {"filter_domain", "trigger_field_ids"}:
        return found.values.get("filter_domain") in one.rule.earlier
    if one.name == ACTION:
        return digest(str(found.values.get("code") or "")) in EARLIER
    return False


# -------------------------------------------------------------------------------- values --


def _holds(one: Wanted, name: str, wish: Wish, found: Found, known: Known) -> bool:
    stored = found.values.get(name)
    if one.login and name == "tz" and wish == "UTC":
        return stored in _UNSET_TIMEZONES  # Odoo takes UTC for a user without a time zone
    match wish:
        case Marked():
            action = known.id_of(wish.action)
            return action is not None and stored == marked(action)
        case Hook():
            return bool(stored == wish.url)
        case Ids():
            return set(wish.ids) == set(stored or ())
        case Companies():
            return not wish.lacking(stored or ())
        case tuple():
            ids = {known.id_of(named) for named in wish} - {None}
            if one.login:
                return ids <= set(stored or ()) and _all_there(wish, known)
            return ids == set(stored or ()) and _all_there(wish, known)
        case str() if name == "code":
            return digest(str(stored or "")) == digest(wish)
        case str() | bool() | float():
            return bool(stored == wish)
        case named:
            return stored is not None and stored == known.id_of(named)


def _all_there(wish: tuple[Named, ...], known: Known) -> bool:
    """A record of ours that is not there yet is a difference; what this Odoo does not ship is none."""
    return all(known.id_of(named) is not None for named in wish if isinstance(named, Ours))


def _written(values: Mapping[str, Wish], known: Known) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, wish in values.items():
        match wish:
            case Marked():
                action = known.id_of(wish.action)
                if action is not None:
                    written[name] = marked(action)
            case Hook():
                written[name] = wish.url
            case Ids():
                written[name] = list(wish.ids)
            case Companies():
                written[name] = list(wish.names)
            case tuple():
                written[name] = [id_ for named in wish if (id_ := known.id_of(named)) is not None]
            case str() | bool() | float():
                written[name] = wish
            case named:
                if (id_ := known.id_of(named)) is not None:
                    written[name] = id_
    return written


def _joined(values: Mapping[str, Wish], known: Known) -> dict[str, Any]:
    """Of a user's groups none is taken away: give what to add, as commands."""
    written = _written(values, known)
    return {
        name: [[4, id_] for id_ in value] if isinstance(value, list) else value for name, value in written.items()
    }


def _told(name: str, stored: Any, wish: Wish, known: Known) -> Difference:
    match wish:
        case Hook():
            return Difference(name, masked(str(stored or "")), f"{masked(wish.url)}{' (new)' if wish.is_new else ''}")
        case Marked():
            return Difference(name, str(stored or ""), "the id of the receipt action")
        case Companies():
            out = ", ".join(f"{company} ({id_})" for id_, company in wish.lacking(stored or ()).items())
            return Difference(name, f"not in the company {out}", "in all companies")
        case Ids():
            return Difference(name, str(sorted(stored or ())), str(list(wish.ids)))
        case tuple():
            lacking = [str(_called(named)) for named in wish if known.id_of(named) not in (*(stored or ()), None)]
            extra = set(stored or ()) - {known.id_of(named) for named in wish}
            return Difference(name, f"{len(extra)} others" if extra else "", ", ".join(lacking) or "as set up")
        case str() if name == "code":
            return Difference(name, f"sha256 {digest(str(stored or ''))[:12]}", f"sha256 {digest(wish)[:12]}")
        case str() | bool() | float():
            return Difference(name, str(stored), str(wish))
        case named:
            return Difference(name, str(stored), str(_called(named)))


def _called(named: Named) -> str:
    match named:
        case Ours(name=name):
            return name
        case _:
            parts = (getattr(named, "name", ""), getattr(named, "model", ""), getattr(named, "field", ""))
            return ".".join(part for part in parts if part)
