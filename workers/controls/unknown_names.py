"""Names in the policy that are found nowhere in Odoo: whom they were to leave out is asked."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from config.policy.loader import Policies
from odoo_client import OdooClient
from odoo_client.transport.error_mapping import AccessDenied, UnknownModel
from odoo_client.transport.request import Request
from purser.declarations import Parameter
from purser.parameters.record_names import RecordNameType, names_in

BATCH_SIZE = 500


def unknown_names(client: OdooClient, policies: Policies) -> Iterator[tuple[str, RecordNameType, str]]:
    """Yield each name of the policy that no record bears in any installed language, with the value it stands in.

    A name whose records this user may not read is not judged.
    """
    yield from _unknown(client, _names(policies))


def unknown_values(
    client: OdooClient, known: Mapping[str, Parameter], values: Mapping[str, Any]
) -> Iterator[tuple[str, RecordNameType, str]]:
    """Yield the same for the values of one declaration, with the name of the value. Makes no call without names."""
    for where, mark, name in _unknown(client, _of("", known, values)):
        yield where.rpartition(".")[2], mark, name


def unknown_logins(client: OdooClient, policies: Policies) -> Iterator[tuple[str, str]]:
    """Yield each login of a role that no active user has, with the role."""
    logins = sorted({login for members in policies.roles.values() for login in members})
    known = client.users(logins) if logins else {}
    for role, members in policies.roles.items():
        yield from ((role, login) for login in members if login not in known)


def _unknown(
    client: OdooClient, names_of: Iterator[tuple[str, RecordNameType, str]]
) -> Iterator[tuple[str, RecordNameType, str]]:
    wanted: dict[RecordNameType, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for where, mark, name in names_of:
        wanted[mark][name.strip()].append(where)
    for mark, names in wanted.items():
        known = _known(client, mark, sorted(names))
        if known is None:
            continue
        for name, places in names.items():
            if name.casefold() not in known:
                yield from ((where, mark, name) for where in places)


def _names(policies: Policies) -> Iterator[tuple[str, RecordNameType, str]]:
    for name, control in policies.controls.items():
        if control.enabled:
            yield from _of(f"controls.{name}", control.control.tunables, control.tunables)
    for name, automation in policies.automations.items():
        if automation.enabled:
            yield from _of(f"automations.{name}", automation.automation.tunables, automation.tunables)
    for name, watch in policies.watches.items():
        if watch.enabled:
            yield from _of(f"watches.{name}", watch.watch.tunables, watch.tunables)


def _of(
    where: str, known: Mapping[str, Parameter], values: Mapping[str, Any]
) -> Iterator[tuple[str, RecordNameType, str]]:
    for name, tunable in known.items():
        for mark, one in names_in(tunable.type, values.get(name)):
            yield f"{where}.tunables.{name}", mark, one


def _known(client: OdooClient, mark: RecordNameType, names: list[str]) -> set[str] | None:
    """Return which of the names are there, in lower case; None where that cannot be told."""
    found: set[str] = set()
    for model, field in mark.fields:
        languages = client.languages() if field == "name" else ("",)
        asked = names if field == "name" else sorted({*names, *(one.lower() for one in names)})
        active = [["active", "=", True], ["share", "=", False]] if mark.active else []
        for language in languages:
            for start in range(0, len(asked), BATCH_SIZE):
                request = Request(
                    model=model,
                    method="search_read",
                    arguments={
                        "domain": [[field, "in", asked[start : start + BATCH_SIZE]], *active],
                        "fields": [field],
                    },
                    context={"active_test": False, **({"lang": language} if language else {})},
                    reads=True,
                )
                try:
                    found |= {str(row[field]).casefold() for row in client.send(request)}
                except UnknownModel:
                    continue
                except AccessDenied:
                    return None
    return found
