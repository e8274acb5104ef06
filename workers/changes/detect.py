"""A record is looked at through the watches of its model, and each fact it amounts to is sent to be accepted.

Webhook, change feed and backfill all end here, so a fact has one source and one identity whoever looked.
"""

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from config.policy.loader import OVERLAP_MINUTES, WatchPolicy
from events.cloudevent import CloudEvent
from events.event import Event, odoo_source
from odoo_client import RecordPage
from purser.errors import NotApplicable, Permanent
from purser.findings import Ref
from store.queueing.seen_events import RETENTION
from workers.context import WorkerContext
from workers.events import publish

log = structlog.get_logger(__name__)

OVERLAP = dt.timedelta(minutes=OVERLAP_MINUTES)
"""How long after the moment it bears a write may come to sight: Odoo stamps the beginning of a transaction, and the
clocks of its database and of the ledger may be some minutes apart. A policy chooses another (`overlap_minutes`)."""

RECOGNIZED_WITHIN = RETENTION - dt.timedelta(days=1)
"""So far back a fact that was told is surely recognised, and may be met again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeWindow:
    """When facts must have happened to be told, as far as a stamp says when they did."""

    since: dt.datetime
    until: dt.datetime | None = None

    def holds(self, happened: tuple[dt.datetime, dt.datetime] | None) -> bool:
        """Return whether something can have happened in it; what nobody knows the moment of can."""
        if happened is None:
            return True
        first, last = happened
        return self.since <= last and (self.until is None or first < self.until)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectedEvents:
    """What some records amount to."""

    events: tuple[CloudEvent, ...] = ()
    spoiled: Mapping[Ref, str] = field(default_factory=dict)
    """Records that could not be judged, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishResult:
    """What became of facts."""

    sent: Counter[str] = field(default_factory=Counter)
    """How many were sent, by type."""
    known: int = 0
    """How many were accepted before, and so were not sent again."""


def detect(fleet: WorkerContext, model: str, id: int) -> int:  # noqa: A002
    """Look at one record as it stands now. A record that is gone or amounts to nothing is told nothing about."""
    ref = _ref(model, id)
    watches = tuple(fleet.catalogue.looking_at(model))
    if not watches:
        known = ", ".join(sorted({watch.model for watch in fleet.catalogue.watches.values()}))
        raise Permanent(f"no watch looks at `{model}`: those that are looked at are {known}")
    fleet.check_home()
    sent = 0
    for policy in (fleet.policies.watch(watch.name) for watch in watches):
        if not policy.enabled:
            continue
        now = fleet.now()
        try:
            sight = read_page_of(fleet, policy, [("id", "=", ref.id)], now=now, limit=1)
        except NotApplicable as error:
            log.warning("not applicable", watch=policy.watch.name, why=str(error))
            continue
        found = decide_events(fleet, policy, sight, now=now, span=TimeWindow(since=_horizon(fleet, policy, now)))
        if found.spoiled:
            raise Permanent(f"watch `{policy.watch.name}` cannot judge {ref}: {found.spoiled[ref]}")
        sent += publish_detected(fleet, found.events).sent.total()
    return sent


def read_page_of(
    fleet: WorkerContext,
    policy: WatchPolicy,
    conditions: Collection[object],
    *,
    now: dt.datetime,
    limit: int,
    after: int = 0,
) -> RecordPage:
    """Read a page of a watched model."""
    return fleet.audit.look(
        policy.watch.row,
        tuple(conditions),
        as_of=fleet.local(now),
        tunables=policy.tunables,
        after=after,
        limit=limit,
    )


def decide_events(
    fleet: WorkerContext, policy: WatchPolicy, sight: RecordPage, *, now: dt.datetime, span: TimeWindow
) -> DetectedEvents:
    """Return what records amount to, history left out. One that cannot be judged takes no other along."""
    events: dict[str, CloudEvent] = {}
    spoiled = dict(sight.unfit)
    source = source_of(fleet)
    for row in sight.rows:
        try:
            facts = tuple(policy.watch(row, fleet.local(now), **policy.tunables))
        except Exception as error:  # noqa: BLE001 - a watch may raise anything, and the other records count
            spoiled[row.ref] = f"{type(error).__name__} in {policy.watch.source}"
            continue
        for fact in facts:
            if span.holds(policy.watch.happened(fact)):
                wrapped = CloudEvent.wrap(fact, source=source, time=_moment_of(fact) or now)
                events.setdefault(wrapped.id, wrapped)
    return DetectedEvents(events=tuple(events.values()), spoiled=spoiled)


def publish_detected(fleet: WorkerContext, events: Iterable[CloudEvent], *, again: bool = True) -> PublishResult:
    """Send facts to be accepted, but for those that were. The broker has every one of them when this returns.

    Without `again` those that were sent in the last three days are left out, too, accepted or not.
    """
    asked = tuple(events)
    if not again:
        were_sent = fleet.ledger.events.sent([(event.source, event.id) for event in asked])
        asked = tuple(event for event, was in zip(asked, were_sent, strict=True) if not was)
    known = publish.publish_events(fleet, asked)
    fleet.ledger.events.mark_sent(
        [(event.source, event.id) for event, was in zip(asked, known, strict=True) if not was]
    )
    sent = Counter(event.type for event, was in zip(asked, known, strict=True) if not was)
    return PublishResult(sent=sent, known=sum(known))


def enqueue_check(fleet: WorkerContext, ref: Ref) -> None:
    """Let one record be looked at by a message of its own, the same one however often."""
    publish.enqueue_checks(fleet, ref, task_id=publish.message_id(publish.LOOK_TASK, source_of(fleet), str(ref)))


def source_of(fleet: WorkerContext) -> str:
    """Return the source of all that is read from this fleet's Odoo."""
    return odoo_source(fleet.settings.odoo_db or "")


def feed_name(watch: str) -> str:
    """Return the name of the cursor of a watch's feed."""
    return f"feed/{watch}"


def sweep_name(watch: str) -> str:
    """Return the name of the cursor of a watch's daily sweep."""
    return f"sweep/{watch}"


def oldest(started: dt.datetime, since: dt.datetime) -> dt.datetime:
    """Return the moment before which a fact is history: before the first run, or published and forgotten."""
    return max(started, since - RECOGNIZED_WITHIN)


def _ref(model: object, id_: object) -> Ref:
    """Read what a message names; whoever sent it may have sent anything."""
    if isinstance(model, str) and isinstance(id_, int) and not isinstance(id_, bool):
        with contextlib.suppress(ValueError):
            return Ref(model, id_)
    raise Permanent("a look needs the model of a record and its id, a whole number")


def _horizon(fleet: WorkerContext, policy: WatchPolicy, now: dt.datetime) -> dt.datetime:
    cursor = fleet.ledger.cursors.get(feed_name(policy.watch.name))
    return oldest(now - OVERLAP if cursor is None else cursor.started, now)


def _moment_of(fact: Event) -> dt.datetime | None:
    mark = getattr(fact, fact.mark) if fact.mark else None
    return mark if isinstance(mark, dt.datetime) else None
