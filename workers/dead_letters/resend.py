"""What a subscription did not get, or is to get once more, is sent again: letters as such, the rest while it is kept.

An event goes out under the `webhook-id` it always had, so whoever has it already can tell.
"""

import datetime as dt
import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import structlog

from config.policy.subscriptions import Subscription
from store import DeadLetterFilter, DeadLetterState, DeliveryAttempt, DeliveryResult
from workers.context import WorkerContext
from workers.dead_letters.letter_factory import values_in
from workers.events import react
from workers.outbound import deliver
from workers.reaction import Reaction, of_subscription, reaction_of

log = structlog.get_logger(__name__)

TASK = "purser.deliver"
_ALL = 20_000


class ResendSource(enum.StrEnum):
    """Where an event that is to be sent again is now."""

    LETTER = "dead letter"
    LEFT_OUT = "left out"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"
    """It failed or was refused, and somebody settled that."""


class ResendStatus(enum.StrEnum):
    """What becomes of it."""

    SENDS = "is sent again"
    NOT_KEPT = "no longer kept"
    """Events are kept for seven days; ask whoever emitted it."""
    UNDER_WAY = "under way"
    """It is on its way at this moment."""
    UNKNOWN = "unknown"
    """The log holds nothing of it, and no letter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResendableEvent:
    """An event of a subscription that could be sent again. `letter` is the id of its dead letter."""

    event_id: str
    source: str = ""
    type: str = ""
    way: ResendSource | None = None
    letter: str = ""
    at: dt.datetime | None = None
    again: ResendStatus = ResendStatus.SENDS


def find_kept(
    fleet: WorkerContext,
    subscription: Subscription,
    *,
    event_ids: Collection[str] = (),
    since: dt.datetime | None = None,
    delivered: bool = False,
) -> tuple[ResendableEvent, ...]:
    """Return what there is to send again, the oldest first: dead letters and what was left out; with `delivered`, or
    named by id, also what has arrived."""
    name = subscription.name
    found: dict[tuple[str, str], ResendableEvent] = {}
    for one in _letters(fleet, name, since):
        found[one.source, one.event_id] = one
    for sending in _last_of_each(fleet, name, since):
        if (sending.source, sending.event_id) not in found:
            found[sending.source, sending.event_id] = _kept(fleet, sending)
    chosen = [
        one
        for one in found.values()
        if (
            one.event_id in event_ids
            if event_ids
            else delivered or one.way in (ResendSource.LETTER, ResendSource.LEFT_OUT)
        )
    ]
    if not event_ids:
        chosen = [one for one in chosen if one.again is not ResendStatus.UNDER_WAY]
    missing = [id_ for id_ in event_ids if id_ not in {one.event_id for one in chosen}]
    unknown = [ResendableEvent(event_id=id_, again=ResendStatus.UNKNOWN) for id_ in missing]
    return (*sorted(chosen, key=lambda one: one.at or fleet.now()), *unknown)


def send_kept(fleet: WorkerContext, subscription: Subscription, one: ResendableEvent) -> bool:
    """Send an event that is still kept once more; False when it is not. The inbox waits for it as for a new one."""
    event = fleet.ledger.outbound.kept(one.source, one.event_id)
    if event is None:
        return False
    reaction = Reaction(one.source, one.event_id, of_subscription(subscription.name))
    again_after = dt.timedelta(seconds=fleet.settings.stalled_after)
    fleet.ledger.inbox.accept(
        one.source, one.event_id, event, [reaction.name], again_after=again_after, once_more=True
    )
    fleet.ledger.outbound.forget_delivered(one.source, one.event_id, subscription=subscription.name)
    deliver.enqueue_deliveries(fleet, [reaction], event)
    react.enqueue_reaction(fleet, reaction.name, event)
    log.info("event sent again", subscription=subscription.name, event_id=one.event_id)
    return True


def _letters(fleet: WorkerContext, name: str, since: dt.datetime | None) -> Iterator[ResendableEvent]:
    letters = fleet.ledger.letters
    for id_ in letters.ids(DeadLetterFilter(task=TASK, state=DeadLetterState.DEAD)):
        letter = letters.get(id_)
        if letter is None or (since is not None and letter.stored_at < since):
            continue
        values = values_in(letter)
        reaction = reaction_of(values)
        if reaction is not None and reaction.subscription == name:
            yield ResendableEvent(
                event_id=reaction.event_id,
                source=reaction.source,
                type=str(values["event"].get("type")),
                way=ResendSource.LETTER,
                letter=letter.id,
                at=letter.stored_at,
            )


def _last_of_each(fleet: WorkerContext, name: str, since: dt.datetime | None) -> Iterator[DeliveryAttempt]:
    """Yield the last attempt of each event; tests by hand are none."""
    seen = set()
    for one in fleet.ledger.sendings.latest(name, limit=_ALL, since=since):
        if one.attempt and one.message not in seen:
            seen.add(one.message)
            yield one


def _kept(fleet: WorkerContext, sending: DeliveryAttempt) -> ResendableEvent:
    way = {DeliveryResult.DELIVERED: ResendSource.DELIVERED, DeliveryResult.LEFT_OUT: ResendSource.LEFT_OUT}.get(
        sending.outcome, ResendSource.GIVEN_UP
    )
    awaited = fleet.ledger.inbox.get(sending.source, sending.event_id)
    again = ResendStatus.SENDS
    if awaited is not None and of_subscription(sending.subscription) in awaited.pending:
        again = ResendStatus.UNDER_WAY
    elif fleet.ledger.outbound.kept(sending.source, sending.event_id) is None:
        again = ResendStatus.NOT_KEPT
    return ResendableEvent(
        event_id=sending.event_id,
        source=sending.source,
        type=sending.type,
        way=way,
        at=sending.at,
        again=again,
    )
