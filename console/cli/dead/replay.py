"""Letters go back to be tried with today's code: a few at once, many slowly, a canary first."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from console import command_context
from console.cli.dead.selection import (
    All,
    DryRun,
    Ids,
    Note,
    ToUnreadQueue,
    Yes,
    choose,
    chosen_by_words,
    require_one_selection,
)
from console.output import (
    FAILED,
    AsJson,
    as_json,
    confirm,
    count,
    exit_with,
    facts,
    nothing,
    print_error,
    progress,
    table,
    text,
)
from purser.errors import ConfigurationError
from store import DeadLetterFilter, Ledger, Replay, ReplayState
from workers.broker.queue_readers import QueueReaders, what_to_do
from workers.dead_letters import replay_runner
from workers.dead_letters.replay_one import ReplayedLetter, ReplayStatus, is_message
from workers.dead_letters.replay_one import replay as send_at_once

group = typer.Typer(help="Replays of many letters: how far they are.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a replay.", show_default=False)]

_LOOK_EVERY = 0.5
_ANYWAY = "replay with --to-unread-queue"
_ON_ITS_WAY = (ReplayState.RUNNING, ReplayState.PAUSED)


@chosen_by_words
def replay(
    note: Note,
    wanted: DeadLetterFilter,
    ids: Ids = None,
    all_: All = False,
    rate: Annotated[float, typer.Option(min=0.1, max=500, help="Letters per second.")] = 10.0,
    at_once: Annotated[bool, typer.Option("--at-once", help="No canary and no sample before the rest.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait for the end: print the replay's id.")
    ] = False,
    to_unread_queue: ToUnreadQueue = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Put letters back on their queues, to be tried with today's code. One that fails again is the same letter.

    Letters named by id go back at once. Those a filter chooses are sent by the workers: one first, then 5 %, then the
    rest, at a rate, and no more when one fails as before.
    """
    command_context.note_text(note)
    require_one_selection(ids, wanted, all_)
    with command_context.worker_context() as fleet:
        chosen = choose(fleet.ledger, ids, wanted)
        if ids or dry_run:
            results = send_at_once(
                fleet,
                chosen,
                who=command_context.actor_name(),
                note=note,
                dry_run=dry_run,
                to_unread_queue=to_unread_queue,
            )
            _tell(results, json=json)
            return
        _check_readable(fleet.ledger, chosen)
        if not to_unread_queue:
            _check_readers(fleet.ledger, chosen)
        confirm(f"Replay {count(len(chosen), 'letter')}?", unless=yes)
        what = " ".join(f"{name}={value}" for name, value in wanted.words().items()) or "all dead letters"
        begun = replay_runner.start(
            fleet,
            chosen,
            who=command_context.actor_name(),
            note=note,
            what=what,
            rate=rate,
            careful=not at_once,
            to_unread_queue=to_unread_queue,
        )
        if no_wait:
            as_json(begun) if json else text(begun.id)
            return
        ended = _follow(fleet.ledger.replays.get, begun)
    _end(ended, json=json)


def _check_readable(ledger: Ledger, chosen: Sequence[str]) -> None:
    """End the command where none of the letters is a task message: it would bring all of them back as they are."""
    reason = ""
    for id_ in chosen:
        letter = ledger.letters.get(id_)
        if letter is not None and is_message(letter):
            return
        reason = reason or (letter.message if letter is not None else "")
    which = "this letter" if len(chosen) == 1 else f"any of the {len(chosen):,} letters"
    why = f" (the first: {reason})" if reason else ""
    print_error(
        f"nothing to replay: no worker can read {which}{why}. Find out who sends them, then `purser dead discard`"
    )
    exit_with(FAILED)


def _check_readers(ledger: Ledger, chosen: Sequence[str]) -> None:
    """End the command where no worker reads the queue of some letter, before anything is confirmed or sent."""
    problem = QueueReaders.now(ledger).problem_with(ledger, chosen)
    if problem:
        print_error(f"nothing was replayed: {problem}. {what_to_do(_ANYWAY)}")
        exit_with(FAILED)


