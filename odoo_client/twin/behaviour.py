"""The little that Odoo fills in by itself and that callers rely on: defaults, delegation, what dies with what."""

from typing import TYPE_CHECKING, Any

from odoo_client.twin import rights
from odoo_client.twin.refusals import NotAllowed, NotPossible, Wire, gone
from odoo_client.twin.store import Row

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

DELEGATES: dict[str, dict[str, str]] = {
    "hr.employee": {"resource_id": "resource.resource", "current_version_id": "hr.version"},
    "res.company": {"partner_id": "res.partner"},
    "res.users": {"partner_id": "res.partner"},
}
"""Records that are made together with another and hold part of its values."""

DIES_WITH = frozenset(
    {
        *("account.move.line.move_id", "hr.version.employee_id", "project.milestone.project_id"),
        *("project.task.project_id", "purchase.order.line.order_id", "resource.calendar.attendance.calendar_id"),
        *("res.users.apikeys.user_id", "sale.order.line.order_id", "mail.message.parent_id"),
    }
)
"""Where the record at the far end takes this one with it."""

_NUMBERED = {"sale.order": "S{:05d}", "purchase.order": "P{:05d}"}


def before_create(records: "Records", model: str, row: Row) -> None:
    """Complete a new row, or refuse it."""
    if row.get("name") == "New" and model in _NUMBERED:
        row["name"] = _NUMBERED[model].format(row["id"])
    if model == "account.move" and str(row.get("move_type")).startswith("out_"):
        row.setdefault("invoice_user_id", records.uid)
    if model == "project.task" and not row.get("project_id") and not row.get("user_ids"):
        row["user_ids"] = (records.uid,)
    if model == "mail.activity":
        _check_activity(records, row)
    elif model == "mail.message":
        row["author_id"] = row.get("author_id") or records.user.get("partner_id", False)
        _check_message(records, row)


def after_write(records: "Records", model: str, row: Row, changed: frozenset[str]) -> Row:
    """Give the row with what follows from the changed fields."""
    more: Row = {}
    if model == "res.partner" and changed & {"name", "parent_id"}:
        parent = records.store.get("res.partner", row.get("parent_id") or 0)
        is_part = parent is not None and not row.get("is_company")
        more["complete_name"] = f"{parent['complete_name']}, {row['name']}" if parent and is_part else row["name"]
        more["commercial_partner_id"] = parent["id"] if parent and is_part else row["id"]
    if model == "res.users" and "group_ids" in changed:
        named = frozenset(records.xids("res.groups", id_)[0] for id_ in row.get("group_ids", ()))
        rows = (records.xid_row(name) for name in sorted(records.schema.closure(named)))
        more["all_group_ids"] = tuple(found["res_id"] for found in rows if found)
    if model == "mail.activity" and "active" in changed:
        more["date_done"] = False if row["active"] else row.get("date_done") or records.today
    return {**row, **more}


def after_create(records: "Records", model: str, row: Row) -> None:
    """Follow a new record, and let its assignee follow the document."""
    if "message_partner_ids" in records.model(model).fields and not records.context.get("mail_create_nosubscribe"):
        follow(records, model, row["id"], [records.uid, row.get("user_id"), *row.get("user_ids", ())])
    if model == "mail.activity":
        follow(records, row.get("res_model"), row.get("res_id"), [row.get("user_id")])
    if model == "hr.version":
        choose_version(records, row.get("employee_id"))
    if model == "res.company" and not records.is_sudo:  # whoever founds a company works for it
        user = records.store.get("res.users", records.uid) or {}
        records.store.put("res.users", {**user, "company_ids": (*user.get("company_ids", ()), row["id"])})


def follow(records: "Records", model: Any, id: Any, users: list[Any]) -> None:  # noqa: A002
    """Make people followers of a document."""
    row = records.store.get(model, id) if model and id else None
    if row is None or "message_partner_ids" not in records.model(model).fields:
        return
    found = [records.store.get("res.users", uid) for uid in users if uid]
    old = row.get("message_partner_ids", ())
    new = tuple(dict.fromkeys([*old, *(user["partner_id"] for user in found if user)]))
    if new != old:
        records.store.put(model, {**row, "message_partner_ids": new})


def choose_version(records: "Records", employee: Any) -> None:
    """Point an employee at the version that is valid today: the last one that has begun, else the first."""
    row = records.store.get("hr.employee", employee or 0)
    if row is None:
        return
    found = records.store.find("hr.version", ("employee_id",), (employee,))
    versions = sorted((records.store.table("hr.version")[id_]["date_version"], id_) for id_ in found)
    begun = [version for version in versions if version[0] <= records.today] or versions[:1]
    if begun and row.get("current_version_id") != begun[-1][1]:
        records.store.put("hr.employee", {**row, "current_version_id": begun[-1][1]})


def _check_activity(records: "Records", row: Row) -> None:
    model, id_ = records.sudo.value("mail.activity", row, "res_model_id.model"), row.get("res_id")
    row["res_model"] = model or False
    if not model:
        if id_:
            raise NotPossible("Activities have to be linked to records with a not null res_id.")
        if not row.get("user_id"):
            raise NotPossible(
                "The operation cannot be completed: Activities must be assigned if not attached to a document."
            )
        if row["user_id"] != records.uid and not rights.is_free(records):
            raise _no_activity()
        return
    if not id_:
        raise NotPossible("Activities have to be linked to records with a not null res_id.")
    document = records.store.get(model, id_)
    if document is None:
        raise _no_activity()
    row["res_name"] = records.name(model, id_)
    is_for_others = bool(row.get("user_id")) and row["user_id"] != records.uid
    may_post = rights.may_record(records, model, id_, "r" if model in rights.READERS_POST else "w")
    if not records.is_sudo and (not may_post or (is_for_others and not rights.may_record(records, model, id_, "w"))):
        raise rights.hidden(records, model, "w") if may_post else _no_activity()


def _no_activity() -> Wire:
    return NotAllowed(
        "The requested operation cannot be completed due to security restrictions. "
        "(Document type: Activity, Operation: create)"
    )


def _check_message(records: "Records", row: Row) -> None:
    model, id_ = row.get("model"), row.get("res_id")
    if not model or not id_ or records.is_sudo:
        return
    if records.store.get(model, id_) is None:
        raise gone(model, id_, records.uid)
    if not rights.may_record(records, model, id_, "r" if model in rights.READERS_POST else "w"):
        raise rights.hidden(records, "mail.message", "c")
