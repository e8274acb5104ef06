"""Rows of text become records under external ids: all of them or none, and what was wrong is said row by row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from odoo_client.twin import moments, writing
from odoo_client.twin.refusals import Unknown, Wire, Wrong, bad_number
from odoo_client.twin.schema import DATES, NUMBERS, Field

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

_TRUE, _FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


class BadCell(Exception):
    """One cell cannot be read."""

    def __init__(self, field: str, message: str, more: Any = None) -> None:
        super().__init__(message)
        self.field = field
        self.more = more


def load(records: "Records", model: str, fields: Sequence[str], data: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Make or change the records of `data`, as Odoo's import does."""
    columns = [_column(records, model, name) for name in fields]
    mark = records.store.mark()
    ids: list[int] = []
    messages: list[dict[str, Any]] = []
    for place, cells in enumerate(data):
        values: dict[str, Any] = {}
        errors = len(messages)
        for (field, kind), cell in zip(columns, cells, strict=True):
            try:
                values[kind if field is None else field.name] = _cell(records, field, kind, cell)
            except BadCell as error:
                messages.append(_said(place, str(error), error.field, error.more))
        if len(messages) > errors:
            continue
        try:
            ids.append(_put(records, model, values))
        except BadCell as error:
            messages.append(_said(place, str(error), error.field))
        except Wire as error:
            if isinstance(error, (Unknown, Wrong)):
                raise
            messages.append(_said(place, str(error)))
    if messages:
        records.store.undo(mark)
    return {"ids": False if messages else ids, "messages": messages, "nextrow": 0}


def _said(place: int, message: str, field: str = "", more: Any = None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "rows": {"from": place, "to": place},
        "type": "error",
        "record": place,
        "message": message,
    }
    if field:
        said["field"] = field
    if more is not None:
        said["moreinfo"] = more
    return said


def _column(records: "Records", model: str, name: str) -> tuple[Field | None, str]:
    head, _, kind = name.partition("/")
    if name in {"id", ".id"}:
        return None, name
    field = records.model(model).fields.get(head)
    if field is None:
        raise Wrong(f"Invalid field name {name!r}")
    if field.type == "one2many":
        raise Unknown(f"the column {name!r}: load sub-rows as rows of their own model")
    return field, kind


def _put(records: "Records", model: str, values: dict[str, Any]) -> int:
    xid, id_ = values.pop("id", ""), values.pop(".id", "")
    known = records.xid_row(xid) if xid else None
    if known:
        if known["model"] != model:
            raise BadCell(
                "",
                f"For external id {xid} when trying to create/update a record of model {model} "
                f"found record of different model {known['model']} ({known['id']})",
            )
        if records.store.get(model, known["res_id"]):
            return _update(records, model, known, values)
    if id_ and not xid:
        return _update_by_id(records, model, id_, values)
    new = writing.create(records, model, values)
    if xid:
        _name(records, model, xid, new)
    return new


def _update(records: "Records", model: str, known: dict[str, Any], values: dict[str, Any]) -> int:
    is_left_alone = records.context.get("mode") == "update" and known.get("noupdate")
    if values and not is_left_alone:
        writing.write(records, model, [known["res_id"]], values)
    return int(known["res_id"])


def _update_by_id(records: "Records", model: str, text: Any, values: dict[str, Any]) -> int:
    if not str(text).isdecimal():
        raise bad_number(text)
    if not records.search(model, [["id", "=", int(text)]], order=None):
        raise BadCell(".id", f"Unknown database identifier '{text}'")
    writing.write(records, model, [int(text)], values)
    return int(text)


def _name(records: "Records", model: str, xid: str, id: int) -> None:  # noqa: A002
    module, dot, name = xid.partition(".")
    if not dot:
        module, name = "__import__", xid
    if " " in name:
        raise BadCell("", 'new row violates check constraint "ir_model_data_name_nospaces"')
    row = {"module": module, "name": name, "model": model, "res_id": id}
    old = records.xid_row(f"{module}.{name}")
    if old:
        records.store.put("ir.model.data", {**old, **row})
    else:
        is_kept = bool(records.context.get("noupdate"))
        writing.create(records.sudo, "ir.model.data", {**row, "noupdate": is_kept})


# -------------------------------------------------------------------------------- cells --


def _cell(records: "Records", field: Field | None, kind: str, cell: Any) -> Any:
    text = "" if cell is False or cell is None else str(cell)
    if field is None:
        return text
    if field.type == "many2one":
        return _linked(records, field, kind, text) if text else False
    if field.type == "many2many":
        return [[6, 0, [_linked(records, field, kind, part) for part in text.split(",")]]] if text else [[5]]
    if not text:
        return field.empty
    return _scalar(field, text)


def _linked(records: "Records", field: Field, kind: str, text: str) -> int:
    if kind == "id":
        row = records.xid_row(text)
        found = [row["res_id"]] if row and row["model"] == field.relation else []
        what = "external id"
    elif kind == ".id":
        if not text.isdecimal():
            raise BadCell(field.name, f"Invalid database id '{text}' for the field '{field.label}'")
        found = [int(text)] if records.store.get(field.relation, int(text)) else []
        what = "database id"
    else:
        found, what = records.named(field.relation, text, "="), "name"
    if not found or not records.store.get(field.relation, found[0]):
        raise BadCell(field.name, f"No matching record found for {what} '{text}' in field '{field.label}'")
    return int(found[0])


def _scalar(field: Field, text: str) -> Any:
    if field.type == "boolean":
        if text.lower() not in _TRUE | _FALSE:
            raise BadCell(field.name, f"Unknown value '{text}' for boolean field '{field.label}'")
        return text.lower() in _TRUE
    if field.type in NUMBERS or field.type == "many2one_reference":
        is_whole = field.type not in {"float", "monetary"}
        try:
            return int(text) if is_whole else float(text)
        except ValueError:
            what = "an integer" if is_whole else "a number"
            raise BadCell(field.name, f"'{text}' does not seem to be {what} for field '{field.label}'") from None
    if field.type in DATES:
        try:
            return moments.checked(text, field.type)
        except (Wrong, Unknown):
            raise BadCell(
                field.name, f"'{text}' does not seem to be a valid {field.type} for field '{field.label}'"
            ) from None
    if field.type == "selection" and field.selection is not None:
        for key, label in field.selection:
            if text.lower() in {key.lower(), label.lower()}:
                return key
        labels = [label for _, label in field.selection]
        raise BadCell(field.name, f"Value '{text}' not found in selection field '{field.label}'", labels)
    return text
