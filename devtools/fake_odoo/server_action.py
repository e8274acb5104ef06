"""The one server action that the twin can run: the receipt action. It runs no code, it knows what that text does."""

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from devtools.fake_odoo import crud
from devtools.fake_odoo.odoo_errors import AccessError, NotFound
from devtools.fake_odoo.tables import Row
from odoo_client.server_action import OPERATIONS, VERSION, action_text, digest

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet

_OF_PROJECT = (
    *("description", "user_id", "allow_billable", "allow_milestones", "allow_timesheets", "billing_type"),
    *("privacy_visibility", "company_id", "sequence", "allocated_hours", "tag_ids", "type_ids"),
)
_OF_TASK = ("name", "description", "sequence", "priority", "allocated_hours", "stage_id", "user_ids", "tag_ids")
_TAKEN = frozenset({"name", "partner_id", "company_id", "user_id", "date_start", "date"})


def run(records: "RecordSet", model: str, ids: list[int]) -> dict[str, Any]:
    """Run a server action for a member of its groups."""
    (action,) = records.sudo.existing(model, ids)
    if not set(action.get("group_ids", ())) & set(records.user.get("all_group_ids", ())):
        raise AccessError("You don't have enough access rights to run this action.")
    if action.get("state") != "code" or digest(str(action.get("code") or "")) != digest(action_text()):
        raise NotFound("what this server action does")
    asked = records.context.get("purser_changes") or () if records.context.get("purser_version") == VERSION else ()
    results = [[change["key"], *_outcome(records, change)] for change in asked]
    infos = {"version": VERSION, "results": results}
    return {"type": "ir.actions.act_window_close", "infos": infos}


def _outcome(records: "RecordSet", change: Mapping[str, Any]) -> tuple[str, str, int, str]:
    key, operation, id_ = change["key"], OPERATIONS.get(change["operation"]), change["id"]
    if operation is None or not key.startswith(operation.prefixes):
        raise NotFound(f"the answer of the receipt action to {change['operation']} under {key}")
    receipt = records.xid_row(f"purser.{key}")
    if receipt is not None and receipt["model"] != operation.makes:
        why = f"the key names a record of {receipt['model']}, not of {operation.makes}"
        return "refused", operation.on, id_, why
    found = None if receipt is None else records.store.get(operation.makes, receipt["res_id"])
    undone = next((one for one in operation.undone if found and found.get(one.field, False) == one.value), None)
    if undone is not None and undone.why:
        return "refused", operation.on, id_, f"{found['name'] if found else ''} {undone.why}"
    if found is not None and undone is None:
        return "already", operation.makes, found["id"], ""
    row = records.store.get(operation.on, id_)
    if row is None:
        return "refused", operation.on, id_, "the record does not exist any more"
    records.read(operation.on, [id_], ["create_date"])  # refused where the caller may not see it
    match change["operation"]:
        case "milestone.reach":
            status, made, why = _reach(records, row)
        case "project.from-template":
            status, made, why = _from_template(records, row, change["arguments"])
        case other:
            raise NotFound(f"the operation {other}")
    if not why:
        named = {"module": "purser", "name": key, "model": operation.makes, "res_id": made, "noupdate": True}
        if receipt is None:
            crud.create(records.sudo, "ir.model.data", named)
        else:
            crud.write(records.sudo, "ir.model.data", [receipt["id"]], named)
    return status, operation.on if why else operation.makes, made, why


def _reach(records: "RecordSet", milestone: Row) -> tuple[str, int, str]:
    if milestone.get("is_reached"):
        return "already", milestone["id"], ""
    if milestone.get("sale_line_id"):
        raise NotFound("what a milestone delivers of its order line")
    values = {"is_reached": True, "reached_date": records.now[:10]}
    crud.write(records, "project.milestone", [milestone["id"]], values)
    return "done", milestone["id"], ""


# ------------------------------------------------------------------- project.from-template --


def _from_template(records: "RecordSet", template: Row, given: Mapping[str, Any]) -> tuple[str, int, str]:
    if not template.get("is_template"):
        return "refused", template["id"], f"project {template['id']} is no template"
    if bool(given.get("date_start")) != bool(given.get("date")):
        return "refused", template["id"], "give both date_start and date, or neither"
    if set(given) - _TAKEN or template.get("date_start") or template.get("allow_task_dependencies"):
        raise NotFound("roles, order lines, days and dependencies of project templates")
    values = _copied(template, _OF_PROJECT) | {"name": template["name"]} | dict(given)
    made = crud.create(records, "project.project", values)
    milestones = _milestones(records, template, made) if template.get("allow_milestones") else {}
    _tasks(records, template["id"], made, milestones, above=(False, False))
    note = records.sudo.xid_row("mail.mt_note")
    said = f"<p>Project created from template {html.escape(str(template['name']))}.</p>"
    message = {"model": "project.project", "res_id": made, "body": said, "message_type": "notification"}
    crud.create(records.sudo, "mail.message", {**message, "subtype_id": note["res_id"] if note else False})
    return "done", made, ""


def _milestones(records: "RecordSet", template: Row, made: int) -> dict[int, int]:
    """Copy milestones, without their days and not reached; give the new one of each."""
    table = records.store.table("project.milestone")
    found = records.store.find("project.milestone", ("project_id",), (template["id"],))
    return {
        id_: crud.create(
            records, "project.milestone", {**_copied(table[id_], ("name", "sequence")), "project_id": made}
        )
        for id_ in sorted(found)
    }


def _tasks(
    records: "RecordSet", of: int, made: int, milestones: Mapping[int, int], *, above: tuple[int | bool, int | bool]
) -> None:
    """Copy the tasks below one of the template, and what is below them."""
    old_parent, new_parent = above
    table = records.store.table("project.task")
    for id_ in sorted(records.store.find("project.task", ("project_id",), (of,))):
        row = table[id_]
        if (row.get("parent_id") or False) == old_parent:
            if old_parent and (table[old_parent].get("milestone_id") or 0) != (row.get("milestone_id") or 0):
                raise NotFound("the milestone of a task below one that has another")
            place = {
                "project_id": made,
                "parent_id": new_parent,
                "milestone_id": milestones.get(row.get("milestone_id", 0)),
            }
            new = crud.create(records, "project.task", _copied(row, _OF_TASK) | place)
            _tasks(records, of, made, milestones, above=(id_, new))


def _copied(row: Row, names: tuple[str, ...]) -> dict[str, Any]:
    many = {name for name in names if isinstance(row.get(name), tuple)}
    return {name: [[6, 0, list(row[name])]] if name in many else row[name] for name in names if name in row}
