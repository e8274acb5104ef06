"""Half a read is an error, and an older server's sums look like a newer one's."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field

from odoo_client import FieldInfo, RecordPage
from odoo_client.read.snapshot import PAGE, count, pages, read, read_all, read_page
from odoo_client.transport.error_mapping import AccessDenied
from odoo_client.transport.request import Request, Version
from purser import (
    OPTIONAL_FIELD,
    Aggregate,
    GroupDate,
    GroupId,
    Moment,
    QueryContext,
    Ref,
    Row,
    Snapshot,
    aggregate,
    group_by,
)
from purser.errors import NotApplicable, Permanent, Transient

AS_OF = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@dataclass
class Server:
    """Gives the answers it was handed, in order; an exception among them is raised."""

    answers: list[Any]
    known: tuple[str, ...] = ()
    at: Version = (19, 0)
    pages: int = 0
    asked: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        return {name: FieldInfo(type="char", store=True, readonly=False) for name in self.known}

    def version(self) -> Version:
        return self.at

    def languages(self) -> tuple[str, ...]:
        return ("en_US", "fr_FR")


class Thing(Row, model="x.thing"):
    name: str
    extra: Annotated[str | None, OPTIONAL_FIELD] = Field(None, alias="x_extra")

    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any]:
        return []


class Sums(Aggregate, model="x.line"):
    owner: GroupId | None = group_by("owner_id", None)
    month: GroupDate = group_by("date:month")
    hours: Decimal = aggregate("unit_amount:sum")
    longest: Decimal = aggregate("unit_amount:max")
    lines: int = aggregate("__count")


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"id": one, "name": f"n{one}"} for one in ids]


def test_pages_end_with_the_first_short_one() -> None:
    server = Server([rows(1, 2), rows(5, 9), rows(11)])
    got = list(pages(server, "x.thing", [["a", "=", 1]], {}, {}, size=2))
    assert [[row["id"] for row in page] for page in got] == [[1, 2], [5, 9], [11]]
    assert [request.arguments["domain"] for request in server.asked] == [
        [["a", "=", 1]],
        [["a", "=", 1], ["id", ">", 2]],
        [["a", "=", 1], ["id", ">", 9]],
    ]
    assert server.pages == 2


def test_a_full_last_page_is_followed_by_an_empty_one() -> None:
    assert list(pages(Server([rows(1, 2), []]), "x.thing", [], {}, {}, size=2)) == [rows(1, 2), []]


def test_activities_are_read_in_one_page_since_a_short_page_is_not_their_last() -> None:
    server = Server([rows(1)])
    assert list(pages(server, "mail.activity", [], {}, {}, size=1)) == [rows(1)]
    assert server.asked[0].arguments["limit"] is None


@pytest.mark.parametrize(("model", "at"), [("x.thing", (14, 0)), ("project.tags", (19, 0))])
def test_where_bare_ids_cannot_be_asked_for_they_are_taken_from_the_pairs(model: str, at: Version) -> None:
    class Owned(Row, model=model):
        owner: int | None = Field(None, alias="owner_id")

    server = Server([[{"id": 1, "owner_id": [7, "Ann"]}, {"id": 2, "owner_id": False}]], at=at)
    assert [row.owner for row in read(server, Owned, [])] == [7, None]
    assert "load" not in server.asked[0].arguments


def test_a_page_that_fails_fails_the_read() -> None:
    server = Server([rows(*range(1, PAGE + 1)), Transient("away")])
    with pytest.raises(Transient):
        read(server, Thing, [])


def test_a_field_only_some_databases_have_is_asked_for_only_there() -> None:
    without, within = Server([rows(1)], known=("name",)), Server([rows(1)], known=("name", "x_extra"))
    assert read(without, Thing, [])[0].extra is None
    read(within, Thing, [])
    assert without.asked[0].arguments["fields"] == ["name"]
    assert within.asked[0].arguments["fields"] == ["name", "x_extra"]


def test_a_complaint_is_explained_by_the_field_that_is_missing() -> None:
    with pytest.raises(NotApplicable, match=r"x\.line has no field owner_id"):
        read(Server([Permanent("ValueError")], known=("date", "unit_amount")), Sums, [])


def test_a_complaint_about_something_else_stays_what_it_is() -> None:
    with pytest.raises(Permanent, match="ValueError"):
        read(Server([Permanent("ValueError")], known=("owner_id", "date", "unit_amount")), Sums, [])


def test_old_and_new_servers_give_the_same_sums() -> None:
    new = Server(
        [
            [
                {"owner_id": [3, "Ann"], "date:month": ["2026-01-01", "January 2026"], "unit_amount:sum": 5.5}
                | {"unit_amount:max": 3.5, "__count": 2},
                {"owner_id": False, "date:month": ["2026-02-01", "February 2026"], "unit_amount:sum": False}
                | {"unit_amount:max": False, "__count": 1},
            ]
        ]
    )
    old = Server(
        [
            [
                {"owner_id": [3, "Ann"], "date:month": "January 2026", "a0": 5.5, "a1": 3.5, "__count": 2}
                | {"__range": {"date:month": {"from": "2026-01-01", "to": "2026-02-01"}}},
                {"owner_id": False, "date:month": "February 2026", "a0": False, "a1": False, "__count": 1}
                | {"__range": {"date": {"from": "2026-02-01", "to": "2026-03-01"}}},
            ]
        ],
        at=(16, 0),
    )
    expected = [
        Sums.model_validate({"owner_id": 3, "date:month": "2026-01-01", "unit_amount:sum": 5.5})
        .model_copy(update={"longest": Decimal("3.5"), "lines": 2}),
        Sums.model_validate({"date:month": "2026-02-01"}).model_copy(update={"lines": 1}),
    ]  # fmt: skip
    assert read(new, Sums, []) == read(old, Sums, []) == expected
    assert old.asked[0].method == "read_group"
    assert old.asked[0].arguments["lazy"] is False
    assert old.asked[0].arguments["fields"] == ["a0:sum(unit_amount)", "a1:max(unit_amount)"]


def test_grouping_along_a_path_is_not_applicable_on_an_old_server() -> None:
    class ByOrder(Aggregate, model="x.line"):
        order: GroupId = group_by("so_line.order_id")

    with pytest.raises(NotApplicable, match="Odoo 19"):
        read(Server([], at=(16, 0)), ByOrder, [])


def test_what_was_given_is_not_read_again() -> None:
    given = Snapshot(AS_OF, {Thing: []})
    server = Server([])
    snapshot = read_all(server, [Thing], as_of=AS_OF, tunables={}, event=None, watched=(), given=given)
    assert snapshot.kinds() == (Thing,)
    assert server.asked == []


# ------------------------------------------------------------------------------ watching --


class Watched(Row, model="x.thing", active_test=False):
    name: str
    done: Moment | None = None
    extra: Annotated[str | None, OPTIONAL_FIELD] = Field(None, alias="x_extra")

    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any] | None:
        return None if scope.tunables.get("none") else [*scope.look, ("done", "!=", False)]


def sight(server: Server, *, limit: int = 2, after: int = 0, **tunables: Any) -> RecordPage:
    since = [("write_date", ">=", AS_OF)]
    return read_page(server, Watched, since, as_of=AS_OF, tunables=tunables, after=after, limit=limit)


def test_looking_reads_one_page_from_an_id_on_and_says_whether_more_may_come() -> None:
    rows = [{"id": 5, "name": "a", "done": "2026-03-01 10:00:00"}, {"id": 9, "name": "b", "done": False}]
    server = Server([rows, []], known=("id", "name", "done"))
    first = sight(server, after=3)
    assert ([row.id for row in first.rows], first.last, first.has_more) == ([5, 9], 9, True)
    asked = server.asked[0]
    assert asked.arguments["domain"] == [("write_date", ">=", AS_OF), ("id", ">", 3), ("done", "!=", False)]
    assert (asked.arguments["fields"], asked.arguments["limit"], asked.arguments["order"]) == (
        ["name", "done"],
        2,
        "id",
    )
    assert dict(asked.context) == {"active_test": False}
    assert sight(server, after=9) == RecordPage()


def test_looking_leaves_out_a_record_that_does_not_fit_and_names_it() -> None:
    rows = [{"id": 5, "name": False, "done": False}, {"id": 6, "name": "b", "done": False}]
    found = sight(Server([rows], known=("id", "name", "done")))
    assert [row.id for row in found.rows] == [6]
    assert list(found.unfit) == [Ref("x.thing", 5)]


def test_looking_at_what_this_database_lacks_asks_it_nothing() -> None:
    server = Server([], known=("id", "name"))
    with pytest.raises(NotApplicable, match=r"x.thing has no field done here"):
        sight(server)
    assert server.asked == []
    assert sight(server, none=True) == RecordPage()


def test_looking_without_the_right_is_not_applicable() -> None:
    with pytest.raises(NotApplicable, match=r"may not read x.thing"):
        sight(Server([AccessDenied("no")], known=("id", "name", "done")))


def test_before_odoo_15_bare_ids_are_made_here() -> None:
    server = Server([[{"id": 5, "name": "a", "done": False}]], known=("id", "name", "done"), at=(14, 0))
    assert len(sight(server).rows) == 1
    assert "load" not in server.asked[0].arguments


def test_counting_asks_for_what_looking_would_read() -> None:
    server = Server([12], known=("id", "name", "done"))
    assert count(server, Watched, [("id", "=", 1)], as_of=AS_OF, tunables={}) == 12
    assert server.asked[0].arguments["domain"] == [("id", "=", 1), ("done", "!=", False)]
    assert count(server, Watched, [], as_of=AS_OF, tunables={"none": True}) == 0


class Named(Row, model="x.tag", translated=True, keyed=True):
    name: str
    names: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()


def test_what_is_called_so_in_any_language_is_found_with_all_its_names_and_its_keys() -> None:
    english, french = [{"id": 2, "name": "Audit"}], [{"id": 1, "name": "Comité"}, {"id": 2, "name": "Révision"}]
    server = Server([english, french, {"1": "purser.tag/1", "2": ""}])
    found = read(server, Named, [])
    assert [request.context.get("lang") for request in server.asked] == ["en_US", "fr_FR", None]
    assert found == [
        Named(id=1, name="Comité", names=frozenset({"Comité"}), keys=("tag/1",)),
        Named(id=2, name="Audit", names=frozenset({"Audit", "Révision"})),
    ]
    assert server.asked[0].arguments["fields"] == ["name"], "names and keys are no fields of Odoo"
