"""What should stand in Odoo for the fleet to work: every record by a name of its own, as pure values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from odoo_client.provisioning.automation_rules import AutomationRule, WebhookTarget
from odoo_client.server_action import VERSION, action_text

MODULE = "purser_setup"
"""The module part of the external ids of all this: whoever takes it away takes exactly these."""

GROUP, ACTION, COMPANIES = "group_bot", "receipt_action", "companies"
COMPANIES_KEY = "purser_setup.companies"
"""The system parameter that names the companies of the last set-up."""


@dataclass(frozen=True, slots=True)
class ManagedRef:
    """Another record of this set-up."""

    name: str


@dataclass(frozen=True, slots=True)
class XmlIdRef:
    """A record that Odoo ships, by external id."""

    name: str


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The `ir.model` of a model."""

    model: str


@dataclass(frozen=True, slots=True)
class FieldRef:
    """The `ir.model.fields` of a field."""

    model: str
    field: str


@dataclass(frozen=True, slots=True)
class ActionIdComment:
    """The comment that tells ordinary users the id of an action they may not read."""

    action: ManagedRef


@dataclass(frozen=True, slots=True)
class RecordIds:
    """Records by id, such as all companies."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CompanyScope:
    """The companies of the firm, by id with their names, and those of them that an earlier set-up knew.

    Of those it knew, one that a user is not in was taken away by people. One it did not know was made since.
    """

    names: Mapping[int, str]
    known: frozenset[int] = frozenset()

    def lacking(self, stored: Iterable[int]) -> dict[int, str]:
        """Return the companies that are not among these."""
        there = set(stored)
        return {id_: name for id_, name in self.names.items() if id_ not in there}

    def new(self, stored: Iterable[int]) -> list[int]:
        """Return those of the lacking ones that no set-up knew."""
        return [id_ for id_ in self.lacking(stored) if id_ not in self.known]


Named = ManagedRef | XmlIdRef | ModelRef | FieldRef
Wish = str | bool | float | Named | ActionIdComment | RecordIds | CompanyScope | WebhookTarget | tuple[Named, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DesiredRecord:
    """One record as it should be."""

    name: str
    model: str
    what: str
    """What it is, for people."""
    values: Mapping[str, Wish] = field(default_factory=dict)
    once: Mapping[str, Wish] = field(default_factory=dict)
    """What it begins with, and people decide from then on."""
    login: str = ""
    """A user is ours or somebody's who has this login."""
    lacks: str = ""
    """Why it cannot stand in this Odoo."""
    rule: AutomationRule | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BotUserSpec:
    """A user the fleet comes in as, for one role or several."""

    login: str
    roles: tuple[str, ...]

    @property
    def groups(self) -> tuple[XmlIdRef, ...]:
        """The groups that its roles take, without our own."""
        return tuple(dict.fromkeys(XmlIdRef(name) for role in self.roles for name in GROUPS[role]))


