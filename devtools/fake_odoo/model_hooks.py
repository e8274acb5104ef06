"""The little that Odoo fills in by itself and that callers rely on: names, dates, the rights on a document."""

from typing import TYPE_CHECKING

from devtools.fake_odoo import access
from devtools.fake_odoo.odoo_errors import AccessError, NotFound, gone
from devtools.fake_odoo.tables import Row
from odoo_client.apply.preconditions import READERS_POST

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet

_NUMBERED = {"sale.order": "S{:05d}", "purchase.order": "P{:05d}"}


def before_create(records: "RecordSet", model: str, row: Row) -> None:
    """Complete a new row, or refuse it."""
    if row.get("name") == "New" and model in _NUMBERED:
        row["name"] = _NUMBERED[model].format(row["id"])
    elif model == "account.move" and str(row.get("move_type")).startswith("out_"):
        row.setdefault("invoice_user_id", records.uid)
    elif model == "project.task" and not row.get("project_id") and not row.get("user_ids"):
        row["user_ids"] = (records.uid,)
    elif model == "hr.version" and row.get("employee_id"):
        raise NotFound("a second version of an employee")
    elif model == "mail.activity":
        _check_activity(records, row)
    elif model == "mail.message":
        row["author_id"] = row.get("author_id") or records.user.get("partner_id", False)
        _check_message(records, row)


def after_write(records: "RecordSet", model: str, row: Row, changed: frozenset[str]) -> Row:
    """Return the row with what follows from the changed fields."""
    more: Row = {}
    if model == "res.partner" and changed & {"name", "parent_id"}:
        parent = records.store.get("res.partner", row.get("parent_id") or 0)
        is_part = parent is not None and not row.get("is_company")
        more["complete_name"] = f"{parent['complete_name']}, {row['name']}" if parent and is_part else row["name"]
        more["commercial_partner_id"] = parent["id"] if parent and is_part else row["id"]
    if model == "res.users" and "group_ids" in changed:
        named = records.schema.closure({records.xid("res.groups", id_) for id_ in row.get("group_ids", ())})
        rows = (records.xid_row(name) for name in sorted(named))
        more["all_group_ids"] = tuple(found["res_id"] for found in rows if found)
    if model == "mail.activity" and "active" in changed:
        more["date_done"] = False if row["active"] else row.get("date_done") or records.now[:10]
    return {**row, **more}


def after_create(records: "RecordSet", model: str, row: Row) -> None:
    """Let whoever founds a company work for it, and an employee's first version know whose it is."""
    if model == "res.company" and not records.is_sudo:
        user = records.store.table("res.users")[records.uid]
        records.store.put("res.users", {**user, "company_ids": (*user.get("company_ids", ()), row["id"])})
    if model == "hr.employee":
        version = records.store.table("hr.version")[row["current_version_id"]]
        records.store.put("hr.version", {**version, "employee_id": row["id"]})


def _check_activity(records: "RecordSet", row: Row) -> None:
    model, id_ = records.sudo.value("mail.activity", row, ("res_model_id", "model")), row.get("res_id")
    if not model or not id_:
        raise NotFound("an activity without a document")
    if records.store.get(model, id_) is None:
        raise _no_activity()
    row["res_model"], row["res_name"] = model, records.name(model, id_)
    if records.is_sudo:
        return
    if not records.may_record(model, id_, "r" if model in READERS_POST else "w"):
        raise _no_activity()
    is_for_others = bool(row.get("user_id")) and row["user_id"] != records.uid
    if is_for_others and not records.may_record(model, id_, "w"):
        raise access.hidden(records, model, "w")


def _no_activity() -> AccessError:
    why = "The requested operation cannot be completed due to security restrictions."
    return AccessError(f"{why} (Document type: Activity, Operation: create)")


def _check_message(records: "RecordSet", row: Row) -> None:
    model, id_ = row.get("model"), row.get("res_id")
    if not model or not id_:
        raise NotFound("a message without a document")
    if records.store.get(model, id_) is None:
        raise gone(model, id_, records.uid)
    if not records.is_sudo and not records.may_record(model, id_, "r" if model in READERS_POST else "w"):
        raise access.hidden(records, "mail.message", "c")
