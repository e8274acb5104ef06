"""One command for people: every part of the fleet has a verb, and an error is one clear sentence."""

import logging
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from typer.core import TyperGroup

from console import command_context
from console.cli import automations, cases, controls, dead, events, odoo, policies, refusals, subscriptions
from console.cli.operations import audit, breaker, delayed, doctor, pauses, processes, store, users, workers
from console.flower import flower_app
from console.output import FAILED, WRONG_USE, print_error
from purser.errors import ConfigurationError, PurserError


class PurserGroup(TyperGroup):
    """The top of the command: what Purser raises on purpose ends as a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except PurserError as error:
            print_error(f"purser: {error}")
            raise typer.Exit(WRONG_USE if isinstance(error, ConfigurationError) else FAILED) from error


def app() -> typer.Typer:
    """Build the command."""
    top = typer.Typer(
        cls=PurserGroup,
        name="purser",
        help="Watch a firm's work in Odoo: run controls, follow cases, replay dead letters.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong use, 3 nothing matched, 4 a check found something.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # a traceback with local variables would show secrets
    )
    top.callback()(_options)
    for name, group in _GROUPS.items():
        top.add_typer(group, name=name)
    top.command("doctor")(doctor.doctor)
    top.command("flower")(flower_app.run)
    pauses.add_to(top)
    processes.add_to(top)
    for name, place in _LOCAL_COMMANDS.items():
        _add_local_command(top, name, place)
    return top


def main() -> None:
    """Be the `purser` command."""
    app()()


_GROUPS = {
    "controls": controls.group,
    "cases": cases.group,
    "dead": dead.group,
    "delayed": delayed.group,
    "breaker": breaker.group,
    "refusals": refusals.group,
    "events": events.group,
    "automations": automations.group,
    "outbound": subscriptions.group,
    "policies": policies.group,
    "ledger": store.group,
    "odoo": odoo.group,
    "audit": audit.group,
    "workers": workers.group,
    "people": users.group,
}


_LOCAL_COMMANDS = {
    "demo": "devtools.demo.command",
    "drill": "devtools.chaos.command",
    "storm": "devtools.chaos.storm.command",
    "up": "devtools.local.up",
}
"""Commands that start a fleet on this machine, and the module of each. They are not deployed with the fleet."""


def _add_local_command(top: typer.Typer, name: str, module: str) -> None:
    """Add one of the local commands, unless this installation was made without them, as a container image is."""
    if find_spec(module.partition(".")[0]) is not None:
        top.command(name)(getattr(import_module(module), name))


def _options(
    env_file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Read settings from this file; the environment wins. Else `.env` of this folder, if there is one.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log of what happens.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=lambda asked: _tell_version(asked), is_eager=True)
    ] = False,
) -> None:
    command_context.use_env_file(env_file)
    level = logging.INFO if verbose else logging.ERROR
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def _tell_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"purser {version('odoo-purser')}\n")
        raise typer.Exit
