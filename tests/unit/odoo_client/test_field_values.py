"""A value means the same as import text, as JSON and when compared."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from odoo_client.field_values import UnresolvedReference, all_same, column_of, columns_of, json_of, text_of
from odoo_client.transport.request import Request, plain, version_of
from purser import Key, RecordLink, Ref, XmlId
from purser.changes import Value

PLUS_FIVE = dt.timezone(dt.timedelta(hours=5))


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        ("x, \"y\"; 'z'", "f", "x, \"y\"; 'z'"),
        (None, "f", ""),
        (True, "f", "1"),
        (False, "f", "0"),
        (7, "f", "7"),
        (Decimal("1.50"), "f", "1.50"),
        (Decimal("1E+3"), "f", "1000"),
        (dt.date(2026, 3, 1), "f", "2026-03-01"),
        (dt.datetime(2026, 3, 1, 2, tzinfo=PLUS_FIVE), "f", "2026-02-28 21:00:00"),
        (RecordLink(Ref("res.users", 7)), "f/.id", "7"),
        (Key("project.task", "a/b"), "f/id", "purser.a/b"),
        (XmlId("mail.mt_note"), "f/id", "mail.mt_note"),
    ],
)
def test_each_kind_of_value_has_its_column_and_text(value: Value, column: str, text: str) -> None:
    assert (column_of("f", value), text_of(value)) == (column, text)


def test_an_empty_value_takes_the_column_of_its_neighbours() -> None:
    rows = columns_of([{"u": RecordLink(Ref("res.users", 7))}, {"u": None}, {"u": RecordLink(Ref("res.users", 8))}])
    assert rows == [{"u/.id": "7"}, {"u/.id": ""}, {"u/.id": "8"}]


def test_an_empty_value_nobody_else_fills_keeps_the_plain_column() -> None:
    assert columns_of([{"u": None}, {"u": None}]) == [{"u": ""}, {"u": ""}]


def test_json_values_are_what_write_takes() -> None:
    values: dict[str, Value] = {
        "a": None,
        "b": True,
        "c": Decimal("1.5"),
        "d": RecordLink(Ref("res.users", 7)),
        "e": Key("project.task", "k"),
        "f": dt.date(2026, 3, 1),
    }
    assert json_of(values, lambda _: 42) == {"a": False, "b": True, "c": 1.5, "d": 7, "e": 42, "f": "2026-03-01"}


def test_a_name_without_a_record_is_unresolved() -> None:
    with pytest.raises(UnresolvedReference, match="a/b"):
        json_of({"x": Key("project.task", "a/b")}, lambda _: None)


@pytest.mark.parametrize(
    ("stored", "wanted", "same"),
    [
        (1.5, 1.50, True),
        (0.1 + 0.2, 0.3, True),
        (1.5, 1.51, False),
        (0.0, 0, True),
        (False, 0, False),
        (False, False, True),
        (0, False, True),
        ("", False, True),
        (False, "", True),
        ("a", False, False),
        (True, True, True),
        (1, True, False),
        (7, 7, True),
        (False, 7, False),
        ("2026-03-01", "2026-03-01", True),
        ("a", "b", False),
    ],
)
def test_stored_and_wanted_are_compared_by_meaning(stored: Any, wanted: Any, same: bool) -> None:
    assert all_same({"f": stored}, {"f": wanted}) is same


def test_plain_gives_json_that_odoo_reads() -> None:
    given = {"d": [("date", ">=", dt.date(2026, 3, 1)), ("id", "in", {3, 1, 2})], "m": Decimal("1.5")}
    assert plain(given) == {"d": [["date", ">=", "2026-03-01"], ["id", "in", [1, 2, 3]]], "m": 1.5}


def test_what_json_cannot_hold_is_not_sent() -> None:
    with pytest.raises(TypeError, match="object"):
        plain({"x": object()})


@pytest.mark.parametrize(
    ("info", "version"),
    [([19, 0, 0, "final", 0, ""], (19, 0)), (["saas~18", 2, 0, "final", 0, "e"], (18, 2)), ([14, 0], (14, 0))],
)
def test_versions_are_read_from_servers_of_every_kind(info: list[Any], version: tuple[int, int]) -> None:
    assert version_of(info) == version


def test_a_request_names_itself_without_its_values() -> None:
    request = Request(model="res.partner", method="write", ids=(7, 8, 9), arguments={"vals": {"name": "Ann"}})
    assert str(request) == "res.partner.write on 7 and 2 more"
