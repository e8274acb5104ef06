"""Rows of text become records under external ids: all of them or none, and what was wrong is said row by row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from devtools.fake_odoo import crud
from devtools.fake_odoo.odoo_errors import BadRequest, NotFound, OdooError
from devtools.fake_odoo.schema import NUMBERS, Field

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet


class InvalidCell(OdooError):
    """One cell cannot be read."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.more = {"field": field} if field else {}


def load(records: "RecordSet", model: str, fields: Sequence[str], data: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Make or change the records of `data`, as Odoo's import does."""
    columns = [_column(records, model, name) for name in fields]
    mark = records.store.mark()
    ids: list[int] = []
    messages: list[dict[str, Any]] = []
    for place, cells in enumerate(data):
        try:
            values = {
                "id" if field is None else field.name: _cell(records, field, kind, cell)
                for (field, kind), cell in zip(columns, cells, strict=True)
            }
            ids.append(_put(records, model, values.pop("id", ""), values))
        except OdooError as error:
            if isinstance(error, (NotFound, BadRequest)):
                raise
            said = {"rows": {"from": place, "to": place}, "type": "error", "record": place, "message": str(error)}
            messages.append({**said, **getattr(error, "more", {})})
    if messages:
        records.store.undo(mark)
    return {"ids": False if messages else ids, "messages": messages, "nextrow": 0}


def _column(records: "RecordSet", model: str, name: str) -> tuple[Field | None, str]:
    if name == "id":
        return None, ""
    head, _, kind = name.partition("/")
    field = records.model(model).fields.get(head)
    if field is None and name != ".id":
        raise BadRequest(f"Invalid field name {name!r}")
    if field is None or field.type == "one2many" or (field.type == "many2many" and kind != ".id"):
        raise NotFound(f"the column {name!r}")
    return field, kind


def _put(records: "RecordSet", model: str, xid: str, values: dict[str, Any]) -> int:
    known = records.xid_row(xid) if xid else None
    if known and known["model"] != model:
        raise InvalidCell(
            f"For external id {xid} when trying to create/update a record of model {model} "
            f"found record of different model {known['model']} ({known['id']})"
        )
    if known and records.store.get(model, known["res_id"]):
        if not (records.context.get("mode") == "update" and known.get("noupdate")):
            crud.write(records, model, [known["res_id"]], values)
        return int(known["res_id"])
    new = crud.create(records, model, values)
    if xid:
        if " " in xid:
            raise InvalidCell('new row violates check constraint "ir_model_data_name_nospaces"')
        module, _, name = xid.partition(".") if "." in xid else ("__import__", "", xid)
        row = {"module": module, "name": name, "model": model, "res_id": new}
        if known:
            records.store.put("ir.model.data", {**known, **row})
        else:
            is_kept = bool(records.context.get("noupdate"))
            crud.create(records.sudo, "ir.model.data", {**row, "noupdate": is_kept})
    return new


def _cell(records: "RecordSet", field: Field | None, kind: str, cell: Any) -> Any:
    text = "" if cell is None or cell is False else str(cell)
    if field is None:
        return text
    if field.type == "many2many":
        return [[6, 0, [_linked(records, field, kind, part) for part in text.split(",") if part]]]
    if not text:
        return field.empty
    if field.type == "many2one":
        return _linked(records, field, kind, text)
    if field.type == "boolean":
        return text.lower() in {"1", "true", "yes"}
    try:
        return crud.convert(records, field.name, field, text)
    except (BadRequest, NotFound):
        kinds = "a number" if field.type in NUMBERS else f"a valid {field.type}"
        raise InvalidCell(f"'{text}' does not seem to be {kinds} for field '{field.name}'", field.name) from None


def _linked(records: "RecordSet", field: Field, kind: str, text: str) -> int:
    if kind == "id":
        row, what = records.xid_row(text), "external id"
        found = row["res_id"] if row and row["model"] == field.relation else 0
    elif kind == ".id" and text.isdecimal():
        found, what = int(text), "database id"
    else:
        raise NotFound(f"{text!r} in a column of {field.name}")
    if records.store.get(field.relation, found) is None:
        message = f"No matching record found for {what} '{text}' in field '{field.name}'"
        raise InvalidCell(message, field.name)
    return int(found)
