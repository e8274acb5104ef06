"""The methods a caller may name. Any other of Odoo's is answered 501 or, where Odoo has none, 404."""

import html
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from odoo_client.twin import grouping, importing, rights, writing
from odoo_client.twin.refusals import Missing, NotAllowed, Unknown, Wrong, bad_call
from odoo_client.twin.schema import Field
from odoo_client.twin.store import Row

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

_PRIVATE = frozenset(
    {"sudo", "with_context", "with_user", "with_company", "browse", "exists", "filtered", "check_access"}
)
_ABSENT = "no_such_method"
"""The name under which callers ask for a method that no Odoo has; the twin knows of no other absence."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method: for a model, or for records of it."""

    run: Callable[..., Any]
    is_for_records: bool


def call(
    records: "Records", model: str, name: str, ids: Any, positional: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Run one method. `ids` is None where the caller gave none."""
    if name.startswith("_") or name in _PRIVATE:
        raise NotAllowed(f"Private methods (such as '{model}.{name}') cannot be called remotely.")
    records.model(model)
    method = METHODS.get((model, name)) or METHODS.get(("", name))
    if method is None:
        raise _no_method(model, name)
    arguments = list(positional)
    if method.is_for_records:
        arguments.insert(0, [ids] if isinstance(ids, int) else list(ids or ()))
    elif ids:
        raise bad_call(f"cannot call {model}.{name} with ids")
    try:
        inspect.signature(method.run).bind(records, model, *arguments, **named)
    except TypeError as error:
        raise bad_call(str(error)) from None
    return method.run(records, model, *arguments, **named)


def is_for_records(model: str, name: str) -> bool:
    """Say whether the first positional argument is ids."""
    method = METHODS.get((model, name)) or METHODS.get(("", name))
    return method is not None and method.is_for_records


def _no_method(model: str, name: str) -> Missing | Unknown:
    if name == _ABSENT:
        text = f"The method '{model}.{name}' does not exist"
        return Missing(text, "werkzeug.exceptions.NotFound", over_rpc="builtins.AttributeError")
    return Unknown(f"the method {model}.{name}")


# --------------------------------------------------------------------------- any model --


def _search(
    records: "Records", model: str, domain: Any, offset: int = 0, limit: int | None = None, order: str | None = None
) -> list[int]:
    return records.search(model, domain, offset=offset, limit=limit, order=order or "")


def _search_count(records: "Records", model: str, domain: Any, limit: int | None = None) -> int:
    return len(records.search(model, domain, limit=limit, order=None))


def _search_read(
    records: "Records",
    model: str,
    domain: Any = None,
    fields: Sequence[str] | None = None,
    offset: int = 0,
    limit: int | None = None,
    order: str | None = None,
    load: Any = "_classic_read",
) -> list[Row]:
    ids = records.search(model, domain or [], offset=offset, limit=limit, order=order or "")
    return records.read(model, ids, fields, load)


def _read(
    records: "Records", model: str, ids: list[int], fields: Sequence[str] | None = None, load: Any = "_classic_read"
) -> list[Row]:
    return records.read(model, ids, fields, load)


def _create(records: "Records", model: str, vals_list: Any) -> Any:
    if isinstance(vals_list, Mapping):
        return writing.create(records, model, vals_list)
    return [writing.create(records, model, values) for values in vals_list]


def _write(records: "Records", model: str, ids: list[int], vals: Mapping[str, Any]) -> bool:
    writing.write(records, model, ids, vals)
    return True


def _unlink(records: "Records", model: str, ids: list[int]) -> bool:
    writing.unlink(records, model, ids)
    return True


def _archive(records: "Records", model: str, ids: list[int]) -> bool:
    return _write(records, model, ids, {"active": False})


def _unarchive(records: "Records", model: str, ids: list[int]) -> bool:
    return _write(records, model, ids, {"active": True})


def _fields_get(
    records: "Records", model: str, allfields: Sequence[str] | None = None, attributes: Sequence[str] | None = None
) -> dict[str, Any]:
    fields = [field for field in records.model(model).fields.values() if rights.may_field(records, field)]
    wanted = [field for field in fields if not allfields or field.name in allfields]
    return {field.name: _facts(field, attributes) for field in wanted}


def _facts(field: Field, attributes: Sequence[str] | None) -> dict[str, Any]:
    is_column = field.stored and field.type not in {"one2many", "many2many"}
    facts: dict[str, Any] = {
        "type": field.type,
        "string": field.label,
        "required": field.required,
        "readonly": field.readonly,
        "store": field.stored,
        "searchable": field.stored or bool(field.path),
        "sortable": is_column or bool(field.path),
        "groupable": (field.stored and field.type != "one2many") or bool(field.path),
    }
    if field.relation:
        facts["relation"] = field.relation
    if field.inverse:
        facts["relation_field"] = field.inverse
    if field.type == "selection":
        facts["selection"] = [list(choice) for choice in field.selection or ()]
    return {name: fact for name, fact in facts.items() if not attributes or name in attributes}


def _load(records: "Records", model: str, fields: Sequence[str], data: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return importing.load(records, model, fields, data)


def _get_external_id(records: "Records", model: str, ids: list[int]) -> dict[str, str]:
    return {str(id_): next(iter(records.xids(model, id_)), "") for id_ in ids}


def _has_access(records: "Records", model: str, ids: list[int], operation: str) -> bool:
    if operation not in rights.MODES:
        raise Wrong("Invalid access mode", "builtins.AssertionError")
    return writing.check_record(records, model, ids, rights.MODES[operation])


def _name_search(
    records: "Records", model: str, name: str = "", domain: Any = None, operator: str = "ilike", limit: int = 100
) -> list[list[Any]]:
    known = set(records.search(model, domain or [], order=None))
    found = [id_ for id_ in records.named(model, name, operator) if id_ in known]
    return [[id_, records.name(model, id_)] for id_ in found[:limit]]


# ------------------------------------------------------------------------- some models --


def _context_get(records: "Records", model: str) -> dict[str, Any]:
    user = records.user
    return {
        "lang": records.sudo.value(model, user, "lang"),
        "tz": records.sudo.value(model, user, "tz"),
        "uid": records.uid,
    }


def _has_group(records: "Records", model: str, ids: list[int], group_ext_id: str) -> bool:
    if len(ids) != 1:
        raise Wrong(f"Expected singleton: {model}({', '.join(map(str, ids))})")
    groups = records.existing(model, ids)[0].get("all_group_ids", ())
    return any(group_ext_id in records.xids("res.groups", id_) for id_ in groups)


def _check_object_reference(records: "Records", _model: str, module: str, xml_id: str) -> list[Any]:
    row = records.xid_row(f"{module}.{xml_id}")
    if row is None:
        raise Wrong(f"External ID not found in the system: {module}.{xml_id}")
    may = rights.may_model(records, row["model"], "r")
    seen = records.search(row["model"], [["id", "=", row["res_id"]]], order=None) if may else []
    return [row["model"], row["res_id"] if seen else False]


def _action_feedback(records: "Records", model: str, ids: list[int], feedback: Any = False) -> int | bool:
    return _finish(records, records.existing(model, ids), feedback)


def _action_done(records: "Records", model: str, ids: list[int]) -> int | bool:
    return _finish(records, [row for row in records.existing(model, ids) if row.get("active")], False)


def _finish(records: "Records", rows: list[Row], feedback: Any) -> int | bool:
    """Archive activities and say so in the chatter of their documents; the first message counts."""
    model = "mail.activity"
    if not all(test(row) for row in rows if (test := rights.visible(records, model, "r"))):
        raise rights.hidden(records, model, "r")
    posted: list[int] = []
    for row in rows:
        document = row.get("res_model")
        if document and records.store.get(document, row["res_id"]):
            posted.append(
                _post(records.sudo, document, row["res_id"], _done_text(records, row, feedback), "mail.mt_activities")
            )
    values = {"active": False, **({"feedback": feedback} if feedback else {})}
    writing.write(records, model, [row["id"] for row in rows], values)
    return posted[0] if posted else False


def _done_text(records: "Records", row: Row, feedback: Any) -> str:
    kind = records.name("mail.activity.type", row["activity_type_id"]) if row.get("activity_type_id") else "Activity"
    said = html.escape(str(feedback), quote=False).replace("\n", "<br>") if feedback else ""
    return f"<p>{html.escape(kind)} done: {html.escape(str(row.get('summary') or ''))}</p><div>{said}</div>"


def _message_post(
    records: "Records",
    model: str,
    ids: list[int],
    body: str = "",
    message_type: str = "notification",
    subtype_xmlid: str = "mail.mt_note",
    body_is_html: bool = False,
) -> int:
    if len(ids) != 1:
        raise Wrong(f"Expected singleton: {model}({', '.join(map(str, ids))})")
    text = body if body_is_html else f"<p>{html.escape(body, quote=False)}</p>"
    return _post(records, model, ids[0], text, subtype_xmlid, message_type)


def _post(
    records: "Records",
    model: str,
    id: int,  # noqa: A002
    body: str,
    subtype: str,
    message_type: str = "notification",
) -> int:
    kind = records.xid_row(subtype)
    values = {"model": model, "res_id": id, "body": body, "message_type": message_type}
    return writing.create(records, "mail.message", {**values, "subtype_id": kind["res_id"] if kind else False})


_FOR_MODELS: dict[str, Callable[..., Any]] = {
    "search": _search,
    "search_count": _search_count,
    "search_read": _search_read,
    "create": _create,
    "load": _load,
    "fields_get": _fields_get,
    "name_search": _name_search,
    "formatted_read_group": grouping.formatted,
    "read_group": grouping.classic,
}
_FOR_RECORDS: dict[str, Callable[..., Any]] = {
    "read": _read,
    "write": _write,
    "unlink": _unlink,
    "action_archive": _archive,
    "action_unarchive": _unarchive,
    "get_external_id": _get_external_id,
    "has_access": _has_access,
    "message_post": _message_post,
}
METHODS: dict[tuple[str, str], Method] = {
    **{("", name): Method(run, is_for_records=False) for name, run in _FOR_MODELS.items()},
    **{("", name): Method(run, is_for_records=True) for name, run in _FOR_RECORDS.items()},
    ("res.users", "context_get"): Method(_context_get, is_for_records=False),
    ("res.users", "has_group"): Method(_has_group, is_for_records=True),
    ("ir.model.data", "check_object_reference"): Method(_check_object_reference, is_for_records=False),
    ("mail.activity", "action_feedback"): Method(_action_feedback, is_for_records=True),
    ("mail.activity", "action_done"): Method(_action_done, is_for_records=True),
}
