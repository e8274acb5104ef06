"""What should stand in Odoo for the fleet to work: every record by a name of its own, as pure values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from odoo_client.receipts import VERSION, action_text
from odoo_client.setup.hooks import Hook, Rule

MODULE = "purser_setup"
"""The module part of the external ids of all this: whoever takes it away takes exactly these."""

GROUP, ACTION, COMPANIES = "group_bot", "receipt_action", "companies"
COMPANIES_KEY = "purser_setup.companies"
"""The system parameter that names the companies of the last set-up."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Another record of this set-up."""

    name: str


@dataclass(frozen=True, slots=True)
class Shipped:
    """A record that Odoo ships, by external id."""

    name: str


@dataclass(frozen=True, slots=True)
class OfModel:
    """The `ir.model` of a model."""

    model: str


@dataclass(frozen=True, slots=True)
class OfField:
    """The `ir.model.fields` of a field."""

    model: str
    field: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The comment that tells ordinary users the id of an action they may not read."""

    action: Ours


@dataclass(frozen=True, slots=True)
class Ids:
    """Records by id, such as all companies."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Companies:
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


Named = Ours | Shipped | OfModel | OfField
Wish = str | bool | float | Named | Marked | Ids | Companies | Hook | tuple[Named, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
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
    rule: Rule | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bot:
    """A user the fleet comes in as, for one role or several."""

    login: str
    roles: tuple[str, ...]

    @property
    def groups(self) -> tuple[Shipped, ...]:
        """The groups that its roles take, without our own."""
        return tuple(dict.fromkeys(Shipped(name) for role in self.roles for name in GROUPS[role]))


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
class Dialect:
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


def wanted(
    dialect: Dialect,
    *,
    bots: Sequence[Bot],
    key_days: int,
    hooks: Mapping[str, Hook],
    rules: Sequence[Rule],
    timezone: str = "UTC",
) -> tuple[Wanted, ...]:
    """Give all that should stand, in the order in which it can be made.

    `timezone` is the firm's: where Odoo fills in a day itself, it takes the time zone of the bot's user. `hooks` says
    where each rule posts to. Without an address there is no rule: nobody would listen.
    """
    rules_there = tuple(_rules(dialect, hooks, rules))
    made = {one.name for one in rules_there if not one.lacks}
    webhooks = (_hook(rule, hooks[rule.name]) for rule in rules if f"rule_{rule.name}" in made)
    bots_there = tuple(_bots(dialect, bots, timezone))
    companies = (_companies(dialect),) if bots_there and dialect.has_parameters else ()
    return (*_receipts(dialect, key_days), *bots_there, *companies, *rules_there, *webhooks)


def _receipts(dialect: Dialect, key_days: int) -> Iterator[Wanted]:
    duration: dict[str, Wish] = {"api_key_duration": float(key_days)} if dialect.has_key_duration else {}
    yield Wanted(
        name=GROUP,
        model="res.groups",
        what="group Purser bot",
        values={"name": "Purser bot", "comment": Marked(Ours(ACTION))},
        once=duration,
    )
    yield Wanted(
        name=ACTION,
        model="ir.actions.server",
        what=f"receipt action, version {VERSION}",
        values={
            "name": f"Purser: receipt action, version {VERSION}",
            "model_id": OfModel("res.groups"),
            "state": "code",
            "code": action_text(),
            dialect.groups: (Ours(GROUP),),
        },
    )


def _bots(dialect: Dialect, bots: Sequence[Bot], timezone: str) -> Iterator[Wanted]:
    for bot in bots:
        yield Wanted(
            name=f"bot_{'_'.join(bot.roles)}",
            model="res.users",
            what=f"bot {bot.login} ({', '.join(bot.roles)})",
            values={
                "active": True,
                dialect.groups: (*bot.groups, Ours(GROUP)),
                "company_ids": Companies(dialect.companies, dialect.known_companies),
                "tz": timezone,
            },
            once={
                "name": f"Purser ({', '.join(bot.roles)})",
                "login": bot.login,
            },
            login=bot.login,
        )


def _companies(dialect: Dialect) -> Wanted:
    """Return the note of which companies there are. It is written after the bots are in them."""
    ids = ",".join(map(str, sorted(dialect.companies)))
    return Wanted(
        name=COMPANIES,
        model="ir.config_parameter",
        what="note of the companies that the bots were put in",
        values={"key": COMPANIES_KEY, "value": ids},
    )


def _rules(dialect: Dialect, hooks: Mapping[str, Hook], rules: Sequence[Rule]) -> Iterator[Wanted]:
    for rule in rules:
        hook, known = hooks.get(rule.name), dialect.models.get(rule.model)
        if hook is None or known is None:
            lacks = rule.model if dialect.has_rules else "base.automation: install the module base_automation"
            why = f"this Odoo has no {lacks}" if hook else "PURSER_GATEWAY_URL is not set"
            yield Wanted(name=f"rule_{rule.name}", model="base.automation", what=f"rule {rule.title}", lacks=why)
            continue
        yield Wanted(
            name=f"rule_{rule.name}",
            model="base.automation",
            what=f"rule {rule.title}",
            values={
                "name": f"Purser: {rule.title}",
                "model_id": OfModel(rule.model),
                "trigger": "on_create_or_write",
                "trigger_field_ids": tuple(OfField(rule.model, name) for name in rule.fields_for(known)),
                "filter_domain": rule.domain_for(known, dialect.computed.get(rule.model, frozenset())),
                "active": True,
            },
            rule=rule,
        )


def _hook(rule: Rule, hook: Hook) -> Wanted:
    return Wanted(
        name=f"hook_{rule.name}",
        model="ir.actions.server",
        what=f"webhook {rule.title}",
        values={
            "name": f"Purser: tell {rule.title}",
            "model_id": OfModel(rule.model),
            "state": "webhook",
            "webhook_url": hook,
            "usage": "base_automation",
            "base_automation_id": Ours(f"rule_{rule.name}"),
        },
        rule=rule,
    )
