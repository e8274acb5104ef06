"""Who is told which events: a firm names an address, the types it wants, a filter, and the secret that signs them."""

import datetime as dt
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from config.policy.problems import ProblemCollector
from config.policy.yaml_positions import YamlNode
from events.event import known_events
from purser.naming import did_you_mean, is_wire_name

_KEYS = ("to", "events", "where", "secret", "allow_private", "enabled")
EVERYTHING = "*"
_EXAMPLES = {"to": "https://n8n.example.com/webhook/deals", "events": "[invoice.*]", "secret": "n8n"}
_NOT_IN_AN_ADDRESS = frozenset(' \\"<>^`{|}')

Wanted = tuple[object, ...]
"""The values one field may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """One receiver and what it wants to hear."""

    name: str
    to: str = field(repr=False)
    """Its address. What follows the host may be a secret: show `place`."""
    events: tuple[str, ...]
    """Types, such as `invoice.posted.v1`, or beginnings of them, such as `invoice.*`."""
    where: Mapping[str, Wanted] = field(default_factory=lambda: MappingProxyType({}))
    """By field of the fact, the values of which it must have one."""
    secret: str
    """The name of the secret that signs, never the secret."""
    allow_private: bool = False
    """Its address may be one of our own network."""
    enabled: bool = True

    @property
    def place(self) -> str:
        """Return where it is, as far as anybody may know: scheme, host and port."""
        parts = urlsplit(self.to)
        return f"{parts.scheme}://{parts.netloc}"

    def wants(self, type_: str, data: Mapping[str, Any]) -> bool:
        """Return whether an event of this type with this data is for it."""
        return any(_covers(pattern, type_) for pattern in self.events) and all(
            any(_same(data.get(name), one) for one in wanted) for name, wanted in self.where.items()
        )

    def told(self) -> dict[str, object]:
        """Return what the firm says, for a hash."""
        return {
            "to": self.to,
            "events": list(self.events),
            "where": {name: list(wanted) for name, wanted in self.where.items()},
            "secret": self.secret,
            "allow_private": self.allow_private,
            "enabled": self.enabled,
        }


def _covers(pattern: str, type_: str) -> bool:
    return type_.startswith(pattern[:-1]) if pattern.endswith("*") else type_ == pattern


def _same(found: object, wanted: object) -> bool:
    """Return whether a value as JSON carries it is the one a policy names: 2.50 is 2.5, and true is no 1."""
    if isinstance(found, bool) or isinstance(wanted, bool) or found is None or wanted is None:
        return found is wanted
    if isinstance(wanted, (int, float)) and isinstance(found, (int, float, str)):
        try:
            return Decimal(str(found)) == Decimal(str(wanted))
        except InvalidOperation:
            return False
    return str(found) == str(wanted)


# ------------------------------------------------------------------------------ the reader --


def read_subscriptions(report: ProblemCollector, at: YamlNode | None) -> Mapping[str, Subscription]:
    """Read `subscriptions:` of a policy file."""
    entries = {} if at is None else report.mapping(at, "subscriptions")
    return MappingProxyType({name: _subscription(report, name, one) for name, one in entries.items()})


def _subscription(report: ProblemCollector, name: str, at: YamlNode) -> Subscription:
    what = f"subscription `{name}`"
    if not is_wire_name(name):
        report.add(at, f"{what}: a name is lower-case words with hyphens, such as `n8n-deals`")
    given = report.mapping(at, what, _KEYS)
    for key, example in _EXAMPLES.items():
        if key not in given:
            report.add(at, f"{what}: `{key}` is missing, such as `{key}: {example}`")
    allow_private = report.read(given.get("allow_private"), f"{what}: allow_private", _switch, False)
    events = _events(report, given.get("events"), f"{what}: events")
    return Subscription(
        name=name,
        to=report.read(given.get("to"), f"{what}: to", lambda value: address(value, private=allow_private), ""),
        events=events,
        where=_where(report, given.get("where"), f"{what}: where", events),
        secret=report.read(given.get("secret"), f"{what}: secret", _secret, ""),
        allow_private=allow_private,
        enabled=report.read(given.get("enabled"), f"{what}: enabled", _switch, True),
    )


def address(value: object, *, private: bool) -> str:
    """Return the address of a receiver, or raise ValueError. A message shows none of it: it may hold a token."""
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or set(value) & set(' \\"<>^`{|}')
    ):
        raise ValueError(
            "write an address such as https://n8n.example.com/webhook/deals, in ASCII and without blanks"
        )
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("this is no address: its port or host cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an event goes to http:// or https:// and a host, such as https://n8n.example.com/webhook/x")
    if "@" in parts.netloc:
        raise ValueError("an address holds no user and password: whoever may listen is known by the secret")
    if parts.fragment or port == 0:
        raise ValueError("what follows a # is not sent, and port 0 is none: leave it out")
    if not private and _is_ours(parts.hostname):
        raise ValueError("this is an address of a private network: say `allow_private: true` if it is meant")
    return value


def _is_ours(host: str) -> bool:
    """Return whether a host is this machine or a number of a private network. Names are looked up at each sending."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not number.is_global or number.is_multicast


def _events(report: ProblemCollector, at: YamlNode | None, what: str) -> tuple[str, ...]:
    if at is None:
        return ()
    items: Sequence[YamlNode] = report.items(at, what)
    if not items and at.value == ():
        report.add(at, f"{what}: the list is empty: name a type, or a beginning such as `invoice.*`")
    types = known_events()
    return tuple(report.read(one, what, lambda value: _pattern(value, types), "") for one in items)


def _pattern(value: object, types: Collection[str]) -> str:
    if isinstance(value, str) and (value in types or value == EVERYTHING):
        return value
    if isinstance(value, str) and value.endswith(".*") and any(_covers(value, one) for one in types):
        return value
    beginnings = {f"{one.partition('.')[0]}.*" for one in types}
    near = did_you_mean(str(value), {*types, *beginnings})
    raise ValueError(f"`{value}` is no type of event, nor a beginning of some.{near}")


def _where(report: ProblemCollector, at: YamlNode | None, what: str, events: tuple[str, ...]) -> Mapping[str, Wanted]:
    if at is None:
        return MappingProxyType({})
    fields = {
        pattern: [fact.model_fields.keys() for type_, fact in known_events().items() if _covers(pattern, type_)]
        for pattern in events
        if pattern
    }
    known = {name for several in fields.values() for names in several for name in names}
    entries = report.mapping(at, what, known or None)
    for pattern, several in fields.items():
        if not any(entries.keys() <= names for names in several):
            report.add(at, f"{what}: no event of `{pattern}` has all of {', '.join(entries)}, so none would fit")
    return MappingProxyType({name: report.read(one, f"{what}: {name}", _values, ()) for name, one in entries.items()})


def _values(value: object) -> Wanted:
    found = value if isinstance(value, list) else [value]
    if not found:
        raise ValueError("the list is empty, so no event would ever fit: name a value")
    return tuple(map(_scalar, found))


def _scalar(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dt.datetime() | dt.date():
            return value.isoformat()
    raise ValueError("write a value, or a list of values of which one must fit")


def _secret(value: object) -> str:
    if isinstance(value, str) and value.startswith("whsec_"):
        raise ValueError("this is a secret itself: write its name, and the secret in PURSER_OUTBOUND_SECRETS")
    if not isinstance(value, str) or not is_wire_name(value):
        raise ValueError("write the name of a secret in PURSER_OUTBOUND_SECRETS, such as `n8n`")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"write true or false, not {value!r}")
    return value
