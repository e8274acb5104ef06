"""What this database has and this user may, asked instead of assumed."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from odoo_client.connection import ConnectionCheck, CurrentUser, FieldInfo
from odoo_client.transport.error_mapping import AccessDenied, UnknownModel
from odoo_client.transport.request import Request, RpcSender, Version
from purser.errors import PurserError

if TYPE_CHECKING:
    from odoo_client.client import OdooClient

_ATTRIBUTES = ["type", "store", "readonly", "relation"]


def fields(client: "OdooClient", model: str) -> Mapping[str, FieldInfo] | None:
    """Ask for a model's fields; fields that need a group the user lacks are not among them."""
    request = Request(model=model, method="fields_get", arguments={"attributes": _ATTRIBUTES}, reads=True)
    try:
        answer = client.send(request)
    except UnknownModel:
        return None
    except AccessDenied:
        return MappingProxyType({})
    return MappingProxyType(
        {
            name: FieldInfo(
                type=info["type"],
                store=bool(info.get("store", True)),
                readonly=bool(info.get("readonly")),
                relation=info.get("relation"),
            )
            for name, info in answer.items()
        }
    )


ENGLISH = "en_US"
"""What every Odoo has: a name that is in no language of its own stands there."""


def languages(client: "OdooClient") -> tuple[str, ...]:
    """Ask for the languages in which this Odoo keeps names; English where the user may not ask."""
    request = Request(
        model="res.lang", method="search_read", arguments={"domain": [], "fields": ["code"]}, reads=True
    )
    try:
        codes = {row["code"] for row in client.send(request)}
    except (AccessDenied, UnknownModel):
        codes = set()
    return (ENGLISH, *sorted(codes - {ENGLISH}))


def whoami(client: "OdooClient") -> CurrentUser:
    """Ask who the key belongs to; the door's login is not believed."""
    context = client.send(Request(model="res.users", method="context_get", reads=True))
    own = [["id", "=", context["uid"]]] if context.get("uid") else [["login", "=", client.door.login]]
    request = Request(
        model="res.users",
        method="search_read",
        arguments={"domain": own, "fields": ["login", "lang", "tz"], "limit": 1},
        reads=True,
    )
    me = client.send(request)[0]
    return CurrentUser(
        uid=me["id"],
        login=me["login"],
        lang=me["lang"] or None,
        tz=me["tz"] or None,
        version=client.version(),
        api=client.api,
    )


def ping(client: "OdooClient") -> ConnectionCheck:
    """Try the door in steps, and say at which one it stopped."""
    version = api = None
    try:
        version, api = client.version(), client.api
        me = client.whoami()
    except PurserError as error:
        return ConnectionCheck(reachable=version is not None, version=version, api=api, problem=str(error))
    return ConnectionCheck(reachable=True, version=me.version, api=me.api, accepted=True)


def may(client: "OdooClient", model: str, operation: str) -> bool:
    """Ask for a model right. A model that is not there may not be touched either."""
    if client.version() >= (18, 0):
        request = Request(model=model, method="has_access", ids=(), arguments={"operation": operation}, reads=True)
    else:
        request = Request(
            model=model,
            method="check_access_rights",
            arguments={"operation": operation, "raise_exception": False},
            reads=True,
        )
    try:
        return bool(client.send(request))
    except UnknownModel:
        return False


def may_all(client: RpcSender, version: Version, model: str, ids: Sequence[int], operation: str) -> bool:
    """Return whether this user may do something with every one of these records; Missing where one is not there."""
    arguments = {"operation": operation}
    if version >= (18, 0):
        return bool(
            client.send(Request(model=model, method="has_access", ids=tuple(ids), arguments=arguments, reads=True))
        )
    try:  # up to 17 a right on the model and one on the record are two questions, and the second raises
        client.send(Request(model=model, method="check_access_rule", ids=tuple(ids), arguments=arguments, reads=True))
    except AccessDenied:
        return False
    return True


def unseen_companies(client: "OdooClient") -> int:
    """Return how many companies of the database this user is not in; 0 where Odoo does not tell.

    Source: Odoo 19 base/models/res_users.py, `_compute_companies_count`, which counts all of them.
    """
    known = client.fields("res.users") or {}
    if "companies_count" not in known or "company_ids" not in known:
        return 0
    fields = ["companies_count", "company_ids"]
    request = Request(
        model="res.users", method="read", ids=(client.whoami().uid,), arguments={"fields": fields}, reads=True
    )
    (me,) = client.send(request)
    return max(0, int(me["companies_count"]) - len(me["company_ids"]))


class CapabilityClient(Protocol):
    """What is asked how an Odoo is made."""

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return a model's fields, or None."""

    def version(self) -> Version:
        """Return the server's version."""


def archives(client: CapabilityClient) -> bool:
    """Return whether done activities are kept, archived: since Odoo 19 they are, before it depends."""
    return client.version() >= (19, 0) or "active" in (client.fields("mail.activity") or {})


def has_group(client: "OdooClient", group: str) -> bool:
    """Ask for membership of a group, implied ones included."""
    ids = (client.whoami().uid,) if client.version() >= (18, 0) else None
    request = Request(model="res.users", method="has_group", ids=ids, arguments={"group_ext_id": group}, reads=True)
    return bool(client.send(request))
