"""Create, write and unlink: values checked by type, rights by rule, and what belongs to a record goes with it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from odoo_client.twin import behaviour, moments, rights
from odoo_client.twin.refusals import NotPossible, Unknown, Wrong, gone
from odoo_client.twin.schema import DATES, MANY, NUMBERS, Field
from odoo_client.twin.store import Row

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

STAMPS = frozenset({"create_date", "create_uid", "write_date", "write_uid"})


def create(records: "Records", model: str, values: Mapping[str, Any], *, stamps: bool = False) -> int:
    """Make one record. `stamps` lets a seed set its own dates."""
    rights.check_model(records, model, "c")
    given = _known(records, model, _with_defaults(records, model, values), "in")
    now: Row = {"create_date": records.stamp, "write_date": records.stamp}
    row: Row = {"id": records.store.new_id(model), **now, "create_uid": records.uid, "write_uid": records.uid}
    commands: dict[str, Any] = {}
    for name, value in given.items():
        field = records.field(model, name)
        if field.type in MANY:
            commands[name] = value
        elif not field.path and (name not in STAMPS or stamps) and name != "id":
            row[name] = convert(records, model, field, value)
    _delegate(records, model, row, given)
    _complete(records, model, row, {**commands})
    for name, value in commands.items():
        _relate(records, model, row, name, value)
    behaviour.before_create(records, model, row)
    _no_circle(records, model, row)
    records.store.put(model, behaviour.after_write(records, model, row, frozenset(row)))
    _relate_children(records, model, row["id"], commands)
    _check_rule(records, model, [row["id"]], "c")
    for root, other in behaviour.DELEGATES.get(model, {}).items():
        if other == "hr.version":
            version = records.store.table(other)[row[root]]
            records.store.put(other, {**version, "employee_id": row["id"]})
    behaviour.after_create(records, model, records.store.table(model)[row["id"]])
    return int(row["id"])


def write(
    records: "Records", model: str, ids: Iterable[int], values: Mapping[str, Any], *, stamps: bool = False
) -> None:
    """Change records."""
    rights.check_model(records, model, "w")
    given = _known(records, model, values, "on")
    rights.check_fields(records, model, given)
    rows = records.existing(model, ids)
    _check_rule(records, model, [row["id"] for row in rows], "w")
    stamped: Row = {"write_date": records.stamp, "write_uid": records.uid}
    for row in rows:
        _write_row(records, model, {**row, **stamped}, given, stamps)


def _write_row(records: "Records", model: str, row: Row, given: Mapping[str, Any], stamps: bool) -> None:
    commands: dict[str, Any] = {}
    for name, value in given.items():
        field = records.field(model, name)
        if field.type in MANY:
            commands[name] = value
            _relate(records, model, row, name, value)
        elif field.path:
            _write_along(records, model, row, field, value)
        elif (name not in STAMPS or stamps) and name != "id":
            row[name] = convert(records, model, field, value)
    _no_circle(records, model, row)
    records.store.put(model, behaviour.after_write(records, model, row, frozenset(given)))
    _relate_children(records, model, row["id"], commands)
    if model == "mail.activity" and given.get("user_id"):
        behaviour.after_create(records, model, records.store.table(model)[row["id"]])
    if model == "hr.version":
        behaviour.choose_version(records, row.get("employee_id"))


def unlink(records: "Records", model: str, ids: Iterable[int]) -> None:
    """Delete records with what belongs to them."""
    rights.check_model(records, model, "u")
    rows = records.existing(model, ids)
    _check_rule(records, model, [row["id"] for row in rows], "u")
    for row in rows:
        _delete(records.sudo, model, row["id"])


def _delete(records: "Records", model: str, id: int) -> None:  # noqa: A002
    if records.store.get(model, id) is None:
        return
    for name, spec in records.schema.models.items():
        for field in spec.fields.values():
            if field.relation == model and field.type == "many2one" and not field.path:
                _let_go(records, name, field, model, id)
    for name, by in (("mail.activity", "res_model"), ("mail.message", "model"), ("ir.model.data", "model")):
        for other in records.store.find(name, (by, "res_id"), (model, id)):
            _delete(records, name, other)
    records.store.remove(model, id)


def _let_go(records: "Records", name: str, field: Field, model: str, id: int) -> None:  # noqa: A002
    if field.name in STAMPS:
        return
    if records.store.indexed(name, field.name):
        found = records.store.find(name, (field.name,), (id,))
    else:
        found = [other for other, row in records.store.table(name).items() if row.get(field.name) == id]
    for other in found:
        if f"{name}.{field.name}" in behaviour.DIES_WITH:
            _delete(records, name, other)
        elif field.name in records.schema.required.get(name, ()):
            raise NotPossible(f"The operation cannot be completed: {model} {id} is used by {name}.{field.name}.")
        else:
            records.store.put(name, {**records.store.table(name)[other], field.name: False})


# ------------------------------------------------------------------------------- values --


def convert(records: "Records", model: str, field: Field, value: Any) -> Any:
    """Give a value in the form it is kept in, or say what is wrong with it."""
    if value is None or (value is False and field.type != "boolean"):
        return field.empty
    if field.type == "boolean":
        return bool(value)
    if field.type == "many2one":
        return _must_exist(records, field, value)
    if field.type in NUMBERS or field.type == "many2one_reference":
        return _number(field, value)
    if field.type in DATES:
        return moments.checked(value, field.type)
    if field.type == "selection":
        if field.selection is not None and value not in {key for key, _ in field.selection}:
            raise Wrong(f"Wrong value for {model}.{field.name}: {value!r}")
        return value
    return str(value) if value != "" or field.type in {"text", "html"} else ""


def _no_circle(records: "Records", model: str, row: Row) -> None:
    """Refuse a record that would be its own ancestor."""
    above, table = row.get("parent_id"), records.store.table(model)
    if not above or records.field(model, "parent_id").relation != model:
        return
    while above and above != row["id"]:
        above = table[above].get("parent_id") if above in table else False
    if above:
        raise NotPossible(f"{records.model(model).label} {row['id']} cannot be above itself.")


def _number(field: Field, value: Any) -> int | float:
    try:
        return float(value) if field.type in {"float", "monetary"} else int(value)
    except (TypeError, ValueError) as error:
        raise Wrong(str(error)) from None


def _must_exist(records: "Records", field: Field, value: Any) -> int:
    id_ = value[0] if isinstance(value, (list, tuple)) and value else value
    if not isinstance(id_, int) or isinstance(id_, bool):
        raise Wrong(f"Wrong value for {field.name}: {value!r}")
    if records.store.get(field.relation, id_) is None:
        raise NotPossible(
            f"The operation cannot be completed: no {field.relation} {id_} for '{field.label}' ({field.name})"
        )
    return id_


def _known(records: "Records", model: str, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name in values:
        if name not in records.model(model).fields:
            raise Wrong(f"Invalid field {name!r} {where} {model!r}")
    return dict(values)


def _with_defaults(records: "Records", model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    asked = {
        name.removeprefix("default_"): value
        for name, value in records.context.items()
        if name.startswith("default_") and name.removeprefix("default_") in records.model(model).fields
    }
    if model == "mail.activity":
        chosen = {**asked, **values}
        if (document := chosen.get("res_model")) and not chosen.get("res_model_id") and "res_model" in asked:
            asked["res_model_id"] = _model_id(records, document)
    if "active" in records.model(model).fields:
        asked.setdefault("active", True)
    return {**asked, **values}


def _model_id(records: "Records", name: str) -> int:
    found = records.store.find("ir.model", ("model",), (name,))
    if not found:
        raise Unknown(f"the model {name!r} as the document of an activity")
    return found[0]


def _complete(records: "Records", model: str, row: Row, many: Mapping[str, Any]) -> None:
    """Fill in what was not given: taken over from related records first, then the house defaults."""
    _copy(records, model, row)
    for name, value in records.schema.defaults.get(model, {}).items():
        if name not in row and name not in many and not records.field(model, name).path:
            row[name] = _default(records, value)
    _copy(records, model, row)
    for name in records.schema.required.get(model, ()):
        field = records.field(model, name)
        if not (records.sudo.value(model, row, name) if field.path else row.get(name)):
            raise NotPossible(
                f"The operation cannot be completed: Missing required value for the field '{field.label}' ({name}).\n"
                f"Model: '{records.model(model).label}' ({model})"
            )
    if model == "res.users" and "company_ids" not in many:
        row["company_ids"] = (row["company_id"],)


def _copy(records: "Records", model: str, row: Row) -> None:
    for name, paths in records.schema.copies.get(model, {}).items():
        if name not in row:
            found = next((found for path in paths if (found := records.sudo.value(model, row, path))), None)
            if found is not None:
                row[name] = found


def _default(records: "Records", value: Any) -> Any:
    company = records.store.get("res.company", records.companies[0]) if records.companies else None
    of_company = company or {}
    known = {
        "@today": records.today,
        "@now": records.stamp,
        "@me": records.uid,
        "@company": of_company.get("id", False),
        "@currency": of_company.get("currency_id", False),
        "@calendar": of_company.get("resource_calendar_id", False),
    }
    return known[value] if isinstance(value, str) and value in known else value


# ---------------------------------------------------------------------------- relations --


def _delegate(records: "Records", model: str, row: Row, given: Mapping[str, Any]) -> None:
    """Make the records that hold part of the new one's values, or write those values to the ones given."""
    for root, other in behaviour.DELEGATES.get(model, {}).items():
        known = records.model(model).fields
        part = {
            known[n].path[1]: v for n, v in given.items() if known[n].path[:1] == (root,) and len(known[n].path) == 2
        }
        if row.get(root):
            write(records.sudo, other, [row[root]], part)
        else:
            row[root] = create(records.sudo, other, part)


