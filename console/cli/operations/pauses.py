"""An operator holds work back and lets it go on: all of it, a queue, control, automation, watch or subscription."""

import datetime as dt
import re
from collections.abc import Collection
from typing import Annotated

import typer

from config.queues import QUEUES
from console import command_context
from console.output import AsJson, as_json, nothing, table, text
from purser.errors import ConfigurationError
from purser.naming import did_you_mean
from store import Ledger, Pause
from store.fleet.pauses import checked_target
from tasks.discovery import load_registry

Target = Annotated[
    str,
    typer.Argument(
        help="all, queue:NAME, control:NAME, automation:NAME, watch:NAME or subscription:NAME.", show_default=False
    ),
]
Note = Annotated[str, typer.Option(help="Why, for the audit trail.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_to(top: typer.Typer) -> None:
    """Give `purser` these verbs."""
    top.command("pause")(pause)
    top.command("resume")(resume)
    top.command("pauses")(pauses)


def pause(
    target: Target,
    note: Note,
    for_: Annotated[str, typer.Option("--for", help="How long, such as 30m, 2h or 3d.")] = "",
    until: Annotated[str, typer.Option(help="Until when, such as 2026-01-31T18:00Z; UTC without a zone.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also what this release does not know.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Hold work back: what is running ends, what waits stays, and no attempt is spent. It lasts until `resume`."""
    command_context.note_text(note)
    _check(target, force=force)
    now = dt.datetime.now(dt.UTC)
    end = _end(for_, until, now)
    with command_context.ledger() as ledger:
        if dry_run:
            held = Pause(target=target, who=command_context.actor_name(), note=note, at=now, until=end)
        else:
            held = _pause(ledger, target, note, end)
    if json:
        as_json(held)
    else:
        text(f"{'would pause' if dry_run else 'paused'} {target} {_until(held)}")


def resume(target: Target, note: Note, dry_run: DryRun = False, json: AsJson = False) -> None:
    """Let paused work go on."""
    command_context.note_text(note)
    with command_context.ledger() as ledger:
        paused = [one.target for one in ledger.pauses.all()]
        if target not in paused:
            nothing(f"{target} is not paused.{did_you_mean(target, paused)}")
        if not dry_run:
            ledger.pauses.resume(target, who=command_context.actor_name(), note=note)
    if json:
        as_json({"resumed": target, "dry_run": dry_run})
    else:
        text(f"{'would resume' if dry_run else 'resumed'} {target}")


def pauses(json: AsJson = False) -> None:
    """List what is paused, by whom, why and until when."""
    with command_context.ledger() as ledger:
        found = ledger.pauses.all()
    if json:
        as_json(found)
    else:
        columns = ("target", "who", "note", "at", "until")
        table(columns, ([getattr(one, column) for column in columns] for one in found))


def _pause(ledger: Ledger, target: str, note: str, end: dt.datetime | None) -> Pause:
    try:
        return ledger.pauses.pause(target, who=command_context.actor_name(), note=note, until=end)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _check(target: str, *, force: bool) -> None:
    """Raise ConfigurationError for what cannot be paused, or is not known and so would hold nothing back."""
    try:
        checked_target(target)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    kind, _, name = target.partition(":")
    known = _known(kind)
    if target != "all" and not force and name not in known:
        raise ConfigurationError(
            f"there is no {kind} `{name}`.{did_you_mean(name, known)} --force pauses it all the same"
        )


def _known(kind: str) -> Collection[str]:
    match kind:
        case "queue":
            return QUEUES
        case "control":
            return load_registry().controls
        case "automation":
            return load_registry().automations
        case "subscription":
            return command_context.policies().subscriptions
        case "watch":
            return load_registry().watches
        case _:
            return ()


def _end(for_: str, until: str, now: dt.datetime) -> dt.datetime | None:
    if for_ and until:
        raise ConfigurationError("say --for or --until, not both")
    if for_:
        match = re.fullmatch(r"(\d{1,5})([smhd])", for_)
        if match is None or not int(match[1]):
            raise ConfigurationError(f"--for {for_!r} is no length of time: write 30m, 2h or 3d")
        return now + dt.timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not until:
        return None
    try:
        moment = dt.datetime.fromisoformat(until.upper())
    except ValueError:
        raise ConfigurationError(f"--until {until!r} is no moment: write 2026-01-31T18:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if moment <= now:
        raise ConfigurationError(f"--until {until} is past")
    return moment


def _until(held: Pause) -> str:
    return "until it is resumed" if held.until is None else f"until {held.until.astimezone(dt.UTC):%Y-%m-%d %H:%M}Z"
