"""A subscription gets each event it wants, signed, in the order of its subject, at least once.

A copy is known by its `webhook-id`: it is sent where the answer was lost, or the worker was killed before it could
remember it. A receiver is left alone while it fails over and over, asked for patience, or wants no more.
"""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from config.policy.subscriptions import Subscription
from events.cloudevent import CloudEvent, read_event
from events.event import Event
from purser.errors import Misconfigured, Permanent, Refusal, Snooze, Throttled, Transient, UnknownOutcome
from store import (
    CallResult,
    DeliveryAttempt,
    DeliveryResult,
    Ledger,
    LimiterConfig,
    NextAction,
    OdooLimiter,
    RetryIn,
)
from workers.context import WorkerContext
from workers.outbound.http import MAX_ANSWER_BYTES, ReceiverResponse, post
from workers.reaction import Reaction, of_subscription, over

log = structlog.get_logger(__name__)

BOUNDS = LimiterConfig(
    failures=5,
    cooldown=dt.timedelta(seconds=10),
    longest=dt.timedelta(minutes=10),
    calls=16,
    lease=dt.timedelta(seconds=45),
)
"""What the gate before a receiver goes by. A slot outlasts the longest sending."""

LOOK_AGAIN = 2.0
"""Seconds until a message looks again whether the one before it has arrived, or a slot is free."""
MAX_LOOK_AGAIN_SECONDS = 3600.0

TEST = "purser.test.v1"
"""The type of an event that is sent by hand, to see whether it arrives."""


def gate_of(ledger: Ledger, name: str) -> OdooLimiter:
    """Return the gate before the receiver of a subscription."""
    return ledger.gate(f"subscription {name}", BOUNDS, who="the receiver")


# ----------------------------------------------------------------------------- accepting --


def subscribed(fleet: WorkerContext, envelope: CloudEvent, fact: Event) -> tuple[Reaction, ...]:
    """Name the subscriptions that want an event, as reactions to it. One that is switched off is left out, and that
    is written down."""
    if not fleet.policies.subscriptions:
        return ()
    data = fact.model_dump(mode="json")
    wanting = [one for one in fleet.policies.subscriptions.values() if one.enabled and one.wants(envelope.type, data)]
    off = fleet.ledger.outbound.switched_off() if wanting else {}
    told = envelope.model_dump(mode="json", exclude_none=True)
    reactions = []
    for one in wanting:
        reaction = Reaction(envelope.source, envelope.id, of_subscription(one.name))
        if one.name in off:
            _leave_out(fleet, reaction, told, attempt=1)
        else:
            reactions.append(reaction)
    return tuple(reactions)


def enqueue_deliveries(fleet: WorkerContext, reactions: Sequence[Reaction], event: Mapping[str, Any]) -> None:
    """Keep an event for those it goes to, and give each message its place. The inbox must be waiting for it."""
    if not reactions:
        return
    envelope = CloudEvent.model_validate(event)
    outbound = fleet.ledger.outbound
    outbound.keep(envelope.source, envelope.id, event)
    for one in reactions:
        outbound.join(
            one.message_id,
            subscription=one.subscription,
            subject=envelope.subject or _record(event),
            at=envelope.time or fleet.now(),
            source=one.source,
            event_id=one.event_id,
            awaited=one.name,
        )


def _record(event: Mapping[str, Any]) -> str:
    """Name the record of an event whose sender did not; what today's code cannot read is in a line of its own."""
    try:
        return str(read_event(event)[1].record)
    except Permanent:
        return str(event.get("id"))


# ------------------------------------------------------------------------------- sending --