def _write_along(records: "Records", model: str, row: Row, field: Field, value: Any) -> None:
    target = records.sudo.value(model, row, ".".join(field.path[:-1]))
    if target:
        owner = model
        for step in field.path[:-1]:
            owner = records.field(owner, step).relation
        write(records.sudo, owner, [target], {field.path[-1]: value})


def _relate(records: "Records", model: str, row: Row, name: str, value: Any) -> None:
    """Set a many2many by Odoo's commands."""
    field = records.field(model, name)
    if field.type != "many2many" or field.path:
        return
    ids = list(row.get(name, ()))
    for command in _commands(value):
        code, id_ = command[0], command[1] if len(command) > 1 else 0
        if code == 0:
            ids.append(create(records, field.relation, command[2]))
        elif code in {2, 3}:
            ids = [other for other in ids if other != id_]
        elif code == 4:
            ids.append(id_)
        elif code in {5, 6}:
            ids = list(command[2]) if code == 6 else []
    for id_ in ids:
        if records.store.get(field.relation, id_) is None:
            raise gone(field.relation, id_, records.uid)
    row[name] = tuple(dict.fromkeys(ids))


def _relate_children(records: "Records", model: str, id: int, commands: Mapping[str, Any]) -> None:  # noqa: A002
    for name, value in commands.items():
        field = records.field(model, name)
        if field.type != "one2many":
            continue
        if records.field(field.relation, field.inverse).type != "many2one":
            raise Unknown(f"writing through {model}.{name}")
        for command in _commands(value):
            _relate_child(records, field, id, command)


