"""A call to Odoo is one value, and a transport is one method that sends it."""

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType, NoneType
from typing import Any, Protocol

Version = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A method of a model, on some records or on none, with named arguments."""

    model: str
    method: str
    ids: tuple[int, ...] | None = None
    """None for a method of the model itself; the empty tuple for a record method on no record."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    reads: bool = False
    """It changes nothing, so a lost answer leaves no doubt behind."""

    def __str__(self) -> str:
        where = (
            "" if not self.ids else f" on {self.ids[0]}" + (f" and {len(self.ids) - 1} more" * (len(self.ids) > 1))
        )
        return f"{self.model}.{self.method}{where}"


_SHAPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("search", "read", "search_read", "create", "formatted_read_group", "read_group"), (list,)),
        **dict.fromkeys(("load", "fields_get", "context_get"), (dict,)),
        **dict.fromkeys(("has_group", "has_access"), (bool,)),
        **dict.fromkeys(("write", "unlink"), (bool, NoneType)),
        "search_count": (int,),
    }
)


def has_shape(request: Request, answer: Any) -> bool:
    """Return whether an answer can be that of the method: a proxy may answer with JSON of its own."""
    return isinstance(answer, _SHAPES.get(request.method, object))


class RpcSender(Protocol):
    """Who carries out calls: a client, or whatever stands for one in a test."""

    def send(self, request: Request) -> Any:
        """Carry out one call."""


class Transport(Protocol):
    """One way to reach one Odoo database."""

    name: str

    def send(self, request: Request) -> Any:
        """Carry the request out and give Odoo's answer; raises errors of `purser.errors` and nothing else."""

    def version(self) -> Version:
        """Return the server's version, such as (19, 0)."""

    def close(self) -> None:
        """Let go of connections."""


def plain(value: Any) -> Any:
    """Return the JSON-ready form Odoo expects: ISO dates, moments as naive UTC, tuples and sets as lists."""
    match value:
        case enum.Enum():
            return value.value
        case str() | bool() | int() | float() | None:
            return value
        case Decimal():
            return float(value)
        case dt.datetime():
            return (value.astimezone(dt.UTC) if value.tzinfo else value).strftime("%Y-%m-%d %H:%M:%S")
        case dt.date():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case frozenset() | set():
            return sorted(plain(one) for one in value)
        case Sequence():
            return [plain(one) for one in value]
        case _:
            raise TypeError(f"cannot send a {type(value).__qualname__} to Odoo")


def version_of(info: Any) -> Version:
    """Read Odoo's `version_info`: `[19, 0, ...]`, or `["saas~18", 2, ...]` online."""
    major, minor = (int("".join(c for c in str(part) if c.isdigit()) or 0) for part in info[:2])
    return major, minor
