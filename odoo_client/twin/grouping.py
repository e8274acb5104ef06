"""Sums made by the server: rows grouped by fields, paths and periods, in both of Odoo's answer forms."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from odoo_client.twin import domain as domains
from odoo_client.twin import moments, rights
from odoo_client.twin.refusals import Unknown, Wrong, no_such_field
from odoo_client.twin.schema import DATES, NUMBERS, Field
from odoo_client.twin.store import Row

if TYPE_CHECKING:
    from odoo_client.twin.records import Records


class By(NamedTuple):
    """One grouping: how to find a row's keys, show a key, and search for it again."""

    spec: str
    keys: Callable[[Row], Iterable[Any]]
    show: Callable[[Any], Any]
    leaves: Callable[[Any], list[Any]]
    sort: Callable[[Any], Any]


class Total(NamedTuple):
    """One aggregate: what to take from a row, and how to add it up."""

    spec: str
    take: Callable[[Row], Any]
    add_up: Callable[[list[Any]], Any]


def _sum(values: list[Any]) -> Any:
    return sum(values) if values else False


_ADDED: dict[str, Callable[[list[Any]], Any]] = {
    "sum": _sum,
    "avg": lambda values: sum(values) / len(values) if values else False,
    "min": lambda values: min(values, default=False),
    "max": lambda values: max(values, default=False),
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "array_agg": list,
    "array_agg_distinct": lambda values: sorted(set(values)),
    "bool_or": any,
    "bool_and": all,
}


def formatted(
    records: "Records",
    model: str,
    domain: Any,
    groupby: Sequence[str] = (),
    aggregates: Sequence[str] = (),
    having: Any = (),
    offset: int = 0,
    limit: int | None = None,
    order: str | None = None,
) -> list[dict[str, Any]]:
    """Group as Odoo 19 does."""
    bys = [_by(records, model, spec) for spec in groupby]
    totals = [_total(records, model, spec) for spec in aggregates]
    rights.check_fields(
        records, model, [spec.partition(":")[0] for spec in (*groupby, *aggregates) if spec != "__count"]
    )
    groups = _collect(records, model, domain, bys)
    found = []
    for keys, rows in groups.items():
        answer: dict[str, Any] = {by.spec: by.show(key) for by, key in zip(bys, keys, strict=True)}
        answer["__extra_domain"] = _all_of(
            [leaf for by, key in zip(bys, keys, strict=True) for leaf in by.leaves(key)]
        )
        answer.update(
            (total.spec, total.add_up([v for row in rows if (v := total.take(row)) is not None])) for total in totals
        )
        found.append((keys, answer))
    if having:
        is_kept = _having(domains.parse(having))
        found = [(keys, answer) for keys, answer in found if is_kept(answer)]
    _sort(found, bys, order)
    return [answer for _, answer in found[offset : offset + limit if limit else None]]


def _collect(records: "Records", model: str, domain: Any, bys: list[By]) -> dict[tuple[Any, ...], list[Row]]:
    table = records.store.table(model)
    groups: dict[tuple[Any, ...], list[Row]] = {} if bys else {(): []}
    for id_ in records.search(model, domain, order=None):
        row = table[id_]
        keys: list[tuple[Any, ...]] = [()]
        for by in bys:
            keys = [(*key, one) for key in keys for one in by.keys(row)]
        for key in keys:
            groups.setdefault(key, []).append(row)
    return groups


def _by(records: "Records", model: str, spec: str) -> By:
    name, _, period = spec.partition(":")
    field = _field(records, model, name)
    get = _getter(records, model, name, field)
    if field.type in DATES:
        return _by_date(spec, name, field, period, get)
    if field.type == "many2many":
        return By(
            spec,
            lambda row: get(row) or (False,),
            lambda key: [key, records.name(field.relation, key)] if key else False,
            lambda key: [[name, "=", key]] if key else [[name, "not any", []]],
            lambda key: _last(key and records.name(field.relation, key)),
        )
    if field.type == "one2many" or not (field.stored or field.path):
        raise Wrong(f"Cannot convert {model}.{name} to SQL because it is not stored")
    is_link = field.type == "many2one"
    return By(
        spec,
        lambda row: (get(row),),
        (lambda key: [key, records.name(field.relation, key)] if key else False) if is_link else (lambda key: key),
        lambda key: _through(name, [[name.rpartition(".")[2], "=", key]]),
        (lambda key: _last(key and records.name(field.relation, key))) if is_link else (lambda key: _last(key)),
    )


