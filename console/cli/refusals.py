"""What Odoo or the rules said no to is listed until a person settles it."""

from typing import Annotated, Any

import typer

from console import command_context
from console.output import FAILED, NOTHING, AsJson, as_json, exit_with, facts, money, nothing, plain, table, text
from store import RefusalState
from workers.events.refusal_handling import RefusalDetails, RetryOutcome, describe_refusal, find_refusal
from workers.events.refusal_handling import retry as try_again

group = typer.Typer(help="What the business must decide.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="The key of a refusal, as `refusals list` shows it.", show_default=False)]


@group.command("list")
def list_(
    state: Annotated[RefusalState, typer.Option(help="Those that wait, or those that were settled.")] = (
        RefusalState.OPEN
    ),
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the latest first.")] = 50,
    json: AsJson = False,
) -> None:
    """List the refusals that wait for a person: who decides, since when, what is at risk, and Odoo's words."""
    policies = command_context.policies()
    with command_context.ledger() as ledger:
        found = [
            describe_refusal(ledger, policies, one) for one in ledger.refusals.page(limit=limit, state=state).items
        ]
    if json:
        as_json([_told(one) for one in found])
        return
    columns = ("id", "decides", "since", "count", "hours", "money", "task", "why")
    table(columns, map(_row, found), right={"count", "hours", "money"})


def _told(one: RefusalDetails) -> dict[str, Any]:
    known = {
        "decides": one.decides or None,
        "control": one.control or None,
        "record": None if one.record is None else str(one.record),
        "hours_at_risk": None if one.case is None else one.case.hours,
        "money_at_risk": None if one.case is None else one.case.money,
    }
    return {**plain(one.entry), **known}


def _row(one: RefusalDetails) -> tuple[Any, ...]:
    at_risk = (None, None) if one.case is None else (one.case.hours, money(one.case.money))
    entry = one.entry
    return (entry.id, one.decides or None, entry.first_at, entry.count, *at_risk, entry.task, entry.why)


@group.command()
def show(key: Key, json: AsJson = False) -> None:
    """Show one refusal with the change that was refused."""
    policies = command_context.policies()
    with command_context.ledger() as ledger:
        found = find_refusal(ledger, policies, key)
    if found is None:
        nothing(f"no refusal has the key {key}")
    if json:
        as_json(_told(found))
    else:
        facts(plain(_told(found)).items())


@group.command()
def retry(
    key: Key,
    note: Annotated[str, typer.Option(help="What was mended, for the audit trail.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be tried.")] = False,
    json: AsJson = False,
) -> None:
    """Try what was refused once more, as the bot; when Odoo takes it the refusal is closed."""
    command_context.note_text(note)
    if dry_run:
        with command_context.ledger() as ledger:
            entry = ledger.refusals.get(key)
        if entry is None or entry.state is not RefusalState.OPEN:
            nothing(f"no open refusal has the key {key}")
        text(f"would try again: {entry.task}, {entry.what}")
        return
    with command_context.worker_context("odoo") as fleet:
        again = try_again(fleet, key, who=command_context.actor_name(), note=note)
    if json:
        as_json(again)
    else:
        text(f"{key}: {again.ending}{f': {again.why}' if again.why else ''}")
    if again.ending not in (RetryOutcome.DONE, RetryOutcome.SENT):
        exit_with(NOTHING if again.ending is RetryOutcome.NOT_OPEN else FAILED)


@group.command()
def close(
    key: Key,
    note: Annotated[str, typer.Option(help="What was decided, for the audit trail.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be closed.")] = False,
) -> None:
    """Settle a refusal."""
    command_context.note_text(note)
    with command_context.ledger() as ledger:
        entry = ledger.refusals.get(key)
        is_open = entry is not None and entry.settled is None
        if dry_run:
            if not is_open:
                nothing(f"no open refusal has the key {key}")
            text(f"would close {key}")
        elif ledger.refusals.close(key, who=command_context.actor_name(), note=note):
            text(f"closed {key}")
        else:
            nothing(f"no open refusal has the key {key}")
