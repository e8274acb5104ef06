"""The breaker before Odoo: whether calls pass, why not, and whether Odoo works again."""

from typing import Any

import typer

from console import command_context
from console.output import DONE, FAILED, FOUND, AsJson, as_json, exit_with, facts, print_error
from store import CircuitState, OdooLimiter, RetryIn
from workers.odoo_access import breaker_probe

group = typer.Typer(help="The breaker before Odoo, shared by all workers.", no_args_is_help=True)


@group.command()
def show(json: AsJson = False) -> None:
    """Show whether calls to Odoo pass, and why not. Ends with 4 while the breaker is not closed."""
    with command_context.read_only_context("ledger") as fleet:
        described = _described(fleet.gate)
    _print(described, json=json)
    exit_with(DONE if described["breaker"] is CircuitState.CLOSED else FOUND)


@group.command("try")
def try_(json: AsJson = False) -> None:
    """Ask Odoo now whether it works, as each of our users. The breaker closes when it does; ends with 1 when not.

    Nothing happens while the breaker is closed.
    """
    with command_context.read_only_context("ledger") as fleet:
        found = breaker_probe.probe_now(fleet)
        described = _described(fleet.gate)
    match found:
        case None:
            problem = ""
        case RetryIn():
            problem = "another process is asking Odoo at this moment: see `purser breaker show`"
        case _:
            problem = found.why
    _print(described | {"tried": found is not None and not isinstance(found, RetryIn), "problem": problem}, json=json)
    if problem:
        print_error(problem)
    exit_with(FAILED if problem else DONE)


def _described(gate: OdooLimiter) -> dict[str, Any]:
    state = gate.state()
    return {
        "odoo": gate.name,
        "breaker": state.breaker,
        "since": state.since,
        "failures": state.failures,
        "next_try": state.until,
        "lets_us_in": not state.is_refused,
        "why": state.why,
        "held_until": state.held_until,
        "in_flight": state.in_flight,
        "limit": state.limit,
    }


def _print(described: dict[str, Any], *, json: bool) -> None:
    if json:
        as_json(described)
    else:
        facts(described.items())
