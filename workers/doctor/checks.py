"""What must be true before the fleet is trusted is checked one question at a time, each answer with what to do."""

import contextlib
import datetime as dt
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from kombu.connection import Connection

from config.observability.logging import redactor_of
from config.policy.loader import Policies
from config.queues import QUEUES, redis_lists
from config.server_urls import mask_url
from config.settings import BotRole, Settings
from odoo_client import NARROWINGS, CurrentUser, OdooClient, RestrictedModel, connect, hidden_from
from odoo_client.transport.request import Request
from purser.cadence import Cadence, Every
from purser.effects import Effects
from purser.errors import ConfigurationError, PurserError
from purser.queries import Aggregate, Row
from purser.registry import Registry
from store import CircuitState, FeedCursor, Ledger, RedisHealth
from tasks.discovery import load_registry
from workers.broker.driver_url import driver_url
from workers.broker.rabbitmq import topology
from workers.changes.detect import feed_name, sweep_name
from workers.context import connection_for, odoo_binding_of
from workers.controls.unknown_names import unknown_logins, unknown_names
from workers.shared_clock import utc_now

KEY_EXPIRES_SOON = dt.timedelta(days=14)


class Level(enum.StrEnum):
    """How an answer is to be taken."""

    OK = "ok"
    WARN = "warn"
    """It works; somebody should know."""
    FAIL = "fail"
    """Something must be done first."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question, its answer, and what to do about it."""

    name: str
    level: Level
    found: str
    what_to_do: str = ""


def check_all(settings: Settings, policies: Callable[[], Policies]) -> Iterator[Check]:
    """Ask everything that these settings allow to ask. Nothing is written anywhere."""
    declared = load_registry()
    values, problem = _policies(policies)
    yield problem
    if settings.broker_url is not None:
        yield broker(settings)
    if settings.ledger_url is not None:
        yield from ledger(settings, values)
    if values is not None and values.subscriptions:
        yield from subscriptions(settings, values)
    if all((settings.odoo_url, settings.odoo_db)):
        yield from _odoo(settings, declared, values)


def _policies(load: Callable[[], Policies]) -> tuple[Policies | None, Check]:
    try:
        values = load()
    except ConfigurationError as error:
        return None, Check(
            "policies", Level.FAIL, str(error), "correct the file; `purser policies check` repeats this"
        )
    return values, Check("policies", Level.OK, f"{values.source}, hash {values.hash}")


# ------------------------------------------------------------------------ broker and ledger --


def broker(settings: Settings) -> Check:
    """Can messages be queued?"""
    where = mask_url(settings.broker)
    try:
        with _connection(settings) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
            version = _version_of(connection)
            unusable = topology.unusable(connection) if topology.is_rabbitmq(settings.broker) else []
            unread = unread_lists(connection)
    except Exception as error:  # noqa: BLE001 - every transport has errors of its own; each means: not reachable
        return Check(
            "broker",
            Level.FAIL,
            f"{where}: {redactor_of(settings).text(str(error))}",
            "start it, or correct PURSER_BROKER_URL",
        )
    if unusable:
        return Check("broker", Level.FAIL, f"{where}: {len(unusable)} queues cannot be used", "; ".join(unusable))
    if unread:
        named = ", ".join(f"{name!r} ({count:,})" for name, count in sorted(unread.items())[:5])
        advice = "senders must leave kombu's `priority_steps` and `sep` as they are; move these messages by hand"
        return Check("broker", Level.WARN, f"{where}: messages lie on lists that nobody reads: {named}", advice)
    return Check("broker", Level.OK, f"{where}: {version}")


def unread_lists(connection: Any) -> dict[str, int]:
    """Return the lists on Redis that bear a name like those of our queues and that no worker reads, with their
    lengths.

    A sender whose kombu has other `priority_steps` or another `sep` makes such lists. Without the right to list keys
    none is found.
    """
    if connection.transport.driver_type != "redis":
        return {}
    client = connection.default_channel.client
    read = {name for queue in QUEUES for name in redis_lists(queue)}
    found: dict[str, int] = {}
    with contextlib.suppress(redis.exceptions.NoPermissionError):
        for key in client.scan_iter(count=1000, _type="list"):
            name = key.decode(errors="replace")
            queue = next((queue for queue in QUEUES if name.startswith(queue)), None)
            if queue is not None and name not in read and not name[len(queue)].isalpha():
                found[name] = client.llen(key)
    return found


