"""People see what is watched in Odoo and how far the feed has come, and have history told."""

import datetime as dt
from collections import Counter
from typing import Annotated, Any

import typer

from config.policy.loader import WatchPolicy
from console import command_context
from console.output import FAILED, AsJson, as_json, count, exit_with, print_error, progress, table, text
from purser.errors import ConfigurationError
from store import FeedCursor
from workers.changes import backfill as filling
from workers.changes.detect import feed_name

DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would be told, and send nothing.")]


def watches(
    json: AsJson = False,
    lag: Annotated[bool, typer.Option("--lag/--no-lag", help="Ask the ledger how far each feed has come.")] = True,
) -> None:
    """List what is watched in Odoo, how often, and how far behind its feed is."""
    policies = command_context.policies()
    cursors: dict[str, FeedCursor] = {}
    now = None
    if lag:
        with command_context.ledger() as ledger:
            cursors = {cursor.name: cursor for cursor in ledger.cursors.all()}
            now = ledger.now()
    told = [_watch(policy, cursors.get(feed_name(name)), now) for name, policy in policies.watches.items()]
    unfinished = [_unfinished(cursor) for name, cursor in cursors.items() if name.startswith("backfill/")]
    if json:
        as_json({"watches": told, "backfills": unfinished})
        return
    columns = ("watch", "model", "tells", "every", "asked until", "behind", "told")
    table(columns, ([_shown(one, column) for column in columns] for one in told), right={"told"})
    for one in told:
        if one["lacks"]:
            print_error(f"{one['watch']}: not applicable: {one['lacks']}")
    for one in unfinished:
        print_error(
            f"unfinished: {one['backfill']}, {one['looked']} records looked at. The same command goes on with it"
        )


def backfill(
    watch: Annotated[str, typer.Argument(help="A watch, such as opportunities.", show_default=False)],
    since: Annotated[str, typer.Option(help="From when on, such as 2026-01-31.", show_default=False)],
    until: Annotated[str, typer.Option(help="Until before when; left out, until now.")] = "",
    rate: Annotated[float, typer.Option(min=0.1, help="Facts a second at most.")] = 50.0,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Tell what happened in Odoo in a range of time, as the feed would have; what was accepted lately is not sent.

    Killed or stopped, the same command goes on where it stood.
    """
    policy = command_context.policies().watch(watch)
    begin, end = _moment("--since", since), _moment("--until", until) if until else None
    opened = command_context.read_only_context("ledger") if dry_run else command_context.worker_context("odoo")
    with opened as fleet:
        fill = filling.checked(policy, since=begin, until=end, now=fleet.now())
        records = filling.total(fleet, fill)
        if not dry_run:
            fleet.check_home()
            facts = {"since": begin, "until": end, "records": records}
            fleet.ledger.audit.append(
                who=command_context.actor_name(), action="events.backfill", what=watch, note=note, facts=facts
            )
        last = filling.BackfillProgress()
        with progress(f"{watch}: records", records) as reached:
            for last in filling.run(fleet, fill, dry_run=dry_run, rate=rate):
                reached(last.looked)
    _tell(watch, last, dry_run=dry_run, json=json)
    if last.spoiled:
        exit_with(FAILED)


def _tell(watch: str, end: filling.BackfillProgress, *, dry_run: bool, json: bool) -> None:
    if json:
        as_json(
            {
                "watch": watch,
                "dry_run": dry_run,
                "resumed": end.resumed,
                "looked": end.looked,
                "sent": dict(end.sent),
                "known": end.known,
                "spoiled": [str(ref) for ref in end.spoiled],
            }
        )
        return
    said = counted(end.sent, "would be sent" if dry_run else "sent")
    went_on = ", going on where it stood" if end.resumed else ""
    text(f"{watch}: {count(end.looked, 'record')} looked at{went_on}; {said}; {end.known} accepted before")
    for ref in end.spoiled:
        print_error(f"{ref} could not be judged")


def counted(sent: Counter[str], word: str) -> str:
    """Return how many facts there were, by type."""
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(sent.items()))
    return f"{sent.total()} {word}" + (f" ({kinds})" if kinds else "")


def _watch(policy: WatchPolicy, cursor: FeedCursor | None, now: dt.datetime | None) -> dict[str, Any]:
    watch = policy.watch
    never = cursor is None or (cursor.done == cursor.started and not cursor.looked)
    return {
        "watch": watch.name,
        "says": watch.rule,
        "model": watch.model,
        "by": watch.by,
        "tells": [fact.type for fact in watch.tells],
        "enabled": policy.enabled,
        "every": str(policy.every) if policy.enabled else "off",
        "started": cursor.started if cursor else None,
        "asked until": cursor.done if cursor else None,
        "behind": None if cursor is None or now is None or never else now - cursor.done,
        "looked": cursor.looked if cursor else 0,
        "told": cursor.told if cursor else 0,
        "lacks": cursor.lacks if cursor else "",
    }


def _shown(one: dict[str, Any], column: str) -> Any:
    value = one[column]
    if column == "behind":
        return "not applicable" if one["lacks"] else None if value is None else f"{value.total_seconds():.0f} s"
    return value


def _unfinished(cursor: FeedCursor) -> dict[str, Any]:
    return {"backfill": cursor.name, "after": cursor.after, "looked": cursor.looked, "told": cursor.told}


def _moment(option: str, said: str) -> dt.datetime:
    """Read a day or a moment; without a zone it is meant in UTC, as Odoo keeps it."""
    try:
        moment = dt.datetime.fromisoformat(said.upper())
    except ValueError:
        raise ConfigurationError(f"{option} {said!r} is no moment: write 2026-01-31 or 2026-01-31T18:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
