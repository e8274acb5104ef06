"""Messages that were set aside are listed, explained, tried again or thrown away, each with a name and a reason."""

import json as codec
from typing import Annotated, Any

import typer

from config.logs import redactor_of
from config.redact import Redactor
from console import context
from console.output import FAILED, NOTHING, AsJson, as_json, facts, leave, nothing, say, shown, table, text
from ledger import Letter, LetterFilter, LetterState
from purser.errors import Mistake
from workers.replay import Replayed, Status, replay

group = typer.Typer(help="Dead letters: what could not be done.", no_args_is_help=True)
Note = Annotated[str, typer.Option(help="Why, for the audit trail.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@group.command("list")
def list_(
    task: Annotated[str | None, typer.Option(help="Only this task, such as purser.apply.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only from this queue.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only set aside for this reason.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Only those that failed alike: see `dead groups`.")] = None,
    since: Annotated[str, typer.Option(help="Only set aside since then: 30m, 24h, 7d or 2026-01-31T18:00Z.")] = "",
    state: Annotated[LetterState, typer.Option(help="Where they are in their life.")] = LetterState.DEAD,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    json: AsJson = False,
) -> None:
    """List the dead letters, without what they carry."""
    given = {"task": task, "queue": queue, "reason": reason, "fingerprint": fingerprint, "since": since}
    wanted = LetterFilter.read({"state": state, **{name: value or "" for name, value in given.items()}})
    with context.ledger() as ledger:
        page = ledger.letters.page(wanted, limit=limit)
        count = ledger.letters.count(LetterFilter(state=state))
    told = [_label(letter) for letter in page.items]
    if json:
        as_json(told)
    else:
        columns = ("id", "stored_at", "task", "queue", "reason", "error", "attempts", "replays", "fingerprint")
        table(columns, ([one[column] for column in columns] for one in told), right={"attempts", "replays"})
    if page.next is not None:
        say(f"{len(told)} of {count} {state} letters; --limit shows more, filters show fewer")
    if not told and any(given.values()):
        nothing("no dead letter matches")


@group.command()
def groups(json: AsJson = False) -> None:
    """List the dead letters by what went wrong: one fault to fix, however many messages met it."""
    told = context.settings("ledger")
    with context.ledger() as ledger:
        found = ledger.letters.groups()
    clean = redactor_of(told)
    rows = [
        (g.fingerprint, g.count, g.task, g.error, clean.text(g.message), g.first, g.last, g.sample) for g in found
    ]
    columns = ("fingerprint", "count", "task", "error", "message", "first", "last", "sample")
    if json:
        as_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        table(columns, rows, right={"count"})


@group.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id of a letter.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Show one letter with its history and what it carries. Secrets and personal data are left out."""
    clean = redactor_of(context.settings("ledger"))
    with context.ledger() as ledger:
        letter = ledger.letters.get(id_)
    if letter is None:
        nothing(f"no letter has the id {id_}")
    told = _opened(letter, clean)
    if json:
        as_json(told)
        return
    long = ("headers", "properties", "attempts", "body", "traceback")
    facts((name, value) for name, value in told.items() if name not in long)
    for attempt in told["attempts"]:
        text(f"  {shown(attempt['at'])}  {attempt['error']}")
    for name in ("headers", "properties", "body"):
        value = told[name]
        text(f"\n{name}\n{value if isinstance(value, str) else codec.dumps(value, indent=2, ensure_ascii=False)}")
    if told["traceback"]:
        text(f"\n{told['traceback']}")


@group.command("replay")
def replay_(
    note: Note,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[IDS]...", help="The ids of letters.")] = None,
    fingerprint: Annotated[str | None, typer.Option("--group", help="All that failed alike.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Put letters back on their queues, to be tried with today's code. One that fails again is the same letter."""
    context.why(note)
    if [bool(ids), fingerprint is not None, all_].count(True) != 1:
        raise Mistake("say which letters: IDS, --group FINGERPRINT or --all")
    with context.fleet() as fleet:
        chosen = ids or list(fleet.ledger.letters.ids(LetterFilter(fingerprint=fingerprint or "")))
        if not chosen:
            nothing("no dead letter matches")
        results = replay(fleet, chosen, who=context.who(), note=note, dry_run=dry_run)
    _tell(results, json=json)


@group.command()
def discard(
    note: Note,
    ids: Annotated[list[str], typer.Argument(metavar="IDS...", help="The ids of letters.", show_default=False)],
    dry_run: DryRun = False,
) -> None:
    """Settle letters for good. Their bytes stay in the ledger."""
    context.why(note)
    with context.ledger() as ledger:
        if dry_run:
            found = (ledger.letters.get(one) for one in ids)
            gone: tuple[str, ...] = tuple(
                one.id for one in found if one is not None and one.state is LetterState.DEAD
            )
        else:
            gone = ledger.letters.discard(ids, who=context.who(), note=note)
    for one in gone:
        text(f"{'would discard' if dry_run else 'discarded'} {one}")
    left = [one for one in ids if one not in gone]
    for one in left:
        say(f"{one} is no dead letter: it does not exist, or was replayed, discarded or superseded already")
    if left:
        leave(FAILED if gone else NOTHING)


def _tell(results: list[Replayed], *, json: bool) -> None:
    if json:
        as_json(results)
    else:
        table(("id", "status", "task", "queue"), ((one.id, one.status, one.task, one.queue) for one in results))
    well = [one for one in results if one.status in (Status.REPLAYED, Status.WOULD_REPLAY)]
    if not well and all(one.status is Status.NOT_DEAD for one in results):
        nothing("none of these is a dead letter")
    if len(well) < len(results):
        say(f"{len(results) - len(well)} of {len(results)} were left as they are")
        leave(FAILED)


def _label(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "stored_at": letter.stored_at,
        "first_at": letter.first_at,
        "task": letter.task,
        "queue": letter.queue,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": len(letter.attempts),
        "replays": letter.replays,
        "fingerprint": letter.fingerprint,
        "state": letter.state,
    }


def _opened(letter: Letter, clean: Redactor) -> dict[str, Any]:
    return {
        **_label(letter),
        "correlation_id": letter.correlation_id,
        "causation_id": letter.causation_id,
        "message": clean.text(letter.message),
        "covers": letter.covers,
        "slot": letter.slot,
        "settled": letter.settled,
        "attempts": [{"at": one.at, "error": clean.text(one.error)} for one in letter.attempts],
        "headers": clean.value(letter.headers),
        "properties": clean.value(letter.properties),
        "content_type": letter.content_type,
        "content_encoding": letter.content_encoding,
        "body": _body(letter, clean),
        "traceback": clean.text(letter.traceback),
    }


def _body(letter: Letter, clean: Redactor) -> Any:
    """Give what a letter carries, as far as it can be read."""
    words = letter.body.decode("utf-8", "backslashreplace")
    try:
        return clean.value(codec.loads(words))
    except (ValueError, RecursionError):
        return clean.text(words)