def _connection(settings: Settings) -> Any:
    url = settings.broker
    make: Any = Connection
    if topology.is_rabbitmq(url):
        return make(driver_url(url), connect_timeout=3, ssl=topology.tls_of(url))
    options: dict[str, Any] = {"socket_connect_timeout": 3, "socket_timeout": 5}
    if settings.sentinel_master is not None:
        options["master_name"] = settings.sentinel_master
    return make(driver_url(url), connect_timeout=3, transport_options=options)


def _version_of(connection: Any) -> str:
    if connection.transport.driver_type == "redis":
        info = connection.default_channel.client.info("server")
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"
    told = getattr(connection.connection, "server_properties", None) or {}
    return f"{told.get('product', connection.transport.driver_name)} {told.get('version', '')}".strip()


def ledger(settings: Settings, policies: Policies | None = None) -> Iterator[Check]:
    """Is what must not be lost kept on disk, and never evicted?"""
    book = Ledger.connect(settings.ledger)
    try:
        health = book.health()
        unread = book.unreadable() if health.is_reachable else {}
        home = _home(book) if health.is_reachable else ""
        gate = book.gate(odoo_binding_of(settings)).state() if health.is_reachable and settings.odoo_url else None
        cursors, now = (book.cursors.all(), book.now()) if health.is_reachable else ((), utc_now())
    finally:
        book.close()
    yield from check_ledger(health)
    yield from check_entries(unread)
    if home and settings.odoo_url and home != odoo_binding_of(settings):
        advice = "give each Odoo a ledger of its own, or say `purser ledger adopt` if the same database moved"
        yield Check(
            "ledger", Level.FAIL, f"it remembers the cases of {home}, not of {odoo_binding_of(settings)}", advice
        )
    if policies is not None:
        yield from check_feeds(policies, cursors, now)
    if gate is not None and gate.breaker is not CircuitState.CLOSED:
        again = f", next try {gate.until:%H:%M:%S}Z" if gate.until else ""
        why = f": {gate.why}" if gate.why else ""
        if gate.is_refused:
            advice = "correct the key, login, database or address, restart the workers, then `purser breaker try`"
            yield Check("breaker", Level.FAIL, f"{gate.breaker}: Odoo does not let us in{again}{why}", advice)
        else:
            found = f"{gate.breaker} after {gate.failures} failures in a row{again}{why}"
            advice = "see why Odoo fails; calls go on by themselves once it answers, `purser breaker try` asks now"
            yield Check("breaker", Level.WARN, found, advice)


def _home(book: Ledger) -> str:
    try:
        return book.home.known()
    except PurserError:
        return ""  # it is among what cannot be read


def check_entries(unread: Mapping[str, str]) -> Iterator[Check]:
    """Can all that is kept be read?"""
    for why in tuple(unread.values())[:_NAMED]:
        advice = "it is left out and spoils nothing else; upgrade, or RENAME the key once you know what it is"
        yield Check("ledger entries", Level.WARN, why, advice)
    if len(unread) > _NAMED:
        yield Check(
            "ledger entries", Level.WARN, f"{len(unread) - _NAMED} more cannot be read", "begin with those above"
        )


_NAMED = 10
"""How many entries that cannot be read are named one by one."""


def subscriptions(settings: Settings, policies: Policies) -> Iterator[Check]:
    """Can what goes out be signed, and does anybody take it?"""
    unsigned = sorted({one.secret for one in policies.subscriptions.values()} - settings.outbound_keys.keys())
    off: list[str] = []
    if settings.ledger_url is not None:
        book = Ledger.connect(settings.ledger)
        try:
            off = sorted(book.outbound.switched_off().keys() & policies.subscriptions.keys())
        except PurserError:
            pass  # the ledger has a check of its own
        finally:
            book.close()
    if unsigned:
        found = f"PURSER_OUTBOUND_SECRETS holds no secret {', '.join(unsigned)}"
        yield Check("subscriptions", Level.FAIL, found, "add it: nothing is sent unsigned")
    if off:
        found = f"switched off, for the receiver wants no more: {', '.join(off)}"
        yield Check("subscriptions", Level.WARN, found, "ask the receiver, then `purser outbound enable NAME`")
    if not unsigned and not off:
        yield Check("subscriptions", Level.OK, f"{len(policies.subscriptions)} can be signed; `purser outbound list`")


