"""What Odoo must hold for the fleet is set up, checked and taken away, with the tokens of its webhooks."""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config.settings import BotRole, Settings
from odoo_client import OdooClient, OdooConnection, provisioning
from odoo_client.provisioning import (
    AutomationRule,
    BotUserSpec,
    Difference,
    InstalledRecord,
    PlannedAction,
    PlannedRecord,
    WebhookTarget,
)
from purser.errors import ConfigurationError, NotApplicable, PurserError, Refusal
from store import token_digest
from workers.doctor.checks import BotUser as Entered
from workers.doctor.checks import Check, Level, check_connection, forbidden_rights

DEFAULT_LOGINS: Mapping[str, str] = {role: f"purser-{role}" for role in BotRole}
"""How bots are called that the settings do not name yet."""

_MATTERS = frozenset(
    {"code", "state", "active", "webhook_url", "trigger", "filter_domain", "model_id", "group_ids", "groups_id"}
)
"""Fields without which something does not work; others are looks."""


class WebhookRuleInfo(Protocol):
    """A rule that may post to the gateway."""

    @property
    def rule(self) -> str: ...
    @property
    def digests(self) -> tuple[str, ...]: ...


class TokenStore(Protocol):
    """The tokens of webhooks, by their digests: `store.webhook_tokens`."""

    def add(self, rule: str, digest: str, models: Sequence[str]) -> None:
        """Let a rule post with a token. Its newest two count."""

    def rules(self) -> Sequence[WebhookRuleInfo]:
        """Return all rules."""

    def drop(self, rule: str) -> int:
        """Forget a rule."""


