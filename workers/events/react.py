"""An event is accepted once; each automation and each subscription gets a message of its own, so that none can poison
another."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from config.observability.logging import bound
from events.cloudevent import CloudEvent, read_event
from events.event import Event
from odoo_client import ChangeOutcome, ChangeStatus
from purser.changes import KINDS, Change, change_key, needed_by
from purser.declarations import Automation
from purser.errors import Permanent, Refusal, Transient
from store import ClaimResult
from workers.context import WorkerContext
from workers.controls.apply_changes import ApplyResult, apply_changes, settle
from workers.events import publish
from workers.outbound import deliver
from workers.reaction import Reaction

log = structlog.get_logger(__name__)

CLAIM_LEASE = dt.timedelta(seconds=60)
TRIES_ON_CONFLICT = 3
SOURCE = "/purser"
"""Who tells what follows from the fleet's own reactions."""


@dataclass(frozen=True, slots=True)
class AutomationDecision:
    """What an automation decided: the changes to carry out, and the facts that are told once they are."""

    changes: tuple[Change, ...] = ()
    facts: tuple[Event, ...] = ()


def accept(fleet: WorkerContext, raw: Mapping[str, Any], *, holder: str) -> tuple[str, ...]:
    """Check an event, and send one message per automation and subscription. Give the names of these reactions.

    The same (source, id) again is not sent again. It counts as seen only after every message is out. Refusal when the
    policy gives the fact to another source.
    """
    envelope, fact = read_event(raw)
    with bound(correlation=envelope.trace):
        return _accept(fleet, envelope, fact, holder)


def _accept(fleet: WorkerContext, envelope: CloudEvent, fact: Event, holder: str) -> tuple[str, ...]:
    if objection := fleet.policies.ownership.objection(type(fact), envelope.source):
        raise Refusal(objection)
    claim = fleet.ledger.events.claim(envelope.source, envelope.id, holder=holder, lease=CLAIM_LEASE)
    if claim is ClaimResult.DONE:
        log.info("event seen before", type=envelope.type, event_id=envelope.id)
        return ()
    if claim is ClaimResult.BUSY:
        raise Transient(f"event {envelope.id} is being accepted by somebody else")
    names = tuple(
        a.name for a in fleet.catalogue.reacting_to(type(fact)) if fleet.policies.automation(a.name).enabled
    )
    told = envelope.model_dump(mode="json", exclude_none=True)
    subscribed = deliver.subscribed(fleet, envelope, fact)
    names += tuple(one.name for one in subscribed)
    fleet.ledger.inbox.accept(
        envelope.source, envelope.id, told, names, again_after=dt.timedelta(seconds=fleet.settings.stalled_after)
    )
    deliver.enqueue_deliveries(fleet, subscribed, told)
    for name in names:
        enqueue_reaction(fleet, name, told)
    fleet.ledger.events.mark(envelope.source, envelope.id)
    log.info("event accepted", type=envelope.type, event_id=envelope.id, reactions=names)
    return names


def enqueue_reaction(fleet: WorkerContext, name: str, event: Mapping[str, Any]) -> None:
    """Send one reaction its event. However often this is done, the message is the same one, by its id.

    What follows from an event that is part of a trace correlates by that trace.
    """
    reaction = Reaction(str(event["source"]), str(event["id"]), name)
    queue = queue_of(name, event)
    label = f"{name}, {event['type']} {reaction.event_id}"
    trace = str(event.get("traceparent") or "").split("-")[1:2]
    same: dict[str, Any] = {"label": label, "task_id": reaction.message_id}
    if trace:
        same["root_id"] = trace[0]
    if reaction.subscription:
        fleet.publish("purser.deliver", {"subscription": reaction.subscription, "event": event}, **same)
    else:
        fleet.publish("purser.react", {"automation": name, "event": event}, queue=queue, **same)


def queue_of(name: str, event: Mapping[str, Any]) -> str:
    """Return the queue of the message of a reaction."""
    is_subscription = bool(Reaction("", "", name).subscription)
    return "outbound" if is_subscription else publish.queue_of(str(event["type"]))


def targets_of(name: str, queue: str) -> tuple[str, ...]:
    """Return what, paused or frozen, holds the message of a reaction back."""
    own = name if Reaction("", "", name).subscription else f"automation:{name}"
    return "all", f"queue:{queue}", own


def publish_follow_up(fleet: WorkerContext, fact: Event) -> None:
    """Tell a fact that follows from a reaction. Told again it is the same event, in the same message."""
    told = CloudEvent.wrap(fact, source=SOURCE, time=fleet.now())
    publish.publish_event(fleet, told)
    log.info("event told", type=told.type, event_id=told.id)


def decide(fleet: WorkerContext, automation: Automation, fact: Event) -> AutomationDecision:
    """Read Odoo and let an automation decide. Reads only; raises Refusal where a person must settle something."""
    tunables = fleet.policies.automation(automation.name).tunables
    snapshot = fleet.audit.snapshot(automation.reads, as_of=fleet.local_now(), event=fact, tunables=tunables)
    changes: list[Change] = []
    facts: list[Event] = []
    for one in automation(fact, snapshot, **tunables):
        if isinstance(one, KINDS):
            if problem := automation.effects.change_problem(one):
                key = change_key(one)
                raise Permanent(f"automation `{automation.name}`: its declaration must name {problem} for {key}")
            changes.append(one)
        elif isinstance(one, Event) and isinstance(one, automation.tells):
            facts.append(one)
        else:
            said = one.type if isinstance(one, Event) else type(one).__name__
            raise Permanent(f"automation `{automation.name}` tells {said}, which its `tells` does not name")
    return AutomationDecision(tuple(changes), tuple(facts))


def react(fleet: WorkerContext, name: str, raw: Mapping[str, Any]) -> ApplyResult:
    """Let one automation react to an event. A conflict is decided again at once, a few times.

    What follows is told when all changes are there, and before the reaction counts as done: whoever dies in between
    reacts again, and tells it again.
    A conflict beside a refusal hangs on it, such as the tasks of a project that was refused: all of it is refused.
    """
    automation = fleet.catalogue.automation(name)
    envelope, fact = read_event(raw)
    if type(fact) not in automation.facts:
        raise Permanent(f"automation `{name}` reacts to {automation.types}, not to {envelope.type}")
    outcomes: tuple[ChangeOutcome, ...] = ()
    for _ in range(TRIES_ON_CONFLICT):
        decision = decide(fleet, automation, fact)
        outcomes = apply_changes(fleet, decision.changes)
        if all(outcome.status is not ChangeStatus.CONFLICT for outcome in outcomes):
            applied = settle(fleet, f"automation {name}", outcomes)
            for news in decision.facts if not applied.refused else ():
                publish_follow_up(fleet, news)
            fleet.ledger.inbox.done(envelope.source, envelope.id, name)
            return applied
        in_conflict = [outcome.change for outcome in outcomes if outcome.status is ChangeStatus.CONFLICT]
        if all(needed_by(change) for change in in_conflict):
            break  # what needs a change that was refused: deciding again helps neither
    for outcome in outcomes:
        if outcome.status is ChangeStatus.REFUSED:
            raise Refusal(f"{change_key(outcome.change)}: {outcome.reason}")
    conflict = next(outcome for outcome in outcomes if outcome.status is ChangeStatus.CONFLICT)
    raise Transient(f"automation `{name}`: still in conflict after {TRIES_ON_CONFLICT} tries: {conflict.reason}")
