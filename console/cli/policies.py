"""A firm's values are checked before anything starts with them, and shown as they count."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from config.policy.loader import ControlPolicy, Policies
from config.policy.retries import RETRIED, TASKS
from config.settings import BotRole
from console import command_context
from console.output import FOUND, AsJson, as_json, exit_with, facts, print_error, table, text
from odoo_client import connect
from purser.errors import ConfigurationError, PurserError
from purser.findings import Money
from purser.naming import did_you_mean
from purser.parameters.money_limits import MoneyLimit
from workers.context import connection_for
from workers.controls.unknown_names import unknown_logins, unknown_names

group = typer.Typer(help="The firm's own values.", no_args_is_help=True)
File = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Another file than the one PURSER_POLICIES names."),
]


AskOdoo = Annotated[
    bool | None,
    typer.Option(
        "--odoo/--no-odoo",
        help="Ask Odoo whether it knows every name and login in the file. By default where settings say which Odoo; "
        "with --odoo it is an error when Odoo cannot be asked.",
        show_default=False,
    ),
]


@group.command()
def check(file: File = None, json: AsJson = False, odoo: AskOdoo = None) -> None:
    """Check the policy file against every control's own values. Ends with 4 when something is wrong."""
    path = file or command_context.settings().policies
    try:
        policies = command_context.policies(path)
    except ConfigurationError as error:
        problems = [line.removeprefix("- ") for line in str(error).splitlines()[1:]] or [str(error)]
        if json:
            as_json({"source": str(path), "ok": False, "problems": problems, "unstaffed": []})
        else:
            text(str(error))
        exit_with(FOUND)
    unstaffed = policies.unstaffed()
    problems = [*_unsigned(policies), *_unknown(policies, odoo)]
    if json:
        told = {"source": policies.source, "ok": not problems, "problems": problems, "unstaffed": unstaffed}
        as_json({**told, "hash": policies.hash})
    elif problems:
        text("\n".join(f"- {problem}" for problem in problems))
    if problems:
        exit_with(FOUND)
    if json:
        return
    text(f"{policies.source}: in order, {len(policies.controls)} controls, hash {policies.hash}")
    for one in policies.subscriptions.values():
        if one.to.startswith("http:") and not one.allow_private:
            print_error(f"subscription `{one.name}`: over http anybody on the way can read what is sent: use https")
    for line in _limits(policies):
        text(line)
    for role in unstaffed:
        print_error(f"role `{role}` is on a ladder and nobody fills it: name Odoo logins under `roles: {role}:`")


def _limits(policies: Policies) -> Iterator[str]:
    """Yield for each limit on money in which currencies it is known."""
    declared = [(rule.control.name, rule.control.tunables, rule.tunables) for rule in policies.controls.values()]
    declared += [
        (one.automation.name, one.automation.tunables, one.tunables) for one in policies.automations.values()
    ]
    for name, tunables, values in declared:
        for tunable in (key for key, one in tunables.items() if one.type == MoneyLimit):
            limit = values[tunable]
            known = (
                ", ".join(str(Money(amount, currency)) for currency, amount in sorted(limit.items()))
                if isinstance(limit, Mapping)
                else f"{limit:,f} in the currency of the firm's books"
            )
            yield f"`{name}`: {tunable} is {known}; in any other currency the strict side is taken"


def _unsigned(policies: Policies) -> Iterator[str]:
    """Yield which secrets are named and not there, where the settings tell which there are."""
    if not policies.subscriptions:
        return
    settings = command_context.settings()
    if settings.outbound_secrets is None:
        print_error(
            "PURSER_OUTBOUND_SECRETS is not set here: whether it holds the secrets of subscriptions is not known"
        )
        return
    for one in policies.subscriptions.values():
        if one.secret not in settings.outbound_keys:
            near = did_you_mean(one.secret, settings.outbound_keys)
            yield f"subscription `{one.name}`: PURSER_OUTBOUND_SECRETS holds no secret `{one.secret}`.{near}"


def _unknown(policies: Policies, ask: bool | None) -> Iterator[str]:
    """Yield the names and logins that Odoo does not know. Raise PurserError where it must be asked and cannot."""
    if ask is False:
        return
    try:
        settings = command_context.settings("odoo")
        with connect(connection_for(settings, BotRole.AUDIT)) as client:
            names, logins = list(unknown_names(client, policies)), list(unknown_logins(client, policies))
    except (ConfigurationError, PurserError) as error:
        if ask:
            raise
        if command_context.settings().odoo_url is not None:
            print_error(f"Odoo could not be asked about the names in the policy: {error}")
        return
    for where, what, name in names:
        yield f"{where}: no {what} in Odoo is called `{name}`, so it has no effect"
    for role, login in logins:
        yield f"roles.{role}: no active user of Odoo has the login `{login}`"


