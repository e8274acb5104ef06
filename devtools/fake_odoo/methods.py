"""The methods a caller may name. Any other of Odoo's is answered 501 or, where Odoo has none, 404."""

import html
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from devtools.fake_odoo import access, crud, load, read_group, server_action
from devtools.fake_odoo.odoo_errors import AccessError, BadRequest, MissingError, NotFound, UserError
from devtools.fake_odoo.recordset import RecordSet
from devtools.fake_odoo.tables import Row

_ATTRIBUTES = ("type", "relation", "readonly", "store")
_ABSENT = "no_such_method"
"""The name under which callers ask for a method that no Odoo has; the twin knows of no other absence."""


def call(
    records: RecordSet, model: str, name: str, ids: Any, positional: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Run one method. `ids` is None where the caller gave none."""
    if name.startswith("_"):
        raise AccessError(f"Private methods (such as '{model}.{name}') cannot be called remotely.")
    records.model(model)
    run = _method(model, name)
    if name == _ABSENT:
        text = f"The method '{model}.{name}' does not exist"
        raise MissingError(text, "werkzeug.exceptions.NotFound", over_rpc="builtins.AttributeError")
    if run is None:
        raise NotFound(f"the method {model}.{name}")
    given = [[ids] if isinstance(ids, int) else list(ids or ())] if is_for_records(model, name) else []
    try:
        bound = inspect.signature(run).bind(records, model, *given, *positional, **named)
    except TypeError as error:
        name = "werkzeug.exceptions.UnprocessableEntity"
        raise UserError(str(error), name, over_rpc="builtins.TypeError") from None
    return run(*bound.args, **bound.kwargs)


def is_for_records(model: str, name: str) -> bool:
    """Return whether the first positional argument is ids."""
    run = _method(model, name)
    return run is not None and "ids" in inspect.signature(run).parameters


def _method(model: str, name: str) -> Callable[..., Any] | None:
    return METHODS.get(f"{model}/{name}") or METHODS.get(name)


# --------------------------------------------------------------------------- any model --


def _create(records: RecordSet, model: str, vals_list: Any) -> Any:
    if isinstance(vals_list, Mapping):
        return crud.create(records, model, vals_list)
    return [crud.create(records, model, values) for values in vals_list]


def _fields_get(
    records: RecordSet, model: str, allfields: Sequence[str] = (), attributes: Sequence[str] = _ATTRIBUTES
) -> dict[str, Any]:
    if not set(attributes) <= set(_ATTRIBUTES):
        raise NotFound(f"the attributes {attributes!r}")
    fields = [field for field in records.model(model).fields.values() if access.may_field(records, field)]
    return {
        field.name: {name: fact for name in attributes if (fact := getattr(field, name)) != ""}
        for field in fields
        if not allfields or field.name in allfields
    }


def _has_access(records: RecordSet, model: str, ids: list[int], operation: str) -> bool:
    rows, mode = records.existing(model, ids), access.MODES[operation]
    test = records.visible(model, mode)
    return access.may_model(records, model, mode) and (test is None or all(test(row) for row in rows))


# ------------------------------------------------------------------------- some models --


def _context_get(records: RecordSet, model: str) -> dict[str, Any]:
    lang, tz = (records.sudo.value(model, records.user, (name,)) for name in ("lang", "tz"))
    return {"lang": lang, "tz": tz, "uid": records.uid}


def _has_group(records: RecordSet, model: str, ids: list[int], group_ext_id: str) -> bool:
    groups = records.existing(model, ids)[0].get("all_group_ids", ())
    return any(group_ext_id == records.xid("res.groups", id_) for id_ in groups)


def _check_object_reference(records: RecordSet, _model: str, module: str, xml_id: str) -> list[Any]:
    row = records.xid_row(f"{module}.{xml_id}")
    if row is None:
        raise BadRequest(f"External ID not found in the system: {module}.{xml_id}")
    may = access.may_model(records, row["model"], "r")
    seen = records.search(row["model"], [["id", "=", row["res_id"]]], order="") if may else []
    return [row["model"], row["res_id"] if seen else False]


def _action_feedback(records: RecordSet, model: str, ids: list[int], feedback: Any = False) -> int | bool:
    """Archive activities and say so in the chatter of their documents; the first message counts."""
    rows = records.existing(model, ids)
    test = records.visible(model, "r")
    if test is not None and not all(test(row) for row in rows):
        raise access.hidden(records, model, "r")
    posted = [_post_done(records, row, feedback) for row in rows]
    crud.write(records, model, ids, {"active": False, **({"feedback": feedback} if feedback else {})})
    return posted[0] if posted else False


def _post_done(records: RecordSet, row: Row, feedback: Any) -> int:
    kind = html.escape(records.name("mail.activity.type", row["activity_type_id"]))
    said = html.escape(str(feedback or ""), quote=False).replace("\n", "<br>")
    body = f"<p>{kind} done: {html.escape(str(row.get('summary') or ''))}</p><div>{said}</div>"
    subtype = (records.xid_row("mail.mt_activities") or {}).get("res_id")
    values = {"model": row["res_model"], "res_id": row["res_id"], "body": body, "message_type": "notification"}
    return crud.create(records.sudo, "mail.message", {**values, "subtype_id": subtype})


METHODS: dict[str, Callable[..., Any]] = {
    "search": RecordSet.search,
    "search_count": lambda records, model, domain: len(records.search(model, domain, order="")),
    "search_read": RecordSet.search_read,
    "read": RecordSet.read,
    "create": _create,
    "write": crud.write,
    "unlink": crud.unlink,
    "load": load.load,
    "action_archive": lambda records, model, ids: crud.write(records, model, ids, {"active": False}),
    "action_unarchive": lambda records, model, ids: crud.write(records, model, ids, {"active": True}),
    "fields_get": _fields_get,
    "formatted_read_group": read_group.formatted,
    "read_group": read_group.classic,
    "get_external_id": lambda records, model, ids: {str(id_): records.xid(model, id_) for id_ in ids},
    "has_access": _has_access,
    "res.users/context_get": _context_get,
    "res.users/has_group": _has_group,
    "ir.model.data/check_object_reference": _check_object_reference,
    "mail.activity/action_feedback": _action_feedback,
    "ir.actions.server/run": server_action.run,
}