def deliver(fleet: WorkerContext, name: str, raw: Mapping[str, Any], *, attempt: int) -> DeliveryResult:
    """Send one event to one subscription, if it is its turn; say how it ended. The ledger waits for it no longer.

    Raises Snooze while it is held back, Transient to be tried again, Refusal when the receiver wants no more.
    """
    subscription = fleet.policies.subscription(name)
    envelope = _envelope(raw)
    reaction = Reaction(envelope.source, envelope.id, of_subscription(name))
    outbound = fleet.ledger.outbound
    turn = outbound.turn(reaction.message_id, subscription=name, source=reaction.source, event_id=reaction.event_id)
    if turn.next is NextAction.DONE:
        log.info("event delivered before", subscription=name, event_id=envelope.id)
    elif turn.next is NextAction.OFF or not subscription.enabled:
        _leave_out(fleet, reaction, raw, attempt=attempt)
        over(fleet.ledger, reaction)
        return DeliveryResult.LEFT_OUT
    elif turn.next is NextAction.WAIT:
        raise Snooze("an earlier event of the same subject is not delivered", after=_until(fleet, turn.until))
    else:
        _carry(fleet, subscription, reaction, raw, attempt)
    over(fleet.ledger, reaction)
    return DeliveryResult.DELIVERED


def _carry(
    fleet: WorkerContext, subscription: Subscription, reaction: Reaction, raw: Mapping[str, Any], attempt: int
) -> None:
    """Send an event through the gate, write down how that ended, and raise unless it arrived."""
    keys = keys_of(fleet, subscription)
    gate = gate_of(fleet.ledger, subscription.name)
    ticket = gate.enter("", may_probe=True)
    if isinstance(ticket, RetryIn):
        raise Snooze(ticket.why, after=max(ticket.after, LOOK_AGAIN))
    begun = time.monotonic()
    found = _posted(fleet, subscription, reaction, raw, keys)
    ending = classify_response(found)
    seconds = found.seconds if isinstance(found, ReceiverResponse) else time.monotonic() - begun
    if ending.sent is DeliveryResult.DELIVERED:
        fleet.ledger.outbound.delivered(reaction.source, reaction.event_id, subscription=subscription.name)
    gate.leave(ticket, ending.verdict, seconds, ending.retry_after)
    if ending.sent is DeliveryResult.GONE:
        fleet.ledger.outbound.switch_off(subscription.name, why=ending.why)
    record_attempt(fleet, reaction, raw, ending, attempt=attempt, seconds=seconds)
    where = f"subscription `{subscription.name}` at {subscription.place}"
    match ending.sent:
        case DeliveryResult.GONE:
            raise Refusal(
                f"{where}: {ending.why}. It is switched off and its events are left out. Ask whoever receives there; "
                f"`purser outbound enable {subscription.name}` switches it on again, and this can then be tried again"
            )
        case DeliveryResult.THROTTLED:
            raise Throttled(f"{where}: {ending.why}", retry_after=ending.retry_after or 0.0)
        case DeliveryResult.FAILED:
            raise (UnknownOutcome if isinstance(found, UnknownOutcome) else Transient)(f"{where}: {ending.why}")


def _posted(
    fleet: WorkerContext,
    subscription: Subscription,
    reaction: Reaction,
    raw: Mapping[str, Any],
    keys: Sequence[bytes],
    *,
    reads: int = 0,
) -> ReceiverResponse | Transient:
    try:
        return post(subscription, reaction.message_id, raw, keys, now=fleet.now(), reads=reads)
    except Transient as error:
        return error


@dataclass(frozen=True, slots=True)
class DeliveryVerdict:
    """What an answer means."""

    sent: DeliveryResult
    verdict: CallResult
    status: int | None = None
    why: str = ""
    retry_after: float | None = None


def classify_response(found: ReceiverResponse | Transient) -> DeliveryVerdict:
    """Return what follows from an answer, or from there being none."""
    match found:
        case UnknownOutcome():
            return DeliveryVerdict(DeliveryResult.FAILED, CallResult.TIMED_OUT, why=str(found))
        case Transient():
            return DeliveryVerdict(DeliveryResult.FAILED, CallResult.FAILED, why=str(found))
    status = found.status
    if found.is_well:
        return DeliveryVerdict(DeliveryResult.DELIVERED, CallResult.ANSWERED, status)
    if status == 410:
        return DeliveryVerdict(
            DeliveryResult.GONE, CallResult.ANSWERED, status, "the receiver wants no more (HTTP 410)"
        )
    if found.retry_after is not None:
        why = f"the receiver asks to wait {found.retry_after:g} s (HTTP {status})"
        return DeliveryVerdict(DeliveryResult.THROTTLED, CallResult.THROTTLED, status, why, found.retry_after)
    if 300 <= status < 400:
        why = (
            f"the receiver points elsewhere (HTTP {status}), and is not followed: write its new address in the policy"
        )
        return DeliveryVerdict(DeliveryResult.FAILED, CallResult.FAILED, status, why)
    return DeliveryVerdict(DeliveryResult.FAILED, CallResult.FAILED, status, f"the receiver answered HTTP {status}")


