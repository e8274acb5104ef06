"""Master data has an owner: a firm may say which systems tell of customers and employees, and nobody else does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from config.policy.problems import ProblemCollector
from config.policy.yaml_positions import YamlNode
from events.business_objects import OBJECTS, ODOO
from events.event import Event

MASTERS = tuple(name for name, one in OBJECTS.items() if one.master)
"""The objects that have master data."""


@dataclass(frozen=True, slots=True)
class MasterDataOwners:
    """By object, the prefixes of the sources that may tell of its master data; an object not named is open to all."""

    owners: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def objection(self, fact: type[Event], source: str) -> str:
        """Return why a source may not tell of a fact; '' when it may. Odoo may always tell of itself."""
        owners = self.owners.get(fact.of.name)
        if owners is None or not fact.is_master() or any(_begins(source, prefix) for prefix in (ODOO, *owners)):
            return ""
        return (
            f"`{fact.type}` from {source}: the policy gives master data of a {fact.of.name} to "
            f"{', '.join(owners) or 'Odoo alone'}. Let the owner tell it, or change `ownership`"
        )

    def told(self) -> dict[str, tuple[str, ...]]:
        """Return what the firm says, for a hash or a listing."""
        return dict(self.owners)


def _begins(source: str, prefix: str) -> bool:
    """Return whether a source is a prefix or lies below it: `/hr` is above `/hr/payroll`, not above `/hrx`."""
    rest = source.removeprefix(prefix)
    return source.startswith(prefix) and (not rest or prefix[-1] in "/:" or rest[0] in "/:#?")


def read_ownership(report: ProblemCollector, at: YamlNode | None) -> MasterDataOwners:
    """Read `ownership:` of a policy file."""
    given = {} if at is None else report.mapping(at, "ownership", MASTERS)
    return MasterDataOwners(MappingProxyType({name: _prefixes(report, name, one) for name, one in given.items()}))


def _prefixes(report: ProblemCollector, name: str, at: YamlNode) -> tuple[str, ...]:
    what = f"ownership: {name}"
    return tuple(report.read(one, what, _prefix, "/") for one in report.items(at, what))


def _prefix(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"a source is a text such as /hr/payroll, not {value!r}")
    return value.strip()
