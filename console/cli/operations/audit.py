"""Who did what to the fleet, and why, can be read back."""

from typing import Annotated

import typer

from console import command_context
from console.output import AsJson, as_json, table

group = typer.Typer(help="What people did to the fleet.", no_args_is_help=True)


@group.command()
def tail(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, the newest last.")] = 20,
    json: AsJson = False,
) -> None:
    """Show the last acts."""
    with command_context.ledger() as ledger:
        found = ledger.audit.tail(limit)
    if json:
        as_json(found)
    else:
        columns = ("at", "who", "action", "what", "note")
        table(columns, ([getattr(one, column) for column in columns] for one in found))