# -------------------------------------------------------------------------------- by hand --


def send_trial(fleet: WorkerContext, subscription: Subscription) -> tuple[DeliveryVerdict, float, str]:
    """Send a test event at once, past queue, line and gate.

    Give how that ended, in how many seconds, and the beginning of the answer.
    """
    event = trial_event(subscription.name, fleet.now())
    reaction = Reaction(event["source"], event["id"], of_subscription(subscription.name))
    begun = time.monotonic()
    found = _posted(fleet, subscription, reaction, event, keys_of(fleet, subscription), reads=MAX_ANSWER_BYTES)
    ending = classify_response(found)
    seconds = found.seconds if isinstance(found, ReceiverResponse) else time.monotonic() - begun
    record_attempt(fleet, reaction, event, ending, attempt=0, seconds=seconds)
    return ending, seconds, found.text if isinstance(found, ReceiverResponse) else ""


def trial_event(name: str, now: dt.datetime) -> dict[str, Any]:
    """Return an event that says nothing but that the door works."""
    event = CloudEvent(
        id=f"{TEST}/{name}/{now.isoformat()}",
        source="/purser/console",
        type=TEST,
        time=now,
        data={"subscription": name},
    )
    return event.model_dump(mode="json", exclude_none=True)


# ------------------------------------------------------------------------------- the log --


def record_attempt(
    fleet: WorkerContext,
    reaction: Reaction,
    raw: Mapping[str, Any],
    ending: DeliveryVerdict,
    *,
    attempt: int,
    seconds: float = 0.0,
) -> None:
    """Write into the log how an attempt ended. Number 0 is a test by hand."""
    fleet.ledger.sendings.record(
        DeliveryAttempt(
            subscription=reaction.subscription,
            message=reaction.message_id,
            source=reaction.source,
            event_id=reaction.event_id,
            type=str(raw.get("type")),
            subject=str(raw.get("subject") or "")[:200],
            at=fleet.now(),
            attempt=attempt,
            outcome=ending.sent,
            status=ending.status,
            seconds=round(seconds, 4),
            why=ending.why,
        )
    )


def keys_of(fleet: WorkerContext, subscription: Subscription) -> tuple[bytes, ...]:
    """Return the keys that sign for a subscription, the newest first."""
    keys = fleet.settings.outbound_keys.get(subscription.secret)
    if not keys:
        raise Misconfigured(
            f"subscription `{subscription.name}`: PURSER_OUTBOUND_SECRETS holds no secret `{subscription.secret}`. "
            "Nothing is sent unsigned: add it, restart the workers, and replay"
        )
    return keys


def _leave_out(fleet: WorkerContext, reaction: Reaction, raw: Mapping[str, Any], *, attempt: int) -> None:
    fleet.ledger.outbound.keep(reaction.source, reaction.event_id, raw)
    ending = DeliveryVerdict(DeliveryResult.LEFT_OUT, CallResult.ABANDONED, why="the subscription is switched off")
    record_attempt(fleet, reaction, raw, ending, attempt=attempt)
    log.warning("event left out", subscription=reaction.subscription, event_id=reaction.event_id)


def _envelope(raw: Mapping[str, Any]) -> CloudEvent:
    try:
        return CloudEvent.model_validate(raw)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Permanent(f"not a CloudEvent 1.0: {places}") from None


def _until(fleet: WorkerContext, moment: dt.datetime | None) -> float:
    left = 0.0 if moment is None else (moment - fleet.now()).total_seconds()
    return min(max(left, LOOK_AGAIN), MAX_LOOK_AGAIN_SECONDS)