def _by_date(spec: str, name: str, field: Field, period: str, get: Callable[[Row], Any]) -> By:
    if not period:
        raise Wrong(f"Granularity not set on a date(time) field: {spec!r}")
    if period in moments.PARTS:
        cut = functools.cache(lambda text: float(moments.PARTS[period](moments.read(text))))
        return By(
            spec,
            lambda row: (cut(found) if (found := get(row)) else False,),
            lambda key: key,
            lambda key: [[f"{name}.{period}", "=", key]],
            lambda key: _last(key),
        )
    if period not in moments.PERIODS:
        raise Wrong(f"Granularity specification isn't correct: {period!r}")
    form = "%Y-%m-%d" if field.type == "date" else "%Y-%m-%d %H:%M:%S"
    first = functools.cache(lambda text: moments.start(moments.read(text), period))
    text_of = functools.cache(lambda key: key.strftime(form))
    label_of = functools.cache(lambda key: moments.label(key, period))
    end_of = functools.cache(lambda key: moments.after(key, period).strftime(form))

    def leaves(key: Any) -> list[Any]:
        if not key:
            return [[name, "=", False]]
        return [[name, ">=", text_of(key)], [name, "<", end_of(key)]]

    return By(
        spec,
        lambda row: (first(found) if (found := get(row)) else False,),
        lambda key: [text_of(key), label_of(key)] if key else False,
        leaves,
        lambda key: _last(key),
    )


def _total(records: "Records", model: str, spec: str) -> Total:
    if spec == "__count":
        return Total(spec, lambda row: row["id"], len)
    name, _, function = spec.partition(":")
    if name not in records.model(model).fields:
        raise Wrong(f"Invalid field {name!r} on model {model!r} for {spec!r}.")
    if not function:
        raise Wrong(f"Aggregate method is mandatory for {spec!r}")
    if function in {"sum_currency", "recordset"}:
        raise Unknown(f"the aggregate {spec!r}")
    if function not in _ADDED:
        raise Wrong(f"Invalid aggregate method {function!r} for {spec!r}.")
    field = records.field(model, name)
    get = records.getter(model, field)
    if field.type in NUMBERS or field.type == "boolean":
        return Total(spec, get, _ADDED[function])
    if function.startswith("array_agg"):
        return Total(spec, lambda row: get(row) or False, _ADDED[function])
    return Total(spec, lambda row: get(row) or None, _ADDED[function])


def _field(records: "Records", model: str, name: str) -> Field:
    head, _, rest = name.partition(".")
    field = records.model(model).fields.get(head)
    if field is None:
        raise no_such_field(model, head, "Invalid field {name!r} on model {model!r}")
    return _field(records, field.relation, rest) if rest else field


def _getter(records: "Records", model: str, name: str, field: Field) -> Callable[[Row], Any]:
    """Take a value along a path; a record the caller may not read counts as none."""
    head, _, rest = name.partition(".")
    first = records.field(model, head)
    get = records.getter(model, first)
    if not rest:
        return get
    table, test = records.store.table(first.relation), rights.visible(records, first.relation, "r")
    then = _getter(records, first.relation, rest, field)

    def along(row: Row) -> Any:
        target = table.get(get(row))
        return then(target) if target and (test is None or test(target)) else False

    return along


def _through(name: str, leaves: list[Any]) -> list[Any]:
    for step in reversed(name.split(".")[:-1]):
        leaves = [[step, "any", leaves]]
    return leaves


def _all_of(leaves: list[Any]) -> list[Any]:
    return ["&"] * (len(leaves) - 1) + leaves if leaves else [[1, "=", 1]]


