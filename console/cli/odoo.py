"""What Purser needs inside Odoo is set up there, checked, and taken away again, by an administrator's key."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from config.settings import Settings
from console import command_context
from console.output import FOUND, AsJson, as_json, confirm, exit_with, nothing, print_error, table, text
from odoo_client import connect
from odoo_client.provisioning import PlannedAction, PlannedRecord
from purser.errors import ConfigurationError
from store import Ledger
from tasks.discovery import load_registry
from workers.doctor.checks import Check, Level
from workers.provisioning import OdooSite, admin_connection, bots_of, check_bots, missing_companies, rules_for

group = typer.Typer(help="What Purser needs inside Odoo.", no_args_is_help=True)

Login = Annotated[
    str | None, typer.Option(help="An administrator of Odoo; else PURSER_ODOO_ADMIN_LOGIN.", show_default=False)
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="The file with that administrator's API key; else PURSER_ODOO_ADMIN_API_KEY, else you are asked.",
        show_default=False,
    ),
]
Note = Annotated[str, typer.Option(help="Why, for the audit trail.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@group.command("setup")
def setup_(
    admin_login: Login = None,
    admin_key_file: KeyFile = None,
    dry_run: DryRun = False,
    rotate: Annotated[
        bool,
        typer.Option("--rotate", help="New tokens for all webhooks; the present ones count until the next time."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Undo what people changed in what was set up.")] = False,
    keys: Annotated[
        Path | None,
        typer.Option(help="Make an API key for each bot, in a file of its own in this folder.", show_default=False),
    ] = None,
    key_days: Annotated[int, typer.Option(min=1, max=3650, help="How long a key of a bot may last.")] = 365,
    note: Note = "",
    json: AsJson = False,
) -> None:
    """Set up bots, receipt action, and a rule with a webhook for each model that is watched. Twice is once."""
    with _site(admin_login, admin_key_file, key_days=key_days) as (site, book):
        if dry_run:
            items = site.foresee(rotate=rotate, force=force)
            _tell(items, json=json, done=False)
            _end_on_companies(items, json=json)
            return
        command_context.note_text(note)
        done = site.carry_out(rotate=rotate, force=force)
        made = site.make_keys(keys, [bot.login for bot in site.bots]) if keys is not None else ()
        _audit(book, "odoo.setup", note, done)
        _tell(done, json=json, done=True)
        for bot, path in zip(site.bots, made, strict=False):
            for role in bot.roles if len(site.bots) > 1 else ("",):
                name = f"PURSER_ODOO_{role.upper()}_" if role else "PURSER_ODOO_"
                print_error(f"{name}LOGIN={bot.login}\n{name}API_KEY_FILE={path}")
        _end_on_companies([item for item in done if item.do is PlannedAction.CHANGED], json=json)


@group.command()
def check(
    admin_login: Login = None,
    admin_key_file: KeyFile = None,
    hook: Annotated[
        bool, typer.Option("--hook", help="Set off each webhook once, and see that the gateway hears it.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Check what was set up; without an administrator's key only what the bots can see. Ends with 4 on problems."""
    settings = command_context.settings("address")
    checks: list[Check] = []
    if admin_login or settings.odoo_admin_login:
        with _site(admin_login, admin_key_file) as (site, _):
            checks += site.check(hook=hook)
    elif hook:
        raise ConfigurationError("--hook takes an administrator: only one may set off a webhook. Give --admin-login")
    else:
        advice = "give --admin-login, and its key in --admin-key-file"
        checks.append(Check("set-up", Level.WARN, "seen as the bots see it: not its rules, not its text", advice))
    checks += check_bots(settings, connect)
    if json:
        as_json(checks)
    else:
        table(("", "check", "found"), ((one.level, one.name, one.found) for one in checks))
        for one in checks:
            if one.level is not Level.OK:
                text(f"{one.level}: {one.name}: {one.what_to_do}")
    exit_with(FOUND if any(one.level is Level.FAIL for one in checks) else 0)


