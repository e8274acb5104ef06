"""Letters travel between ledgers as JSON Lines, complete: one that was imported elsewhere replays there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from console import command_context
from console.cli.dead.inspect import State
from console.cli.dead.selection import DryRun, Note, ToUnreadQueue, chosen_by_words, in_state
from console.output import FAILED, count, exit_with, print_error, progress
from purser.errors import ConfigurationError
from purser.formats.strict_json import InvalidJson, read_json, write_json
from store import DeadLetterFilter, DeadLetterState
from workers.broker.queue_readers import QueueReaders, what_to_do


@chosen_by_words
def export(
    wanted: DeadLetterFilter,
    state: State = DeadLetterState.DEAD,
    file: Annotated[Path | None, typer.Option(help="Where to; without it stdout.")] = None,
) -> None:
    """Write letters as JSON Lines, complete, with the secrets they carry: keep the file as you keep Odoo's data."""
    with command_context.ledger() as ledger, _to(file) as out:
        chosen = in_state(wanted, state)
        written = 0
        with progress("written", ledger.letters.count(chosen)) as reached:
            for told in ledger.letters.export(chosen):
                out.write(write_json(told) + "\n")
                written += 1
                reached(written)
    print_error(f"{count(written, 'letter')} written")


def import_(
    file: Annotated[
        Path, typer.Argument(help="JSON Lines as `dead export` writes them; - reads stdin.", show_default=False)
    ],
    note: Note,
    to_unread_queue: ToUnreadQueue = False,
    dry_run: DryRun = False,
) -> None:
    """Keep exported letters here as they were. One that is known here, or waits delayed, stays as it is.

    One of a queue that no worker reads is refused: it could not be replayed here.
    """
    command_context.note_text(note)
    kept = known = 0
    problems: list[str] = []
    with command_context.ledger() as ledger:
        readers = None if to_unread_queue else QueueReaders.now(ledger)
        for number, told in _lines(file, problems):
            queue = str(told.get("queue") or "")
            if readers is not None and queue and (unread := readers.problem(queue)):
                problems.append(f"line {number}: {unread}. {what_to_do('import with --to-unread-queue')}")
                continue
            try:
                is_new = ledger.letters.get(str(told.get("id"))) is None if dry_run else ledger.letters.put(told)
            except ConfigurationError as error:
                problems.append(f"line {number}: {error}")
                continue
            kept, known = kept + is_new, known + (not is_new)
        if not dry_run and kept:
            what = f"{count(kept, 'letter')} from {file.name}"
            ledger.audit.append(who=command_context.actor_name(), action="dead.import", what=what, note=note)
    print_error(f"{count(kept, 'letter')} {'would be kept' if dry_run else 'kept'}, {known} known already")
    for problem in problems:
        print_error(problem)
    if problems:
        exit_with(FAILED)


def _lines(file: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_from(file), start=1):
        if not line.strip():
            continue
        try:
            told = read_json(line, halves=True)
        except InvalidJson as error:
            problems.append(f"line {number}: not JSON: {error}")
            continue
        if isinstance(told, dict):
            yield number, told
        else:
            problems.append(f"line {number}: not a JSON object")


def _from(file: Path) -> Iterator[str]:
    if str(file) == "-":
        yield from sys.stdin
        return
    with _named(file, "read"), file.open(encoding="utf-8") as lines:
        yield from lines


@contextmanager
def _to(file: Path | None) -> Iterator[TextIO]:
    """Open what is written to, for nobody else to read; one that is there is left alone."""
    if file is None:
        yield sys.stdout
        return
    with _named(file, "written"):
        file.touch(mode=0o600, exist_ok=False)
        with file.open("w", encoding="utf-8") as out:
            yield out


@contextmanager
def _named(file: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{file} cannot be {what}: {reason}") from None