def _last(key: Any) -> tuple[Any, ...]:
    return (1,) if key is False or key is None else (0, key)


def _sort(found: list[tuple[tuple[Any, ...], dict[str, Any]]], bys: list[By], order: str | None) -> None:
    parts = [part.split() for part in order.split(",")] if order else [[by.spec] for by in bys]
    places = {by.spec: place for place, by in enumerate(bys)}
    for name, *direction in reversed(parts):
        is_down = bool(direction) and direction[0].lower() == "desc"
        if name in places:
            place = places[name]
            found.sort(key=lambda item, place=place: bys[place].sort(item[0][place]), reverse=is_down)  # type: ignore[misc]
        elif all(name in answer for _, answer in found):
            found.sort(key=lambda item, name=name: _last(item[1][name]), reverse=is_down)  # type: ignore[misc]
        else:
            raise Unknown(f"ordering groups by {name!r}")


def _having(node: domains.Node) -> Callable[[dict[str, Any]], bool]:
    if node[0] == "all":
        return domains.always
    if node[0] == "!":
        inner = _having(node[1])
        return lambda answer: not inner(answer)
    if node[0] in ("&", "|"):
        left, right = _having(node[1]), _having(node[2])
        if node[0] == "&":
            return lambda answer: left(answer) and right(answer)
        return lambda answer: left(answer) or right(answer)
    _, name, op, value = node
    compare: dict[str, Callable[[Any], bool]] = {
        "=": lambda found: bool(found == value),
        "!=": lambda found: bool(found != value),
        ">": lambda found: bool(found > value),
        ">=": lambda found: bool(found >= value),
        "<": lambda found: bool(found < value),
        "<=": lambda found: bool(found <= value),
        "in": lambda found: found in value,
        "not in": lambda found: found not in value,
    }
    if op not in compare:
        raise Wrong(f"Invalid having clause {op!r}")
    return lambda answer: compare[op](answer[name])


def classic(
    records: "Records",
    model: str,
    domain: Any,
    fields: Sequence[str],
    groupby: Sequence[str] | str,
    offset: int = 0,
    limit: int | None = None,
    orderby: str | None = None,
    lazy: bool = True,
) -> list[dict[str, Any]]:
    """Group as Odoo did up to 18, and still does for those who ask."""
    specs = [groupby] if isinstance(groupby, str) else list(groupby)
    used = specs[:1] if lazy else specs
    named = dict(_classic_total(spec) for spec in fields if spec.partition(":")[0] not in used)
    rows = formatted(records, model, domain, used, [*named.values(), "__count"], (), offset, limit, orderby)
    later = {"__context": {"group_by": specs[1:]}} if lazy and specs[1:] else {}
    return [{**_classic_row(row, domain, used, named, is_lazy=lazy and bool(specs)), **later} for row in rows]


def _classic_total(spec: str) -> tuple[str, str]:
    """Read `field`, `field:sum` or `name:sum(field)` as the answer's name and today's aggregate."""
    name, _, function = spec.partition(":")
    function, _, field = function.removesuffix(")").partition("(")
    return name, f"{field or name}:{function or 'sum'}"


def _classic_row(
    row: dict[str, Any], domain: Any, used: list[str], named: dict[str, str], *, is_lazy: bool
) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    ranges: dict[str, Any] = {}
    for spec in used:
        value = row[spec]
        is_period = isinstance(value, list) and isinstance(value[0], str)
        answer[spec] = value[1] if is_period else value
        if is_period:
            bounds = [leaf[2] for leaf in row["__extra_domain"] if leaf[0] == spec.partition(":")[0]]
            ranges[spec] = {"from": bounds[0], "to": bounds[1]}
    answer[f"{used[0].partition(':')[0]}_count" if is_lazy else "__count"] = row["__count"]
    answer.update((name, row[total]) for name, total in named.items())
    extra = [leaf for leaf in row["__extra_domain"] if leaf not in ("&", [1, "=", 1])]
    answer["__domain"] = ["&"] * len(extra) + [*_all_of(domain), *extra] if extra else list(domain)
    if ranges:
        answer["__range"] = ranges
    return answer
