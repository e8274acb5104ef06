"""What is to be made, mended or left is decided by comparing what is wanted with what was found. Pure."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from odoo_client.provisioning.automation_rules import WebhookTarget, masked
from odoo_client.provisioning.desired_state import (
    ACTION,
    COMPANIES,
    GROUP,
    ActionIdComment,
    CompanyScope,
    DesiredRecord,
    ManagedRef,
    Named,
    RecordIds,
    Wish,
)
from odoo_client.server_action import EARLIER, digest
from odoo_client.server_action.action_runner import with_marker


class PlannedAction(enum.StrEnum):
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
class PlannedRecord:
    """One record, and what is to be done with it."""

    wanted: DesiredRecord
    do: PlannedAction
    id: int | None = None
    differences: tuple[Difference, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """What is to be written, as JSON; what names a record that is not there yet is missing."""
    is_ours: bool = True
    """It bears our external id: somebody's user is used, not owned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistingRecord:
    """A record that is there; relations as ids."""

    id: int
    values: Mapping[str, Any]
    is_ours: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentState:
    """All that was found: records by our names, and the ids behind what values name."""

    records: Mapping[str, ExistingRecord]
    ids: Mapping[Named, int | None]

    def id_of(self, named: Named) -> int | None:
        """Return the id behind a name."""
        if isinstance(named, ManagedRef):
            found = self.records.get(named.name)
            return None if found is None else found.id
        return self.ids.get(named)


def make_plan(
    wanted: Sequence[DesiredRecord], known: CurrentState, *, force: bool = False
) -> tuple[PlannedRecord, ...]:
    """Compare. What people changed is left alone unless `force`."""
    return tuple(_item(one, known, force=force) for one in wanted)


def _item(one: DesiredRecord, known: CurrentState, *, force: bool) -> PlannedRecord:
    if one.lacks:
        return PlannedRecord(wanted=one, do=PlannedAction.LACKS)
    found = known.records.get(one.name)
    if found is None:
        values = _written({**one.once, **one.values}, known)
        return PlannedRecord(wanted=one, do=PlannedAction.MAKE, values=values)
    wishes = one.values if found.is_ours or not one.login else _membership(one.values)
    off = {name: wish for name, wish in wishes.items() if not _holds(one, name, wish, found, known)}
    if not off:
        return PlannedRecord(wanted=one, do=PlannedAction.KEEP, id=found.id, is_ours=found.is_ours)
    due = off if force else {name: wish for name, wish in off.items() if _is_due(one, name, wish, found, known)}
    if "filter_domain" in due:  # Odoo adds the fields of a new domain to the trigger, unless both are written at once
        due = {**due, "trigger_field_ids": one.values["trigger_field_ids"]}
    values = _joined(due if force else _membership(due), known) if one.login else _written(due, known)
    for name, wish in due.items():
        if isinstance(wish, CompanyScope):
            lacking = wish.lacking(found.values.get(name) or ()) if force else wish.new(found.values.get(name) or ())
            values[name] = [[4, id_] for id_ in lacking]
    return PlannedRecord(
        wanted=one,
        do=PlannedAction.MEND if due else PlannedAction.CHANGED,
        id=found.id,
        differences=tuple(_told(name, found.values.get(name), wish, known) for name, wish in off.items()),
        values=values,
        is_ours=found.is_ours,
    )


def _membership(values: Mapping[str, Wish]) -> dict[str, Wish]:
    """Return only that a user is there and in our group: of one that people made, the rest is theirs."""
    return {name: (ManagedRef(GROUP),) if isinstance(wish, tuple) else wish for name, wish in values.items()}


_UNSET_TIMEZONES = (None, False, "", "UTC")
"""What a bot has whose set-up, by an earlier release, knew of no time zone."""


def _is_due(one: DesiredRecord, name: str, wish: Wish, found: ExistingRecord, known: CurrentState) -> bool:
    """Return whether a difference is ours to mend without being forced."""
    if isinstance(wish, ActionIdComment):
        return not found.values.get(name)
    if isinstance(wish, WebhookTarget):
        return wish.is_new
    if one.login and isinstance(wish, tuple):
        return known.id_of(ManagedRef(GROUP)) not in found.values.get(name, ())
    if isinstance(wish, CompanyScope):
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


def _holds(one: DesiredRecord, name: str, wish: Wish, found: ExistingRecord, known: CurrentState) -> bool:
    stored = found.values.get(name)
    if one.login and name == "tz" and wish == "UTC":
        return stored in _UNSET_TIMEZONES  # Odoo takes UTC for a user without a time zone
    match wish:
        case ActionIdComment():
            action = known.id_of(wish.action)
            return action is not None and stored == with_marker(action)
        case WebhookTarget():
            return bool(stored == wish.url)
        case RecordIds():
            return set(wish.ids) == set(stored or ())
        case CompanyScope():
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


def _all_there(wish: tuple[Named, ...], known: CurrentState) -> bool:
    """A record of ours that is not there yet is a difference; what this Odoo does not ship is none."""
    return all(known.id_of(named) is not None for named in wish if isinstance(named, ManagedRef))


def _written(values: Mapping[str, Wish], known: CurrentState) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, wish in values.items():
        match wish:
            case ActionIdComment():
                action = known.id_of(wish.action)
                if action is not None:
                    written[name] = with_marker(action)
            case WebhookTarget():
                written[name] = wish.url
            case RecordIds():
                written[name] = list(wish.ids)
            case CompanyScope():
                written[name] = list(wish.names)
            case tuple():
                written[name] = [id_ for named in wish if (id_ := known.id_of(named)) is not None]
            case str() | bool() | float():
                written[name] = wish
            case named:
                if (id_ := known.id_of(named)) is not None:
                    written[name] = id_
    return written


def _joined(values: Mapping[str, Wish], known: CurrentState) -> dict[str, Any]:
    """Of a user's groups none is taken away: give what to add, as commands."""
    written = _written(values, known)
    return {
        name: [[4, id_] for id_ in value] if isinstance(value, list) else value for name, value in written.items()
    }


def _told(name: str, stored: Any, wish: Wish, known: CurrentState) -> Difference:
    match wish:
        case WebhookTarget():
            return Difference(name, masked(str(stored or "")), f"{masked(wish.url)}{' (new)' if wish.is_new else ''}")
        case ActionIdComment():
            return Difference(name, str(stored or ""), "the id of the receipt action")
        case CompanyScope():
            out = ", ".join(f"{company} ({id_})" for id_, company in wish.lacking(stored or ()).items())
            return Difference(name, f"not in the company {out}", "in all companies")
        case RecordIds():
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
        case ManagedRef(name=name):
            return name
        case _:
            parts = (getattr(named, "name", ""), getattr(named, "model", ""), getattr(named, "field", ""))
            return ".".join(part for part in parts if part)