@dataclass(frozen=True, kw_only=True)
class OdooSite:
    """One Odoo with an administrator in it, and what is to stand there."""

    admin: OdooClient
    bots: tuple[BotUserSpec, ...]
    rules: tuple[AutomationRule, ...]
    gateway: str | None = None
    tokens: TokenStore | None = None
    key_days: int = 365
    timezone: str = "UTC"
    """The firm's, for the users of the bots."""

    # ----------------------------------------------------------------------------- setting up --

    def foresee(self, *, rotate: bool = False, force: bool = False) -> tuple[PlannedRecord, ...]:
        """Return what setting up would do. Reads only."""
        wanted = self._wanted(rotate=rotate)
        return provisioning.make_plan(wanted, provisioning.CurrentStateReader(self.admin).known(wanted), force=force)

    def carry_out(self, *, rotate: bool = False, force: bool = False) -> tuple[PlannedRecord, ...]:
        """Set up; again, it changes nothing. The gateway knows a token before Odoo posts with it."""
        wanted = self._wanted(rotate=rotate)
        known = provisioning.CurrentStateReader(self.admin).known(wanted)
        for item in provisioning.make_plan(wanted, known, force=force):
            self._admit(item)
        return provisioning.apply_plan(self.admin, wanted, force=force)

    def _wanted(self, *, rotate: bool) -> tuple[provisioning.DesiredRecord, ...]:
        finder = provisioning.CurrentStateReader(self.admin)
        dialect = finder.dialect(self.rules)
        hooks = self._hooks(finder.urls(), rotate=rotate)
        return provisioning.desired_records(
            dialect,
            bots=self.bots,
            key_days=self.key_days,
            hooks=hooks,
            rules=self.rules,
            timezone=self.timezone,
        )

    def _hooks(self, urls: Mapping[str, str], *, rotate: bool) -> dict[str, WebhookTarget]:
        """Return where rules post to: with the token they have, or with a new one."""
        if self.gateway is None or self.tokens is None:
            return {}
        hooks = {}
        for rule in self.rules:
            has = "" if rotate else provisioning.token_in(urls.get(rule.name, ""))
            url = provisioning.address(self.gateway, has or secrets.token_urlsafe(32))
            hooks[rule.name] = WebhookTarget(url=url, is_new=rotate or rule.name not in urls)
        return hooks

    def _admit(self, item: PlannedRecord) -> None:
        rule, hook = item.wanted.rule, item.wanted.values.get("webhook_url")
        if (
            rule is None
            or self.tokens is None
            or not isinstance(hook, WebhookTarget)
            or item.do is PlannedAction.CHANGED
        ):
            return
        self.tokens.add(rule.name, token_digest(provisioning.token_in(hook.url)), [rule.model])

    def make_keys(self, folder: Path, logins: Iterable[str]) -> tuple[Path, ...]:
        """Make an API key for each of these bots, and keep it in a file of its own that only its owner may read."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = []
        for login in logins:
            path = folder / f"{login}.key"
            if path.exists():
                raise ConfigurationError(f"{path} is there already: move it away, or name another folder with --keys")
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(provisioning.make_key(self.admin, login, days=self.key_days) + "\n")
            made.append(path)
        return tuple(made)

    # ----------------------------------------------------------------------------- taking away --

    def standing(self) -> tuple[InstalledRecord, ...]:
        """Return everything in Odoo that bears an external id of this set-up."""
        return provisioning.installed_records(self.admin)

    def remove(self, standing: Sequence[InstalledRecord]) -> None:
        """Take it away, and let the gateway forget the rules."""
        provisioning.remove(self.admin, standing)
        if self.tokens is not None:
            for one in standing:
                if one.name.startswith("hook_"):
                    self.tokens.drop(one.name.removeprefix("hook_"))

    # -------------------------------------------------------------------------------- checking --

    def check(self, *, hook: bool = False) -> Iterator[Check]:
        """Does everything stand as it should, and do hooks arrive? With `hook` each is set off once."""
        items = self.foresee()
        yield from (check_records(item) for item in items)
        yield from self._domains()
        yield from self._tokens()
        if hook:
            yield from self._try_hooks()

    def _domains(self) -> Iterator[Check]:
        """Check that no rule of ours makes Odoo compute and store a field too early."""
        for name, (model, fields) in provisioning.CurrentStateReader(self.admin).unsafe_domains().items():
            found = f"its domain names computed fields of {model}: {', '.join(sorted(fields))}"
            advice = "Odoo stores wrong values of these fields for new records: run `purser odoo setup --force`"
            yield Check(f"domain of {name}", Level.FAIL, found, advice)

    def _tokens(self) -> Iterator[Check]:
        if self.tokens is None:
            return
        live = {rule.rule: rule.digests for rule in self.tokens.rules()}
        for name, url in provisioning.CurrentStateReader(self.admin).urls().items():
            if token_digest(provisioning.token_in(url)) not in live.get(name, ()):
                found = "the gateway does not know the token that Odoo posts with"
                yield Check(f"token of rule {name}", Level.FAIL, found, "run `purser odoo setup`, or with --rotate")

    def _try_hooks(self) -> Iterator[Check]:
        if self.tokens is None:
            yield Check("hooks", Level.FAIL, "nobody can say whether they arrive", "set PURSER_LEDGER_URL")
            return
        by_name = {rule.name: rule for rule in self.rules}
        for one in self.standing():
            rule = by_name.get(one.name.removeprefix("hook_")) if one.name.startswith("hook_") else None
            if rule is not None:
                yield self._tried(one, rule)

    def _tried(self, hook: InstalledRecord, rule: AutomationRule) -> Check:
        name, before = f"hook {rule.name}", self._heard(rule.name)
        if not provisioning.try_hook(self.admin, hook, rule.model):
            return Check(name, Level.OK, f"not tried: there is no {rule.model} to tell of")
        after = self._heard(rule.name)
        if after is None or after == before:
            advice = "see that Odoo's server reaches PURSER_GATEWAY_URL and that `purser gateway` runs"
            return Check(name, Level.FAIL, "Odoo posted and the gateway heard nothing", advice)
        return Check(name, Level.OK, "it arrives")

    def _heard(self, rule: str) -> object:
        found = [one for one in (self.tokens.rules() if self.tokens else ()) if one.rule == rule]
        return getattr(found[0], "heard", None) if found else None


def check_records(item: PlannedRecord) -> Check:
    """Return what the state of one record means."""
    what, off = item.wanted.what, ", ".join(sorted({_told_of(one) for one in item.differences}))
    match item.do:
        case PlannedAction.KEEP:
            return Check(what, Level.OK, "as set up")
        case PlannedAction.LACKS:
            return Check(what, Level.OK, f"not here: {item.wanted.lacks}")
        case PlannedAction.MAKE:
            return Check(what, Level.FAIL, "missing", "run `purser odoo setup`")
        case PlannedAction.MEND:
            return Check(what, Level.FAIL, f"out of date: {off}", "run `purser odoo setup`")
        case PlannedAction.CHANGED:
            matters = any(one.field in _MATTERS for one in item.differences)
            advice = "undo it in Odoo, or run `purser odoo setup --force`"
            return Check(what, Level.FAIL if matters else Level.WARN, f"changed by people: {off}", advice)


def _told_of(one: Difference) -> str:
    """Name a field that differs; of companies, which ones."""
    return one.now if one.field == "company_ids" else one.field


def missing_companies(items: Iterable[PlannedRecord]) -> list[str]:
    """Return a sentence for each bot that is not in all companies of the firm."""
    return [
        f"{item.wanted.what} is {one.now}: what happens there is not seen"
        for item in items
        for one in item.differences
        if one.field == "company_ids"
    ]


def check_bots(settings: Settings, connect: Callable[[OdooConnection], OdooClient]) -> Iterator[Check]:
    """May each bot do what it is for, and nothing more? Asked as the bot itself."""
    for roles, access in _doors(settings).items():
        client = connect(access)
        entered: list[Entered] = []
        try:
            yield from check_connection(client, roles, access.login, entered)
            for bot in entered:
                yield from forbidden_rights(bot)
                yield _performs(bot)
        except PurserError as error:
            yield Check(f"Odoo as {access.login}", Level.FAIL, str(error), "see the other checks first, then repeat")
        finally:
            client.close()


def _performs(bot: Entered) -> Check:
    name = f"receipt action as {bot}"
    try:
        version = bot.client.receipts.check()
    except (NotApplicable, Refusal) as error:
        level = Level.WARN if bot.roles == (BotRole.AUDIT,) else Level.FAIL
        return Check(name, level, str(error), "run `purser odoo setup`")
    return Check(name, Level.OK, f"answers, version {version}")


# -------------------------------------------------------------------------------- the settings --


def admin_connection(settings: Settings, login: str, key: str) -> OdooConnection:
    """Return how an administrator enters."""
    if settings.odoo_url is None or settings.odoo_db is None:
        raise ConfigurationError("PURSER_ODOO_URL and PURSER_ODOO_DB are missing: they say where Odoo is")
    return OdooConnection(
        url=settings.odoo_url,
        db=settings.odoo_db,
        login=login,
        api_key=key,
        api=settings.odoo_api,
        read_timeout=settings.odoo_timeout,
    )


def bots_of(settings: Settings) -> tuple[BotUserSpec, ...]:
    """Return the users that the settings name, each with its roles; where they name none, one for each role."""
    by_login: dict[str, list[str]] = {}
    for role in BotRole:
        login = getattr(settings, f"odoo_{role}_login") or settings.odoo_login or DEFAULT_LOGINS[role]
        by_login.setdefault(login, []).append(role)
    return tuple(BotUserSpec(login=login, roles=tuple(roles)) for login, roles in by_login.items())


def rules_for(models: Iterable[str]) -> tuple[AutomationRule, ...]:
    """Return the rules for models that somebody watches: of others nobody would look at a record."""
    watched = frozenset(models)
    return tuple(rule for rule in provisioning.RULES if rule.model in watched)


def _doors(settings: Settings) -> dict[tuple[BotRole, ...], OdooConnection]:
    found: dict[str, tuple[list[BotRole], OdooConnection]] = {}
    for role in BotRole:
        try:
            access = settings.odoo(role)
        except ConfigurationError:
            continue
        own = admin_connection(settings, access.login, access.api_key)
        found.setdefault(access.login, ([], own))[0].append(role)
    return {tuple(roles): own for roles, own in found.values()}
