"""A search domain becomes a test on rows: prefix notation, paths through relations, Odoo's notion of empty."""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from devtools.fake_odoo import datetimes
from devtools.fake_odoo.odoo_errors import BadRequest, NotFound
from devtools.fake_odoo.schema import DATES, MANY, NUMBERS, Field
from devtools.fake_odoo.tables import Row

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet

Test = Callable[[Row], bool]
Leaf = Sequence[Any]

_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def leaves(domain: Any, *, sure: bool = False) -> list[Leaf]:
    """List a domain's conditions; `sure` gives some that must hold: those before any "or" and "not"."""
    some = itertools.takewhile(lambda item: item not in ("|", "!"), domain) if sure else domain
    return [item for item in some if not isinstance(item, str)]


def test(records: "RecordSet", model: str, domain: Any) -> Test:
    """Build the test of a domain; items without an operator between them all hold."""
    done: list[Test] = []
    try:
        for item in reversed(domain):
            if item == "!":
                done.append(_not(done.pop()))
            elif item in ("&", "|"):
                done.append(_joined(item, done.pop(), done.pop()))
            else:
                name, op, value = item
                if not isinstance(name, str):
                    raise NotFound(f"the condition {item!r}")
                done.append(_leaf(records, model, name, op, value))
    except (IndexError, TypeError, ValueError):
        raise BadRequest(f"Domain() malformed domain {domain!r}") from None
    return functools.reduce(lambda right, left: _joined("&", left, right), done) if done else lambda _: True


def _not(inner: Test) -> Test:
    return lambda row: not inner(row)


def _joined(op: str, left: Test, right: Test) -> Test:
    return (lambda row: left(row) and right(row)) if op == "&" else (lambda row: left(row) or right(row))


def _leaf(records: "RecordSet", model: str, name: str, op: str, value: Any) -> Test:
    head, _, rest = name.partition(".")
    field = records.model(model).fields.get(head)
    if field is None or (rest and not field.relation):
        raise BadRequest(f"Invalid field {model}.{name} in condition ({name!r}, {op!r}, {value!r})")
    if rest:
        return _related(records, model, field, [(rest, op, value)])
    get = records.getter(model, field)
    if op in _ORDERED:
        return _in_order(field, get, op, value)
    if op == "ilike" and field.type == "char" and not {"%", "_", "\\"} & set(value):
        return lambda row: value.casefold() in str(get(row) or "").casefold()
    if op not in {"=", "!=", "in", "not in"}:
        raise NotFound(f"the operator {op!r}")
    inner = _equal(field, get, list(value) if isinstance(value, (list, tuple)) else [value])
    return inner if op in {"=", "in"} else _not(inner)


def _related(records: "RecordSet", model: str, field: Field, domain: Any) -> Test:
    """Hold where a related record is in the domain: archived ones count through a many2one only."""
    active_test = records.active_test if field.type in MANY else False
    get = records.getter(model, field)

    @functools.cache
    def wanted() -> set[int]:
        return set(records.search(field.relation, domain, active_test=active_test, order=""))

    return lambda row: not wanted().isdisjoint(get(row) if field.type in MANY else (get(row),))


def _equal(field: Field, get: Callable[[Row], Any], values: list[Any]) -> Test:
    if field.type == "boolean":
        truths = {bool(item) for item in values}
        return lambda row: bool(get(row)) in truths
    wanted = {_wanted(field, item) for item in values if item is not None and item is not False}
    empty = any(item is None or item is False for item in values)
    if field.type in MANY:
        return lambda row: not wanted.isdisjoint(found) if (found := get(row)) else empty
    return lambda row: get(row) in wanted or (empty and not get(row))


def _wanted(field: Field, value: Any) -> Any:
    if field.type in DATES:
        return datetimes.checked(value, field.type)
    if isinstance(value, str) and (field.relation or field.type in NUMBERS):
        raise NotFound(f"the text {value!r} in a condition on {field.name}")
    return value


def _in_order(field: Field, get: Callable[[Row], Any], op: str, value: Any) -> Test:
    compare = _ORDERED[op]
    if field.type in NUMBERS:
        return lambda row: bool(compare(get(row) or 0, value))
    bound = datetimes.compared(value, op, field.type) if field.type in DATES else value
    return lambda row: bool((found := get(row)) and compare(found, bound))
