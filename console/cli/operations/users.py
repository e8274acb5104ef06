"""Those who may enter the pages are listed, and a password is hashed for their file."""

from typing import Annotated

import typer

from config.console_users import ConsoleUsers, hash_password
from console import command_context
from console.output import AsJson, as_json, print_error, table, text
from purser.errors import ConfigurationError

group = typer.Typer(help="Who may enter Flower, and what each may do.", no_args_is_help=True)

SHORTEST = 12
"""A shorter password is guessed from its hash."""


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List those who may enter, with their role."""
    told = command_context.settings()
    if told.people is None:
        print_error(f"PURSER_PEOPLE is not set: there is one login, {told.flower_user}, and it may all")
        known = [{"name": told.flower_user, "role": "editor"}]
    else:
        known = [{"name": one.name, "role": str(one.rank)} for one in ConsoleUsers.load(told.people).known.values()]
    if json:
        as_json(known)
    else:
        table(("name", "role"), ([*one.values()] for one in known))


@group.command("hash")
def hash_(
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when left out.")
    ],
) -> None:
    """Hash a password for the file that PURSER_PEOPLE names."""
    if len(password) < SHORTEST:
        raise ConfigurationError(f"the password is shorter than {SHORTEST} characters")
    text(hash_password(password))