def check_feeds(policies: Policies, cursors: Iterable[FeedCursor], now: dt.datetime) -> Iterator[Check]:
    """Does the change feed keep up? One that never asked is no news: beat may not have run yet."""
    asked = {cursor.name: cursor for cursor in cursors}
    feeds = {name: cursor for name in policies.feeds() if (cursor := asked.get(feed_name(name))) and not cursor.lacks}
    late = {
        name: now - cursor.done
        for name, cursor in feeds.items()
        if now - cursor.done > FEED_PATIENCE + 2 * _step(policies.watch(name).every)
    }
    if late:
        found = ", ".join(f"{name} {age.total_seconds() / 60:.0f} min" for name, age in sorted(late.items()))
        advice = "see that beat and a worker of queue `scans` run, and `purser pauses`"
        yield Check("change feed", Level.WARN, f"behind: {found}", advice)
    elif feeds:
        yield Check("change feed", Level.OK, f"in time, watches: {len(feeds)}")
    missed = {name: cursor.told for name in feeds if (cursor := asked.get(sweep_name(name))) and cursor.told}
    if missed:
        told = ", ".join(f"{name} {count}" for name, count in sorted(missed.items()))
        advice = "transactions of Odoo last longer than the overlap: raise `overlap_minutes` of these watches"
        yield Check("change feed overlap", Level.WARN, f"facts told by the last daily sweep only: {told}", advice)


FEED_PATIENCE = dt.timedelta(minutes=10)
"""A feed may be so much later than two of its cadences: a long walk, a busy queue."""


def _step(cadence: Cadence) -> dt.timedelta:
    return cadence.step if isinstance(cadence, Every) else dt.timedelta(days=7)


def check_ledger(health: RedisHealth) -> Iterator[Check]:
    """Judge what the server says of itself."""
    if not health.is_reachable:
        yield Check("ledger", Level.FAIL, health.problem, "start it, or correct PURSER_LEDGER_URL")
        return
    yield Check("ledger", Level.OK, f"{health.address}: {health.server} {health.version}")
    yield _appends(health)
    yield _evicts(health)
    if health.persistence_errors:
        found = ", ".join(health.persistence_errors)
        yield Check("ledger disk", Level.FAIL, found, "free disk space and see the log of the server")
    if health.max_memory and health.used_memory is not None and health.used_memory > 0.8 * health.max_memory:
        found = f"{health.used_memory / health.max_memory:.0%} of maxmemory used"
        yield Check("ledger memory", Level.WARN, found, "give it more memory: a full ledger takes no dead letters")


def _appends(health: RedisHealth) -> Check:
    match health.has_append_only_file:
        case True:
            return Check("ledger append-only file", Level.OK, "on")
        case False:
            found, advice = "off: a crash of the server loses messages and letters", "start it with --appendonly yes"
            return Check("ledger append-only file", Level.FAIL, found, advice)
    return Check("ledger append-only file", Level.WARN, "the server does not say", "see that it is on")


def _evicts(health: RedisHealth) -> Check:
    if health.eviction == "noeviction":
        return Check("ledger eviction", Level.OK, "noeviction")
    if health.eviction is None:
        return Check("ledger eviction", Level.WARN, "the server does not say", "see that it is noeviction")
    found = f"{health.eviction}: when memory is short, letters may be dropped"
    return Check("ledger eviction", Level.FAIL, found, "start it with --maxmemory-policy noeviction")


# ------------------------------------------------------------------------------------- Odoo --


@dataclass(frozen=True, slots=True)
class BotUser:
    """One user of ours in Odoo, and the roles it plays."""

    roles: tuple[BotRole, ...]
    login: str
    client: OdooClient
    me: CurrentUser

    def __str__(self) -> str:
        return f"{self.login} ({', '.join(self.roles)})"


