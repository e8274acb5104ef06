"""What is wrong with a policy file is collected, each with its line, so that one start shows all of it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from config.policy.yaml_positions import YamlNode
from purser.naming import did_you_mean

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProblemCollector:
    """Collects what is wrong; each reader goes on with a usable value, so that one start shows all of it."""

    source: str
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, at: YamlNode, text: str) -> None:
        self.problems.append((at.line, f"{self.source}:{at.line}: {text}"))

    def mapping(self, at: YamlNode, what: str, known: Collection[str] | None = None) -> dict[str, YamlNode]:
        """Return the entries of a mapping, those with an unknown key left out."""
        if at.value is None:
            return {}
        if not isinstance(at.value, tuple) or not at.is_mapping:
            self.add(at, f"{what} must be a mapping (`key: value` lines)")
            return {}
        entries = {}
        for key, value in at.value:
            if not isinstance(key.value, str):
                self.add(key, f"{what}: the key {key.value!r} must be a text: put it in quotes")
            elif known is not None and key.value not in known:
                self.add(key, f"{what}: `{key.value}` is unknown.{did_you_mean(key.value, known)}")
            else:
                entries[key.value] = value
        return entries

    def items(self, at: YamlNode, what: str) -> Sequence[YamlNode]:
        """Return the items of a list."""
        if isinstance(at.value, tuple) and not at.is_mapping:
            return at.value
        self.add(at, f"{what} must be a list, such as [one, two]")
        return ()

    def read(self, at: YamlNode | None, what: str, read: Callable[[Any], T], default: T) -> T:
        """Return one value read by `read`, which raises ValueError; left out, the default."""
        if at is None:
            return default
        try:
            return read(at.plain())
        except ValueError as error:
            self.add(at, f"{what}: {error}")
            return default
