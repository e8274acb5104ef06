"""An event is accepted once; each automation reacts on a message of its own, so siblings cannot poison each other."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from events.fact import CloudEvent, Fact, read_event
from ledger import Claim
from odoo_client import Outcome, Status
from purser.changes import KINDS, Change
from purser.declare import Automation
from purser.errors import Permanent, Refusal, Transient
from workers.apply import Applied, carry_out, change_key, settle
from workers.fleet import Fleet

log = structlog.get_logger(__name__)

CLAIM_LEASE = dt.timedelta(seconds=60)
_NAMESPACE = uuid.UUID("8d5a4b1e-6a5c-5b53-9a40-6f7b7c0d2e11")
TRIES_ON_CONFLICT = 3
SOURCE = "/purser"
"""Who tells what follows from the fleet's own reactions."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an automation decided: the changes to carry out, and the facts that are told once they are."""

    changes: tuple[Change, ...] = ()
    facts: tuple[Fact, ...] = ()


def accept(fleet: Fleet, raw: Mapping[str, Any], *, holder: str) -> tuple[str, ...]:
    """Check an event, and send one message per automation. Give the automations it was sent to.

    The same (source, id) again is not sent again. It counts as seen only after every message is out.
    """
    envelope, fact = read_event(raw)
    claim = fleet.ledger.events.claim(envelope.source, envelope.id, holder=holder, lease=CLAIM_LEASE)
    if claim is Claim.DONE:
        log.info("event seen before", type=envelope.type, event_id=envelope.id)
        return ()
    if claim is Claim.BUSY:
        raise Transient(f"event {envelope.id} is being accepted by somebody else")
    names = tuple(
        a.name for a in fleet.catalogue.reacting_to(type(fact)) if fleet.policies.automation(a.name).enabled
    )
    told = envelope.model_dump(mode="json", exclude_none=True)
    fleet.ledger.inbox.accept(
        envelope.source, envelope.id, told, names, again_after=dt.timedelta(seconds=fleet.settings.stalled_after)
    )
    for name in names:
        send(fleet, name, told)
    fleet.ledger.events.mark(envelope.source, envelope.id)
    log.info("event accepted", type=envelope.type, event_id=envelope.id, automations=names)
    return names


def send(fleet: Fleet, automation: str, event: Mapping[str, Any]) -> None:
    """Send one automation its event. However often this is done, the message is the same one, by its id."""
    source, event_id = str(event["source"]), str(event["id"])
    fleet.publish(
        "purser.react",
        {"automation": automation, "event": event},
        label=f"{automation}, {event['type']} {event_id}",
        task_id=_id(source, event_id, automation),
    )


def tell(fleet: Fleet, fact: Fact) -> None:
    """Tell a fact that follows from a reaction. Told again it is the same event, in the same message."""
    told = CloudEvent.wrap(fact, source=SOURCE, time=fleet.now())
    fleet.publish(
        "purser.accept",
        {"event": told.model_dump(mode="json", exclude_none=True)},
        label=f"{told.type} {told.id}",
        task_id=_id(SOURCE, told.id, "accept"),
    )
    log.info("event told", type=told.type, event_id=told.id)


def _id(source: str, event_id: str, what: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{len(source)}:{source}{event_id}\n{what}"))


def decide(fleet: Fleet, automation: Automation, fact: Fact) -> Decision:
    """Read Odoo and let an automation decide. Reads only; raises Refusal where a person must settle something."""
    tunables = fleet.policies.automation(automation.name).tunables
    snapshot = fleet.audit.snapshot(automation.reads, as_of=fleet.now(), event=fact, tunables=tunables)
    changes: list[Change] = []
    facts: list[Fact] = []
    for one in automation(fact, snapshot, **tunables):
        if isinstance(one, KINDS):
            changes.append(one)
        elif isinstance(one, Fact) and isinstance(one, automation.tells):
            facts.append(one)
        else:
            said = one.type if isinstance(one, Fact) else type(one).__name__
            raise Permanent(f"automation `{automation.name}` tells {said}, which its `tells` does not name")
    return Decision(tuple(changes), tuple(facts))


def react(fleet: Fleet, name: str, raw: Mapping[str, Any]) -> Applied:
    """Let one automation react to an event. A conflict is decided again at once, a few times.

    What follows is told when all changes are there, and before the reaction counts as done: whoever dies in between
    reacts again, and tells it again.
    A conflict beside a refusal hangs on it, such as the tasks of a project that was refused: all of it is refused.
    """
    automation = fleet.catalogue.automation(name)
    envelope, fact = read_event(raw)
    if type(fact) is not automation.on:
        raise Permanent(f"automation `{name}` reacts to {automation.on.type}, not to {envelope.type}")
    outcomes: tuple[Outcome, ...] = ()
    for _ in range(TRIES_ON_CONFLICT):
        decision = decide(fleet, automation, fact)
        outcomes = carry_out(fleet, decision.changes)
        if all(outcome.status is not Status.CONFLICT for outcome in outcomes):
            applied = settle(fleet, f"automation {name}", outcomes)
            for news in decision.facts if not applied.refused else ():
                tell(fleet, news)
            fleet.ledger.inbox.done(envelope.source, envelope.id, name)
            return applied
    for outcome in outcomes:
        if outcome.status is Status.REFUSED:
            raise Refusal(f"{change_key(outcome.change)}: {outcome.reason}")
    conflict = next(outcome for outcome in outcomes if outcome.status is Status.CONFLICT)
    raise Transient(f"automation `{name}`: still in conflict after {TRIES_ON_CONFLICT} tries: {conflict.reason}")
