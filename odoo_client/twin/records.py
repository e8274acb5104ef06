"""What one user sees in one request: rows found, ordered, named and read, within his rights."""

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from odoo_client.twin import domain as domains
from odoo_client.twin import moments, rights
from odoo_client.twin.refusals import NotAllowed, Wrong, gone, no_such_field, no_such_model
from odoo_client.twin.schema import MANY, NUMBERS, Field, Model, Schema
from odoo_client.twin.store import Row, Store

_NAMED_BY = {
    "res.partner": "complete_name",
    "mail.activity": "summary",
    "hr.version": "date_version",
    "mail.message": "subject",
    "res.groups": "name",
}


class Records:
    """The records of one request. `sudo` gives the same without rights."""

    def __init__(
        self,
        store: Store,
        schema: Schema,
        *,
        uid: int,
        now: dt.datetime,
        context: dict[str, Any] | None = None,
        is_sudo: bool = False,
    ) -> None:
        self.store = store
        self.schema = schema
        self.uid = uid
        self.now = now
        self.context = context or {}
        self.is_sudo = is_sudo
        self._names: dict[tuple[str, int], str] = {}
        self.memo: dict[Any, Any] = {}

    # ------------------------------------------------------------------ who and when --

    @functools.cached_property
    def sudo(self) -> "Records":
        """The same request with all rights."""
        if self.is_sudo:
            return self
        return Records(self.store, self.schema, uid=self.uid, now=self.now, context=self.context, is_sudo=True)

    @property
    def stamp(self) -> str:
        """Now, as Odoo writes it."""
        return moments.write(self.now)

    @property
    def today(self) -> str:
        """The day, as Odoo writes it."""
        return self.stamp[:10]

    @functools.cached_property
    def user(self) -> Row:
        """The caller's row."""
        return self.store.get("res.users", self.uid) or {"id": self.uid}

    @functools.cached_property
    def groups(self) -> frozenset[str]:
        """The external ids of the caller's groups, the implied ones included."""
        ids = self.user.get("all_group_ids", ())
        return frozenset(self.xids("res.groups", id_)[0] for id_ in ids)

    @functools.cached_property
    def companies(self) -> tuple[int, ...]:
        """The companies this request may see; the first is the current one."""
        own = tuple(self.user.get("company_ids", ()))
        asked = tuple(self.context.get("allowed_company_ids") or ())
        if asked:
            if not self.is_sudo and not set(asked) <= set(own):
                raise NotAllowed("Access to unauthorized or invalid companies.")
            return asked
        first = self.user.get("company_id")
        return (first, *(id_ for id_ in own if id_ != first)) if first else own

    @property
    def active_test(self) -> bool:
        """Whether archived records stay out of sight."""
        return bool(self.context.get("active_test", True))

    # ------------------------------------------------------------------------- values --

    def model(self, name: str) -> Model:
        """Give a model's facts."""
        try:
            return self.schema.models[name]
        except KeyError:
            raise no_such_model(name) from None

    def field(self, model: str, name: str) -> Field:
        """Give a field's facts."""
        field = self.model(model).fields.get(name)
        if field is None:
            raise no_such_field(model, name)
        return field

    def getter(self, model: str, field: Field) -> Callable[[Row], Any]:
        """Build what takes a field's value from a row of its model."""
        name, empty = field.name, field.empty
        if name == "display_name":
            return lambda row: self.name(model, row["id"])
        if field.path:
            return self._along(model, field)
        if field.type == "one2many":
            return lambda row: self.children(model, field, row["id"])
        if field.type == "many2many":
            return lambda row: self._seen(field.relation, row.get(name, ()))
        return lambda row: row.get(name, empty)

    def value(self, model: str, row: Row, name: str) -> Any:
        """Take one value along a dotted path of many2one fields."""
        head, _, rest = name.partition(".")
        field = self.field(model, head)
        found = self.getter(model, field)(row)
        if not rest:
            return found
        target = self.store.get(field.relation, found) if found else None
        return self.value(field.relation, target, rest) if target else False

    def children(self, model: str, field: Field, id: int) -> list[int]:  # noqa: A002
        """List the records behind a one2many."""
        inverse = self.model(field.relation).fields[field.inverse]
        if inverse.type == "many2one_reference":
            by = "res_model" if field.relation == "mail.activity" else "model"
            return self._seen(field.relation, self.store.find(field.relation, (by, field.inverse), (model, id)))
        if inverse.path:
            return self.search(field.relation, [[field.inverse, "=", id]], order=None)
        return self._seen(field.relation, self.store.find(field.relation, (field.inverse,), (id,)))

    def _along(self, model: str, field: Field) -> Callable[[Row], Any]:
        first = self.field(model, field.path[0])
        get = self.getter(model, first)
        table = self.store.table(first.relation)
        last = field.path[1:]
        then = self.getter(first.relation, self._at(first.relation, last, field))
        empty = field.empty
        return lambda row: then(table[found]) if (found := get(row)) in table else empty

    def _at(self, model: str, path: tuple[str, ...], field: Field) -> Field:
        if len(path) == 1:
            return self.field(model, path[0])
        return Field(name=field.name, type=field.type, relation=field.relation, path=path)

    def _seen(self, model: str, ids: Iterable[int]) -> list[int]:
        table = self.store.table(model)
        if not self.active_test or "active" not in self.model(model).fields:
            return [id_ for id_ in ids if id_ in table]
        active = self.getter(model, self.field(model, "active"))
        return [id_ for id_ in ids if id_ in table and active(table[id_])]

    # -------------------------------------------------------------------------- names --

    def name(self, model: str, id: int) -> str:  # noqa: A002
        """Give a record's display name."""
        found = self._names.get((model, id))
        if found is None:
            found = self._names[model, id] = self._name(model, id)
        return found

    def _name(self, model: str, id: int) -> str:  # noqa: A002
        row = self.store.get(model, id)
        by = _NAMED_BY.get(model, "name")
        if row is None or by not in self.model(model).fields:
            return f"{model},{id}"
        return str(self.value(model, row, by) or f"{model},{id}")

    def named(self, model: str, text: str, op: str) -> list[int]:
        """List the visible records with such a name."""
        matches = domains.pattern(op, text)
        return [id_ for id_ in self.search(model, [], order=None) if matches(self.name(model, id_))]

    def xids(self, model: str, id: int) -> list[str]:  # noqa: A002
        """List a record's external ids."""
        rows = self.store.table("ir.model.data")
        found = (rows[data] for data in self.store.find("ir.model.data", ("model", "res_id"), (model, id)))
        return [f"{row['module']}.{row['name']}" for row in found]

    def xid_row(self, xid: str) -> Row | None:
        """Find what an external id names; without a dot its module is `__import__`."""
        module, dot, name = xid.partition(".")
        key = (module, name) if dot else ("__import__", xid)
        found = self.store.find("ir.model.data", ("module", "name"), key)
        return self.store.get("ir.model.data", found[0]) if found else None

    # ---------------------------------------------------------------- search and read --

    def search(
        self,
        model: str,
        domain: Any,
        *,
        offset: int = 0,
        limit: int | None = None,
        order: str | None = "",
        active_test: bool | None = None,
    ) -> list[int]:
        """List the visible ids in a domain; `order=None` leaves them as they lie."""
        node = domains.parse(domain)
        rights.check_model(self, model, "r", public=True)
        rights.check_fields(self, model, domains.names(node), in_domain=domain)
        rows = list(self._candidates(model, node))
        tests = [domains.test(self, model, node)]
        if (self.active_test if active_test is None else active_test) and self._active_matters(model, node):
            tests.append(domains.test(self, model, ("?", "active", "=", True)))
        if visible := rights.visible(self, model, "r"):
            tests.append(visible)
        for test in tests:
            rows = [row for row in rows if test(row)]
        if order is not None:
            self._sort(rows, model, order or self.model(model).order)
        return [row["id"] for row in rows[offset : offset + limit if limit else None]]

    def _active_matters(self, model: str, node: domains.Node) -> bool:
        return "active" in self.model(model).fields and "active" not in domains.names(node)

    def _candidates(self, model: str, node: domains.Node) -> Iterable[Row]:
        """Narrow a search by an index where one of the conditions that must hold allows it."""
        table = self.store.table(model)
        for part in domains.flat(node):
            if part[0] != "?" or part[2] not in {"=", "in"}:
                continue
            values = part[3] if isinstance(part[3], (list, tuple)) else [part[3]]
            if not all(isinstance(value, int) and value for value in values):
                continue
            if part[1] == "id":
                return [table[value] for value in dict.fromkeys(values) if value in table]
            if self.store.indexed(model, part[1]):
                found = (self.store.find(model, (part[1],), (value,)) for value in dict.fromkeys(values))
                return [table[id_] for ids in found for id_ in ids]
        return table.values()

    def _sort(self, rows: list[Row], model: str, order: str) -> None:
        for key, is_down in reversed(self._keys(model, order, lambda row: row, 2)):
            rows.sort(key=key, reverse=is_down)

    def _keys(
        self, model: str, order: str, at: Callable[[Row], Row | None], depth: int
    ) -> list[tuple[Callable[[Row], Any], bool]]:
        """Build the sort keys of an order; a many2one sorts as its own model does."""
        keys: list[tuple[Callable[[Row], Any], bool]] = []
        for part in order.split(","):
            name, *direction = part.split()
            is_down = bool(direction) and direction[0].lower() == "desc"
            field = self.model(model).fields.get(name)
            if field is None:
                raise no_such_field(model, name, "Invalid field {name!r} on model {model!r}")
            if field.type == "many2one" and depth:
                through = self._through(model, field, at)
                inner = self._keys(field.relation, self.model(field.relation).order, through, depth - 1)
                keys += [(key, is_down != down) for key, down in inner]
            else:
                keys.append((self._key(model, field, at), is_down))
        return keys

    def _through(self, model: str, field: Field, at: Callable[[Row], Row | None]) -> Callable[[Row], Row | None]:
        get, table = self.getter(model, field), self.store.table(field.relation)
        return lambda row: table.get(get(found)) if (found := at(row)) else None

    def _key(self, model: str, field: Field, at: Callable[[Row], Row | None]) -> Callable[[Row], Any]:
        get = self.getter(model, field)
        has_empty = field.type not in NUMBERS and field.type != "boolean"

        def key(row: Row) -> Any:
            target = at(row)
            found = None if target is None else get(target)
            return (1,) if found is None or (has_empty and found is False) else (0, found)

        return key

    def read(
        self, model: str, ids: Sequence[int], fields: Sequence[str] | None = None, load: Any = "_classic_read"
    ) -> list[dict[str, Any]]:
        """Read records; those that are not there are left out, a hidden one fails the call."""
        rights.check_model(self, model, "r", public=True)
        known = self.model(model).fields
        asked = list(fields) if fields else [n for n in known if rights.may_field(self, known[n])]
        for name in asked:
            self.field(model, name)
        rights.check_fields(self, model, asked)
        table = self.store.table(model)
        rows = [table[id_] for id_ in ids if id_ in table]
        visible = rights.visible(self, model, "r")
        if visible and not all(visible(row) for row in rows):
            raise rights.hidden(self, model, "r")
        columns = [(name, self._answer(model, known[name], bool(load))) for name in asked if name != "id"]
        return [{"id": row["id"], **{name: get(row) for name, get in columns}} for row in rows]

    def _answer(self, model: str, field: Field, is_named: bool) -> Callable[[Row], Any]:
        get = self.getter(model, field)
        if field.type in MANY:
            return lambda row: list(get(row))
        if field.type == "many2one" and is_named:
            return lambda row: [found, self.name(field.relation, found)] if (found := get(row)) else False
        return get

    def existing(self, model: str, ids: Iterable[int]) -> list[Row]:
        """Give the rows of `ids`, or say which is gone."""
        rows = []
        for id_ in ids:
            if not isinstance(id_, int):
                raise Wrong(f"Invalid id {id_!r} for {model}")
            row = self.store.get(model, id_)
            if row is None:
                raise gone(model, id_, self.uid)
            rows.append(row)
        return rows
