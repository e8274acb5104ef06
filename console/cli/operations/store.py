"""A ledger belongs to one Odoo; when that Odoo moves, the ledger is told."""

from typing import Annotated

import typer

from console import command_context
from console.output import AsJson, as_json, facts, print_error
from purser.errors import ConfigurationError
from workers.context import odoo_binding_of

group = typer.Typer(help="What the fleet remembers, and of which Odoo.", no_args_is_help=True)


@group.command()
def show(json: AsJson = False) -> None:
    """Show which Odoo the ledger remembers, and how much."""
    with command_context.ledger() as ledger:
        told = {
            "odoo": ledger.home.known() or None,
            "address": ledger.address,
            "open_cases": sum(ledger.cases.counts().values()),
            "dead_letters": ledger.letters.count(),
            "refusals": ledger.refusals.count(),
        }
    if json:
        as_json(told)
    else:
        facts(told.items())


@group.command()
def adopt(
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Tell the ledger that its Odoo is now found at the address in the settings. Only for the same database."""
    settings = command_context.settings("ledger", "odoo")
    with command_context.ledger() as ledger:
        before, after = ledger.home.known(), odoo_binding_of(settings)
        if before == after:
            raise ConfigurationError(f"the ledger belongs to {after} already: nothing to adopt")
        if not dry_run:
            ledger.home.adopt(after, who=command_context.actor_name(), note=command_context.note_text(note))
    print_error(f"{'would belong' if dry_run else 'belongs'} to {after}, before: {before or 'nobody'}")
