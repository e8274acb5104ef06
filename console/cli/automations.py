"""What follows from an event can be seen before it happens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from console import command_context
from console.cli.events import load
from console.output import AsJson, as_json, facts, print_error, table, text
from events.cloudevent import read_event
from events.event import Event
from purser.declarations import Automation
from purser.engine.predictions import FieldChange, PredictedOutcome
from purser.errors import ConfigurationError, Permanent, Refusal
from purser.findings import Ref
from tasks.discovery import load_registry
from workers.dead_letters.replay_preview import PlannedChange, predict
from workers.events import react

group = typer.Typer(help="What follows from an event.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="An automation, such as open-project.", show_default=False)]


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the automations and the fact each reacts to."""
    policies = command_context.policies()
    told = [
        {
            "name": a.name,
            "on": a.on.type,
            "also": [fact.type for fact in a.also],
            "rule": a.rule,
            "enabled": policies.automation(a.name).enabled,
        }
        for a in load_registry().automations.values()
    ]
    if json:
        as_json(told)
    else:
        table(
            ("name", "on", "enabled", "rule"),
            ((o["name"], ", ".join((o["on"], *o["also"])), o["enabled"], o["rule"]) for o in told),
        )


@group.command()
def show(name: Name, json: AsJson = False) -> None:
    """Explain an automation: what it reacts to, what it reads, and the values a policy may set."""
    policy = command_context.policies().automation(name)
    automation = policy.automation
    told = {
        "name": automation.name,
        "rule": automation.rule,
        "on": automation.on.type,
        "also": [fact.type for fact in automation.also],
        "reads": sorted({read.model for read in automation.reads}),
        "tells": sorted(fact.type for fact in automation.tells),
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change, field by field.")] = False,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    json: AsJson = False,
) -> None:
    """Let one automation react to an event here and now, past the queue."""
    automation = load_registry().automation(name)
    raw = load(event)
    try:
        envelope, fact = read_event(raw)
    except Permanent as error:
        raise ConfigurationError(str(error)) from None
    if type(fact) not in automation.facts:
        raise ConfigurationError(f"automation `{name}` reacts to {automation.types}, not to {envelope.type}")
    if dry_run:
        with command_context.read_only_context() as fleet:
            try:
                planned = predict(fleet, react.decide(fleet, automation, fact))
            except Refusal as no:
                planned = (_refused(automation.name, fact.record, no),)
        _tell(planned, nothing=_why_nothing(automation, fact), json=json)
        return
    with command_context.worker_context("odoo") as fleet:
        what = f"{name} on {envelope.type} {envelope.id}"
        fleet.ledger.audit.append(who=command_context.actor_name(), action="automations.run", what=what, note=note)
        done = react.react(fleet, name, envelope.model_dump(mode="json", exclude_none=True))
    told = {"done": done.done, "already": done.already, "refused": done.refused}
    reasons = [{"key": key, "reason": reason} for key, reason in done.reasons]
    if json:
        as_json({**told, "reasons": reasons})
        return
    text(f"{name}: " + ", ".join(f"{count} {what}" for what, count in told.items()))
    for one in reasons:
        print_error(f"{one['key']}: {one['reason']}")
    if not any(told.values()):
        print_error(_why_nothing(automation, fact))


def _why_nothing(automation: Automation, fact: Event) -> str:
    """Return why no change follows: what the automation looks for, and where it looked."""
    models = ", ".join(sorted({read.model for read in automation.reads}))
    return (
        f"nothing would change: as Odoo is now, `{automation.name}` finds nothing left to do for {fact.record}. "
        f"Its rule: {automation.rule} It read {models or 'nothing'}; "
        f"`purser automations show {automation.name}` lists the values a policy sets"
    )


def _refused(name: str, about: Ref, no: Refusal) -> PlannedChange:
    """Show a refusal in the place of the changes that do not follow."""
    return PlannedChange(
        kind=name, model=about.model, ref=about, key=str(about), fate=PredictedOutcome.REFUSED, why=str(no)
    )


def _tell(planned: tuple[PlannedChange, ...], *, nothing: str, json: bool) -> None:
    if json:
        as_json(planned)
        return
    columns = ("fate", "change", "model", "record or key", "field", "now", "then")
    table(columns, [row for one in planned for row in _rows(one)])
    for one in planned:
        if one.why:
            print_error(f"{one.key}: {one.why}")
    if not planned:
        print_error(nothing)


def _rows(one: PlannedChange) -> Iterator[tuple[object, ...]]:
    """Yield a line for each field; what has none to show is still a change."""
    head: tuple[object, ...] = (one.fate, one.kind, one.model, one.key)
    for field in one.fields or (FieldChange("-", None, None),):
        yield (*head, field.field, field.now, field.then)
        head = ("", "", "", "")
