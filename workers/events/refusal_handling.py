"""What the business said no to: who decides, what is at risk, and how it is tried again once that is settled."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from config.policy.loader import Policies
from odoo_client import ChangeStatus
from purser.cases import CaseKey, CaseRecord
from purser.changes import load_changes
from purser.findings import Ref
from store import Ledger, RefusalRecord, RefusalState
from workers.context import WorkerContext
from workers.controls.apply_changes import apply_changes, settle

log = structlog.get_logger(__name__)

MESSAGE = "message"
"""The kind of a refusal that stands for a whole message: what its change holds is how to send it again."""


@dataclass(frozen=True, slots=True)
class RefusalDetails:
    """A refusal with what is known about it beside Odoo's words."""

    entry: RefusalRecord
    decides: str
    """The role that answers for it; '' where nobody is named."""
    control: str
    case: CaseRecord | None
    record: Ref | None


def describe_refusal(ledger: Ledger, policies: Policies, entry: RefusalRecord) -> RefusalDetails:
    """Add who decides, which case it is about, and its record."""
    rung = CaseKey.parse_rung(entry.id)
    if rung is None:
        return RefusalDetails(entry, "", "", None, _record(entry.change))
    key = rung[0]
    policy = policies.controls.get(key.control)
    case = ledger.cases.among(key.control, [key]).get(key)
    return RefusalDetails(entry, "" if policy is None else policy.control.owner, key.control, case, key.subject)


def find_refusal(ledger: Ledger, policies: Policies, key: str) -> RefusalDetails | None:
    """Read one."""
    entry = ledger.refusals.get(key)
    return None if entry is None else describe_refusal(ledger, policies, entry)


def _record(change: Mapping[str, Any]) -> Ref | None:
    for name in ("ref", "on"):
        told = change.get(name)
        if isinstance(told, Mapping):
            try:
                return Ref(str(told["model"]), int(told["id"]))
            except (KeyError, TypeError, ValueError):
                return None
    return None


def as_change(task: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a message that was refused as a whole."""
    return {"kind": MESSAGE, "task": task, "kwargs": dict(kwargs)}


# ------------------------------------------------------------------------------ once more --


class RetryOutcome(enum.StrEnum):
    """What became of trying a refusal again."""

    DONE = "done"
    """Odoo has taken it; the refusal is closed."""
    SENT = "sent"
    """Its message is on its queue; the refusal is closed, and opens again if it is refused again."""
    REFUSED = "refused again"
    CONFLICT = "conflict"
    """The record is neither as expected nor as wanted: the next scan or event decides anew."""
    NOT_OPEN = "not open"
    NOT_KEPT = "not kept"
    """What was refused is not there to be tried again."""


@dataclass(frozen=True, slots=True)
class RetriedRefusal:
    """The answer for one refusal."""

    id: str
    ending: RetryOutcome
    why: str = ""


def retry(fleet: WorkerContext, key: str, *, who: str, note: str) -> RetriedRefusal:
    """Try what was refused again, as the bot that writes, and close the refusal if it is done.

    Raises Transient when Odoo or the broker is away; the refusal stays open then.
    """
    entry = fleet.ledger.refusals.get(key)
    if entry is None or entry.state is not RefusalState.OPEN:
        return RetriedRefusal(key, RetryOutcome.NOT_OPEN)
    answer = _resent(fleet, entry) if entry.change.get("kind") == MESSAGE else _reapplied(fleet, entry)
    if answer.ending in (RetryOutcome.DONE, RetryOutcome.SENT):
        fleet.ledger.refusals.close(key, who=who, note=f"tried again, {answer.ending}: {note}")
    log.info("refusal tried again", key=key, ending=answer.ending, who=who)
    return answer


def _resent(fleet: WorkerContext, entry: RefusalRecord) -> RetriedRefusal:
    task, kwargs = entry.change.get("task"), entry.change.get("kwargs")
    if not isinstance(task, str) or not isinstance(kwargs, Mapping):
        return RetriedRefusal(entry.id, RetryOutcome.NOT_KEPT, "the message is not kept whole")
    fleet.publish(task, dict(kwargs), label="a refusal tried again", task_id=entry.id)
    return RetriedRefusal(entry.id, RetryOutcome.SENT)


def _reapplied(fleet: WorkerContext, entry: RefusalRecord) -> RetriedRefusal:
    try:
        changes = load_changes([dict(entry.change)])
    except ValidationError:
        return RetriedRefusal(
            entry.id, RetryOutcome.NOT_KEPT, "this release cannot read what was refused; the next scan tries it"
        )
    outcomes = apply_changes(fleet, changes)
    settle(fleet, entry.task, outcomes)  # one that is refused again stands there with Odoo's newest words
    outcome = outcomes[0]
    match outcome.status:
        case ChangeStatus.REFUSED:
            return RetriedRefusal(entry.id, RetryOutcome.REFUSED, outcome.reason)
        case ChangeStatus.CONFLICT:
            return RetriedRefusal(entry.id, RetryOutcome.CONFLICT, outcome.reason)
    return RetriedRefusal(entry.id, RetryOutcome.DONE)