def _relate_child(records: "Records", field: Field, id: int, command: list[Any]) -> None:  # noqa: A002
    code, child, mine = command[0], command[1] if len(command) > 1 else 0, {field.inverse: id}
    if code == 0:
        create(records, field.relation, {**command[2], **mine})
    elif code == 1:
        write(records, field.relation, [child], command[2])
    elif code == 2:
        unlink(records, field.relation, [child])
    elif code == 4:
        write(records, field.relation, [child], mine)
    elif code in {3, 5, 6}:
        kept = set(command[2]) if code == 6 else set()
        old = records.store.find(field.relation, (field.inverse,), (id,)) if code != 3 else [child]
        _drop(records, field, [other for other in old if other not in kept])
        write(records, field.relation, list(kept), mine)


def _drop(records: "Records", field: Field, ids: list[int]) -> None:
    if f"{field.relation}.{field.inverse}" in behaviour.DIES_WITH:
        unlink(records, field.relation, ids)
    else:
        write(records, field.relation, ids, {field.inverse: False})


def _commands(value: Any) -> list[list[Any]]:
    if value is False or value is None:
        return [[5]]
    if all(isinstance(item, int) for item in value):
        return [[6, 0, list(value)]]
    return [list(command) for command in value]


def _check_rule(records: "Records", model: str, ids: Iterable[int], mode: str) -> None:
    test = rights.visible(records, model, mode)
    if test is None:
        return
    table = records.store.table(model)
    if not all(test(table[id_]) for id_ in ids):
        raise rights.hidden(records, model, mode)


def check_record(records: "Records", model: str, ids: Iterable[int], mode: str) -> bool:
    """Say whether all these records may be treated so; Missing where one is not there."""
    rows = records.existing(model, ids)
    if not rights.may_model(records, model, mode):
        return False
    test = rights.visible(records, model, mode)
    return test is None or all(test(row) for row in rows)
