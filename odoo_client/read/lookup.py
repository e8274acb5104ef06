"""A record is traced by key, by login, or to its end: gone and invisible are two answers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from odoo_client.transport.error_mapping import AccessDenied, Missing, UnknownModel, UnknownXmlId
from odoo_client.transport.request import Request, RpcSender
from purser.findings import Ref

PAGE = 5000
T = TypeVar("T")


class LookupClient(RpcSender, Protocol):
    """What tracing needs of a client."""

    pages: int


def external_ids(client: LookupClient, model: str, ids: Sequence[int], module: str) -> dict[int, tuple[str, ...]]:
    """Ask for the external ids of records, one call a page.

    `get_external_id` names one of several. Where that one is not of `module`, the record is looked at closer.
    """
    found: dict[int, tuple[str, ...]] = {}
    foreign: list[int] = []
    for page in _pages(client, ids):
        answer = client.send(Request(model=model, method="get_external_id", ids=tuple(page), reads=True))
        for text, name in answer.items():
            if name.startswith(f"{module}."):
                found[int(text)] = (name.removeprefix(f"{module}."),)
            elif name:
                foreign.append(int(text))
    for page in _pages(client, foreign):
        found |= _all_names(client, model, page, module)
    return found


def _all_names(client: RpcSender, model: str, ids: Sequence[int], module: str) -> dict[int, tuple[str, ...]]:
    try:
        answer = client.send(Request(model=model, method="get_metadata", ids=tuple(ids), reads=True))
    except AccessDenied:
        return {}
    found = {
        one["id"]: tuple(
            name["xmlid"].removeprefix(f"{module}.")
            for name in one.get("xmlids", ())
            if name["xmlid"].startswith(f"{module}.")
        )
        for one in answer
    }
    return {id_: names for id_, names in found.items() if names}


def deleted_ids(client: LookupClient, refs: Iterable[Ref]) -> frozenset[Ref]:
    """Look for those that exist no longer. A search finds the visible; a read tells missing from forbidden."""
    by_model: dict[str, set[int]] = defaultdict(set)
    for ref in refs:
        by_model[ref.model].add(ref.id)
    lost: set[Ref] = set()
    for model, ids in by_model.items():
        for page in _pages(client, sorted(ids)):
            lost |= {Ref(model, id_) for id_ in _gone(client, model, page)}
    return frozenset(lost)


def _gone(client: RpcSender, model: str, ids: Sequence[int]) -> list[int]:
    request = Request(
        model=model,
        method="search",
        arguments={"domain": [["id", "in", ids]]},
        context={"active_test": False},
        reads=True,
    )
    try:
        seen = set(client.send(request))
    except AccessDenied:
        seen = set()
    except UnknownModel:
        return list(ids)
    unseen = [id_ for id_ in ids if id_ not in seen]
    if not unseen:
        return []
    looked = lookup(client, model, unseen, ["create_date"])
    return [id_ for id_ in unseen if id_ not in looked.rows and id_ not in looked.forbidden]


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The rows that are there, and the ids this user may not see; any other id is gone."""

    rows: Mapping[int, Mapping[str, Any]]
    forbidden: frozenset[int]


def lookup(client: RpcSender, model: str, ids: Sequence[int], fields: Sequence[str]) -> LookupResult:
    """Read records by id, archived ones too. `fields` must name a stored field, else Odoo does not look for them.

    What is gone is left out of Odoo's answer; a single forbidden record spoils it, so halve and ask again.
    """
    request = Request(
        model=model, method="read", ids=tuple(ids), arguments={"fields": fields, "load": ""}, reads=True
    )
    try:
        return LookupResult({row["id"]: row for row in client.send(request)}, frozenset())
    except (AccessDenied, Missing) as error:
        if len(ids) == 1:
            return LookupResult({}, frozenset(ids if isinstance(error, AccessDenied) else ()))
    middle = len(ids) // 2
    first, second = lookup(client, model, ids[:middle], fields), lookup(client, model, ids[middle:], fields)
    return LookupResult({**first.rows, **second.rows}, first.forbidden | second.forbidden)


@dataclass(frozen=True, slots=True)
class ExternalIdMatch:
    """What an external id names. No `id`: the record is there, and this user may not see it."""

    model: str
    id: int | None


def find_external_ids(client: RpcSender, name: str) -> ExternalIdMatch | None:
    """Look up an external id; None where there is no such name, or none that this user may ask about."""
    module, _, rest = name.partition(".")
    request = Request(
        model="ir.model.data",
        method="check_object_reference",
        arguments={"module": module, "xml_id": rest},
        context={"active_test": False},
        reads=True,
    )
    try:
        model, id_ = client.send(request)
    except (UnknownXmlId, AccessDenied):
        return None
    return ExternalIdMatch(model, id_ or None)


def display_names(client: LookupClient, model: str, ids: Sequence[int]) -> dict[int, str]:
    """Ask how records are called, archived ones too; one this user may not see is left out."""
    found: dict[int, str] = {}
    for page in _pages(client, ids):
        request = Request(
            model=model,
            method="search_read",
            arguments={"domain": [["id", "in", page]], "fields": ["display_name"]},
            context={"active_test": False},
            reads=True,
        )
        found |= {row["id"]: row["display_name"] for row in client.send(request)}
    return found


def users(client: LookupClient, logins: Sequence[str]) -> dict[str, int]:
    """Search active users by login."""
    found: dict[str, int] = {}
    for page in _pages(client, sorted(set(logins))):
        request = Request(
            model="res.users",
            method="search_read",
            arguments={"domain": [["login", "in", page]], "fields": ["login"]},
            reads=True,
        )
        found |= {row["login"]: row["id"] for row in client.send(request)}
    return found


def _pages(client: LookupClient, items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), PAGE):
        client.pages += start > 0
        yield items[start : start + PAGE]
