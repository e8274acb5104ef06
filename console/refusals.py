"""What Odoo or the rules said no to is listed until a person settles it."""

from typing import Annotated

import typer

from console import context
from console.output import AsJson, as_json, facts, nothing, plain, table, text

group = typer.Typer(help="What the business must decide.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="The key of a refusal, as `refusals list` shows it.", show_default=False)]


@group.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the latest first.")] = 50,
    json: AsJson = False,
) -> None:
    """List the refusals that wait for a person."""
    with context.ledger() as ledger:
        found = ledger.refusals.page(limit=limit).items
    if json:
        as_json(found)
    else:
        columns = ("id", "task", "what", "why", "count", "last_at")
        table(columns, ([getattr(one, column) for column in columns] for one in found), right={"count"})


@group.command()
def show(key: Key, json: AsJson = False) -> None:
    """Show one refusal with the change that was refused."""
    with context.ledger() as ledger:
        entry = ledger.refusals.get(key)
    if entry is None:
        nothing(f"no refusal has the key {key}")
    if json:
        as_json(entry)
    else:
        facts(plain(entry).items())


@group.command()
def close(
    key: Key,
    note: Annotated[str, typer.Option(help="What was decided, for the audit trail.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be closed.")] = False,
) -> None:
    """Settle a refusal."""
    context.why(note)
    with context.ledger() as ledger:
        entry = ledger.refusals.get(key)
        is_open = entry is not None and entry.settled is None
        if dry_run:
            if not is_open:
                nothing(f"no open refusal has the key {key}")
            text(f"would close {key}")
        elif ledger.refusals.close(key, who=context.who(), note=note):
            text(f"closed {key}")
        else:
            nothing(f"no open refusal has the key {key}")
