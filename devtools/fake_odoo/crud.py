"""Create, write and unlink: values checked by type, rights by rule, and what belongs to a record goes with it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from devtools.fake_odoo import access, datetimes, model_hooks
from devtools.fake_odoo.odoo_errors import BadRequest, NotFound, UserError, gone
from devtools.fake_odoo.schema import DATES, MANY, NUMBERS, Field
from devtools.fake_odoo.tables import Row

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet

_STAMPS = frozenset({"create_date", "create_uid", "write_date", "write_uid"})


def create(records: "RecordSet", model: str, values: Mapping[str, Any], *, is_seed: bool = False) -> int:
    """Make one record. A seed keeps its own dates."""
    access.check_model(records, model, "c")
    given = _known(records, model, {**_defaults_asked(records, model), **values}, "in")
    row: Row = {"id": records.store.new_id(model), "create_date": records.now, "create_uid": records.uid}
    row |= {"write_date": records.now, "write_uid": records.uid}
    commands = {name: value for name, value in given.items() if records.field(model, name).type in MANY}
    for name, value in given.items():
        field = records.field(model, name)
        if name not in commands and not field.path and (is_seed or name not in _STAMPS):
            row[name] = convert(records, model, field, value)
    _delegate(records, model, row, given)
    _complete(records, model, row, commands)
    for name, value in commands.items():
        _relate(records, model, row, name, value)
    model_hooks.before_create(records, model, row)
    _store(records, model, row, commands, frozenset(row))
    _check_rule(records, model, [row["id"]], "c")
    model_hooks.after_create(records, model, row)
    return int(row["id"])


def write(records: "RecordSet", model: str, ids: Sequence[int], vals: Mapping[str, Any]) -> bool:
    """Change records."""
    access.check_model(records, model, "w")
    given = _known(records, model, vals, "on")
    access.check_fields(records, model, given)
    rows = records.existing(model, ids)
    _check_rule(records, model, [row["id"] for row in rows], "w")
    for row in rows:
        _write(records, model, {**row, "write_date": records.now, "write_uid": records.uid}, given)
    return True


def _write(records: "RecordSet", model: str, row: Row, given: Mapping[str, Any]) -> None:
    commands: dict[str, Any] = {}
    for name, value in given.items():
        field = records.field(model, name)
        if field.type in MANY:
            commands[name] = value
            _relate(records, model, row, name, value)
        elif field.path:
            _write_along(records, model, row, field.path, value)
        elif name not in _STAMPS:
            row[name] = convert(records, model, field, value)
    _store(records, model, row, commands, frozenset(given))


def _store(records: "RecordSet", model: str, row: Row, commands: Mapping[str, Any], changed: frozenset[str]) -> None:
    above, table = row.get("parent_id"), records.store.table(model)
    is_tree = above and records.field(model, "parent_id").relation == model
    while is_tree and above:
        if above == row["id"]:
            raise UserError(f"{records.model(model).label} {above} cannot be above itself.")
        above = table[above].get("parent_id")
    records.store.put(model, model_hooks.after_write(records, model, row, changed))
    for name, value in commands.items():
        if records.field(model, name).type == "one2many":
            _relate_children(records, records.field(model, name), row["id"], value)


def unlink(records: "RecordSet", model: str, ids: Sequence[int]) -> bool:
    """Delete records with what belongs to them."""
    access.check_model(records, model, "u")
    rows = records.existing(model, ids)
    _check_rule(records, model, [row["id"] for row in rows], "u")
    for row in rows:
        _delete(records.sudo, model, row["id"])
    return True


def _delete(records: "RecordSet", model: str, id: int) -> None:  # noqa: A002
    for name, spec in records.schema.models.items():
        for field in spec.fields.values():
            if field.relation == model and field.type == "many2one" and not field.path and field.name not in _STAMPS:
                _let_go(records, name, field, model, id)
    for name, by in (("mail.activity", "res_model"), ("mail.message", "model"), ("ir.model.data", "model")):
        for other in records.store.find(name, (by, "res_id"), (model, id)):
            _delete(records, name, other)
    records.store.remove(model, id)


def _let_go(records: "RecordSet", name: str, field: Field, model: str, id: int) -> None:  # noqa: A002
    for other in records.store.find(name, (field.name,), (id,)):
        if f"{name}.{field.name}" in records.schema.dies_with:
            _delete(records, name, other)
        elif field.name in records.schema.required.get(name, ()):
            raise UserError(f"The operation cannot be completed: {model} {id} is used by {name}.{field.name}.")
        else:
            records.store.put(name, {**records.store.table(name)[other], field.name: False})


# ------------------------------------------------------------------------------- values --


def convert(records: "RecordSet", model: str, field: Field, value: Any) -> Any:
    """Return a value in the form it is kept in, or say what is wrong with it."""
    if field.type == "boolean":
        return bool(value)
    if value is None or value is False:
        return field.empty
    if field.type == "many2one":
        if records.store.get(field.relation, value) is None:
            raise UserError(f"The operation cannot be completed: no {field.relation} {value} for '{field.name}'")
        return value
    if field.type in NUMBERS or field.type == "many2one_reference":
        try:
            return float(value) if field.type in {"float", "monetary"} else int(value)
        except (TypeError, ValueError) as error:
            raise BadRequest(str(error)) from None
    if field.type in DATES:
        return datetimes.checked(value, field.type)
    if field.selection and value not in field.selection:
        raise BadRequest(f"Wrong value for {model}.{field.name}: {value!r}")
    return str(value)


def _known(records: "RecordSet", model: str, values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for name in values:
        if name not in records.model(model).fields:
            raise BadRequest(f"Invalid field {name!r} {where} {model!r}")
    return values


def _defaults_asked(records: "RecordSet", model: str) -> dict[str, Any]:
    fields, context = records.model(model).fields, records.context
    asked: dict[str, Any] = {"active": True} if "active" in fields else {}
    asked |= {name[8:]: value for name, value in context.items() if name[:8] == "default_" and name[8:] in fields}
    if model == "mail.activity" and asked.get("res_model"):
        found = records.store.find("ir.model", ("model",), (asked["res_model"],))
        if not found:
            raise NotFound(f"the model {asked['res_model']!r} as the document of an activity")
        asked["res_model_id"] = found[0]
    return asked


def _complete(records: "RecordSet", model: str, row: Row, many: Mapping[str, Any]) -> None:
    """Fill in what was not given: taken over from related records first, then the house defaults."""
    _copy(records, model, row)
    for name, value in records.schema.defaults.get(model, {}).items():
        if name not in row and name not in many and not records.field(model, name).path:
            row[name] = _default(records, value)
    _copy(records, model, row)
    for name in records.schema.required.get(model, ()):
        if not records.sudo.value(model, row, (name,)):
            what = f"Missing required value for the field '{name}' ({name}).\nModel: '{model}' ({model})"
            raise UserError(f"The operation cannot be completed: {what}")
    if model == "res.users" and "company_ids" not in many:
        row["company_ids"] = (row["company_id"],)


def _copy(records: "RecordSet", model: str, row: Row) -> None:
    for name, paths in records.schema.copies.get(model, {}).items():
        found = (records.sudo.value(model, row, path.split(".")) for path in paths)
        if name not in row and (value := next((one for one in found if one), None)):
            row[name] = value


def _default(records: "RecordSet", value: Any) -> Any:
    company = records.store.get("res.company", records.companies[0]) if records.companies else None
    of_company = company or {}
    known = {"@today": records.now[:10], "@now": records.now, "@me": records.uid}
    links = {"@company": "id", "@currency": "currency_id", "@calendar": "resource_calendar_id"}
    known |= {word: of_company.get(name, False) for word, name in links.items()}
    return known.get(value, value) if isinstance(value, str) else value


# ---------------------------------------------------------------------------- relations --


def _delegate(records: "RecordSet", model: str, row: Row, given: Mapping[str, Any]) -> None:
    """Make the records that hold part of the new one's values, or write those values to the ones given."""
    known = records.model(model).fields
    for root, other in records.schema.delegates.get(model, {}).items():
        part = {known[name].path[1]: value for name, value in given.items() if known[name].path[:-1] == (root,)}
        if row.get(root):
            write(records.sudo, other, [row[root]], part)
        else:
            row[root] = create(records.sudo, other, part)


