"""A search domain becomes a test on rows: prefix notation, paths through relations, Odoo's notion of empty."""

import functools
import operator
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from odoo_client.twin import moments
from odoo_client.twin.refusals import Unknown, Wrong, bad_number
from odoo_client.twin.schema import DATES, MANY, NUMBERS, Field
from odoo_client.twin.store import Row

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

Test = Callable[[Row], bool]
Node = tuple[Any, ...]
"""("&", a, b), ("|", a, b), ("!", a), ("all",), or a leaf ("?", field, operator, value)."""

_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LIKES = {"like", "ilike", "=like", "=ilike"}
_SAME = {"==": "=", "<>": "!="}
_EQUAL = {"=", "!=", "in", "not in"}
_KNOWN = {*_ORDERED, *_LIKES, *_EQUAL, "not like", "not ilike", "not =like", "not =ilike", "any", "not any", "=?"}


def always(_: Any) -> bool:
    """Hold for everything."""
    return True


def never(_: Any) -> bool:
    """Hold for nothing."""
    return False


def parse(domain: Any) -> Node:
    """Read the prefix notation; items without an operator between them all hold."""
    if not isinstance(domain, (list, tuple)):
        raise Wrong(f"Domain() invalid argument type for domain: {domain!r}")
    done: list[Node] = []
    for item in reversed(domain):
        if item in ("&", "|", "!"):
            if len(done) < (1 if item == "!" else 2):
                raise Wrong(f"Domain() malformed domain {domain!r}")
            done.append((item, done.pop()) if item == "!" else (item, done.pop(), done.pop()))
        elif isinstance(item, (list, tuple)) and len(item) == 3:
            done.append(_leaf(*item))
        else:
            raise Wrong(f"Domain() invalid item in domain: {item!r}")
    return functools.reduce(lambda found, node: ("&", found, node), reversed(done)) if done else ("all",)


def _leaf(name: Any, op: Any, value: Any) -> Node:
    if (name, op) in ((1, "="), (0, "=")) and not isinstance(name, str):
        return ("all",) if name == value else ("!", ("all",))
    op = _SAME.get(op, op)
    if op in {"child_of", "parent_of"}:
        raise Unknown(f"the operator {op!r}")
    if op not in _KNOWN:
        raise Wrong(f"Invalid operator in condition ({name!r}, {op!r}, {value!r})")
    return ("?", name, op, value)


def flat(node: Node) -> list[Node]:
    """List the parts that must all hold."""
    return [*flat(node[1]), *flat(node[2])] if node[0] == "&" else [node]


def names(node: Node) -> list[str]:
    """List the fields a domain names."""
    if node[0] == "?":
        return [node[1]]
    return [name for part in node[1:] for name in names(part)]


def test(records: "Records", model: str, node: Node) -> Test:
    """Build the test of one domain for rows of `model`."""
    kind = node[0]
    if kind == "all":
        return always
    if kind == "!":
        inner = test(records, model, node[1])
        return lambda row: not inner(row)
    if kind in ("&", "|"):
        left, right = test(records, model, node[1]), test(records, model, node[2])
        if kind == "&":
            return lambda row: left(row) and right(row)
        return lambda row: left(row) or right(row)
    return _test_leaf(records, model, *node[1:])


def _test_leaf(records: "Records", model: str, name: str, op: str, value: Any) -> Test:
    head, _, rest = str(name).partition(".")
    field = records.model(model).fields.get(head)
    if field is None:
        raise Wrong(f"Invalid field {model}.{name} in condition ({name!r}, {op!r}, {value!r})")
    if rest and field.type in DATES and rest in moments.PARTS:
        return _test_part(records, model, field, rest, op, value)
    if rest and not field.relation:
        raise Wrong(f"Invalid field {model}.{name} in condition ({name!r}, {op!r}, {value!r})")
    if rest:
        return _test_related(records, model, field, [(rest, op, value)])
    if op in {"any", "not any"}:
        inner = _test_related(records, model, field, value)
        return inner if op == "any" else lambda row: not inner(row)
    if op == "=?":
        return _test_value(records, model, field, "=", value) if value else always
    return _test_value(records, model, field, op, value)


