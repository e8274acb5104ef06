"""What follows from an event can be seen before it happens."""

from pathlib import Path
from typing import Annotated

import typer

from console import context
from console.events import load
from console.output import AsJson, as_json, facts, say, table, text
from events.fact import read_event
from purser.changes import Change, dump_changes
from purser.errors import Mistake, Permanent
from tasks.house import catalogue
from workers import react
from workers.apply import change_key

group = typer.Typer(help="What follows from an event.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="An automation, such as open-project.", show_default=False)]


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the automations and the fact each reacts to."""
    policies = context.policies()
    told = [
        {"name": a.name, "on": a.on.type, "rule": a.rule, "enabled": policies.automation(a.name).enabled}
        for a in catalogue().automations.values()
    ]
    if json:
        as_json(told)
    else:
        table(("name", "on", "enabled", "rule"), ((o["name"], o["on"], o["enabled"], o["rule"]) for o in told))


@group.command()
def show(name: Name, json: AsJson = False) -> None:
    """Explain an automation: what it reacts to, what it reads, and the values a policy may set."""
    policy = context.policies().automation(name)
    automation = policy.automation
    told = {
        "name": automation.name,
        "rule": automation.rule,
        "on": automation.on.type,
        "reads": sorted({read.model for read in automation.reads}),
        "enabled": policy.enabled,
        "tunables": dict(policy.tunables),
        "source": automation.source,
    }
    if json:
        as_json(told)
    else:
        facts(told.items())


@group.command()
def run(
    name: Name,
    event: Annotated[Path, typer.Option(help="A CloudEvent as JSON; - reads stdin.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which changes would follow.")] = False,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    json: AsJson = False,
) -> None:
    """Let one automation react to an event here and now, past the queue."""
    automation = catalogue().automation(name)
    raw = load(event)
    try:
        envelope, fact = read_event(raw)
    except Permanent as error:
        raise Mistake(str(error)) from None
    if type(fact) is not automation.on:
        raise Mistake(f"automation `{name}` reacts to {automation.on.type}, not to {envelope.type}")
    if dry_run:
        with context.reading_fleet() as fleet:
            _print(react.decide(fleet, automation, fact), json=json)
        return
    with context.fleet("odoo") as fleet:
        what = f"{name} on {envelope.type} {envelope.id}"
        fleet.ledger.audit.append(who=context.who(), action="automations.run", what=what, note=note)
        done = react.react(fleet, name, envelope.model_dump(mode="json", exclude_none=True))
    told = {"done": done.done, "already": done.already, "refused": done.refused}
    if json:
        as_json(told)
    else:
        text(f"{name}: " + ", ".join(f"{count} {what}" for what, count in told.items()))


def _print(changes: tuple[Change, ...], *, json: bool) -> None:
    if json:
        as_json(dump_changes(changes))
        return
    table(
        ("change", "model", "key", "values"),
        ((change.kind, getattr(change, "model", "-"), change_key(change), _values(change)) for change in changes),
    )
    if not changes:
        say("nothing would change")


def _values(change: Change) -> list[str]:
    return [f"{name}={_value(value)}" for name, value in getattr(change, "values", {}).items()]


def _value(value: object) -> object:
    return getattr(value, "key", None) or getattr(value, "ref", None) or getattr(value, "name", None) or value
