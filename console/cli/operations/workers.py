"""Who works, and who is listed but does not, is seen at a glance."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from console import command_context
from console.output import FOUND, AsJson, as_json, count, exit_with, nothing, print_error, table, text
from store import WorkerStatus
from store.fleet.worker_heartbeats import GHOST_AFTER, NAME_TAKEN

group = typer.Typer(help="The workers of the fleet.", no_args_is_help=True)


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the workers heard of within a day. Ends with 4 when one is a ghost, or gone with its work left undone."""
    with command_context.ledger() as ledger:
        found = ledger.crew.all()
    told = [_told(one, found) for one in found]
    if json:
        as_json(told)
    else:
        _table(told)
    problems = [one for one in told if one["problem"]]
    for one in problems:
        print_error(f"{one['name']}: {one['problem']}")
    exit_with(FOUND if problems else 0)


@group.command()
def forget(
    name: Annotated[str, typer.Argument(help="A worker, as `workers list` shows it.", show_default=False)],
    note: Annotated[str, typer.Option(help="Why, for the audit trail.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
) -> None:
    """Take a worker off the list that will not come back. One that lives is listed again in a moment."""
    command_context.note_text(note)
    with command_context.ledger() as ledger:
        if name not in {one.member.name for one in ledger.crew.all()}:
            nothing(f"no worker is called {name}")
        if not dry_run:
            ledger.crew.forget(name, who=command_context.actor_name(), note=note)
    text(f"{'would forget' if dry_run else 'forgot'} {name}")


def problem_with(one: WorkerStatus, crew: Sequence[WorkerStatus]) -> str:
    """Return what is wrong with a worker, '' when nothing is. One that is gone is missed where its queues wait."""
    if one.state == NAME_TAKEN:
        return "another worker has its name, so it does nothing: end one of the two, or name it with -n"
    if one.state == "ghost":
        return "a ghost: it has free hands and leaves old messages alone. Restart it"
    if one.state != "gone":
        held = one.member.stuck
        return f"it holds {count(held, 'message')} that nobody works on: they go back to their queue" if held else ""
    living = [other.member for other in crew if other.state not in {"gone", "ghost", NAME_TAKEN}]
    for queue in one.member.queues:
        consuming = [other for other in living if queue in other.queues]
        if not consuming:
            return f"gone, and nobody else works on queue {queue}. Start one, or `purser workers forget` it"
        if max(other.oldest.get(queue, 0.0) for other in consuming) > GHOST_AFTER.total_seconds():
            return f"gone, and messages grow old on queue {queue}. Start it again"
    return ""


def _told(one: WorkerStatus, crew: Sequence[WorkerStatus]) -> dict[str, Any]:
    member = one.member
    return {
        "name": member.name,
        "state": one.state,
        "queues": member.queues,
        "last_heard": one.at,
        "last_consumed": member.last_consumed,
        "active": member.active,
        "capacity": member.capacity,
        "oldest": member.oldest,
        "stuck": member.stuck,
        "mended": member.mended,
        "errors": member.errors,
        "host": member.host,
        "pid": member.pid,
        "started": member.started,
        "version": member.version,
        "problem": problem_with(one, crew),
    }


def _table(told: Sequence[dict[str, Any]]) -> None:
    columns = ("name", "state", "queues", "last_heard", "last_consumed", "busy", "oldest", "errors")
    rows = (
        [
            *(one[column] for column in columns[:5]),
            f"{one['active']}/{one['capacity']}",
            {queue: f"{seconds:.0f} s" for queue, seconds in one["oldest"].items()},
            one["errors"],
        ]
        for one in told
    )
    table(columns, rows)