def _test_related(records: "Records", model: str, field: Field, domain: Any) -> Test:
    """Hold where a related record is in the domain: archived ones count through a many2one only."""
    active_test = records.active_test if field.type in MANY else False
    get = records.getter(model, field)

    @functools.cache
    def wanted() -> set[int]:
        return set(records.search(field.relation, domain, active_test=active_test, order=None))

    if field.type in MANY:
        return lambda row: not wanted().isdisjoint(get(row))
    return lambda row: get(row) in wanted()


def _test_part(records: "Records", model: str, field: Field, part: str, op: str, value: Any) -> Test:
    get, cut = records.getter(model, field), moments.PARTS[part]
    compare = {**_ORDERED, "=": operator.eq, "!=": operator.ne}.get(op)
    if compare is None:
        raise Unknown(f"{op!r} on a part of a date")
    return lambda row: bool(get(row)) and bool(compare(cut(moments.read(get(row))), value))


def _test_value(records: "Records", model: str, field: Field, op: str, value: Any) -> Test:
    get = records.getter(model, field)
    if op in _EQUAL:
        inner = _test_equal(records, field, get, value)
        return inner if op in {"=", "in"} else lambda row: not inner(row)
    if op in _ORDERED:
        return _test_order(field, get, op, value)
    inner = _test_like(records, model, field, op.removeprefix("not "), value)
    return inner if not op.startswith("not ") else lambda row: not inner(row)


def _test_equal(records: "Records", field: Field, get: Callable[[Row], Any], value: Any) -> Test:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if field.type == "boolean":
        truths = {bool(item) for item in values}
        return lambda row: bool(get(row)) in truths
    empty = any(item is None or item is False for item in values)
    wanted = set(_wanted(records, field, [item for item in values if item is not None and item is not False]))
    if field.type in MANY:
        return lambda row: not wanted.isdisjoint(found) if (found := get(row)) else empty
    if field.type in NUMBERS and field.name != "id" and empty:
        wanted.add(0)
    return lambda row: (get(row) or 0 if field.type in NUMBERS else get(row)) in wanted or (empty and not get(row))


def _wanted(records: "Records", field: Field, values: list[Any]) -> Iterable[Any]:
    if field.relation:
        for item in values:
            if isinstance(item, str):
                yield from records.named(field.relation, item, "=")
            else:
                yield item
    elif field.type in NUMBERS or field.type == "many2one_reference":
        yield from (_number(item) for item in values)
    elif field.type in DATES:
        yield from (moments.checked(item, field.type) for item in values)
    else:
        yield from (item if isinstance(item, str) else str(item) for item in values)


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise bad_number(value) from None


def _test_order(field: Field, get: Callable[[Row], Any], op: str, value: Any) -> Test:
    compare = _ORDERED[op]
    if field.type in NUMBERS:
        number = _number(value)
        return lambda row: bool(compare(get(row) or 0, number))
    if value is False or value is None:
        return never
    bound = moments.compared(value, op, field.type) if field.type in DATES else value
    return lambda row: bool((found := get(row)) and compare(found, bound))


def _test_like(records: "Records", model: str, field: Field, op: str, value: Any) -> Test:
    if field.relation:
        ids = frozenset(records.named(field.relation, value or "", op))
        get = records.getter(model, field)
        if field.type in MANY:
            return lambda row: not ids.isdisjoint(get(row))
        return lambda row: get(row) in ids
    matches, get = pattern(op, value), records.getter(model, field)
    return lambda row: matches(get(row))


def pattern(op: str, value: Any) -> Callable[[Any], bool]:
    """Read % and _ as SQL does; `like` without `=` finds the text anywhere."""
    text = "" if value is False or value is None else str(value)
    if op in {"=", "!="}:
        return lambda found: (found or "") == text
    if not text:
        return always
    if not op.startswith("="):
        text = f"%{text}%"
    parts = re.findall(r"\\.|%|_|[^\\%_]+|\\$", text, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    source = "".join(wild.get(part) or re.escape(part[1:] if part[0] == "\\" else part) for part in parts)
    found_by = re.compile(source, re.DOTALL | (re.IGNORECASE if "ilike" in op else 0))
    return lambda found: bool(found) and found_by.fullmatch(found) is not None
