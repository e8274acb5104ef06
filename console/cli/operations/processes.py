"""Each long-running role of the fleet is one line: the settings are checked, then it takes the process over."""

import os
import sys
from typing import Annotated

import typer

from config.queues import QUEUES
from config.settings import PREFIX, Need, Settings
from console import command_context

ALL = ",".join(QUEUES)
SOFT_SHUTDOWN = {"REMAP_SIGTERM": "SIGQUIT"}
"""Makes SIGTERM give running tasks a while, and put what is left back on its queue."""
_WORKER = ("-E", "--without-gossip", "--without-mingle")
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def add_to(top: typer.Typer) -> None:
    """Add the roles to the command."""
    top.command(context_settings=_PASS_ON)(worker)
    top.command(context_settings=_PASS_ON)(beat)
    top.command()(gateway)


def worker(
    ctx: typer.Context,
    queues: Annotated[str, typer.Option("--queues", "-Q", help="Which queues to work on.")] = ALL,
) -> None:
    """Be a worker. Other options are Celery's, such as -c 4 or -n scans@%h."""
    _become("worker", *_WORKER, "-Q", queues, *ctx.args)


def beat(ctx: typer.Context) -> None:
    """Be the clock that emits due controls. Two of them change nothing. Other options are Celery's."""
    _become("beat", *ctx.args)


def gateway(
    hooks_only: Annotated[
        bool, typer.Option("--hooks-only", help="Take what Odoo's rules post, and no events: no source has a secret.")
    ] = False,
) -> None:
    """Be the HTTP gateway: events come in signed, and Odoo's automation rules post what they saw."""
    needed: tuple[Need, ...] = ("broker", "ledger") if hooks_only else ("broker", "ledger", "gateway")
    _turn_into(command_context.settings(*needed), "gateway", *(["--hooks-only"] if hooks_only else []))


def _become(role: str, *options: str) -> None:
    _turn_into(command_context.settings("broker", "ledger", "odoo"), "celery", "-A", "workers.main", role, *options)


def _turn_into(told: Settings, *module: str) -> None:
    command_context.policies()  # what is wrong with them is told here, as a list, and not by a traceback
    command = [sys.executable, "-m", *module]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, _environ(told))  # noqa: S606 - no shell is the point


def _environ(told: Settings) -> dict[str, str]:
    """Hand on what was loaded, and not where it was loaded from: a value and its file would be one too many."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**SOFT_SHUTDOWN, **others, **told.to_environ()}
