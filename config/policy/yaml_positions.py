"""A YAML text read with the line of everything in it, so that a mistake can be shown where it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A value and its line: a scalar, a tuple of `YamlNode` for a list, a tuple of pairs of them for a mapping."""

    value: Any
    line: int
    is_mapping: bool = False

    def plain(self) -> Any:
        """Return the value as plain Python."""
        if self.is_mapping:
            return {key.plain(): one.plain() for key, one in self.value}
        return [one.plain() for one in self.value] if isinstance(self.value, tuple) else self.value


def load_yaml(text: str) -> tuple[YamlNode, tuple[YamlNode, ...]]:
    """Read one document, and the keys that stand twice in their mapping; yaml.YAMLError says where it is none."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return YamlNode(None, 1), ()
        root = _marked(loader, node, inside=())
    finally:
        loader.dispose()
    return root, tuple(_doubled(root))


def _marked(loader: yaml.SafeLoader, node: yaml.Node, *, inside: tuple[int, ...]) -> YamlNode:
    line = node.start_mark.line + 1
    if id(node) in inside:
        raise yaml.MarkedYAMLError(problem="an alias that contains itself", problem_mark=node.start_mark)
    within = (*inside, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain text", problem_mark=key.start_mark)
        pairs = tuple((_marked(loader, k, inside=within), _marked(loader, v, inside=within)) for k, v in node.value)
        return YamlNode(pairs, line, is_mapping=True)
    if isinstance(node, yaml.SequenceNode):
        return YamlNode(tuple(_marked(loader, one, inside=within) for one in node.value), line)
    try:
        return YamlNode(loader.construct_object(node), line)
    except ValueError as error:  # such as 2026-02-30, which has the shape of a date
        raise yaml.MarkedYAMLError(problem=f"{node.value}: {error}", problem_mark=node.start_mark) from None


def _doubled(at: YamlNode) -> Iterator[YamlNode]:
    if at.is_mapping:
        seen: set[Any] = set()
        for key, one in at.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from _doubled(one)
    elif isinstance(at.value, tuple):
        for one in at.value:
            yield from _doubled(one)
