"""Of any batch the good rows land and the bad ones are refused, whichever they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odoo_client.apply.bulk_load import LoadBatch, Loaded, Rejected, bulk_load
from odoo_client.transport.error_mapping import AccessDenied
from odoo_client.transport.request import Request
from purser.errors import Refusal, Transient

RACE = "could not serialize access due to concurrent update"


@dataclass
class Table:
    """Imports as Odoo does: all or nothing, up to ten bad rows named, the first of several messages misplaced."""

    names_rows: bool = True
    raises: type[Refusal] | None = None
    races: int = 0
    records: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    def send(self, request: Request) -> Any:
        self.calls += 1
        rows: Sequence[Sequence[str]] = request.arguments["data"]
        if self.races:
            self.races -= 1
            return {"ids": False, "messages": [_error(RACE, 0)]}
        bad = self._bad(rows)
        if not bad:
            return {"ids": [self.records.setdefault(row[0], len(self.records) + 1) for row in rows], "messages": []}
        if self.raises:
            raise self.raises("no")
        if not self.names_rows:
            return {"ids": False, "messages": [{"type": "error", "message": "something is wrong"}]}
        named = sorted({*bad, *_fell_with(rows, bad[0])})[:10]
        return {"ids": False, "messages": [_error("the batch", 0), *(_error(f"row {rows[i][0]}", i) for i in named)]}

    def _bad(self, rows: Sequence[Sequence[str]]) -> list[int]:
        own = {row[0] for row in rows}
        bad: list[int] = []
        lost: set[str] = set()
        for index, row in enumerate(rows):
            parent = row[2]
            found = not parent or (parent in own and parent not in lost) or parent in self.records
            if row[1] == "bad" or not found:
                bad.append(index)
                lost.add(row[0])
        return bad


def _fell_with(rows: Sequence[Sequence[str]], first: int) -> list[int]:
    """A bad row undoes the rows before it, and later rows under those fail through no fault of their own."""
    undone = {row[0] for row in rows[:first]}
    return [index for index, row in enumerate(rows) if index > first and row[2] in undone]


def _error(text: str, row: int) -> Mapping[str, Any]:
    return {"type": "error", "message": text, "rows": {"from": row, "to": row}, "record": row}


def batch(*kinds: str, parents: Mapping[int, int] | None = None) -> LoadBatch:
    above = parents or {}
    rows = [[f"purser.{n}", kind, f"purser.{above[n]}" if n in above else ""] for n, kind in enumerate(kinds)]
    return LoadBatch(model="x", columns=("id", "name", "parent_id/id"), rows=rows)


@given(kinds=st.lists(st.sampled_from(["good", "good", "good", "bad"]), max_size=230), names_rows=st.booleans())
def test_exactly_the_bad_rows_are_refused(kinds: list[str], names_rows: bool) -> None:
    table = Table(names_rows=names_rows)
    results = bulk_load(table, batch(*kinds))
    assert ["good" if isinstance(one, Loaded) else "bad" for one in results] == kinds
    assert [one.id for one in results if isinstance(one, Loaded)] == [
        table.records[f"purser.{n}"] for n, kind in enumerate(kinds) if kind == "good"
    ]


@given(kinds=st.lists(st.sampled_from(["good", "bad"]), max_size=40))
def test_loading_twice_equals_loading_once(kinds: list[str]) -> None:
    table = Table()
    assert bulk_load(table, batch(*kinds)) == bulk_load(table, batch(*kinds))


@given(data=st.data(), kinds=st.lists(st.sampled_from(["good", "good", "bad"]), min_size=2, max_size=40))
def test_a_row_under_a_refused_one_is_refused_and_no_other(data: st.DataObject, kinds: list[str]) -> None:
    children = data.draw(st.sets(st.integers(1, len(kinds) - 1)))
    parents = {n: data.draw(st.integers(0, n - 1)) for n in sorted(children)}
    expected = list(kinds)
    for child in sorted(parents):
        if expected[parents[child]] == "bad":
            expected[child] = "bad"
    results = bulk_load(Table(), batch(*kinds, parents=parents))
    assert ["good" if isinstance(one, Loaded) else "bad" for one in results] == expected


def test_a_row_is_refused_with_its_own_reason() -> None:
    results = bulk_load(Table(), batch("good", "bad", "good", "bad"))
    assert [one.reason for one in results if isinstance(one, Rejected)] == ["row purser.1", "row purser.3"]


def test_good_rows_cost_one_call_per_hundred() -> None:
    table = Table()
    bulk_load(table, batch(*["good"] * 250))
    assert table.calls == 3


def test_one_bad_row_among_a_hundred_costs_one_more_call() -> None:
    table = Table()
    bulk_load(table, batch("bad", *["good"] * 99))
    assert table.calls == 2


def test_the_loser_of_a_race_repeats_once_and_lands() -> None:
    table = Table(races=1)
    assert bulk_load(table, batch("good", "good")) == [Loaded(1), Loaded(2)]
    assert table.calls == 2


def test_who_loses_twice_is_told_to_try_again_later() -> None:
    table = Table(races=2)
    with pytest.raises(Transient):
        bulk_load(table, batch("good", "good"))
    assert table.records == {}


def test_a_right_missing_on_the_model_refuses_all_rows_with_one_call() -> None:
    table = Table(raises=AccessDenied)
    results = bulk_load(table, batch(*["bad"] * 50))
    assert all(isinstance(one, Rejected) for one in results)
    assert table.calls == 1


def test_a_refusal_of_the_whole_call_is_narrowed_down_to_its_row() -> None:
    results = bulk_load(Table(raises=Refusal), batch("good", "good", "bad", "good"))
    assert [isinstance(one, Loaded) for one in results] == [True, True, False, True]