_READING = (
    "base.group_user",
    "hr.group_hr_user",
    "project.group_project_manager",
    "sales_team.group_sale_salesman_all_leads",
    "hr_expense.group_hr_expense_user",
    "account.group_account_readonly",
)
CONTRACT_DATES = "hr.group_hr_manager"
"""Only with it Odoo shows when a contract ends; the change bot does without."""
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "audit": (*_READING, CONTRACT_DATES),
        "change": _READING,
        "billing": ("base.group_user", "sales_team.group_sale_salesman_all_leads"),
    }
)
"""What docs/how-to/bot-rights.md explains. A group whose module is not installed is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OdooDialect:
    """How this version of Odoo names things, asked instead of assumed."""

    groups: str = "group_ids"
    """The groups of a user and of an action: `groups_id` up to 18."""
    has_key_duration: bool = True
    companies: Mapping[int, str] = field(default_factory=dict)
    """Their names by id."""
    known_companies: frozenset[int] = frozenset()
    """Those that the set-up before this one knew."""
    has_rules: bool = True
    has_parameters: bool = True
    """System parameters are there, for the note of the companies."""
    models: Mapping[str, Set[str]] = field(default_factory=dict)
    """The fields of each model a rule is about; no entry where there is no such model."""
    computed: Mapping[str, Set[str]] = field(default_factory=dict)
    """Those of them that Odoo computes, related ones included."""


def desired_records(
    dialect: OdooDialect,
    *,
    bots: Sequence[BotUserSpec],
    key_days: int,
    hooks: Mapping[str, WebhookTarget],
    rules: Sequence[AutomationRule],
    timezone: str = "UTC",
) -> tuple[DesiredRecord, ...]:
    """Return all that should stand, in the order in which it can be made.

    `timezone` is the firm's: where Odoo fills in a day itself, it takes the time zone of the bot's user. `hooks` says
    where each rule posts to. Without an address there is no rule: nobody would listen.
    """
    rules_there = tuple(_rules(dialect, hooks, rules))
    made = {one.name for one in rules_there if not one.lacks}
    webhooks = (_hook(rule, hooks[rule.name]) for rule in rules if f"rule_{rule.name}" in made)
    bots_there = tuple(_bots(dialect, bots, timezone))
    companies = (_companies(dialect),) if bots_there and dialect.has_parameters else ()
    return (*_receipts(dialect, key_days), *bots_there, *companies, *rules_there, *webhooks)


def _receipts(dialect: OdooDialect, key_days: int) -> Iterator[DesiredRecord]:
    duration: dict[str, Wish] = {"api_key_duration": float(key_days)} if dialect.has_key_duration else {}
    yield DesiredRecord(
        name=GROUP,
        model="res.groups",
        what="group Purser bot",
        values={"name": "Purser bot", "comment": ActionIdComment(ManagedRef(ACTION))},
        once=duration,
    )
    yield DesiredRecord(
        name=ACTION,
        model="ir.actions.server",
        what=f"receipt action, version {VERSION}",
        values={
            "name": f"Purser: receipt action, version {VERSION}",
            "model_id": ModelRef("res.groups"),
            "state": "code",
            "code": action_text(),
            dialect.groups: (ManagedRef(GROUP),),
        },
    )


def _bots(dialect: OdooDialect, bots: Sequence[BotUserSpec], timezone: str) -> Iterator[DesiredRecord]:
    for bot in bots:
        yield DesiredRecord(
            name=f"bot_{'_'.join(bot.roles)}",
            model="res.users",
            what=f"bot {bot.login} ({', '.join(bot.roles)})",
            values={
                "active": True,
                dialect.groups: (*bot.groups, ManagedRef(GROUP)),
                "company_ids": CompanyScope(dialect.companies, dialect.known_companies),
                "tz": timezone,
            },
            once={
                "name": f"Purser ({', '.join(bot.roles)})",
                "login": bot.login,
            },
            login=bot.login,
        )


def _companies(dialect: OdooDialect) -> DesiredRecord:
    """Return the note of which companies there are. It is written after the bots are in them."""
    ids = ",".join(map(str, sorted(dialect.companies)))
    return DesiredRecord(
        name=COMPANIES,
        model="ir.config_parameter",
        what="note of the companies that the bots were put in",
        values={"key": COMPANIES_KEY, "value": ids},
    )


def _rules(
    dialect: OdooDialect, hooks: Mapping[str, WebhookTarget], rules: Sequence[AutomationRule]
) -> Iterator[DesiredRecord]:
    for rule in rules:
        hook, known = hooks.get(rule.name), dialect.models.get(rule.model)
        if hook is None or known is None:
            lacks = rule.model if dialect.has_rules else "base.automation: install the module base_automation"
            why = f"this Odoo has no {lacks}" if hook else "PURSER_GATEWAY_URL is not set"
            yield DesiredRecord(
                name=f"rule_{rule.name}", model="base.automation", what=f"rule {rule.title}", lacks=why
            )
            continue
        yield DesiredRecord(
            name=f"rule_{rule.name}",
            model="base.automation",
            what=f"rule {rule.title}",
            values={
                "name": f"Purser: {rule.title}",
                "model_id": ModelRef(rule.model),
                "trigger": "on_create_or_write",
                "trigger_field_ids": tuple(FieldRef(rule.model, name) for name in rule.fields_for(known)),
                "filter_domain": rule.domain_for(known, dialect.computed.get(rule.model, frozenset())),
                "active": True,
            },
            rule=rule,
        )


def _hook(rule: AutomationRule, hook: WebhookTarget) -> DesiredRecord:
    return DesiredRecord(
        name=f"hook_{rule.name}",
        model="ir.actions.server",
        what=f"webhook {rule.title}",
        values={
            "name": f"Purser: tell {rule.title}",
            "model_id": ModelRef(rule.model),
            "state": "webhook",
            "webhook_url": hook,
            "usage": "base_automation",
            "base_automation_id": ManagedRef(f"rule_{rule.name}"),
        },
        rule=rule,
    )
