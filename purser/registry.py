"""Every declaration under one roof, each name once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from purser.declarations import Automation, Control
from purser.errors import ConfigurationError
from purser.naming import did_you_mean
from purser.watchers import Watcher


@dataclass(frozen=True, slots=True)
class Registry:
    """The controls, automations and watches of one fleet, by name."""

    controls: Mapping[str, Control]
    automations: Mapping[str, Automation]
    watches: Mapping[str, Watcher]

    @classmethod
    def of(cls, declared: Iterable[Control | Automation | Watcher]) -> "Registry":
        """Build a catalogue; ConfigurationError when a name is declared twice."""
        controls: dict[str, Control] = {}
        automations: dict[str, Automation] = {}
        watches: dict[str, Watcher] = {}
        for one in declared:
            match one:
                case Control():
                    _add("control", controls, one)
                case Automation():
                    _add("automation", automations, one)
                case Watcher():
                    _add("watch", watches, one)
        _check_ends(automations.values())
        return cls(MappingProxyType(controls), MappingProxyType(automations), MappingProxyType(watches))

    def control(self, name: str) -> Control:
        """Return a control by name; ConfigurationError suggests the right one."""
        try:
            return self.controls[name]
        except KeyError:
            raise ConfigurationError(f"control `{name}` is unknown.{did_you_mean(name, self.controls)}") from None

    def automation(self, name: str) -> Automation:
        """Return an automation by name; ConfigurationError suggests the right one."""
        try:
            return self.automations[name]
        except KeyError:
            raise ConfigurationError(
                f"automation `{name}` is unknown.{did_you_mean(name, self.automations)}"
            ) from None

    def watch(self, name: str) -> Watcher:
        """Return a watch by name; ConfigurationError suggests the right one."""
        try:
            return self.watches[name]
        except KeyError:
            raise ConfigurationError(f"watch `{name}` is unknown.{did_you_mean(name, self.watches)}") from None

    def looking_at(self, model: str) -> Iterator[Watcher]:
        """Return the watches of a model."""
        return (watch for watch in self.watches.values() if watch.model == model)

    def telling(self, fact: type[Any]) -> Iterator[Watcher]:
        """Return the watches that may tell a fact."""
        return (watch for watch in self.watches.values() if fact in watch.tells)

    def reacting_to(self, fact: type[Any]) -> Iterator[Automation]:
        """Return the automations that react to a fact."""
        return (a for a in self.automations.values() if fact in a.facts)


def _check_ends(automations: Iterable[Automation]) -> None:
    """Raise ConfigurationError when facts that automations tell could lead to each other without end."""
    follows: dict[Any, set[Any]] = {}
    for one in automations:
        for fact in one.facts:
            follows.setdefault(fact, set()).update(one.tells)
    for start in follows:
        reached: set[Any] = set()
        left = [start]
        while left:
            for fact in follows.get(left.pop(), set()) - reached:
                reached.add(fact)
                left.append(fact)
        if start in reached:
            named = ", ".join(sorted(one.name for one in automations if start in one.facts))
            raise ConfigurationError(
                f"automations tell facts in a circle: {start.type} leads to itself, by way of {named}"
            )


def _add(kind: str, known: dict[str, Any], one: Control | Automation | Watcher) -> None:
    if one.name in known:
        raise ConfigurationError(
            f"{kind} `{one.name}` is declared twice: in {known[one.name].source} and in {one.source}"
        )
    known[one.name] = one
