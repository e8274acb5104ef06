"""The change feed asks Odoo for what was written to since it last asked, a page at a time, and tells what it finds.

    claim the slot -> read a page -> the broker has its facts -> move the cursor -> the next page

Odoo stamps a record with the start of its transaction, so a long transaction comes to sight with an old stamp. A walk
looks back by the overlap of the watch; once a day a sweep looks back two days and finds what came later than that.

Killed anywhere, whoever goes on repeats a page at most, and its facts are the same messages under the same identity.
"""

import datetime as dt
from dataclasses import dataclass, replace

import structlog

from config.policy.loader import WatchPolicy
from odoo_client import RecordPage
from purser.errors import NotApplicable
from purser.watchers import WatchTrigger
from store import ClaimResult, FeedCursor
from workers.changes.detect import (
    OVERLAP,
    TimeWindow,
    decide_events,
    enqueue_check,
    feed_name,
    oldest,
    publish_detected,
    read_page_of,
    sweep_name,
)
from workers.context import WorkerContext
from workers.controls.run import slot_at, slot_lease

log = structlog.get_logger(__name__)

PAGE = 500
PAGES_AT_ONCE = 20
"""After so many pages a message of its own goes on, so that scans get their turn and no time limit is met."""

SWEEP_EVERY = dt.timedelta(days=1)
SWEEP_BACK = dt.timedelta(days=2)
"""So far back a sweep looks. A transaction shorter than the difference of the two is told, however long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedResult:
    """What one message of a feed did."""

    watch: str
    looked: int = 0
    told: int = 0
    is_done: bool = False
    """All that was to be looked at was."""
    reason: str = ""


def run_slot(
    fleet: WorkerContext, name: str, *, holder: str, page: int = PAGE, pages: int = PAGES_AT_ONCE
) -> FeedResult:
    """Ask for what a watch has not seen yet, unless that is done for this slot or somebody else does it."""
    policy = fleet.policies.watch(name)
    if not policy.enabled:
        return FeedResult(watch=name, reason=f"switched off in the policy (watches.{name}.enabled)")
    fleet.check_home()
    slots, slot = fleet.ledger.slots, slot_at(fleet, name, policy.every, fleet.now())
    claim = slots.claim(feed_name(name), slot, holder=holder, lease=slot_lease(fleet))
    if claim is not ClaimResult.GRANTED:
        return FeedResult(watch=name, reason=claim.value)
    try:
        fed = walk(fleet, policy, page=page, pages=pages)
        if fed.is_done and not fed.reason.startswith(_NOT_APPLICABLE):
            fed = _with_sweep(fed, sweep(fleet, policy, page=page, pages=pages))
    except Exception:
        slots.release(feed_name(name), slot, holder=holder)  # whoever comes next need not wait for the lease
        raise
    if fed.is_done:
        slots.done(feed_name(name), slot, holder=holder)
        fleet.ledger.letters.supersede(feed_name(name), before=fleet.now(), by=f"the feed of {slot.isoformat()}")
    else:
        slots.release(feed_name(name), slot, holder=holder)
        fleet.publish("purser.feed", {"watch": name}, label=f"{name}, goes on")
    if fed.told:
        log.info("feed told", watch=name, looked=fed.looked, told=fed.told)
    return fed


def walk(fleet: WorkerContext, policy: WatchPolicy, *, page: int = PAGE, pages: int = PAGES_AT_ONCE) -> FeedResult:
    """Walk on from where the cursor stands: to the end of what was written by now, or so many pages far."""
    name = policy.watch.name
    stands = fleet.ledger.cursors.get(feed_name(name))
    at = begun(stands, feed_name(name), fleet.now(), policy.overlap)
    fed = FeedResult(
        watch=name, reason="" if stands else f"begins: a backfill tells what was before {at.started.isoformat()}"
    )
    if stands is None:
        log.info("watching begins", watch=name, since=at.started.isoformat())
    for _ in range(pages):
        now = fleet.now()
        try:
            sight = read_page_of(fleet, policy, conditions(policy, at), now=now, after=at.after, limit=page)
        except NotApplicable as error:
            return _lacks(fleet, name, stands, str(error))
        found = decide_events(
            fleet, policy, sight, now=now, span=TimeWindow(since=oldest(at.started, at.since or now))
        )
        sent = publish_detected(fleet, found.events).sent.total()
        for ref, why in found.spoiled.items():
            log.error("record cannot be judged", watch=name, record=str(ref), why=why)
            enqueue_check(fleet, ref)  # by a message of its own, which becomes a dead letter and holds nobody up
        to = moved(at, sight, told=sent, now=now)
        if not fleet.ledger.cursors.move(stands, to):
            return replace(fed, is_done=True, reason="somebody else goes on with it")
        fed = replace(fed, looked=fed.looked + len(sight.rows), told=fed.told + sent, is_done=to.until is None)
        stands = at = to
        if fed.is_done:
            break
    return fed


def sweep(fleet: WorkerContext, policy: WatchPolicy, *, page: int = PAGE, pages: int = PAGES_AT_ONCE) -> FeedResult:
    """Look once a day at all that was written in two days, and tell what no walk has told.

    The first one comes a day after the feed began. What was sent before is not sent again, accepted or not.
    """
    name, cursors = policy.watch.name, fleet.ledger.cursors
    feed, stands, now = cursors.get(feed_name(name)), cursors.get(sweep_name(name)), fleet.now()
    if policy.watch.by is WatchTrigger.TIME or feed is None:
        return FeedResult(watch=name, is_done=True)
    if stands is None:
        stands = FeedCursor(name=sweep_name(name), started=feed.started, done=feed.started, at=now)
        if not cursors.move(None, stands):
            return FeedResult(watch=name, is_done=True)
    if stands.until is None and now - stands.done < SWEEP_EVERY:
        return FeedResult(watch=name, is_done=True)
    at = stands
    if at.until is None:
        at = replace(stands, since=max(feed.started, now - SWEEP_BACK), until=now, after=0, looked=0, told=0)
    fed = FeedResult(watch=name)
    for _ in range(pages):
        now = fleet.now()
        sight = read_page_of(fleet, policy, conditions(policy, at), now=now, after=at.after, limit=page)
        found = decide_events(
            fleet, policy, sight, now=now, span=TimeWindow(since=oldest(at.started, at.since or now))
        )
        sent = publish_detected(fleet, found.events, again=False).sent.total()
        to = moved(at, sight, told=sent, now=now)
        if not cursors.move(stands, to):
            return replace(fed, is_done=True, reason="somebody else goes on with the sweep")
        fed = replace(fed, looked=fed.looked + len(sight.rows), told=fed.told + sent, is_done=to.until is None)
        stands = at = to
        if fed.is_done:
            break
    if at.told and fed.is_done:
        log.warning("sweep told what the feed had missed", watch=name, told=at.told, overlap=str(policy.overlap))
    return fed


def _with_sweep(fed: FeedResult, swept: FeedResult) -> FeedResult:
    """Return what a walk and the sweep after it did together."""
    return replace(
        fed, looked=fed.looked + swept.looked, told=fed.told + swept.told, is_done=fed.is_done and swept.is_done
    )


def begun(stands: FeedCursor | None, name: str, now: dt.datetime, overlap: dt.timedelta = OVERLAP) -> FeedCursor:
    """Return the cursor of a walk: the one under way, else one over what was written since the last, with overlap."""
    if stands is None:
        start = now - overlap
        stands = FeedCursor(name=name, started=start, done=start, at=now)
    if stands.until is not None:
        return stands
    return replace(stands, since=max(stands.started, stands.done - overlap), until=now, after=0)


def conditions(policy: WatchPolicy, at: FeedCursor) -> list[object]:
    """Return which records a walk looks at: what is due by time is asked for as a whole, each time."""
    return [] if policy.watch.by is WatchTrigger.TIME else [("write_date", ">=", at.since)]


def moved(at: FeedCursor, sight: RecordPage, *, told: int, now: dt.datetime) -> FeedCursor:
    """Return the cursor behind a page; the last page ends the walk."""
    further = replace(at, at=now, looked=at.looked + len(sight.rows), told=at.told + told, lacks="")
    if sight.has_more:
        return replace(further, after=sight.last)
    return replace(further, done=at.until or now, since=None, until=None, after=0)


_NOT_APPLICABLE = "not applicable: "


def _lacks(fleet: WorkerContext, name: str, stands: FeedCursor | None, why: str) -> FeedResult:
    """Remember what is missing, and say so once. A watch that never walked begins when it can."""
    now = fleet.now()
    if stands is None or stands.lacks != why:
        log.warning("not applicable", watch=name, why=why)
    start = now - OVERLAP
    never = stands is None or stands.done == stands.started
    to = (
        FeedCursor(name=feed_name(name), started=start, done=start, at=now, lacks=why)
        if never or stands is None
        else replace(stands, at=now, lacks=why)
    )
    fleet.ledger.cursors.move(stands, to)
    return FeedResult(watch=name, is_done=True, reason=f"{_NOT_APPLICABLE}{why}")