def _write_along(records: "RecordSet", model: str, row: Row, path: tuple[str, ...], value: Any) -> None:
    """Write a related field where it lives."""
    field = records.field(model, path[0])
    target = records.store.get(field.relation, row.get(path[0], 0))
    if target and len(path) == 2:
        write(records.sudo, field.relation, [target["id"]], {path[1]: value})
    elif target:
        _write_along(records, field.relation, target, path[1:], value)


def _commands(name: str, value: Any, known: set[int]) -> list[Any]:
    """Read Odoo's commands for a relation; those that no control needs are not known."""
    for command in value:
        if command[0] not in known:
            raise NotFound(f"the command {command!r} for {name}")
    return list(value)


def _relate(records: "RecordSet", model: str, row: Row, name: str, value: Any) -> None:
    """Set a many2many."""
    field = records.field(model, name)
    if field.type == "one2many" or field.path:
        return
    ids = list(row.get(name, ()))
    for command in _commands(name, value, {4, 5, 6}):
        ids = [*ids, command[1]] if command[0] == 4 else list(command[2]) if command[0] == 6 else []
    for id_ in ids:
        if records.store.get(field.relation, id_) is None:
            raise gone(field.relation, id_, records.uid)
    row[name] = tuple(dict.fromkeys(ids))


def _relate_children(records: "RecordSet", field: Field, id: int, value: Any) -> None:  # noqa: A002
    """Make a record's own lines, or clear them away."""
    for command in _commands(field.name, value, {0, 5}):
        if command[0] == 0:
            create(records, field.relation, {**command[2], field.inverse: id})
        else:
            unlink(records, field.relation, records.store.find(field.relation, (field.inverse,), (id,)))


def _check_rule(records: "RecordSet", model: str, ids: Sequence[int], mode: str) -> None:
    test, table = records.visible(model, mode), records.store.table(model)
    if test is not None and not all(test(table[id_]) for id_ in ids):
        raise access.hidden(records, model, mode)