@group.command()
def show(file: File = None, json: AsJson = False) -> None:
    """Show every value that counts, those of the house view included."""
    policies = command_context.policies(file)
    if json:
        as_json(_told(policies))
        return
    facts(
        (
            ("source", policies.source),
            ("hash", policies.hash),
            ("timezone", policies.timezone.key),
            ("working days", [_DAYS[day] for day in sorted(policies.working_days)]),
            *((f"role {role}", logins) for role, logins in policies.roles.items()),
            ("settled letters", f"kept for {policies.dead_letters.retention_days} days"),
            *(
                ("second person", f"for edits above {amount} {currency}")
                for currency, amount in policies.dead_letters.second_person_above.items()
            ),
            *((f"tells of a {name}", owners or "Odoo alone") for name, owners in policies.ownership.told().items()),
        )
    )
    table(
        ("control", "enabled", "every", "severity", "ladder", "unseen_companies", "tunables"),
        (_row(one) for one in policies.controls.values()),
    )
    table(("automation", "enabled"), ((name, one.enabled) for name, one in policies.automations.items()))
    table(
        ("watch", "enabled", "every", "tunables"),
        (
            (name, one.enabled, one.every, [f"{key}={value}" for key, value in one.tunables.items()])
            for name, one in policies.watches.items()
        ),
    )
    table(
        ("subscription", "enabled", "to", "events", "where", "secret", "private"),
        (
            (one.name, one.enabled, one.place, one.events, one.where, one.secret, one.allow_private)
            for one in policies.subscriptions.values()
        ),
    )
    table(
        _RETRY,
        ((task, error, times, f"{base:g} s", f"{cap:g} s") for task, error, times, base, cap in _retries(policies)),
    )
    table(
        ("freeze", "days before", "days after", "months", "holds back"),
        (
            (one.name, one.days_before, one.days_after, sorted(one.months), sorted(one.what))
            for one in policies.freezes
        ),
    )


def _retries(policies: Policies) -> Iterator[tuple[str, str, int, float, float]]:
    for task in TASKS:
        for name, error in RETRIED.items():
            policy = policies.patience.of(task, error)
            yield task, name, policy.attempts, policy.base, policy.cap


def _row(one: ControlPolicy) -> tuple[Any, ...]:
    ladder = [f"{rung.ask}+{rung.after}" for rung in one.ladder]
    tunables = [f"{name}={value}" for name, value in one.tunables.items()]
    return one.control.name, one.enabled, one.every, one.severity, ladder, one.unseen_companies, tunables


_RETRY = ("task", "error", "attempts", "base", "cap")
"""Waits in seconds."""
_FREEZE = ("name", "what", "days_before", "days_after", "months")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _told(policies: Policies) -> dict[str, Any]:
    return {
        "source": policies.source,
        "hash": policies.hash,
        "version": policies.version,
        "timezone": policies.timezone.key,
        "working_days": [_DAYS[day] for day in sorted(policies.working_days)],
        "roles": policies.roles,
        "controls": {
            name: {
                "enabled": one.enabled,
                "every": str(one.every),
                "severity": one.severity,
                "ladder": one.ladder,
                "unseen_companies": one.unseen_companies,
                "tunables": one.tunables,
                "hash": one.hash,
            }
            for name, one in policies.controls.items()
        },
        "automations": {
            name: {"enabled": one.enabled, "tunables": one.tunables} for name, one in policies.automations.items()
        },
        "watches": {
            name: {"enabled": one.enabled, "every": str(one.every), "tunables": one.tunables}
            for name, one in policies.watches.items()
        },
        "retries": [dict(zip(_RETRY, row, strict=True)) for row in _retries(policies)],
        "freezes": [dict(zip(_FREEZE, one.told(), strict=True)) for one in policies.freezes],
        "dead_letters": {
            "retention_days": policies.dead_letters.retention_days,
            "second_person_above": policies.dead_letters.second_person_above,
        },
        "ownership": policies.ownership.told(),
        "subscriptions": {name: {**one.told(), "to": one.place} for name, one in policies.subscriptions.items()},
    }