def _odoo(settings: Settings, declared: Registry, policies: Policies | None) -> Iterator[Check]:
    bots: list[BotUser] = []
    clients: list[OdooClient] = []
    try:
        for roles, login in _logins(settings).items():
            client = connect(connection_for(settings, roles[0]))
            clients.append(client)
            yield from check_connection(client, roles, login, bots)
        yield from shared_bots(settings)
        for bot in bots:
            yield from _asked(f"key of {bot}", partial(key_expiry, bot, utc_now()))
            yield from _asked(f"rights of {bot}", partial(forbidden_rights, bot))
            yield from _asked(f"rights of {bot}", partial(required_rights, bot, declared, policies))
        if policies is not None:
            yield from timezones(bots, policies.timezone.key)
        audit = next((bot for bot in bots if BotRole.AUDIT in bot.roles), None)
        if audit is not None:
            yield from _asked("visibility", partial(visibility, audit, bots))
            yield from _asked("companies", partial(companies, bots))
            yield from _asked("fields", partial(hidden_fields, audit, declared, policies))
            yield from _asked("modules", partial(modules, audit))
            if policies is not None:
                yield from _asked("roles", partial(staffed, audit, policies))
                yield from _asked("names in the policy", partial(named, audit, policies))
    finally:
        for client in clients:
            client.close()


