"""What a task is called and what it takes: whoever calls it by another of its names, or by place, is read alike."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

OTHER_NAMES: Mapping[str, str] = MappingProxyType({"events.accept": "purser.accept"})
"""The names under which others may call a task, and its own."""

PARAMETERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "purser.scan": ("control", "release_hold"),
        "purser.apply": ("control", "slot", "run", "steps"),
        "purser.feed": ("watch",),
        "purser.look": ("model", "id"),
        "purser.accept": ("event",),
        "purser.react": ("automation", "event"),
        "purser.deliver": ("subscription", "event"),
    }
)
"""What the tasks of this release take, in their order."""


def own_name(task: Any) -> Any:
    """Return a task's own name; what is no text stays what it is."""
    return OTHER_NAMES.get(task, task) if isinstance(task, str) else task


def by_name(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a call by their names. What is too many has no name, and is left out."""
    return {**dict(zip(PARAMETERS.get(own_name(task), ()), args, strict=False)), **kwargs}


def concerns(queue: str, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what could be paused or frozen and would hold a message with these values back."""
    kinds = ("control", "automation", "watch", "subscription")
    named = [f"{kind}:{kwargs[kind]}" for kind in kinds if isinstance(kwargs.get(kind), str)]
    return ("all", f"queue:{queue}", *named)
