"""The twin keeps what no Odoo is asked for: faults on order, seeds, one transaction a request, speed."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from devtools.fake_odoo import FakeOdoo
from tests.contract.fake_odoo.conftest import Caller
from tests.waiting import wait_until

NOW = dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC)


@pytest.fixture
def twin() -> Iterator[FakeOdoo]:
    with FakeOdoo(clock=lambda: NOW) as twin:
        yield twin


@pytest.fixture
def admin(twin: FakeOdoo) -> Caller:
    return Caller(twin.url, twin.db, twin.admin_key, "admin")


# ------------------------------------------------------------------------ what it is not --


def test_what_it_does_not_know_is_said_with_501(admin: Caller) -> None:
    made = admin.make("res.partner", name="x")
    asked = [
        admin.ask("sale.order", "action_confirm", ids=[1]),
        admin.ask("res.partner", "search", domain=[["parent_id", "child_of", made]]),
        admin.ask("res.partner", "search", domain=[["create_date", ">", "-7d"]]),
        admin.ask("res.partner", "search", domain=[["name", "ilike", "x%"]]),
        admin.ask("res.partner", "search", domain=[], order="parent_id"),
        admin.ask("res.partner", "write", ids=[made], vals={"child_ids": [[2, 1, 0]]}),
        admin.ask("project.task", "load", fields=[".id", "name"], data=[["1", "x"]]),
        admin.ask("project.task", "load", fields=["project_id", "name"], data=[["A name", "x"]]),
        admin.ask("mail.activity", "create", vals_list=[{"summary": "on nothing", "user_id": 2}]),
        admin.ask("sale.order", "formatted_read_group", domain=[], groupby=["date_order:quarter"]),
        admin.ask("sale.order", "formatted_read_group", domain=[], groupby=["partner_id"], having=[["id", ">", 1]]),
        admin.ask("sale.order", "read_group", domain=[], fields=[], groupby=["partner_id"]),
        admin.ask("sale.order", "load", fields=["id", "order_line/name"], data=[]),
        admin.ask("sale.order", "formatted_read_group", domain=[], aggregates=["amount_total:sum_currency"]),
    ]
    assert [answer.status for answer in asked] == [501] * len(asked)
    assert all("the twin does not know" in answer.message for answer in asked)


def test_it_answers_on_loopback_only(twin: FakeOdoo) -> None:
    assert twin.url.startswith("http://127.0.0.1:")


def test_the_version_is_told_without_a_key(twin: FakeOdoo) -> None:
    told = [httpx.get(f"{twin.url}{path}").json() for path in ("/web/version", "/json/version")]
    assert told[0] == told[1] == {"version_info": [19, 0, 0, "final", 0, ""], "version": "19.0"}


# --------------------------------------------------------------------------------- bytes --


def test_a_request_without_a_key_or_a_database_is_refused_as_odoo_refuses_it(twin: FakeOdoo, admin: Caller) -> None:
    url, headers = f"{twin.url}/json/2/res.partner/search", {"X-Odoo-Database": twin.db}
    signed = {**headers, "Authorization": f"bearer {admin.key}"}
    as_json = {"Content-Type": "application/json"}
    assert httpx.post(url, content=b"{}", headers={**headers, **as_json}).status_code == 401
    assert httpx.get(url, headers=signed).status_code == 404
    lost = httpx.post(url, content=b"{}", headers={**as_json, "Authorization": f"bearer {admin.key}"})
    assert (lost.status_code, lost.headers["content-type"][:9]) == (404, "text/html")


# --------------------------------------------------------------------------- transactions --


def test_a_call_that_fails_leaves_nothing_behind(twin: FakeOdoo, admin: Caller) -> None:
    before = len(twin.rows("res.partner"))
    answer = admin.ask("res.partner", "create", vals_list=[{"name": "good"}, {"name": "bad", "type": "zzz"}])
    assert answer.status == 500
    assert len(twin.rows("res.partner")) == before


def test_a_failed_unlink_brings_everything_back(twin: FakeOdoo, admin: Caller) -> None:
    project = admin.make("project.project", name="p")
    task = admin.make("project.task", name="t", project_id=project)
    admin.get("project.task", "load", fields=["id", "name"], data=[["purser.kept", "k"]])
    kept = twin.rows("ir.model.data", [["module", "=", "purser"]])
    answer = admin.ask("project.task", "unlink", ids=[task, 99999])
    assert answer.status == 404
    assert [row["id"] for row in twin.rows("project.task", [["project_id", "=", project]])] == [task]
    assert twin.rows("ir.model.data", [["module", "=", "purser"]]) == kept


def test_many_callers_at_once_lose_and_double_nothing(twin: FakeOdoo, admin: Caller) -> None:
    def load(number: int) -> Any:
        rows = [[f"purser.same/{n}", f"task {n}"] for n in range(20)]
        mine = [[f"purser.own/{number}", "own"]]
        context = {"mode": "update", "noupdate": True}
        return admin.get("project.task", "load", fields=["id", "name"], data=rows + mine, context=context)["ids"]

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(load, range(24)))
    assert len({tuple(each[:20]) for each in ids}) == 1
    assert len(twin.rows("project.task")) == 20 + 24


# --------------------------------------------------------------------------------- seeding --


def test_a_seed_keeps_its_dates_and_computed_values_and_rpc_does_not(twin: FakeOdoo, admin: Caller) -> None:
    old = "2025-01-01 00:00:00"
    partner = twin.seed("res.partner", {"name": "Client"})
    order = twin.seed(
        "sale.order",
        {"partner_id": partner, "create_date": old, "invoice_status": "to invoice", "amount_total": 12.5},
        key="purser.order/1",
    )
    row = admin.get("sale.order", "read", ids=[order], fields=["create_date", "invoice_status", "amount_total"])[0]
    assert (row["create_date"], row["invoice_status"], row["amount_total"]) == (old, "to invoice", 12.5)
    assert admin.id_of("purser.order/1") == order
    made = admin.make("sale.order", partner_id=partner, create_date=old)
    assert (
        admin.get("sale.order", "read", ids=[made], fields=["create_date"])[0]["create_date"] == "2026-03-02 09:30:00"
    )


def test_the_clock_decides_what_is_today(admin: Caller) -> None:
    made = admin.make("sale.order", partner_id=admin.make("res.partner", name="Client"))
    assert (
        admin.get("sale.order", "read", ids=[made], fields=["date_order"])[0]["date_order"] == "2026-03-02 09:30:00"
    )


def test_an_unknown_group_is_named(twin: FakeOdoo) -> None:
    with pytest.raises(ValueError, match=r"hr\.group_nobody"):
        twin.add_user("x", "key", ["hr.group_nobody"])


def test_a_user_that_is_archived_is_a_stranger(twin: FakeOdoo) -> None:
    uid = twin.add_user("bot", "bot-key", ["base.group_user"])
    bot = Caller(twin.url, twin.db, "bot-key", "bot")
    assert bot.get("res.users", "context_get")["uid"] == uid
    twin.update("res.users", uid, {"active": False})
    assert bot.ask("res.users", "context_get").status == 401


# ---------------------------------------------------------------------------------- faults --


def test_the_next_requests_are_refused_like_by_a_proxy_and_then_all_is_well(twin: FakeOdoo, admin: Caller) -> None:
    twin.faults.answer(503, times=2, retry_after="7")
    answers = [admin.ask("res.partner", "create", vals_list=[{"name": "x"}]) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert len(twin.rows("res.partner", [["name", "=", "x"]])) == 1
    assert twin.requests["res.partner/create"] == 3


def test_an_answer_lost_after_the_commit_leaves_the_effect(twin: FakeOdoo, admin: Caller) -> None:
    twin.faults.answer(502, after_commit=True, only="res.partner/create")
    assert admin.ask("res.users", "context_get").status == 200
    assert admin.ask("res.partner", "create", vals_list=[{"name": "kept"}]).status == 502
    assert len(twin.rows("res.partner", [["name", "=", "kept"]])) == 1


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_dropped_connection_gives_no_answer(twin: FakeOdoo, admin: Caller, *, after_commit: bool) -> None:
    twin.faults.drop(after_commit=after_commit)
    with pytest.raises(httpx.RemoteProtocolError):
        admin.ask("res.partner", "create", vals_list=[{"name": "dropped"}])
    assert len(twin.rows("res.partner", [["name", "=", "dropped"]])) == int(after_commit)


def test_a_delayed_answer_comes_too_late_but_the_work_is_done(twin: FakeOdoo, admin: Caller) -> None:
    twin.faults.delay(30.0, after_commit=True)
    headers = {"Authorization": f"bearer {admin.key}", "X-Odoo-Database": twin.db}
    body = {"vals_list": [{"name": "late"}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{twin.url}/json/2/res.partner/create", json=body, headers=headers, timeout=0.2)
    assert wait_until(lambda: twin.rows("res.partner", [["name", "=", "late"]]), what="the late partner")


# ----------------------------------------------------------------------------------- speed --


@pytest.mark.slow
def test_a_firm_of_ten_thousand_is_searched_and_summed_within_seconds(twin: FakeOdoo, admin: Caller) -> None:
    project = twin.seed("project.project", {"name": "p"})
    people = [twin.seed("hr.employee", {"name": f"e{n}"}) for n in range(10_000)]
    for number in range(40_000):
        twin.seed(
            "account.analytic.line",
            {
                "name": "l",
                "project_id": project,
                "employee_id": people[number % 10_000],
                "date": f"2026-02-{number % 28 + 1:02d}",
                "unit_amount": 8.0,
            },
        )
    took = {
        "groups": _timed(
            lambda: admin.get(
                "account.analytic.line",
                "formatted_read_group",
                domain=[["project_id", "!=", False], ["date", ">=", "2026-02-01"], ["holiday_id", "=", False]],
                groupby=["employee_id", "date:month", "date:iso_week_number", "product_uom_id"],
                aggregates=["unit_amount:sum"],
            )
        ),
        "lines": _timed(
            lambda: admin.get("account.analytic.line", "search_read", domain=[], fields=["date"], load="")
        ),
        "employees": _timed(
            lambda: admin.get("hr.employee", "search_read", domain=[], fields=["name", "tz"], load="")
        ),
    }
    rows = [[f"purser.a/{n}", str(people[n]), "s"] for n in range(100)]
    context = {"default_res_model": "hr.employee", "mode": "update", "noupdate": True}
    body: dict[str, Any] = {"fields": ["id", "res_id", "summary"], "data": rows, "context": context}
    took["load"] = _timed(lambda: admin.get("mail.activity", "load", **body))
    took["load again"] = _timed(lambda: admin.get("mail.activity", "load", **body))
    assert {name: seconds for name, seconds in took.items() if seconds > 5} == {}, took


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    assert work()
    return time.perf_counter() - began