def _asked(name: str, ask: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Ask Odoo; an error is an answer too, and the questions after it are still asked."""
    try:
        yield from ask()
    except PurserError as error:
        yield Check(name, Level.FAIL, str(error), "see the other checks first, then repeat")


def _logins(settings: Settings) -> Mapping[tuple[BotRole, ...], str]:
    by_login: dict[str, list[BotRole]] = {}
    for role in BotRole:
        try:
            by_login.setdefault(settings.odoo(role).login, []).append(role)
        except ConfigurationError:  # not set: the check of the settings says so
            continue
    return {tuple(roles): login for login, roles in by_login.items()}


def check_connection(
    client: OdooClient, roles: tuple[BotRole, ...], login: str, bots: list[BotUser]
) -> Iterator[Check]:
    """Can each bot come in? Who can is added to `bots`."""
    name = f"Odoo as {login}"
    ping = client.ping()
    if not ping.reachable:
        yield Check(name, Level.FAIL, ping.problem, "see that Odoo runs, and check PURSER_ODOO_URL")
    elif not ping.accepted:
        advice = "check PURSER_ODOO_DB and the login, and make a new API key as that user (My Profile, Security)"
        yield Check(name, Level.FAIL, ping.problem, advice)
    else:
        me = client.whoami()
        version = ".".join(map(str, me.version))
        found = f"Odoo {version} by {me.api}, user {me.uid}"
        yield Check(name, Level.OK, found)
        if me.login != login:
            found, advice = f"the key belongs to {me.login}", "set the login to the user whose key it is"
            yield Check(f"{name}: login", Level.FAIL, found, advice)
        bots.append(BotUser(roles, login, client, me))


def shared_bots(settings: Settings) -> Iterator[Check]:
    """Does each kind of work have a bot of its own?"""
    if settings.shared_bots:
        roles = ", ".join(settings.shared_bots)
        advice = f"give each a user of its own: PURSER_ODOO_{settings.shared_bots[0].upper()}_LOGIN and _API_KEY"
        yield Check("bots", Level.WARN, f"the single bot also does: {roles}", advice)
    else:
        yield Check("bots", Level.OK, "each kind of work has its own")


def key_expiry(bot: BotUser, now: dt.datetime) -> Iterator[Check]:
    """Will the key still open the door next week?"""
    known = bot.client.fields("res.users.apikeys") or {}
    if "expiration_date" not in known:
        yield Check(f"key of {bot}", Level.OK, "this Odoo's keys do not expire")
        return
    request = Request(
        model="res.users.apikeys",
        method="search_read",
        arguments={"domain": [["user_id", "=", bot.me.uid]], "fields": ["expiration_date"]},
        reads=True,
    )
    dates = [row["expiration_date"] for row in bot.client.send(request)]
    ends = sorted(one for one in (_moment(date) for date in dates if date) if one > now)
    yield check_expiry(f"key of {bot}", ends, len(dates), now)


def check_expiry(name: str, ends: list[dt.datetime], keys: int, now: dt.datetime) -> Check:
    """Judge the moments at which a user's keys end. Odoo does not tell which of several keys is ours."""
    if not ends:
        return Check(name, Level.OK, "no end date")
    which = "" if keys == 1 else f" (the first of {keys} keys of this user)"
    found = f"ends on {ends[0]:%Y-%m-%d}{which}"
    if ends[0] - now < KEY_EXPIRES_SOON:
        return Check(name, Level.WARN, found, "make a new key as that user (My Profile, Security) and set it")
    return Check(name, Level.OK, found)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


# ----------------------------------------------------------------------------------- rights --

_NEVER = {
    "base.group_system": "an administrator may do anything",
    "base.group_erp_manager": "it may change users and their rights",
    "account.group_account_invoice": "it may post invoices",
}

_EXPECTED_UNWRITABLE = {
    "purchase.order": "the group that allows it also allows writing on invoices: a bot or group of its own does not"
}

_PUBLIC = {"hr.employee": "it sees public profiles only: no tags and no departure, and employment from the first day"}
"""Models of which Odoo shows a part to every user, although it says that he may not read them."""


def forbidden_rights(bot: BotUser) -> Iterator[Check]:
    """Is the bot without the rights it must never have?"""
    held = {group: why for group, why in _NEVER.items() if bot.client.has_group(group)}
    for group, why in held.items():
        advice = f"take the group {group} from this user"
        yield Check(f"too many rights of {bot}", Level.FAIL, f"in {group}: {why}", advice)
    if not held and bot.client.may("account.move", "write"):
        found = "it may write on invoices and bills, though not post them"
        advice = "purchase.group_purchase_user brings this: give purchases a bot or a group of their own"
        yield Check(f"too many rights of {bot}", Level.WARN, found, advice)
    elif not held:
        yield Check(f"too many rights of {bot}", Level.OK, "none")


@dataclass(frozen=True, slots=True)
class RequiredRight:
    """One model right and what needs it."""

    model: str
    operation: str
    needed_by: tuple[str, ...]
    is_optional: bool


def rights_needed(declared: Registry, policies: Policies | None, role: BotRole) -> tuple[RequiredRight, ...]:
    """List what the enabled controls and automations need of a bot, by model and operation."""
    needed: dict[tuple[str, str], dict[str, bool]] = {}
    for model, operation, by, is_optional in _needs(declared, policies, role):
        users = needed.setdefault((model, operation), {})
        users[by] = users.get(by, True) and is_optional
    return tuple(
        RequiredRight(model, operation, tuple(sorted(users)), all(users.values()))
        for (model, operation), users in sorted(needed.items())
    )


def _needs(declared: Registry, policies: Policies | None, role: BotRole) -> Iterator[tuple[str, str, str, bool]]:
    for name, reads, effects in _enabled(declared, policies):
        if role is BotRole.AUDIT:
            for read in reads:
                yield read.model, "read", name, read.optional
        if role is BotRole.CHANGE:
            for model, operation in effects.rights():
                yield model, operation, name, operation == "write" and model in _EXPECTED_UNWRITABLE


def _enabled(
    declared: Registry, policies: Policies | None
) -> Iterator[tuple[str, tuple[type[Row] | type[Aggregate], ...], Effects]]:
    for name, control in declared.controls.items():
        if policies is None or policies.control(name).enabled:
            yield name, control.reads, control.effects
    for name, automation in declared.automations.items():
        if policies is None or policies.automation(name).enabled:
            yield name, automation.reads, automation.effects
    for name, watch in declared.watches.items():
        if policies is None or policies.watch(name).enabled:
            yield name, (watch.row,), Effects()


def required_rights(bot: BotUser, declared: Registry, policies: Policies | None) -> Iterator[Check]:
    """May the bot do what the enabled controls and automations need?"""
    for role in bot.roles:
        rights = rights_needed(declared, policies, role)
        lacking = [check for right in rights if (check := _lacks(bot, right)) is not None]
        yield from lacking
        if rights and not lacking:
            yield Check(f"{role} rights of {bot}", Level.OK, f"all {len(rights)} there")


def _lacks(bot: BotUser, right: RequiredRight) -> Check | None:
    client, users = bot.client, ", ".join(right.needed_by)
    name = f"{right.operation} {right.model}"
    if client.fields(right.model) is None:
        found = f"this database has no such model; for {users}"
        level = Level.OK if right.is_optional else Level.WARN
        return Check(name, level, found, "install the module, or switch off what needs it in the policy")
    if client.may(right.model, right.operation):
        return None
    advice = f"give {bot.login} a group that may {right.operation} {right.model}"
    if right.operation == "read" and right.model in _PUBLIC:
        return Check(name, Level.WARN, f"{bot.login}: {_PUBLIC[right.model]}; for {users}", advice)
    level = Level.WARN if right.is_optional else Level.FAIL
    if right.model in _EXPECTED_UNWRITABLE and right.operation == "write":
        advice = f"cases on {right.model} cannot be asked there; {_EXPECTED_UNWRITABLE[right.model]}"
    return Check(name, level, f"{bot.login} may not; needed by {users}", advice)


# ------------------------------------------------------------------------------- visibility --

_COUNTED: Mapping[str, tuple[str, list[Any]]] = {
    "employees": ("hr.employee", []),
    "timesheets": ("account.analytic.line", [["project_id", "!=", False]]),
    "other analytic lines": ("account.analytic.line", [["project_id", "=", False]]),
    "orders": ("sale.order", []),
    "order lines": ("sale.order.line", []),
    "invoices, bills and entries": ("account.move", []),
    "expenses": ("hr.expense", []),
    "purchase orders": ("purchase.order", []),
    "projects": ("project.project", []),
}

_APPROVER, _MANAGER = "hr_timesheet.group_hr_timesheet_approver", "project.group_project_manager"


def visibility(audit: BotUser, bots: Iterable[BotUser]) -> Iterator[Check]:
    """Does the reading bot see what there is? Odoo answers a missing right with fewer rows and no error."""
    others = [bot for bot in bots if bot is not audit]
    for what, (model, domain) in _COUNTED.items():
        count = _count(audit, model, domain)
        if count is None:
            continue
        seen = ((_count(bot, model, domain) or 0, str(bot)) for bot in others)
        yield check_count(what, count, max(seen, default=None))
    groups = audit.client.has_group
    for one in NARROWINGS:
        if (not one.narrow or groups(one.narrow)) and not any(map(groups, one.wide)):
            yield Check("visibility", Level.FAIL, f"{one.model}: {one.effect}", f"add {' or '.join(one.wide)}")
    if groups(_APPROVER) and not groups(_MANAGER):
        yield Check("visibility", Level.WARN, "timesheets of private projects are hidden", f"add {_MANAGER}")


def check_count(what: str, count: int, best: tuple[int, str] | None) -> Check:
    """Judge how many records the reading bot sees, beside what another of our bots sees at best."""
    name = f"sees {what}"
    if count == 0:
        advice = "if there are any, the bot lacks a group: compare with what an administrator sees"
        return Check(name, Level.WARN, "none", advice)
    if best is not None and best[0] > count:
        found = f"{count}, but {best[1]} sees {best[0]}"
        return Check(name, Level.WARN, found, "a group narrows what the reading bot sees: give it the other's groups")
    return Check(name, Level.OK, str(count))


def _count(bot: BotUser, model: str, domain: list[Any]) -> int | None:
    """Count what a bot sees; None where the model is not there or may not be read."""
    fields = bot.client.fields(model)
    if fields is None or any(leaf[0] not in fields for leaf in domain) or not bot.client.may(model, "read"):
        return None
    return bot.client.search_count(model, domain)


def companies(bots: Iterable[BotUser]) -> Iterator[Check]:
    """Is each bot in every company? Odoo tells a user how many there are, not which ones."""
    unseen = {str(bot): count for bot in bots if (count := bot.client.unseen_companies())}
    for bot, count in unseen.items():
        found = f"not in {count} of the companies of this database: what happens there is not seen"
        advice = "`purser odoo check` with an administrator says which; `purser odoo setup` adds those made since"
        yield Check(f"companies of {bot}", Level.WARN, f"{found}, and hours logged there look like missing", advice)
    if not unseen:
        yield Check("companies", Level.OK, "every bot is in all companies")


def timezones(bots: Iterable[BotUser], firm: str) -> Iterator[Check]:
    """Check that the users of writing bots have the firm's time zone: Odoo fills in days by it."""
    for bot in bots:
        own = bot.me.tz or "UTC"
        if own != firm and {*bot.roles} != {BotRole.AUDIT}:
            found = f"{own}, and the policy says {firm}: days that Odoo fills in itself may be a day off"
            advice = (
                f"set the time zone of the user {bot.login} in Odoo to {firm}, or run `purser odoo setup --force`"
            )
            yield Check(f"time zone of {bot}", Level.WARN, found, advice)


def hidden_fields(bot: BotUser, declared: Registry, policies: Policies | None) -> Iterator[Check]:
    """Does the reading bot see the fields that reads leave out without an error where a user may not see them?"""
    hidden: dict[RestrictedModel, set[str]] = {}
    for name, reads, _ in _enabled(declared, policies):
        for guarded in hidden_from(bot.client, reads):
            hidden.setdefault(guarded, set()).add(name)
    for guarded, users in hidden.items():
        found = f"not readable by {bot.login}: {guarded.effect}; for {', '.join(sorted(users))}"
        yield Check(guarded.what, Level.WARN, found, f"give {bot.login} the group {guarded.group}")
    if not hidden:
        yield Check("optional fields", Level.OK, f"{bot.login} sees all that are read")


# ---------------------------------------------------------------------- modules and policies --

_MODULES = (
    "account",
    "crm",
    "hr",
    "hr_expense",
    "hr_holidays",
    "hr_timesheet",
    "mail",
    "project",
    "purchase",
    "sale_management",
    "sale_timesheet",
)


def modules(bot: BotUser) -> Iterator[Check]:
    """Which parts of Odoo are there, and does it know approved time?"""
    request = Request(
        model="ir.module.module",
        method="search_read",
        arguments={"domain": [["name", "in", list(_MODULES)], ["state", "=", "installed"]], "fields": ["name"]},
        reads=True,
    )
    installed = sorted(row["name"] for row in bot.client.send(request))
    missing = sorted(set(_MODULES) - set(installed))
    found = ", ".join(installed) + (f"; not there: {', '.join(missing)}" if missing else "")
    yield Check("modules", Level.OK, found)
    lines = bot.client.fields("account.analytic.line") or {}
    approval = "validated" if "validated" in lines else "a timesheet sheet" if "sheet_id" in lines else ""
    yield Check("approval of time", Level.OK, f"known by {approval}" if approval else "unknown here: all time counts")


def named(bot: BotUser, policies: Policies) -> Iterator[Check]:
    """Does Odoo know every name in the policy, in any installed language?"""
    unknown = list(unknown_names(bot.client, policies))
    for where, what, name in unknown:
        advice = "correct the policy file, or the name in Odoo: a name that is nowhere leaves nobody out"
        yield Check("names in the policy", Level.FAIL, f"{where}: no {what} is called `{name}`", advice)
    if not unknown:
        yield Check("names in the policy", Level.OK, "Odoo knows them all")


def staffed(bot: BotUser, policies: Policies) -> Iterator[Check]:
    """Does every role that is asked have members whom Odoo knows?"""
    for role in policies.unstaffed():
        advice = f"name Odoo logins under `roles: {role}:` in the policy file"
        yield Check(f"role {role}", Level.WARN, "nobody fills it, so the ladder skips it", advice)
    missing = list(unknown_logins(bot.client, policies))
    for role, members in policies.roles.items():
        unknown = [login for one, login in missing if one == role]
        if unknown:
            found = f"no active user has the login {', '.join(unknown)}"
            yield Check(f"role {role}", Level.FAIL, found, "correct the policy file, or make the user")
        elif members:
            yield Check(f"role {role}", Level.OK, f"{len(members)} members")
