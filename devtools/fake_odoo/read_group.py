"""Sums made by the server: rows grouped by stored fields and periods, in both of Odoo's answer forms."""

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from devtools.fake_odoo import access
from devtools.fake_odoo.odoo_errors import NotFound
from devtools.fake_odoo.schema import DATES, MANY, NUMBERS
from devtools.fake_odoo.tables import Row

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet

_PERIODS = {"day": ("%Y-%m-%d", "%d %b %Y", 1), "month": ("%Y-%m-01", "%B %Y", 31)}
"""How a period's first day and its name are written, and how many days lead into the next one."""
_ADDED: dict[str, Callable[[list[Any]], Any]] = {
    "sum": lambda values: sum(values) if values else False,
    "min": lambda values: min(values, default=False),
    "max": lambda values: max(values, default=False),
    "array_agg": list,
}


class GroupKey(NamedTuple):
    """One grouping: how to find a row's key, and how to show one."""

    spec: str
    key: Callable[[Row], Any]
    show: Callable[[Any], Any]
    sort: Callable[[Any], Any]


def formatted(
    records: "RecordSet",
    model: str,
    domain: Any,
    groupby: Sequence[str] = (),
    aggregates: Sequence[str] = (),
    **more: Any,
) -> list[dict[str, Any]]:
    """Group as Odoo 19 does, without its `__extra_domain`."""
    if more:
        raise NotFound(f"groups with {', '.join(more)}")
    names = [spec.partition(":")[0] for spec in (*groupby, *aggregates) if spec != "__count"]
    access.check_fields(records, model, names)
    bys = [_by(records, model, spec) for spec in groupby]
    totals = {spec: _total(records, model, spec) for spec in aggregates}
    groups: dict[tuple[Any, ...], list[Row]] = {} if bys else {(): []}
    table = records.store.table(model)
    for id_ in records.search(model, domain, order=""):
        groups.setdefault(tuple([by.key(table[id_]) for by in bys]), []).append(table[id_])
    order = sorted(groups, key=lambda keys: [(key is False, by.sort(key)) for by, key in zip(bys, keys, strict=True)])
    return [
        {
            **{by.spec: by.show(key) for by, key in zip(bys, keys, strict=True)},
            **{spec: total(groups[keys]) for spec, total in totals.items()},
        }
        for keys in order
    ]


def _by(records: "RecordSet", model: str, spec: str) -> GroupKey:
    name, _, period = spec.partition(":")
    field = records.field(model, name)
    if field.type in MANY or not (field.store or field.path):
        raise NotFound(f"groups by {model}.{name}")
    get = records.getter(model, field)
    if field.relation:
        named = functools.partial(records.name, field.relation)
        return GroupKey(spec, get, lambda key: [key, named(key)] if key else False, lambda key: key and named(key))
    if field.type not in DATES:
        return GroupKey(spec, get, lambda key: key, lambda key: key)
    if period == "iso_week_number":
        cut = functools.cache(lambda text: float(dt.datetime.fromisoformat(text).isocalendar().week))
        return GroupKey(spec, lambda row: bool(get(row)) and cut(get(row)), lambda key: key, lambda key: key)
    if period not in _PERIODS:
        raise NotFound(f"groups by {spec}")
    form, label, _ = _PERIODS[period]
    form += "" if field.type == "date" else " 00:00:00"
    first = functools.cache(lambda text: dt.datetime.fromisoformat(text).strftime(form))
    return GroupKey(
        spec,
        lambda row: bool(get(row)) and first(get(row)),
        lambda key: [key, dt.datetime.fromisoformat(key).strftime(label)] if key else False,
        lambda key: key,
    )


def _total(records: "RecordSet", model: str, spec: str) -> Callable[[list[Row]], Any]:
    if spec == "__count":
        return len
    name, _, function = spec.partition(":")
    field, add_up = records.field(model, name), _ADDED.get(function)
    if add_up is None:
        raise NotFound(f"the aggregate {spec!r}")
    get = records.getter(model, field)
    if field.type in NUMBERS:
        return lambda rows: add_up([get(row) for row in rows])
    if function == "array_agg":
        return lambda rows: [get(row) or None for row in rows]
    return lambda rows: add_up([found for row in rows if (found := get(row))])


def classic(
    records: "RecordSet", model: str, domain: Any, fields: Sequence[str], groupby: Sequence[str], lazy: bool = True
) -> list[dict[str, Any]]:
    """Group as Odoo did up to 18, by `name:function(field)` and not lazily; without `__domain`."""
    if lazy:
        raise NotFound("lazy groups")
    named = {}
    for spec in fields:
        name, _, rest = spec.partition(":")
        function, _, field = rest.removesuffix(")").partition("(")
        named[name] = f"{field}:{function}"
    rows = formatted(records, model, domain, groupby, [*named.values(), "__count"])
    return [_classic(row, groupby, named) for row in rows]


def _classic(row: dict[str, Any], groupby: Sequence[str], named: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = {"__count": row["__count"], **{name: row[spec] for name, spec in named.items()}}
    for spec in groupby:
        answer[spec], period = row[spec], spec.partition(":")[2]
        if period in _PERIODS and row[spec]:
            first, answer[spec] = row[spec]
            form, _, days = _PERIODS[period]
            after = (dt.datetime.fromisoformat(first) + dt.timedelta(days=days)).strftime(form + first[10:])
            answer.setdefault("__range", {})[spec] = {"from": first, "to": after}
    return answer
