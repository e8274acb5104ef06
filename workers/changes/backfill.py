"""History is told by hand: what records of a range amount to, page by page and slowly, and each fact once."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from config.policy.loader import WatchPolicy
from events.cloudevent import CloudEvent
from purser.errors import ConfigurationError, Transient
from purser.findings import Ref
from purser.watchers import WatchTrigger
from store import FeedCursor
from workers.changes.detect import TimeWindow, decide_events, publish_detected, read_page_of
from workers.context import WorkerContext

PAGE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfill:
    """A range of one watch to tell. Named by what was asked for, so asking again goes on where it stood."""

    policy: WatchPolicy
    since: dt.datetime
    until: dt.datetime | None = None

    @property
    def name(self) -> str:
        """The name of its cursor."""
        ends = "" if self.until is None else f"/{self.until.isoformat()}"
        return f"backfill/{self.policy.watch.name}/{self.since.isoformat()}{ends}"

    def conditions(self, until: dt.datetime) -> list[object]:
        """Return which records to look at.

        A stamp tells when a fact happened, and the record may have been written to long after. Where there is none,
        the last write is all that is known.
        """
        since = ("write_date", ">=", self.since)
        return [since] if self.policy.watch.stamped else [since, ("write_date", "<", until)]


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillProgress:
    """How far a backfill is."""

    looked: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """How many facts were sent by now, or would be, by type."""
    known: int = 0
    spoiled: tuple[Ref, ...] = ()
    """Records that could not be judged."""
    resumed: bool = False
    """It went on where an earlier one stood."""


def checked(policy: WatchPolicy, *, since: dt.datetime, until: dt.datetime | None, now: dt.datetime) -> Backfill:
    """Return a backfill that makes sense, or raise ConfigurationError."""
    if policy.watch.by is WatchTrigger.TIME:
        raise ConfigurationError(
            f"`{policy.watch.name}` asks for all that is due, each time: there is no history to tell"
        )
    if since >= (until or now):
        raise ConfigurationError(f"--since {since.isoformat()} must be before {'--until' if until else 'now'}")
    return Backfill(policy=policy, since=since, until=until)


def total(fleet: WorkerContext, fill: Backfill) -> int:
    """Count the records that a backfill looks at from the beginning."""
    now = fleet.now()
    return fleet.audit.count(
        fill.policy.watch.row,
        fill.conditions(fill.until or now),
        as_of=fleet.local(now),
        tunables=fill.policy.tunables,
    )


def run(
    fleet: WorkerContext,
    fill: Backfill,
    *,
    dry_run: bool = False,
    rate: float = 50.0,
    pause: Callable[[float], None] = time.sleep,
    page: int = PAGE,
) -> Iterator[BackfillProgress]:
    """Tell a range, `rate` facts a second at most, and say after each page how far it is.

    The cursor is moved when the broker has the facts of a page, and forgotten at the end. A dry run moves none.
    """
    now = fleet.now()
    stands = None if dry_run else fleet.ledger.cursors.get(fill.name)
    at = stands or FeedCursor(
        name=fill.name, started=fill.since, done=fill.since, at=now, since=fill.since, until=fill.until or now
    )
    progress = BackfillProgress(looked=at.looked, resumed=stands is not None)
    while True:
        now, until = fleet.now(), at.until or now
        sight = read_page_of(fleet, fill.policy, fill.conditions(until), now=now, after=at.after, limit=page)
        found = decide_events(fleet, fill.policy, sight, now=now, span=TimeWindow(since=fill.since, until=until))
        told = _would_tell(fleet, found.events) if dry_run else _tell(fleet, found.events)
        progress = replace(
            progress,
            looked=progress.looked + len(sight.rows),
            sent=progress.sent + told[0],
            known=progress.known + told[1],
            spoiled=(*progress.spoiled, *found.spoiled),
        )
        to = replace(at, at=now, after=sight.last or at.after, looked=progress.looked, told=at.told + told[0].total())
        if not dry_run and not fleet.ledger.cursors.move(stands, to):
            raise Transient(f"somebody else runs the same backfill ({fill.name}): look at `purser events watches`")
        stands = at = to
        yield progress
        if not sight.has_more:
            break
        if not dry_run and told[0]:
            pause(told[0].total() / rate)
    if not dry_run:
        fleet.ledger.cursors.drop(at)


def _tell(fleet: WorkerContext, events: tuple[CloudEvent, ...]) -> tuple[Counter[str], int]:
    told = publish_detected(fleet, events)
    return told.sent, told.known


def _would_tell(fleet: WorkerContext, events: tuple[CloudEvent, ...]) -> tuple[Counter[str], int]:
    known = fleet.ledger.events.known([(one.source, one.id) for one in events], prolong=False)
    fresh = Counter(one.type for one, is_known in zip(events, known, strict=True) if not is_known)
    return fresh, sum(known)
