"""Whether the fleet can reach what it needs and may do what it must is told in one table, with what to do."""

from typing import Annotated

import typer

from console import command_context
from console.output import FOUND, AsJson, as_json, exit_with, table, text
from purser.errors import ConfigurationError, PurserError
from workers.doctor.checks import Check, Level, check_all
from workers.odoo_access.breaker_probe import ProbeResult, probe_now


def doctor(
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as problems.")] = False,
    json: AsJson = False,
) -> None:
    """Check broker, ledger, Odoo, rights and policies. Ends with 4 when something must be done."""
    checks = _closed([*_settings(), *check_all(command_context.settings(), command_context.policies)])
    if json:
        as_json(checks)
    else:
        table(("", "check", "found"), ((one.level, one.name, one.found) for one in checks))
        _advise(checks)
    bad = {Level.FAIL, Level.WARN} if strict else {Level.FAIL}
    exit_with(FOUND if any(one.level in bad for one in checks) else 0)


def _closed(checks: list[Check]) -> list[Check]:
    """Close an open breaker when Odoo lets all our users in; give the checks as they are then."""
    entered = [one.level is Level.OK for one in checks if one.name.startswith("Odoo as ")]
    if not entered or not all(entered) or all(one.name != "breaker" for one in checks):
        return checks
    try:
        with command_context.read_only_context("ledger") as fleet:
            found = probe_now(fleet)
    except PurserError:  # the ledger has a check of its own
        return checks
    if not (isinstance(found, ProbeResult) and found.works):
        return checks
    closed = Check("breaker", Level.OK, "closed by this check: Odoo works again")
    return [closed if one.name == "breaker" else one for one in checks]


def _settings() -> list[Check]:
    """Say in one check what is missing, so that the others can look at what is there."""
    try:
        command_context.settings("broker", "ledger", "odoo")
    except ConfigurationError as error:
        return [Check("settings", Level.FAIL, str(error), "set them; .env.example explains each")]
    return [Check("settings", Level.OK, "complete")]


def _advise(checks: list[Check]) -> None:
    problems = [one for one in checks if one.level is not Level.OK]
    for one in problems:
        text(f"{one.level}: {one.name}: {one.what_to_do}")
    if not problems:
        text("everything is in order")
