"""What is there already is changed only as far as it is as expected, and done only once."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from odoo_client.faults import Missing
from odoo_client.judging import ACTIVITY, guard_holds, judged_close, judged_update
from odoo_client.outcome import Outcome, Status
from odoo_client.tracing import look
from odoo_client.values import Resolve
from odoo_client.wire import Request, Sender
from purser.changes import Call, Close, Update
from purser.errors import Refusal
from purser.model import Ref

# ------------------------------------------------------------------------------ update --


def update(client: Sender, run: Sequence[Update], resolve: Resolve) -> list[Outcome]:
    """Update records of one model, none of them twice: one read, then one write for each distinct set of values."""
    model = run[0].ref.model
    fields = sorted({field for one in run for field in (*one.expect, *one.values)})
    looked = look(client, model, [one.ref.id for one in run], fields)
    outcomes: dict[Ref, Outcome] = {}
    alike: dict[str, list[Update]] = defaultdict(list)
    for one in run:
        verdict = judged_update(one, looked, resolve)
        if isinstance(verdict, Outcome):
            outcomes[one.ref] = verdict
        else:
            alike[json.dumps(verdict, sort_keys=True)].append(one)
    for text, those in alike.items():
        written = _write(client, model, json.loads(text), those)
        outcomes |= {one.ref: outcome for one, outcome in zip(those, written, strict=True)}
    return [outcomes[one.ref] for one in run]


def _write(client: Sender, model: str, values: dict[str, Any], those: Sequence[Update]) -> list[Outcome]:
    request = Request(model=model, method="write", ids=tuple(one.ref.id for one in those), arguments={"vals": values})
    try:
        client.send(request)
    except Refusal as error:
        if len(those) == 1:
            return [Outcome(those[0], Status.REFUSED, those[0].ref, str(error))]
        middle = len(those) // 2
        return _write(client, model, values, those[:middle]) + _write(client, model, values, those[middle:])
    return [Outcome(one, Status.DONE, one.ref) for one in those]


# ------------------------------------------------------------------------------- close --


def close(client: Sender, run: Sequence[Close], *, archives: bool = True) -> list[Outcome]:
    """Close activities: one read finds those still open, then one call for each distinct feedback.

    Where done activities are not archived but deleted, whatever is still there is open. Of two for one activity the
    first closes it, and the second finds it closed.
    """
    looked = look(client, ACTIVITY, sorted({one.activity for one in run}), ["active" if archives else "res_id"])
    outcomes: dict[int, Outcome] = {}
    still_open: dict[str, dict[int, Close]] = defaultdict(dict)
    for one in run:
        over = judged_close(one, looked, archives=archives)
        if over is not None:
            outcomes[one.activity] = over
        elif all(one.activity not in those for those in still_open.values()):
            still_open[one.feedback][one.activity] = one
    for feedback, those in still_open.items():
        outcomes |= {o.ref.id: o for o in _feedback(client, feedback, list(those.values())) if o.ref}
    return list(_each(run, outcomes))


def _each(run: Sequence[Close], outcomes: Mapping[int, Outcome]) -> Iterator[Outcome]:
    """Give the outcome of each close; what an earlier one of the run closed is closed already for a later one."""
    closed: set[int] = set()
    for one in run:
        outcome = outcomes[one.activity]
        again = outcome.status is Status.DONE and one.activity in closed
        closed.add(one.activity)
        yield replace(outcome, change=one, status=Status.ALREADY) if again else replace(outcome, change=one)


def _feedback(client: Sender, feedback: str, those: Sequence[Close]) -> list[Outcome]:
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
            Outcome(
                those[0],
                Status.ALREADY if gone else Status.REFUSED,
                Ref(ACTIVITY, ids[0]),
                "" if gone else str(error),
            )
        ]
    return [Outcome(one, Status.DONE, Ref(ACTIVITY, one.activity)) for one in those]


# -------------------------------------------------------------------------------- call --


def call(client: Sender, change: Call, resolve: Resolve) -> Outcome:
    """Call a business method while its guard holds, and look again: once it has run, the guard is false."""
    before = _guard(client, change, resolve)
    if isinstance(before, Outcome):
        return before
    if not before:
        return Outcome(change, Status.ALREADY, change.ref)
    refusal = ""
    try:
        client.send(
            Request(model=change.ref.model, method=change.method, ids=(change.ref.id,), arguments=change.arguments)
        )
    except Refusal as error:
        refusal = str(error)
    after = _guard(client, change, resolve)
    if isinstance(after, Outcome):
        return after
    if after:
        reason = refusal or f"{change.method} ran, but what should have ended still holds: {', '.join(change.guard)}"
        return Outcome(change, Status.REFUSED if refusal else Status.CONFLICT, change.ref, reason)
    return Outcome(change, Status.ALREADY if refusal else Status.DONE, change.ref)


def _guard(client: Sender, change: Call, resolve: Resolve) -> bool | Outcome:
    looked = look(client, change.ref.model, [change.ref.id], sorted(change.guard))
    return guard_holds(change, looked, resolve)
