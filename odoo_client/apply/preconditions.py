"""A change is judged from what was read: wanted, done, in conflict or refused. Carrying it out comes after.

Who applies and who only foresees ask here, so that both give the same answer.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from odoo_client.field_values import Resolve, UnresolvedReference, all_same, json_of
from odoo_client.outcome import ChangeOutcome, ChangeStatus
from odoo_client.read.lookup import LookupResult
from purser.changes import CallMethod, Change, CloseActivity, Ensure, Key, PostNote, Update, change_key, needed_by
from purser.findings import Ref

ACTIVITY = "mail.activity"
MESSAGE = "mail.message"
READERS_POST = frozenset({"account.move", "project.task", "hr.leave", "hr.employee", "hr.version"})
"""Whoever reads these may also write into their chatter, and put an activity for himself on them."""

_GONE = "the record does not exist any more"
_HIDDEN = "this user may not see the record"


def failed_in(outcomes: Iterable[ChangeOutcome]) -> frozenset[str]:
    """Return the names of the changes that were not carried out."""
    failed = (ChangeStatus.REFUSED, ChangeStatus.CONFLICT)
    return frozenset(change_key(one.change) for one in outcomes if one.status in failed)


def held_back(change: Change, failed: Collection[str]) -> ChangeOutcome | None:
    """Return the outcome of a change that needs one that was not carried out, None where it may be carried out."""
    missing = [name for name in needed_by(change) if name in failed]
    if not missing:
        return None
    ref = change.on if isinstance(change, PostNote) else change.ref if isinstance(change, Update) else None
    return ChangeOutcome(change, ChangeStatus.CONFLICT, ref, f"{missing[0]} was not carried out")


def evaluate_update(change: Update, looked: LookupResult, resolve: Resolve) -> ChangeOutcome | dict[str, Any]:
    """Return the values to write, or the outcome where nothing is to be written."""
    row = looked.rows.get(change.ref.id)
    if row is None:
        return _absent(change, change.ref, looked)
    try:
        wanted = json_of(change.values, resolve)
        expected = json_of(change.expect, resolve)
    except UnresolvedReference as name:
        return ChangeOutcome(change, ChangeStatus.CONFLICT, change.ref, f"{name}: not there (yet)")
    if all_same(row, wanted):
        return ChangeOutcome(change, ChangeStatus.ALREADY, change.ref)
    if not all_same(row, expected):
        return ChangeOutcome(change, ChangeStatus.CONFLICT, change.ref, _other_than(row, expected))
    return wanted


def _other_than(row: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    moved = sorted(field for field, value in expected.items() if not all_same(row, {field: value}))
    return f"neither as expected nor as wanted: {', '.join(moved)}"


def open_by(archives: bool) -> str:
    """Name the field that is true of an open activity: where done ones are deleted, whatever is there is open."""
    return "active" if archives else "id"


def evaluate_close(change: CloseActivity, looked: LookupResult, *, archives: bool) -> ChangeOutcome | None:
    """Return the outcome where nothing is to be closed, None where the activity is open."""
    ref = Ref(ACTIVITY, change.activity)
    if change.activity in looked.forbidden:
        return ChangeOutcome(change, ChangeStatus.REFUSED, ref, _HIDDEN)
    if not looked.rows.get(change.activity, {}).get(open_by(archives)):
        return ChangeOutcome(change, ChangeStatus.ALREADY, ref)
    return None


def guard_holds(change: CallMethod, looked: LookupResult, resolve: Resolve) -> bool | ChangeOutcome:
    """Return whether a method is still to be called, or give the outcome where that cannot be said."""
    row = looked.rows.get(change.ref.id)
    if row is None:
        return _absent(change, change.ref, looked)
    try:
        return all_same(row, json_of(change.guard, resolve))
    except UnresolvedReference as name:
        return ChangeOutcome(change, ChangeStatus.CONFLICT, change.ref, f"{name}: not there (yet)")


def nowhere(change: Ensure) -> ChangeOutcome:
    """Return the outcome of an activity whose document is named by a key that names nothing."""
    anchor = change.values.get("res_id")
    return ChangeOutcome(
        change, ChangeStatus.CONFLICT, reason=f"{anchor.key if isinstance(anchor, Key) else anchor}: not there (yet)"
    )


def _absent(change: Update | CallMethod, ref: Ref, looked: LookupResult) -> ChangeOutcome:
    return ChangeOutcome(change, ChangeStatus.REFUSED, ref, _HIDDEN if ref.id in looked.forbidden else _GONE)
