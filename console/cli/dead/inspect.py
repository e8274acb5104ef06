"""What was set aside is listed and explained, without secrets and personal data."""

import json as codec
from typing import Annotated, Any

import typer

from config.observability.logging import redactor_of
from config.observability.redaction import Redactor
from console import command_context
from console.cli.dead.selection import chosen_by_words, in_state
from console.output import AsJson, as_json, facts, format_value, nothing, print_error, table, text
from purser.formats.strict_json import write_json
from store import DeadLetter, DeadLetterFilter, DeadLetterState, Edit, Ledger

State = Annotated[DeadLetterState, typer.Option(help="Where they are in their life.")]


@chosen_by_words
def list_(
    wanted: DeadLetterFilter,
    state: State = DeadLetterState.DEAD,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    after: Annotated[str, typer.Option(help="Go on after this place, which the page before gave.")] = "",
    json: AsJson = False,
) -> None:
    """List the dead letters, without what they carry."""
    with command_context.ledger() as ledger:
        found, following = _some(ledger, in_state(wanted, state), limit, after or None)
        count = ledger.letters.count(DeadLetterFilter(state=state))
    told = [_label(letter) for letter in found]
    if json:
        as_json(told)
    else:
        columns = ("id", "stored_at", "task", "queue", "reason", "error", "attempts", "replays", "fingerprint")
        table(columns, ([one[column] for column in columns] for one in told), right={"attempts", "replays"})
    if following is not None:
        print_error(
            f"{len(told)} of {count} {state} letters; filters show fewer, --limit more, --after {following} the next"
        )
    if not told and wanted.words():
        nothing("no dead letter matches")


def _some(
    ledger: Ledger, wanted: DeadLetterFilter, limit: int, after: str | None
) -> tuple[list[DeadLetter], str | None]:
    """Read letters until there are enough: a page that looks into payloads may end before it is full."""
    found: list[DeadLetter] = []
    while True:
        page = ledger.letters.page(wanted, limit=limit - len(found), after=after)
        found += page.items
        after = page.next
        if after is None or len(found) >= limit:
            return found, after


@chosen_by_words
def groups(wanted: DeadLetterFilter, state: State = DeadLetterState.DEAD, json: AsJson = False) -> None:
    """List the dead letters by what went wrong: one fault to fix, however many messages met it."""
    told = command_context.settings("ledger")
    with command_context.ledger() as ledger:
        found = ledger.letters.groups(in_state(wanted, state))
    clean = redactor_of(told)
    rows = [
        (g.fingerprint, g.count, g.task, g.error, clean.text(g.message), g.first, g.last, g.sample, g.trend)
        for g in found
    ]
    columns = ("fingerprint", "count", "task", "error", "message", "first", "last", "sample")
    if json:
        as_json([dict(zip((*columns, "trend"), row, strict=True)) for row in rows])
    else:
        table((*columns, "last 24 h"), ([*row[:-1], _spark(row[-1])] for row in rows), right={"count"})


_BARS = " ▁▂▃▄▅▆▇█"


def _spark(trend: tuple[int, ...]) -> str:
    """Draw how many came in each hour."""
    most = max(trend, default=0) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in trend)


def graves(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the latest first.")] = 100,
    json: AsJson = False,
) -> None:
    """List what retention has buried: how many settled letters of each kind, on which day. Dead ones are kept."""
    with command_context.ledger() as ledger:
        found = ledger.letters.graves(limit)
    if json:
        as_json(found)
    else:
        columns = ("day", "count", "state", "task", "reason", "error", "first", "last", "fingerprint")
        table(columns, ([getattr(one, column) for column in columns] for one in found), right={"count"})


def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id of a letter.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Show one letter with its history and what it carries. Secrets and personal data are left out."""
    clean = redactor_of(command_context.settings("ledger"))
    with command_context.ledger() as ledger:
        letter = ledger.letters.get(id_)
    if letter is None:
        nothing(f"no letter has the id {id_}")
    told = _opened(letter, clean)
    if json:
        as_json(told)
        return
    long = ("headers", "properties", "attempts", "edits", "proposal", "body", "traceback")
    facts((name, value) for name, value in told.items() if name not in long)
    for attempt in told["attempts"]:
        text(f"  {format_value(attempt['at'])}  {attempt['error']}")
    for edit in told["edits"]:
        text(f"  {format_value(edit['at'])}  edited by {edit['who']}: {edit['note']}")
    if told["proposal"]:
        text(f"  an edit of {told['proposal']['who']} waits for a second person: {told['proposal']['note']}")
    for name in ("headers", "properties", "body"):
        value = told[name]
        text(f"\n{name}\n{value if isinstance(value, str) else write_json(value, indent=2, ensure_ascii=False)}")
    if told["traceback"]:
        text(f"\n{told['traceback']}")


def _label(letter: DeadLetter) -> dict[str, Any]:
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


def _opened(letter: DeadLetter, clean: Redactor) -> dict[str, Any]:
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
        "subjects": letter.subjects,
        "edits": [_edit(one, clean) for one in letter.edits],
        "proposal": None if letter.proposal is None else _edit(letter.proposal, clean),
    }


def _edit(edit: Edit, clean: Redactor) -> dict[str, Any]:
    changed = [
        {
            "path": one.path,
            "before": clean.entry(_last(one.path), one.before),
            "after": clean.entry(_last(one.path), one.after),
        }
        for one in edit.patch
    ]
    return {"at": edit.at, "who": edit.who, "note": clean.text(edit.note), "patch": changed}


def _last(pointer: str) -> str:
    """Return the name a JSON pointer ends with."""
    return pointer.rpartition("/")[2]


def _body(letter: DeadLetter, clean: Redactor) -> Any:
    """Return what a letter carries, as far as it can be read."""
    words = letter.body.decode("utf-8", "backslashreplace")
    try:
        return clean.value(codec.loads(words))
    except (ValueError, RecursionError):
        return clean.text(words)
