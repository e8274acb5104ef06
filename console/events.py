"""Facts are listed, checked and emitted by hand exactly as a service would emit them."""

import datetime as dt
import json as codec
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from console import context
from console.output import AsJson, as_json, nothing, table, text
from events.contract import asyncapi, schema_of
from events.envelope import CloudEvent, read_event
from events.fact import Fact, known_facts
from purser.errors import Mistake, Permanent
from purser.words import did_you_mean
from tasks.house import catalogue
from workers.telling import send

group = typer.Typer(help="What happened.", no_args_is_help=True)
SOURCE = "/purser/console"


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the facts that can be told, and the automations that react to each."""
    declared = catalogue()
    told = [
        {
            "type": name,
            "object": fact.of.name,
            "says": (fact.__doc__ or "").strip().splitlines()[0],
            "reactions": [automation.name for automation in declared.reacting_to(fact)],
        }
        for name, fact in known_facts().items()
    ]
    if json:
        as_json(told)
    else:
        table(("type", "object", "says", "reactions"), (one.values() for one in told))  # type: ignore[misc]


@group.command()
def schema(
    type_: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="A fact, such as opportunity.won.v1, unless --all.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The schemas of all facts, by their names.")] = False,
) -> None:
    """Print the JSON Schema of what an event carries as `data`."""
    if (type_ is None) != all_:
        raise Mistake("name one fact, or say --all")
    as_json(schema_of(_fact(type_)) if type_ else {name: schema_of(fact) for name, fact in known_facts().items()})


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
    file: Annotated[Path | None, typer.Option(help="A whole CloudEvent as JSON; - reads stdin.")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Its identity: the same one again is not sent again.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so.")] = SOURCE,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the event instead of sending it.")] = False,
) -> None:
    """Send an event to the fleet and print its id."""
    if (file is None) == (type_ is None) or (file is not None and (data is not None or id_ is not None)):
        raise Mistake("say what happened either as TYPE --data JSON or as --file FILE")
    raw = load(file) if file is not None else _event(type_ or "", data or "{}", id_, source)
    envelope = _checked(raw)
    told = envelope.model_dump(mode="json", exclude_none=True)
    if dry_run:
        as_json(told)
        return
    with context.fleet() as fleet:
        send(fleet, envelope)
        what = f"{envelope.type} {envelope.id}"
        fleet.ledger.audit.append(who=context.who(), action="events.emit", what=what, note=note)
    text(envelope.id)


def load(file: Path) -> str:
    """Read the text of a file, or of stdin for `-`."""
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Mistake(f"{file} cannot be read: {reason}") from None


def _fact(name: str) -> type[Fact]:
    facts = known_facts()
    if name not in facts:
        nothing(f"fact `{name}` is unknown.{did_you_mean(name, facts)}")
    return facts[name]


def _event(type_: str, data: str, id_: str | None, source: str) -> dict[str, Any]:
    try:
        body = codec.loads(data)
    except ValueError as error:
        raise Mistake(f"--data is not JSON: {error}") from None
    now = dt.datetime.now(dt.UTC).isoformat()
    return {"id": id_ or str(uuid.uuid4()), "source": source, "type": type_, "time": now, "data": body}


def _checked(raw: dict[str, Any] | str) -> CloudEvent:
    """Check what a person typed: what is wrong with it is a wrong use, not a failure of the fleet."""
    try:
        return read_event(raw)[0]
    except Permanent as error:
        raise Mistake(str(error)) from None
