"""Messages that wait to be tried again are listed, sent at once or taken off, each with a name and a reason."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from config.observability.logging import redactor_of
from config.observability.redaction import Redactor
from console import command_context
from console.output import FAILED, AsJson, as_json, exit_with, nothing, print_error, table
from purser.errors import ConfigurationError
from store import DelayedMessage, DelayKind, Ledger
from workers.dead_letters.capture import cancel as cancel_all

group = typer.Typer(help="Messages that wait to be tried again.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(metavar="[IDS]...", help="The ids of messages.")]
Task = Annotated[str | None, typer.Option(help="Only this task, such as purser.apply.")]
Queue = Annotated[str | None, typer.Option(help="Only what goes to this queue.")]
OfKind = Annotated[
    DelayKind | None, typer.Option(help="Only what failed and is tried again (retry), or is held back (snooze).")
]
All = Annotated[bool, typer.Option("--all", help="All that wait.")]
Note = Annotated[str, typer.Option(help="Why, for the audit trail.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

_PAGE = 500


@group.command("list")
def list_(
    task: Task = None,
    queue: Queue = None,
    kind: OfKind = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the earliest due first.")] = 50,
    json: AsJson = False,
) -> None:
    """List what waits, without what it carries: why, since when, and when it is tried again."""
    clean = redactor_of(command_context.settings("ledger"))
    with command_context.ledger() as ledger:
        page = ledger.delayed.page(task=task, queue=queue, kind=kind, limit=limit)
        count = ledger.delayed.count()
    told = [_told(entry, clean) for entry in page.items]
    if json:
        as_json(told)
    else:
        now = dt.datetime.now(dt.UTC)
        columns = ("due in", "kind", "task", "label", "attempt", "why", "parked since", "queue", "id")
        table(columns, (_row(one, now) for one in told), right={"due in", "attempt"})
    if page.next is not None:
        print_error(f"{len(told)} of {count} delayed messages; --limit shows more, filters show fewer")
    if not told and (task or queue or kind):
        nothing("no delayed message matches")


@group.command()
def cancel(
    note: Note,
    ids: Ids = None,
    task: Task = None,
    queue: Queue = None,
    kind: OfKind = None,
    all_: All = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Take messages off for good. Their bytes stay in the ledger, as discarded letters."""
    command_context.note_text(note)
    with command_context.ledger() as ledger:
        chosen = _chosen(ledger, ids, task=task, queue=queue, kind=kind, all_=all_)
        changed = (
            chosen.there if dry_run else cancel_all(ledger, chosen.there, who=command_context.actor_name(), note=note)
        )
    _tell(chosen, changed, "would be cancelled" if dry_run else "cancelled", json=json)


@group.command()
def now(
    note: Note,
    ids: Ids = None,
    task: Task = None,
    queue: Queue = None,
    kind: OfKind = None,
    all_: All = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Let messages be tried at once. What still holds them back (a pause, an open breaker) holds them back again."""
    command_context.note_text(note)
    with command_context.ledger() as ledger:
        chosen = _chosen(ledger, ids, task=task, queue=queue, kind=kind, all_=all_)
        waiting = [id_ for id_ in chosen.there if chosen.found[id_].due > dt.datetime.now(dt.UTC)]
        changed = waiting if dry_run else ledger.delayed.now(waiting, who=command_context.actor_name(), note=note)
    _tell(chosen, changed, "would be due now" if dry_run else "due now", json=json)


@dataclass(frozen=True, slots=True)
class DelayedSelection:
    """The messages that were asked for, and those of them that wait."""

    ids: tuple[str, ...]
    found: dict[str, DelayedMessage]

    @property
    def there(self) -> list[str]:
        return list(self.found)


def _chosen(
    ledger: Ledger, ids: list[str] | None, *, task: str | None, queue: str | None, kind: DelayKind | None, all_: bool
) -> DelayedSelection:
    has_filter = any(one is not None for one in (task, queue, kind))
    if [bool(ids), has_filter, all_].count(True) != 1:
        raise ConfigurationError("say which messages: IDS, a filter (--task, --queue, --kind) or --all")
    if ids:
        named = ((id_, ledger.delayed.get(id_)) for id_ in dict.fromkeys(ids))
        found = {id_: replace(entry, payload=b"") for id_, entry in named if entry is not None}
        return DelayedSelection(tuple(dict.fromkeys(ids)), found)
    found = {entry.id: entry for entry in _every(ledger, task=task, queue=queue, kind=kind)}
    if not found:
        nothing("no delayed message matches")
    return DelayedSelection(tuple(found), found)


def _every(ledger: Ledger, **wanted: Any) -> Iterator[DelayedMessage]:
    """Walk all that wait. They are read before any is changed, so that none is met twice."""
    after = None
    while True:
        page = ledger.delayed.page(after=after, limit=_PAGE, **wanted)
        yield from page.items
        if page.next is None:
            return
        after = page.next


def _tell(chosen: DelayedSelection, changed: Sequence[str], done: str, *, json: bool) -> None:
    well = frozenset(changed)
    rows = []
    for id_ in chosen.ids:
        entry = chosen.found.get(id_)
        status = done if id_ in well else "left as it is"
        rows.append({"id": id_, "status": status, "task": entry and entry.task, "queue": entry and entry.queue})
    if json:
        as_json(rows)
    else:
        table(("id", "status", "task", "queue"), ([*one.values()] for one in rows))
    if not well:
        nothing("none of these waits: they are gone, or due already")
    if len(well) < len(rows):
        print_error(f"{len(rows) - len(well)} of {len(rows)} were left as they are: they are gone, or due already")
        exit_with(FAILED)


def _told(entry: DelayedMessage, clean: Redactor) -> dict[str, Any]:
    return {
        "id": entry.id,
        "queue": entry.queue,
        "task": entry.task,
        "label": clean.text(entry.label),
        "kind": entry.kind,
        "why": clean.text(entry.why),
        "due": entry.due,
        "attempt": entry.attempt,
        "parked_at": entry.parked_at,
    }


def _row(one: dict[str, Any], now: dt.datetime) -> list[Any]:
    columns = ("kind", "task", "label", "attempt", "why", "parked_at", "queue", "id")
    return [_span(one["due"] - now), *(one[column] for column in columns)]


def _span(left: dt.timedelta) -> str:
    """Return how long it is until then, in the two largest units."""
    seconds = round(left.total_seconds())
    if seconds <= 0:
        return "now"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")) if n]
    return " ".join(parts[:2])
