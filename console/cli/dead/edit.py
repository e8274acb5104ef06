"""What a dead letter carries is mended in an editor or from a file, checked, kept as a patch, and can be undone."""

import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from console import command_context
from console.cli.dead.selection import DryRun, Note
from console.cli.events import load
from console.output import FAILED, AsJson, as_json, count, exit_with, nothing, print_error, text
from purser.errors import ConfigurationError
from store import DeadLetter
from workers.dead_letters import letter_edit
from workers.dead_letters.letter_edit import EditResult, EditStatus

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a letter.", show_default=False)]


def edit(
    id_: Id,
    note: Note,
    file: Annotated[
        Path | None,
        typer.Option(help="The new values as JSON, - reads stdin; without it $EDITOR opens the present ones."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last edit instead.")] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Let the edit count that waits for a second person.")
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Drop the edit that waits for a second person.")
    ] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Change what a dead letter carries; `dead replay ID` sends it. The first bytes stay, and every edit is kept."""
    command_context.note_text(note)
    if [file is not None, undo, approve, withdraw].count(True) > 1:
        raise ConfigurationError("say one of --file, --undo, --approve and --withdraw")
    who = command_context.actor_name()
    with command_context.worker_context() as fleet:
        letter = fleet.ledger.letters.get(id_)
        if letter is None:
            nothing(f"no letter has the id {id_}")
        if withdraw:
            if dry_run or fleet.ledger.letters.withdraw(id_, who=who, note=note):
                text(f"{id_}: the proposed edit {'would be' if dry_run else 'is'} withdrawn")
                return
            nothing("no edit waits here")
        if dry_run and (approve or undo):
            raise ConfigurationError("--dry-run tries an edit; this one can be seen with `purser dead show`")
        if approve:
            done = letter_edit.approve(fleet, id_, who=who, note=note, seen=letter.proposal)
        elif undo:
            done = letter_edit.revert(fleet, id_, expects=len(letter.edits), who=who, note=note)
        else:
            body = _body(letter, _written(letter, file))
            if dry_run:
                problems = letter_edit.check(fleet, letter, body)
                _say_all(problems or ("it fits: it could be edited so",))
                exit_with(FAILED if problems else 0)
            done = letter_edit.edit(fleet, id_, body, expects=len(letter.edits), who=who, note=note)
    _tell(id_, done, json=json)


def _written(letter: DeadLetter, file: Path | None) -> str:
    """Return the new values as the person wrote them."""
    if file is not None:
        return load(file)
    if not sys.stdin.isatty():
        raise ConfigurationError("no terminal here: name a file with the new values, --file FILE or --file -")
    written = click.edit(letter_edit.text_of(letter), extension=".json")
    if written is None:
        nothing("nothing was saved, so nothing is changed")
    return written


def _body(letter: DeadLetter, written: str) -> bytes:
    try:
        return letter_edit.body_with(letter, written)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the new values are no JSON object: {error}") from None


def _tell(id_: str, done: EditResult, *, json: bool) -> None:
    well = done.ending in (EditStatus.DONE, EditStatus.PROPOSED)
    if json:
        as_json({"id": id_, "ending": done.ending, "problems": done.problems, "stake": done.stake})
    elif done.ending is EditStatus.DONE and done.letter is not None:
        text(f"{id_}: edited, {count(len(done.letter.edits), 'edit')} in all; `purser dead replay {id_}` sends it")
    elif done.ending is EditStatus.PROPOSED:
        text(f"{id_}: what is at stake is above the limit or unknown, so a second person must approve:")
        text(f"purser dead edit {id_} --approve --note ...")
    _say_all(done.problems)
    if not well:
        exit_with(FAILED)


def _say_all(words: tuple[str, ...]) -> None:
    for one in words:
        print_error(one)
