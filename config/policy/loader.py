"""A firm's values are checked against the declarations they tune before anything starts, all of them at once."""

import datetime as dt
import enum
import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import yaml
from pydantic import TypeAdapter, ValidationError

from config.policy.dead_letter_rules import LetterPolicy, read_letters
from config.policy.master_data import MasterDataOwners, read_ownership
from config.policy.problems import ProblemCollector
from config.policy.retries import RetryPolicies, read_freezes, read_retries
from config.policy.subscriptions import Subscription, read_subscriptions
from config.policy.yaml_positions import YamlNode, load_yaml
from config.queues import QUEUES
from purser.cadence import Cadence, Freeze, parse_cadence
from purser.cases import EscalationStep
from purser.declarations import Automation, Control, Parameter
from purser.engine.retry import RetryPolicy
from purser.errors import ConfigurationError
from purser.findings import Severity
from purser.naming import did_you_mean, is_wire_name
from purser.registry import Registry
from purser.watchers import Watcher

DEFAULT_POLICY = Path(__file__).parents[1] / "policies.yaml"
ESCALATION_WORKING_DAYS = 2
"""Working days until the next one on a ladder is asked, where a policy does not say."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_VERSION = 1
_KEYS = (
    "version",
    "timezone",
    "working_days",
    "roles",
    "controls",
    "automations",
    "watches",
    "retries",
    "freezes",
    "dead_letters",
    "ownership",
    "subscriptions",
)
_CONTROL_KEYS = ("enabled", "every", "severity", "ladder", "unseen_companies", "tunables")
_AUTOMATION_KEYS = ("enabled", "tunables")
_WATCH_KEYS = ("enabled", "every", "overlap_minutes", "tunables")
OVERLAP_MINUTES = 15
"""How far a change feed looks back behind the end of its last walk, where a policy does not say."""
_LEAST_OVERLAP, _LONGEST_OVERLAP = 10, 2880
_RUNG_KEYS = ("ask", "after")

T = TypeVar("T")


class UnseenCompanies(enum.StrEnum):
    """What a control that compares with logged hours does while the reading bot is not in every company."""

    HOLD = "hold"
    JUDGE = "judge"


Roles = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlPolicy:
    """How this firm runs one control."""

    control: Control
    enabled: bool
    every: Cadence
    severity: Severity
    ladder: tuple[EscalationStep, ...]
    tunables: Mapping[str, Any]
    unseen_companies: UnseenCompanies = UnseenCompanies.HOLD

    @property
    def hash(self) -> str:
        """A short name for these values: another one means the policy of this control changed."""
        return _hash(self._values())

    def _values(self) -> object:
        ladder = [(rung.ask, rung.after) for rung in self.ladder]
        own = [] if self.unseen_companies is UnseenCompanies.HOLD else [self.unseen_companies]
        return [self.enabled, str(self.every), self.severity, ladder, self.tunables, *own]


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomationPolicy:
    """How this firm runs one automation."""

    automation: Automation
    enabled: bool
    tunables: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchPolicy:
    """How this firm runs one watch."""

    watch: Watcher
    enabled: bool
    every: Cadence
    tunables: Mapping[str, Any]
    overlap: dt.timedelta = dt.timedelta(minutes=OVERLAP_MINUTES)
    """How long a transaction of Odoo may last without its facts waiting for the daily sweep."""

    @property
    def is_house_view(self) -> bool:
        """Return whether the firm left everything as it is declared."""
        house = {name: tunable.default for name, tunable in self.watch.tunables.items()}
        is_usual = self.overlap == dt.timedelta(minutes=OVERLAP_MINUTES)
        return self.enabled and is_usual and self.every == self.watch.every and dict(self.tunables) == house

    def own_overlap(self) -> list[float]:
        """Return the overlap in minutes where the firm chose one, an empty list otherwise."""
        minutes = self.overlap / dt.timedelta(minutes=1)
        return [] if minutes == OVERLAP_MINUTES else [minutes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """The values of one firm, complete: what its file leaves out is filled in from the declarations."""

    source: str
    version: int
    timezone: ZoneInfo
    working_days: frozenset[int]
    """Monday is 0."""
    roles: Roles
    """The Odoo logins of each role; a role that answers for a control and has nobody is there, and empty."""
    controls: Mapping[str, ControlPolicy]
    automations: Mapping[str, AutomationPolicy]
    watches: Mapping[str, WatchPolicy] = field(default_factory=dict)
    patience: RetryPolicies = field(default_factory=RetryPolicies)
    freezes: tuple[Freeze, ...] = ()
    dead_letters: LetterPolicy = field(default_factory=LetterPolicy)
    ownership: MasterDataOwners = field(default_factory=MasterDataOwners)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)

    def control(self, name: str) -> ControlPolicy:
        """Return the policy of a control; ConfigurationError suggests the right name."""
        return _named("control", name, self.controls)

    def automation(self, name: str) -> AutomationPolicy:
        """Return the policy of an automation; ConfigurationError suggests the right name."""
        return _named("automation", name, self.automations)

    def subscription(self, name: str) -> Subscription:
        """Return a subscription; ConfigurationError suggests the right name."""
        return _named("subscription", name, self.subscriptions)

    def watch(self, name: str) -> WatchPolicy:
        """Return the policy of a watch; ConfigurationError suggests the right name."""
        return _named("watch", name, self.watches)

    def feeds(self) -> dict[str, Cadence]:
        """Return how often the change feed asks for each enabled watch."""
        return {name: policy.every for name, policy in self.watches.items() if policy.enabled}

    def cadences(self) -> dict[str, Cadence]:
        """Return how often each enabled control is checked."""
        return {name: policy.every for name, policy in self.controls.items() if policy.enabled}

    def retry(self, task: str, error: BaseException | type[BaseException]) -> RetryPolicy:
        """Return how a failure of a task (`scan`, `apply`, `accept`, `react`, ...) is tried again."""
        return self.patience.of(task, error if isinstance(error, type) else type(error))

    def unstaffed(self) -> tuple[str, ...]:
        """List the roles that the ladder of an enabled control asks and that nobody fills."""
        asked = {rung.ask for policy in self.controls.values() if policy.enabled for rung in policy.ladder}
        return tuple(sorted(role for role, logins in self.roles.items() if role in asked and not logins))

    @property
    def hash(self) -> str:
        """A short name for all these values, stable over order, comments and spelling of the file."""
        watches = {
            name: [policy.enabled, str(policy.every), policy.tunables, *policy.own_overlap()]
            for name, policy in self.watches.items()
            if not policy.is_house_view
        }
        return _hash(
            {
                "version": self.version,
                "timezone": self.timezone.key,
                "working_days": self.working_days,
                "roles": self.roles,
                "controls": {name: policy._values() for name, policy in self.controls.items()},
                "automations": {name: [policy.enabled, policy.tunables] for name, policy in self.automations.items()},
                **({"watches": watches} if watches else {}),
                **({"retries": self.patience.told()} if self.patience.told() else {}),
                **({"freezes": [freeze.told() for freeze in self.freezes]} if self.freezes else {}),
                **({"dead_letters": self.dead_letters.told()} if self.dead_letters.told() else {}),
                **({"ownership": self.ownership.told()} if self.ownership.told() else {}),
                **(
                    {"subscriptions": {name: one.told() for name, one in self.subscriptions.items()}}
                    if self.subscriptions
                    else {}
                ),
            }
        )


def load_policies(catalogue: Registry, path: Path | None = None) -> Policies:
    """Read a firm's policy file, or the default policy.

    Raises:
        ConfigurationError: lists everything that is wrong, with its line.
    """
    file = DEFAULT_POLICY if path is None else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(
            f"the policy file {file} cannot be read: {reason}. PURSER_POLICIES names it"
        ) from None
    return parse_policies(catalogue, text, source=str(file))


def parse_policies(catalogue: Registry, text: str, *, source: str) -> Policies:
    """Read the text of a policy file; ConfigurationError lists everything that is wrong, with its line."""
    report = ProblemCollector(source)
    try:
        root, doubled = load_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{source}{line}: no YAML: {getattr(error, 'problem', None) or error}") from None
    for key in doubled:
        report.add(key, f"`{key.value}` stands here twice: keep one")
    policies = _policies(report, catalogue, root)
    if report.problems:
        count = f"{len(report.problems)} problem{'s' if len(report.problems) != 1 else ''}"
        problems = (f"- {problem}" for _, problem in sorted(report.problems))
        raise ConfigurationError("\n".join([f"the policy file has {count}:", *problems]))
    return policies


# ----------------------------------------------------------------------------- the readers --


def _policies(report: ProblemCollector, catalogue: Registry, root: YamlNode) -> Policies:
    top = report.mapping(root, "the policy", _KEYS)
    if "version" not in top:
        report.add(root, f"the policy: `version` is missing: write `version: {_VERSION}`")
    roles = _roles(report, catalogue, top.get("roles"))
    controls = _entries(report, top.get("controls"), "controls", catalogue.controls)
    automations = _entries(report, top.get("automations"), "automations", catalogue.automations)
    subscriptions = read_subscriptions(report, top.get("subscriptions"))
    watches = _entries(report, top.get("watches"), "watches", catalogue.watches)
    policies = Policies(
        source=report.source,
        version=report.read(top.get("version"), "version", _version, _VERSION),
        timezone=report.read(top.get("timezone"), "timezone", _timezone, ZoneInfo("UTC")),
        working_days=report.read(top.get("working_days"), "working_days", _weekdays, frozenset(range(5))),
        roles=roles,
        controls=MappingProxyType(
            {name: _control(report, one, controls.get(name), roles) for name, one in catalogue.controls.items()}
        ),
        automations=MappingProxyType(
            {name: _automation(report, one, automations.get(name)) for name, one in catalogue.automations.items()}
        ),
        watches=MappingProxyType(
            {name: _watch(report, one, watches.get(name)) for name, one in catalogue.watches.items()}
        ),
        patience=read_retries(report, top.get("retries")),
        freezes=read_freezes(report, top.get("freezes"), _targets(catalogue, subscriptions)),
        dead_letters=read_letters(report, top.get("dead_letters")),
        ownership=read_ownership(report, top.get("ownership")),
        subscriptions=subscriptions,
    )
    _suspect_roles(report, top.get("roles"), policies)
    return policies


def _targets(catalogue: Registry, subscriptions: Collection[str]) -> frozenset[str]:
    return frozenset(
        {
            "all",
            *(f"queue:{queue}" for queue in QUEUES),
            *(f"control:{name}" for name in catalogue.controls),
            *(f"automation:{name}" for name in catalogue.automations),
            *(f"subscription:{name}" for name in subscriptions),
            *(f"watch:{name}" for name in catalogue.watches),
        }
    )


def _entries(report: ProblemCollector, at: YamlNode | None, what: str, known: Collection[str]) -> dict[str, YamlNode]:
    return {} if at is None else report.mapping(at, what, known)


def _roles(report: ProblemCollector, catalogue: Registry, at: YamlNode | None) -> Roles:
    roles: dict[str, tuple[str, ...]] = {one.owner: () for one in catalogue.controls.values()}
    audiences = {ask for one in catalogue.controls.values() for ask in one.asks}
    for name, members in ({} if at is None else report.mapping(at, "roles")).items():
        what = f"role `{name}`"
        if not is_wire_name(name):
            report.add(members, f"{what}: a name is lower-case words with hyphens, such as `finance-ops`")
        elif name in audiences:
            report.add(members, f"{what}: controls already ask a `{name}` of their own: choose another name")
        logins = [] if members.value is None else report.items(members, what)
        roles[name] = tuple(report.read(login, what, _login, "") for login in logins)
    return MappingProxyType(roles)


def _suspect_roles(report: ProblemCollector, at: YamlNode | None, policies: Policies) -> None:
    """A role that nothing asks is fine, unless it looks like one that is asked and has nobody."""
    written = {key.value: key for key, _ in at.value} if at is not None and at.is_mapping else {}
    asked = {rung.ask for policy in policies.controls.values() for rung in policy.ladder}
    asked |= {policy.control.owner for policy in policies.controls.values()}
    for name, key in written.items():
        near = did_you_mean(str(name), {role for role in asked if role in policies.roles and role not in written})
        if name not in asked and near.startswith(" Did"):
            report.add(key, f"role `{name}` is asked by no control.{near}")


def _control(report: ProblemCollector, control: Control, at: YamlNode | None, roles: Roles) -> ControlPolicy:
    what = f"`{control.name}`"
    given = {} if at is None else report.mapping(at, what, _CONTROL_KEYS)
    return ControlPolicy(
        control=control,
        enabled=report.read(given.get("enabled"), f"{what}: enabled", _switch, True),
        every=report.read(given.get("every"), f"{what}: every", _cadence, control.every),
        severity=report.read(given.get("severity"), f"{what}: severity", _severity, control.severity),
        ladder=_ladder(report, control, given.get("ladder"), roles),
        tunables=_tunables(report, control, given.get("tunables")),
        unseen_companies=report.read(
            given.get("unseen_companies"), f"{what}: unseen_companies", _unseen_companies, UnseenCompanies.HOLD
        ),
    )


def _automation(report: ProblemCollector, automation: Automation, at: YamlNode | None) -> AutomationPolicy:
    what = f"`{automation.name}`"
    given = {} if at is None else report.mapping(at, what, _AUTOMATION_KEYS)
    return AutomationPolicy(
        automation=automation,
        enabled=report.read(given.get("enabled"), f"{what}: enabled", _switch, True),
        tunables=_tunables(report, automation, given.get("tunables")),
    )


def _watch(report: ProblemCollector, watch: Watcher, at: YamlNode | None) -> WatchPolicy:
    what = f"`{watch.name}`"
    given = {} if at is None else report.mapping(at, what, _WATCH_KEYS)
    return WatchPolicy(
        watch=watch,
        enabled=report.read(given.get("enabled"), f"{what}: enabled", _switch, True),
        every=report.read(given.get("every"), f"{what}: every", _cadence, watch.every),
        overlap=report.read(
            given.get("overlap_minutes"), f"{what}: overlap_minutes", _overlap, dt.timedelta(minutes=OVERLAP_MINUTES)
        ),
        tunables=_tunables(report, watch, given.get("tunables")),
    )


def _ladder(
    report: ProblemCollector, control: Control, at: YamlNode | None, roles: Roles
) -> tuple[EscalationStep, ...]:
    house = tuple(
        EscalationStep(ask, ESCALATION_WORKING_DAYS if n else 0)
        for n, ask in enumerate((*control.asks, control.owner))
    )
    if at is None:
        return house
    what = f"`{control.name}`: ladder"
    items = report.items(at, what)
    if not items and not at.is_mapping and at.value == ():
        report.add(at, f"{what}: nobody would be asked: name one, or leave the ladder out for the house view")
    return tuple(_rung(report, what, n, one, {*control.asks, *roles}) for n, one in enumerate(items)) or house


def _rung(
    report: ProblemCollector, what: str, number: int, at: YamlNode, audiences: Collection[str]
) -> EscalationStep:
    given = report.mapping(at, what, _RUNG_KEYS)
    if "ask" not in given:
        report.add(at, f"{what}: a rung must say whom to ask, such as {{ask: manager, after: 2}}")
    least = 1 if number else 0  # two rungs on one day would ask twice at once
    return EscalationStep(
        ask=report.read(given.get("ask"), f"{what}: ask", lambda ask: _known(ask, audiences), ""),
        after=report.read(
            given.get("after"), f"{what}: after", lambda n: _whole(n, least), ESCALATION_WORKING_DAYS if number else 0
        ),
    )


def _tunables(
    report: ProblemCollector, declared: Control | Automation | Watcher, at: YamlNode | None
) -> Mapping[str, Any]:
    what = f"`{declared.name}`: tunables"
    given = {} if at is None else report.mapping(at, what, declared.tunables)
    return MappingProxyType(
        {
            name: report.read(given.get(name), f"{what}: {name}", _reader(tunable), tunable.default)
            for name, tunable in declared.tunables.items()
        }
    )


# -------------------------------------------------------------------------- single values --


def _reader(tunable: Parameter) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            found = TypeAdapter(tunable.type).validate_python(value)
        except ValidationError as error:
            reasons = (one["msg"] for one in error.errors(include_url=False, include_input=False))
            raise ValueError(f"{value!r} does not fit: {'; '.join(reasons)}") from None
        if isinstance(value, bool) and not isinstance(found, bool):
            raise ValueError(f"{value!r} does not fit: yes and no are no numbers")
        return found

    return read


def _overlap(value: object) -> dt.timedelta:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not _LEAST_OVERLAP <= value <= _LONGEST_OVERLAP:  # type: ignore[operator]
        raise ValueError(f"write whole minutes from {_LEAST_OVERLAP} to {_LONGEST_OVERLAP}, not {value!r}")
    return dt.timedelta(minutes=value)  # type: ignore[arg-type]


def _unseen_companies(value: object) -> UnseenCompanies:
    try:
        return UnseenCompanies(str(value))
    except ValueError:
        raise ValueError(f"write {' or '.join(UnseenCompanies)}, not {value!r}") from None


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"write true or false, not {value!r}")
    return value


def _whole(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"write a whole number of working days, at least {least}, not {value!r}")
    return value


def _version(value: object) -> int:
    if isinstance(value, bool) or value != _VERSION:
        raise ValueError(f"{value!r} is unknown to this release, which reads version {_VERSION}")
    return _VERSION


def _timezone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (OSError, LookupError, ValueError):
        raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Berlin") from None


def _weekdays(value: object) -> frozenset[int]:
    names = value if isinstance(value, list) else []
    if not names or any(name not in _DAYS for name in names):
        raise ValueError(f"list days of the week, such as [mon, tue, wed, thu, fri], not {value!r}")
    return frozenset(_DAYS.index(name) for name in names)


def _cadence(value: object) -> Cadence:
    return parse_cadence(str(value))


def _severity(value: object) -> Severity:
    try:
        return Severity(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is unknown.{did_you_mean(str(value), list(Severity))}") from None


def _login(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"an Odoo login is a text, not {value!r}")
    return value.strip()


def _known(ask: object, audiences: Collection[str]) -> str:
    if not isinstance(ask, str) or ask not in audiences:
        raise ValueError(
            f"`{ask}` is neither an audience of this control nor a role.{did_you_mean(str(ask), audiences)}"
        )
    return ask


def _named(kind: str, name: str, known: Mapping[str, T]) -> T:
    try:
        return known[name]
    except KeyError:
        raise ConfigurationError(f"{kind} `{name}` is unknown.{did_you_mean(name, known)}") from None


# --------------------------------------------------------------------------------- the hash --


def _hash(values: object) -> str:
    text = json.dumps(_canonical(values), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _canonical(value: object) -> object:
    """Return a form in which equal values are written alike: sets in order, 0.50 as 0.5."""
    match value:
        case Mapping():
            return {str(key): _canonical(one) for key, one in value.items()}
        case AbstractSet():
            return sorted((_canonical(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
        case list() | tuple():
            return [_canonical(one) for one in value]
        case enum.Enum():
            return _canonical(value.value)
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return f"{Decimal(str(value)).normalize():f}"
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case _:
            return str(value)