@group.command()
def remove(
    admin_login: Login = None,
    admin_key_file: KeyFile = None,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    note: Note = "",
    json: AsJson = False,
) -> None:
    """Take away all that was set up, and nothing else. Bots are archived: what they wrote is theirs."""
    with _site(admin_login, admin_key_file) as (site, book):
        standing = site.standing()
        if not standing:
            nothing("nothing in this Odoo was set up by Purser")
        if json:
            as_json(standing)
        else:
            table(("name", "model", "id"), ((one.name, one.model, one.id) for one in standing))
        if dry_run:
            return
        command_context.note_text(note)
        confirm(f"Take away these {len(standing)} records?", unless=yes)
        site.remove(standing)
        _audit(book, "odoo.remove", note, ())
        print_error(f"taken away: {len(standing)}")


# ----------------------------------------------------------------------------------- parts --


@contextlib.contextmanager
def _site(
    login: str | None, key_file: Path | None, *, key_days: int = 365
) -> Iterator[tuple[OdooSite, Ledger | None]]:
    settings = command_context.settings("address")
    door = admin_connection(settings, *_administrator(settings, login, key_file))
    book = None if settings.ledger_url is None else Ledger.connect(settings.ledger)
    if settings.gateway_url is not None and book is None:
        raise ConfigurationError("PURSER_LEDGER_URL is missing: there the gateway finds the tokens of Odoo's rules")
    try:
        with connect(door) as admin:
            yield (
                OdooSite(
                    admin=admin,
                    bots=bots_of(settings),
                    rules=rules_for(watch.model for watch in load_registry().watches.values()),
                    gateway=settings.gateway_url,
                    tokens=None if book is None else book.hooks,
                    key_days=key_days,
                    timezone=command_context.policies().timezone.key,
                ),
                book,
            )
    finally:
        if book is not None:
            book.close()


def _administrator(settings: Settings, login: str | None, key_file: Path | None) -> tuple[str, str]:
    login = login or settings.odoo_admin_login
    if not login:
        raise ConfigurationError("which administrator? Give --admin-login, or set PURSER_ODOO_ADMIN_LOGIN")
    if key_file is not None:
        return login, key_file.read_text(encoding="utf-8").strip()
    if settings.odoo_admin_api_key is not None:
        return login, settings.odoo_admin_api_key.get_secret_value()
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"the API key of {login} is missing: give --admin-key-file, or set PURSER_ODOO_ADMIN_API_KEY"
        )
    return login, str(typer.prompt(f"API key of {login}", hide_input=True, err=True))


def _audit(book: Ledger | None, action: str, note: str, done: Sequence[PlannedRecord]) -> None:
    if book is not None:
        facts = {str(do): sum(item.do is do for item in done) for do in PlannedAction}
        book.audit.append(who=command_context.actor_name(), action=action, what="odoo", note=note, facts=facts)


_PAST = {
    PlannedAction.MAKE: "made",
    PlannedAction.MEND: "mended",
    PlannedAction.KEEP: "kept",
    PlannedAction.CHANGED: "changed by people: left",
    PlannedAction.LACKS: "not here",
}


def _tell(items: Sequence[PlannedRecord], *, json: bool, done: bool) -> None:
    if json:
        as_json([_told(item) for item in items])
        return
    rows = []
    for item in items:
        word = _PAST[item.do] if done else item.do
        head: tuple[Any, ...] = (word, item.wanted.what, item.wanted.name)
        for one in item.differences or (None,):
            rows.append((*head, *((one.field, one.now, one.then) if one else ("", item.wanted.lacks, ""))))
            head = ("", "", "")
    table(("", "what", "name", "field", "now", "wanted"), rows)
    changed = sum(item.do is PlannedAction.CHANGED for item in items)
    if changed:
        print_error(f"{changed} changed by people and left so: --force undoes it")


def _end_on_companies(items: Sequence[PlannedRecord], *, json: bool) -> None:
    """Say which companies the bots are not in, and end with 4 if there is one."""
    lacking = missing_companies(items)
    if not json:
        for sentence in lacking:
            print_error(sentence)
    if lacking:
        exit_with(FOUND)


def _told(item: PlannedRecord) -> dict[str, Any]:
    return {
        "do": item.do,
        "what": item.wanted.what,
        "name": item.wanted.name,
        "model": item.wanted.model,
        "id": item.id,
        "differences": item.differences,
        "why": item.wanted.lacks,
    }
