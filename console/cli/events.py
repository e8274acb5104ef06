"""Facts are listed, checked and emitted by hand exactly as a service would emit them."""

import datetime as dt
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from console import command_context
from console.cli import event_files, watchers
from console.output import FAILED, AsJson, as_json, count, exit_with, nothing, print_error, progress, table, text
from events.asyncapi import asyncapi, schema_of
from events.cloudevent import CloudEvent, read_event
from events.event import Event, known_events
from purser.errors import ConfigurationError, Permanent
from purser.formats.strict_json import InvalidJson, read_json
from purser.naming import did_you_mean
from store.pagination import chunks
from tasks.discovery import load_registry
from workers.changes.detect import publish_detected
from workers.events.publish import publish_event

group = typer.Typer(help="What happened.", no_args_is_help=True)
group.command()(watchers.watches)
group.command()(watchers.backfill)
SOURCE = "/purser/console"


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the facts that can be told, the watches that tell them from Odoo, and the automations that react."""
    declared = load_registry()
    told = [
        {
            "type": name,
            "object": fact.of.name,
            "says": (fact.__doc__ or "").strip().splitlines()[0],
            "watches": [watch.name for watch in declared.telling(fact)],
            "reactions": [automation.name for automation in declared.reacting_to(fact)],
        }
        for name, fact in known_events().items()
    ]
    if json:
        as_json(told)
    else:
        table(("type", "object", "says", "told by", "reactions"), (one.values() for one in told))  # type: ignore[misc]


@group.command()
def schema(
    type_: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="A fact, such as opportunity.won.v1, unless --all.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The schemas of all facts, by their names.")] = False,
) -> None:
    """Print the JSON Schema of what an event carries as `data`."""
    if (type_ is None) != all_:
        raise ConfigurationError("name one fact, or say --all")
    as_json(schema_of(_fact(type_)) if type_ else {name: schema_of(fact) for name, fact in known_events().items()})


@group.command("asyncapi")
def asyncapi_() -> None:
    """Print the AsyncAPI 3 document: which events the fleet takes and gives, and through which channels."""
    as_json(asyncapi())


@group.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A CloudEvent as JSON; - reads stdin.", show_default=False)],
) -> None:
    """Check an event without sending it. Ends with 1 when it would not be accepted."""
    envelope, _ = read_event(load(file))
    text(f"in order: {envelope.type} {envelope.id} from {envelope.source}")


@group.command()
def emit(
    type_: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="A fact, unless --file brings one.")] = None,
    data: Annotated[str | None, typer.Option(help="What the fact says, as JSON.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A whole CloudEvent as JSON, a list of them, or one on each line; - reads stdin."),
    ] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Its identity: the same one again is not sent again.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so.")] = SOURCE,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="Send what is in order although some is not.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the event instead of sending it.")] = False,
) -> None:
    """Send an event to the fleet and print its id, or a file of events: all are checked before one is sent.

    Sent again, a file is sent on: what was accepted meanwhile is left out.
    """
    if (file is None) == (type_ is None) or (file is not None and (data is not None or id_ is not None)):
        raise ConfigurationError("say what happened either as TYPE --data JSON or as --file FILE")
    raw = load(file) if file is not None else _event(type_ or "", data or "{}", id_, source)
    batch = event_files.read_batch(raw, name=str(file)) if isinstance(raw, str) else None
    if batch is not None:
        _emit_many(batch, str(file), note=note, partial=partial, dry_run=dry_run)
        return
    envelope = _checked(raw)
    told = envelope.model_dump(mode="json", exclude_none=True)
    if dry_run:
        as_json(told)
        return
    with command_context.worker_context() as fleet:
        publish_event(fleet, envelope)
        what = f"{envelope.type} {envelope.id}"
        fleet.ledger.audit.append(who=command_context.actor_name(), action="events.emit", what=what, note=note)
    text(envelope.id)


def _emit_many(batch: event_files.Batch, name: str, *, note: str, partial: bool, dry_run: bool) -> None:
    if not partial:
        event_files.refuse(batch)
    for mistake in batch.mistakes:
        print_error(mistake)
    if dry_run:
        kinds = Counter(event.type for event in batch.events)
        text(f"{name}: {watchers.counted(kinds, 'would be sent')}; {len(batch.mistakes)} cannot be accepted")
    else:
        _send_many(batch, name, note)
    if batch.mistakes:
        exit_with(FAILED)


def _send_many(batch: event_files.Batch, name: str, note: str) -> None:
    sent: Counter[str] = Counter()
    known = done = 0
    with command_context.worker_context() as fleet, progress("events", len(batch.events)) as reached:
        what = f"{count(len(batch.events), 'event')} of {name}"
        fleet.ledger.audit.append(who=command_context.actor_name(), action="events.emit", what=what, note=note)
        for some in chunks(batch.events):
            told = publish_detected(fleet, some)
            sent, known, done = sent + told.sent, known + told.known, done + len(some)
            reached(done)
    text(f"{name}: {watchers.counted(sent, 'sent')}; {known} accepted before; {batch.repeated} repeated in the file")


def load(file: Path) -> str:
    """Read the text of a file, or of stdin for `-`."""
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{file} cannot be read: {reason}") from None


def _fact(name: str) -> type[Event]:
    facts = known_events()
    if name not in facts:
        nothing(f"fact `{name}` is unknown.{did_you_mean(name, facts)}")
    return facts[name]


def _event(type_: str, data: str, id_: str | None, source: str) -> dict[str, Any]:
    try:
        body = read_json(data)
    except InvalidJson as error:
        raise ConfigurationError(f"--data is not JSON: {error}") from None
    now = dt.datetime.now(dt.UTC).isoformat()
    return {"id": id_ or str(uuid.uuid4()), "source": source, "type": type_, "time": now, "data": body}


def _checked(raw: dict[str, Any] | str) -> CloudEvent:
    """Check what a person typed: what is wrong with it is a wrong use, not a failure of the fleet."""
    try:
        return read_event(raw)[0]
    except Permanent as error:
        raise ConfigurationError(str(error)) from None
