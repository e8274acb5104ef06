"""What is there already is changed only as far as it is as expected, and done only once."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from odoo_client.apply.preconditions import ACTIVITY, evaluate_close, evaluate_update, guard_holds
from odoo_client.field_values import Resolve
from odoo_client.outcome import ChangeOutcome, ChangeStatus
from odoo_client.read.lookup import lookup
from odoo_client.transport.error_mapping import Missing
from odoo_client.transport.request import Request, RpcSender
from purser.changes import CallMethod, CloseActivity, Update
from purser.errors import Refusal
from purser.findings import Ref

# ------------------------------------------------------------------------------ update --


def apply_updates(client: RpcSender, run: Sequence[Update], resolve: Resolve) -> list[ChangeOutcome]:
    """Update records of one model, none of them twice: one read, then one write for each distinct set of values."""
    model = run[0].ref.model
    fields = sorted({field for one in run for field in (*one.expect, *one.values)})
    looked = lookup(client, model, [one.ref.id for one in run], fields)
    outcomes: dict[Ref, ChangeOutcome] = {}
    alike: dict[str, list[Update]] = defaultdict(list)
    for one in run:
        verdict = evaluate_update(one, looked, resolve)
        if isinstance(verdict, ChangeOutcome):
            outcomes[one.ref] = verdict
        else:
            alike[json.dumps(verdict, sort_keys=True)].append(one)
    for text, those in alike.items():
        written = _write(client, model, json.loads(text), those)
        outcomes |= {one.ref: outcome for one, outcome in zip(those, written, strict=True)}
    return [outcomes[one.ref] for one in run]


def _write(client: RpcSender, model: str, values: dict[str, Any], those: Sequence[Update]) -> list[ChangeOutcome]:
    request = Request(model=model, method="write", ids=tuple(one.ref.id for one in those), arguments={"vals": values})
    try:
        client.send(request)
    except Refusal as error:
        if len(those) == 1:
            return [ChangeOutcome(those[0], ChangeStatus.REFUSED, those[0].ref, str(error))]
        middle = len(those) // 2
        return _write(client, model, values, those[:middle]) + _write(client, model, values, those[middle:])
    return [ChangeOutcome(one, ChangeStatus.DONE, one.ref) for one in those]


# ------------------------------------------------------------------------------- close --


def apply_closes(client: RpcSender, run: Sequence[CloseActivity], *, archives: bool = True) -> list[ChangeOutcome]:
    """Close activities: one read finds those still open, then one call for each distinct feedback.

    Where done activities are not archived but deleted, whatever is still there is open. Of two for one activity the
    first closes it, and the second finds it closed.
    """
    looked = lookup(client, ACTIVITY, sorted({one.activity for one in run}), ["active" if archives else "res_id"])
    outcomes: dict[int, ChangeOutcome] = {}
    still_open: dict[str, dict[int, CloseActivity]] = defaultdict(dict)
    for one in run:
        over = evaluate_close(one, looked, archives=archives)
        if over is not None:
            outcomes[one.activity] = over
        elif all(one.activity not in those for those in still_open.values()):
            still_open[one.feedback][one.activity] = one
    for feedback, those in still_open.items():
        outcomes |= {o.ref.id: o for o in _feedback(client, feedback, list(those.values())) if o.ref}
    return list(_each(run, outcomes))


def _each(run: Sequence[CloseActivity], outcomes: Mapping[int, ChangeOutcome]) -> Iterator[ChangeOutcome]:
    """Yield the outcome of each close; what an earlier one of the run closed is closed already for a later one."""
    closed: set[int] = set()
    for one in run:
        outcome = outcomes[one.activity]
        again = outcome.status is ChangeStatus.DONE and one.activity in closed
        closed.add(one.activity)
        yield replace(outcome, change=one, status=ChangeStatus.ALREADY) if again else replace(outcome, change=one)


def _feedback(client: RpcSender, feedback: str, those: Sequence[CloseActivity]) -> list[ChangeOutcome]:
    ids = tuple(one.activity for one in those)
    request = Request(model=ACTIVITY, method="action_feedback", ids=ids, arguments={"feedback": feedback})
    try:
        client.send(request)
    except Refusal as error:
        if len(those) > 1:
            middle = len(those) // 2
            return _feedback(client, feedback, those[:middle]) + _feedback(client, feedback, those[middle:])
        gone = isinstance(error, Missing)  # somebody cancelled it since we looked
        return [
            ChangeOutcome(
                those[0],
                ChangeStatus.ALREADY if gone else ChangeStatus.REFUSED,
                Ref(ACTIVITY, ids[0]),
                "" if gone else str(error),
            )
        ]
    return [ChangeOutcome(one, ChangeStatus.DONE, Ref(ACTIVITY, one.activity)) for one in those]


# -------------------------------------------------------------------------------- call --


def apply_call(client: RpcSender, change: CallMethod, resolve: Resolve) -> ChangeOutcome:
    """Call a business method while its guard holds, and look again: once it has run, the guard is false."""
    before = _guard(client, change, resolve)
    if isinstance(before, ChangeOutcome):
        return before
    if not before:
        return ChangeOutcome(change, ChangeStatus.ALREADY, change.ref)
    refusal = ""
    try:
        client.send(
            Request(model=change.ref.model, method=change.method, ids=(change.ref.id,), arguments=change.arguments)
        )
    except Refusal as error:
        refusal = str(error)
    after = _guard(client, change, resolve)
    if isinstance(after, ChangeOutcome):
        return after
    if after:
        reason = refusal or f"{change.method} ran, but what should have ended still holds: {', '.join(change.guard)}"
        return ChangeOutcome(change, ChangeStatus.REFUSED if refusal else ChangeStatus.CONFLICT, change.ref, reason)
    return ChangeOutcome(change, ChangeStatus.ALREADY if refusal else ChangeStatus.DONE, change.ref)


def _guard(client: RpcSender, change: CallMethod, resolve: Resolve) -> bool | ChangeOutcome:
    looked = lookup(client, change.ref.model, [change.ref.id], sorted(change.guard))
    return guard_holds(change, looked, resolve)