def _follow(look: Any, begun: Replay) -> Replay:
    """Wait until a replay has ended or stopped. Ctrl-C ends the waiting, not the replay."""
    print_error(f"replay {begun.id}: {count(begun.total, 'letter')}; Ctrl-C ends this command and not the replay")
    now, told = begun, ""
    try:
        with progress("ended", begun.total) as reached:
            while now.state in _ON_ITS_WAY:
                time.sleep(_LOOK_EVERY)
                now = look(begun.id) or now
                reached(now.done + now.refused + now.failed + now.skipped)
                if now.why != told:
                    told = now.why
                    if told:
                        print_error(f"  {now.stage}: {told}")
    except KeyboardInterrupt:
        print_error(f"it goes on: `purser dead replays show {begun.id}`, or pause, resume, cancel")
        raise typer.Exit(FAILED) from None
    return now


def _end(ended: Replay, *, json: bool) -> None:
    if json:
        as_json(ended)
    else:
        facts(_facts(ended))
    if ended.state is not ReplayState.DONE or ended.failed:
        exit_with(FAILED)


def _tell(results: list[ReplayedLetter], *, json: bool) -> None:
    if json:
        as_json(results)
    else:
        table(("id", "status", "task", "queue"), ((one.id, one.status, one.task, one.queue) for one in results))
    well = [one for one in results if one.status in (ReplayStatus.REPLAYED, ReplayStatus.WOULD_REPLAY)]
    if not well and all(one.status is ReplayStatus.NOT_DEAD for one in results):
        nothing("none of these is a dead letter")
    unread = {one.queue: one.why for one in results if one.status is ReplayStatus.UNREAD}
    for why in unread.values():
        print_error(f"{why}. {what_to_do(_ANYWAY)}")
    if len(well) < len(results):
        print_error(f"{len(results) - len(well)} of {len(results)} were left as they are")
        exit_with(FAILED)


# ---------------------------------------------------------------------------------- replays --


@group.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    json: AsJson = False,
) -> None:
    """List the replays, the newest first."""
    with command_context.ledger() as ledger:
        found = ledger.replays.page(limit=limit).items
    if json:
        as_json(found)
        return
    columns = (
        "id",
        "created",
        "who",
        "state",
        "stage",
        "total",
        "done",
        "refused",
        "failed",
        "waiting",
        "why",
        "what",
    )
    numbers = {"total", "done", "refused", "failed", "waiting"}
    table(columns, ([getattr(one, column) for column in columns] for one in found), right=numbers)


@group.command()
def show(
    id_: Id,
    follow: Annotated[bool, typer.Option("--follow", help="Stay until it has ended.")] = False,
    json: AsJson = False,
) -> None:
    """Show how far a replay is."""
    with command_context.ledger() as ledger:
        found = ledger.replays.get(id_)
        if found is None:
            nothing(f"no replay has the id {id_}")
        if follow:
            found = _follow(ledger.replays.get, found)
    if json:
        as_json(found)
    else:
        facts(_facts(found))


@group.command()
def pause(id_: Id, note: Note) -> None:
    """Send no more of a replay's letters for now."""
    _act("pause", "paused", id_, note)


@group.command()
def resume(id_: Id, note: Note) -> None:
    """Go on with a replay that was paused or has stopped by itself. What failed is left alone."""
    _act("resume", "goes on", id_, note)


@group.command()
def cancel(id_: Id, note: Note) -> None:
    """End a replay: what was not sent stays dead."""
    _act("cancel", "cancelled", id_, note)


def _act(act: str, done: str, id_: str, note: str) -> None:
    command_context.note_text(note)
    with command_context.ledger() as ledger:
        if ledger.replays.get(id_) is None:
            nothing(f"no replay has the id {id_}")
        if not getattr(ledger.replays, act)(id_, who=command_context.actor_name(), note=note):
            now = ledger.replays.get(id_)
            raise ConfigurationError(f"{id_} is {now.state if now else 'gone'}: it cannot {act}")
    text(f"{id_}: {done}")


def _facts(one: Replay) -> list[tuple[str, Any]]:
    names = ("id", "state", "why", "stage", "what", "who", "note", "created", "ended", "rate", "total")
    counts = ("sent", "done", "refused", "failed", "waiting", "skipped")
    return [(name, getattr(one, name)) for name in (*names, *counts)]
