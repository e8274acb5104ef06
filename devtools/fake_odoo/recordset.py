"""What one user sees in one request: rows found, ordered, named and read, within his rights."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from devtools.fake_odoo import access
from devtools.fake_odoo import domain as domains
from devtools.fake_odoo.odoo_errors import AccessError, BadRequest, MissingError, NotFound, gone
from devtools.fake_odoo.schema import MANY, NUMBERS, Field, Model, Schema
from devtools.fake_odoo.tables import Row, Tables

_NAMED_BY = {"res.partner": "complete_name", "mail.activity": "summary", "hr.version": "date_version"}


class RecordSet:
    """The records of one request. `sudo` gives the same without rights."""

    def __init__(
        self, store: Tables, schema: Schema, uid: int, now: str, context: dict[str, Any], is_sudo: bool = False
    ) -> None:
        self.store = store
        self.schema = schema
        self.uid = uid
        self.now = now
        self.context = context
        self.is_sudo = is_sudo
        self.active_test = bool(self.context.get("active_test", True))
        self.name = functools.cache(self._name)
        self.visible = functools.cache(functools.partial(access.visible, self))
        """Build the test of what the caller may reach of a model in a mode; None where it is everything."""
        self.may_record = functools.cache(functools.partial(access.may_record, self))

    # ------------------------------------------------------------------ who and when --

    @functools.cached_property
    def sudo(self) -> "RecordSet":
        """The same request with all rights."""
        if self.is_sudo:
            return self
        return RecordSet(self.store, self.schema, self.uid, self.now, self.context, is_sudo=True)

    @functools.cached_property
    def user(self) -> Row:
        """The caller's row."""
        return self.store.get("res.users", self.uid) or {"id": self.uid}

    @functools.cached_property
    def groups(self) -> frozenset[str]:
        """The external ids of the caller's groups, the implied ones included."""
        return frozenset(self.xid("res.groups", id_) for id_ in self.user.get("all_group_ids", ()))

    @functools.cached_property
    def companies(self) -> tuple[int, ...]:
        """The companies this request may see; the first is the current one."""
        own = tuple(self.user.get("company_ids", ()))
        asked = tuple(self.context.get("allowed_company_ids") or ())
        if not self.is_sudo and not set(asked) <= set(own):
            raise AccessError("Access to unauthorized or invalid companies.")
        return asked or tuple(sorted(own, key=lambda id_: id_ != self.user.get("company_id")))

    # ------------------------------------------------------------------------- values --

    def model(self, name: str) -> Model:
        """Return a model's facts."""
        if name not in self.schema.models:
            raise MissingError(f"the model {name!r} does not exist", "werkzeug.exceptions.NotFound")
        return self.schema.models[name]

    def field(self, model: str, name: str) -> Field:
        """Return a field's facts."""
        field = self.model(model).fields.get(name)
        if field is None:
            raise BadRequest(f"Invalid field {name!r} on {model!r}")
        return field

    def getter(self, model: str, field: Field) -> Callable[[Row], Any]:
        """Build what takes a field's value from a row of its model."""
        name, empty = field.name, field.empty
        if name == "display_name":
            return lambda row: self.name(model, row["id"])
        if field.path:
            return self._along(model, field.path, empty)
        if field.type == "one2many":
            return lambda row: self.children(model, field, row["id"])
        if field.type == "many2many":
            return lambda row: self._seen(field.relation, row.get(name, ()))
        return lambda row: row.get(name, empty)

    def value(self, model: str, row: Row, path: Sequence[str]) -> Any:
        """Take one value along a path of many2one fields."""
        return self._along(model, path, False)(row)

    def _along(self, model: str, path: Sequence[str], empty: Any) -> Callable[[Row], Any]:
        field = self.field(model, path[0])
        get, table = self.getter(model, field), self.store.table(field.relation)
        if len(path) == 1:
            return get
        then = self._along(field.relation, path[1:], empty)
        return lambda row: then(table[found]) if (found := get(row)) in table else empty

    def children(self, model: str, field: Field, id: int) -> list[int]:  # noqa: A002
        """List the records behind a one2many."""
        inverse = self.model(field.relation).fields[field.inverse]
        if inverse.type == "many2one_reference":
            by = "res_model" if field.relation == "mail.activity" else "model"
            return self._seen(field.relation, self.store.find(field.relation, (by, field.inverse), (model, id)))
        return self._seen(field.relation, self.store.find(field.relation, (field.inverse,), (id,)))

    def _seen(self, model: str, ids: Iterable[int]) -> list[int]:
        table = self.store.table(model)
        if not self.active_test or "active" not in self.model(model).fields:
            return [id_ for id_ in ids if id_ in table]
        active = self.getter(model, self.field(model, "active"))
        return [id_ for id_ in ids if id_ in table and active(table[id_])]

    # -------------------------------------------------------------------------- names --

    def _name(self, model: str, id: int) -> str:  # noqa: A002
        """Return a record's display name."""
        row, by = self.store.get(model, id), _NAMED_BY.get(model, "name")
        is_named = row is not None and by in self.model(model).fields
        return str((row and is_named and self.value(model, row, (by,))) or f"{model},{id}")

    def xid(self, model: str, id: int) -> str:  # noqa: A002
        """Return a record's first external id, or an empty text."""
        found = self.store.find("ir.model.data", ("model", "res_id"), (model, id))
        row = self.store.table("ir.model.data")[found[0]] if found else None
        return f"{row['module']}.{row['name']}" if row else ""

    def xid_row(self, xid: str) -> Row | None:
        """Find what an external id names; without a dot its module is `__import__`."""
        module, _, name = xid.partition(".") if "." in xid else ("__import__", "", xid)
        found = self.store.find("ir.model.data", ("module", "name"), (module, name))
        return self.store.get("ir.model.data", found[0]) if found else None

    # ---------------------------------------------------------------- search and read --

    def search(
        self,
        model: str,
        domain: Any,
        offset: int = 0,
        limit: int | None = None,
        order: str | None = None,
        *,
        active_test: bool | None = None,
    ) -> list[int]:
        """List the visible ids in a domain; `order=""` leaves them as they lie."""
        access.check_model(self, model, "r", public=True)
        tests = [domains.test(self, model, domain)]
        names = [leaf[0] for leaf in domains.leaves(domain)]
        access.check_fields(self, model, names)
        is_active = self.active_test if active_test is None else active_test
        if is_active and "active" in self.model(model).fields and "active" not in names:
            tests.append(domains.test(self, model, [("active", "=", True)]))
        if visible := self.visible(model, "r"):
            tests.append(visible)
        rows = list(self._candidates(model, domain))
        for test in tests:
            rows = [row for row in rows if test(row)]
        self._sort(rows, model, self.model(model).order if order is None else order)
        return [row["id"] for row in rows[offset : offset + limit if limit else None]]

    def _candidates(self, model: str, domain: Any) -> Iterable[Row]:
        """Narrow a search by an index where one of the conditions that must hold allows it."""
        table = self.store.table(model)
        for name, op, value in domains.leaves(domain, sure=True):
            values = dict.fromkeys(value if isinstance(value, (list, tuple)) else [value])
            if op not in {"=", "in"} or not all(isinstance(one, int) and one for one in values):
                continue
            if name == "id":
                return [table[one] for one in values if one in table]
            if self.store.indexed(model, name):
                return [table[id_] for one in values for id_ in self.store.find(model, (name,), (one,))]
        return table.values()

    def _sort(self, rows: list[Row], model: str, order: str) -> None:
        for part in reversed(order.split(",") if order else ()):
            name, *direction = part.split()
            field = self.field(model, name)
            if field.relation:
                raise NotFound(f"the order of {model} by {name}")
            get, has_empty = self.getter(model, field), field.type not in NUMBERS | {"boolean"}
            is_down = bool(direction) and direction[0].lower() == "desc"
            rows.sort(key=lambda row: (has_empty and get(row) is False, get(row)), reverse=is_down)

    def search_read(
        self,
        model: str,
        domain: Any = (),
        fields: Sequence[str] | None = None,
        offset: int = 0,
        limit: int | None = None,
        order: str | None = None,
        load: Any = "_classic_read",
    ) -> list[dict[str, Any]]:
        """Search, and read what is found."""
        return self.read(model, self.search(model, domain, offset, limit, order), fields, load)

    def read(
        self, model: str, ids: Sequence[int], fields: Sequence[str] | None = None, load: Any = "_classic_read"
    ) -> list[dict[str, Any]]:
        """Read records; those that are not there are left out, a hidden one fails the call."""
        access.check_model(self, model, "r", public=True)
        known = self.model(model).fields
        asked = [self.field(model, name) for name in fields or ()] or [
            field for field in known.values() if access.may_field(self, field)
        ]
        access.check_fields(self, model, [field.name for field in asked])
        table = self.store.table(model)
        rows = [table[id_] for id_ in ids if id_ in table]
        visible = self.visible(model, "r")
        if visible and not all(visible(row) for row in rows):
            raise access.hidden(self, model, "r")
        columns = [(field.name, self._answer(model, field, bool(load))) for field in asked if field.name != "id"]
        return [{"id": row["id"], **{name: get(row) for name, get in columns}} for row in rows]

    def _answer(self, model: str, field: Field, is_named: bool) -> Callable[[Row], Any]:
        get = self.getter(model, field)
        if field.type in MANY:
            return lambda row: list(get(row))
        if field.relation and is_named:
            return lambda row: [found, self.name(field.relation, found)] if (found := get(row)) else False
        return get

    def existing(self, model: str, ids: Sequence[int]) -> list[Row]:
        """Return the rows of `ids`, or say which is gone."""
        table = self.store.table(model)
        for id_ in ids:
            if id_ not in table:
                raise gone(model, id_, self.uid)
        return [table[id_] for id_ in ids]
