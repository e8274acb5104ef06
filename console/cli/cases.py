"""Open cases are seen with their owner, age and what is at risk."""

import datetime as dt
from typing import Annotated, Any

import typer

from config.settings import BotRole
from console import command_context
from console.output import AsJson, as_json, facts, money, nothing, table
from odoo_client import connect
from purser.cases import CaseKey, CaseRecord
from purser.errors import ConfigurationError
from workers.context import connection_for

group = typer.Typer(help="What was found and is not settled yet.", no_args_is_help=True)


@group.command("list")
def list_(
    control: Annotated[str | None, typer.Option(help="Only the cases of this control.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only what this user is asked: an Odoo login or user id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the oldest first.")] = 100,
    json: AsJson = False,
) -> None:
    """List the open cases, the oldest first."""
    if control is not None:
        command_context.policies().control(control)
    user_id = None if owner is None else _user(owner)
    today = _today()
    with command_context.ledger() as ledger:
        page = ledger.cases.page(control=control, user_id=user_id, limit=limit)
    told = [_told(case, today) for case in page.items]
    if json:
        as_json(told)
    else:
        columns = ("key", "subject_name", "summary", "owner", "age_days", "hours_at_risk", "severity")
        table(
            (*columns, "money"),
            ([*(one[c] for c in columns), money(case.money)] for one, case in zip(told, page.items, strict=True)),
            right={"age_days", "hours_at_risk", "money"},
        )
    if not told and (control or owner):
        nothing("no open case matches")


@group.command()
def show(
    key: Annotated[str, typer.Argument(help="The key of a case, as `cases list` shows it.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Show what is remembered of one case, open or ended."""
    try:
        wanted = CaseKey.parse(key)
    except ValueError as error:
        raise ConfigurationError(f"{error}: `purser cases list` shows them") from None
    with command_context.ledger() as ledger:
        case = ledger.cases.among(wanted.control, [wanted]).get(wanted)
    if case is None:
        nothing(f"no case {key} is remembered")
    told = _told(case, _today())
    if json:
        as_json(told)
    else:
        facts({**told, "money_at_risk": money(case.money)}.items())


def _today() -> dt.date:
    """Return the firm's date."""
    return dt.datetime.now(command_context.policies().timezone).date()


def _told(case: CaseRecord, today: dt.date) -> dict[str, Any]:
    return {
        "key": str(case.key),
        "subject_name": case.subject_name,
        "summary": case.text,
        "state": case.state,
        "owner": case.user_id,
        "opened_on": case.opened_on,
        "asked_on": case.asked_on,
        "age_days": max((today - case.opened_on).days, 0),
        "severity": case.severity,
        "hours_at_risk": case.hours,
        "money_at_risk": None
        if case.money is None
        else {"amount": case.money.amount, "currency": case.money.currency},
        "activity": case.activity,
        "episode": case.episode,
        "rung": case.rung,
    }


def _user(owner: str) -> int:
    if owner.isdecimal():
        return int(owner)
    with connect(connection_for(command_context.settings("odoo"), BotRole.AUDIT)) as client:
        found = client.users([owner])
    if owner not in found:
        nothing(f"Odoo knows no active user with the login {owner!r}")
    return found[owner]
