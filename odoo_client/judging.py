"""A change is judged from what was read: wanted, done, in conflict or refused. Carrying it out comes after.

Who applies and who only foresees ask here, so that both give the same answer.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from odoo_client.outcome import Outcome, Status
from odoo_client.tracing import Looked
from odoo_client.values import Resolve, Unresolved, all_same, json_of
from purser.changes import Call, Change, Close, Ensure, Key, Note, Update, change_key
from purser.model import Ref

ACTIVITY = "mail.activity"
MESSAGE = "mail.message"
READERS_POST = frozenset({"account.move", "project.task", "hr.leave", "hr.employee", "hr.version"})
"""Whoever reads these may also write into their chatter, and put an activity for himself on them."""

_GONE = "the record does not exist any more"
_HIDDEN = "this user may not see the record"


def failed_in(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Return the names of the changes that were not carried out."""
    failed = (Status.REFUSED, Status.CONFLICT)
    return frozenset(change_key(one.change) for one in outcomes if one.status in failed)


def held_back(change: Change, failed: Collection[str]) -> Outcome | None:
    """Return the outcome of a note that tells of a change that was not carried out, None where it may be written."""
    if not isinstance(change, Note) or change.after not in failed:
        return None
    return Outcome(change, Status.CONFLICT, change.on, f"{change.after} was not carried out")


def judged_update(change: Update, looked: Looked, resolve: Resolve) -> Outcome | dict[str, Any]:
    """Give the values to write, or the outcome where nothing is to be written."""
    row = looked.rows.get(change.ref.id)
    if row is None:
        return _absent(change, change.ref, looked)
    try:
        wanted = json_of(change.values, resolve)
        expected = json_of(change.expect, resolve)
    except Unresolved as name:
        return Outcome(change, Status.CONFLICT, change.ref, f"{name}: not there (yet)")
    if all_same(row, wanted):
        return Outcome(change, Status.ALREADY, change.ref)
    if not all_same(row, expected):
        return Outcome(change, Status.CONFLICT, change.ref, _other_than(row, expected))
    return wanted


def _other_than(row: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    moved = sorted(field for field, value in expected.items() if not all_same(row, {field: value}))
    return f"neither as expected nor as wanted: {', '.join(moved)}"


def open_by(archives: bool) -> str:
    """Name the field that is true of an open activity: where done ones are deleted, whatever is there is open."""
    return "active" if archives else "id"


def judged_close(change: Close, looked: Looked, *, archives: bool) -> Outcome | None:
    """Give the outcome where nothing is to be closed, None where the activity is open."""
    ref = Ref(ACTIVITY, change.activity)
    if change.activity in looked.forbidden:
        return Outcome(change, Status.REFUSED, ref, _HIDDEN)
    if not looked.rows.get(change.activity, {}).get(open_by(archives)):
        return Outcome(change, Status.ALREADY, ref)
    return None


def guard_holds(change: Call, looked: Looked, resolve: Resolve) -> bool | Outcome:
    """Say whether a method is still to be called, or give the outcome where that cannot be said."""
    row = looked.rows.get(change.ref.id)
    if row is None:
        return _absent(change, change.ref, looked)
    try:
        return all_same(row, json_of(change.guard, resolve))
    except Unresolved as name:
        return Outcome(change, Status.CONFLICT, change.ref, f"{name}: not there (yet)")


def nowhere(change: Ensure) -> Outcome:
    """Give the outcome of an activity whose document is named by a key that names nothing."""
    anchor = change.values.get("res_id")
    return Outcome(
        change, Status.CONFLICT, reason=f"{anchor.key if isinstance(anchor, Key) else anchor}: not there (yet)"
    )


def _absent(change: Update | Call, ref: Ref, looked: Looked) -> Outcome:
    return Outcome(change, Status.REFUSED, ref, _HIDDEN if ref.id in looked.forbidden else _GONE)
