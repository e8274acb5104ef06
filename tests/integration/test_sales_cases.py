"""Cases on orders and invoices in a real Odoo: asked on the order, closed by the bill, or noted on the document."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purser.cases import CaseKey, CaseState
from purser.findings import Ref
from store import RunStatus
from tests.conftest import OdooEnv
from tests.houses import House, open_house
from tests.integration.calm import Calm
from tests.odoo.seeding_sales import Seeder

Open = Callable[[Path | None], Calm]


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.odoo)])
def house(request: pytest.FixtureRequest) -> House:
    """Sales are computed by Odoo: the twin cannot stand in for it."""
    return open_house(request)


@pytest.fixture
def sales(odoo_env: OdooEnv) -> Iterator[Seeder]:
    seeder = Seeder(odoo_env)
    yield seeder
    seeder.close()


@pytest.fixture
def fleet(calm: Open) -> Calm:
    opened = calm(None)
    opened.moment += dt.timedelta(days=60)  # what is made today is old enough
    return opened


@pytest.fixture
def order(sales: Seeder) -> int:
    """Return a confirmed order with sixteen hours nobody has billed."""
    made = sales.order({"product_id": sales.product("delivery"), "product_uom_qty": 40, "price_unit": 150})
    sales.log(sales.lines(made)[0], str(sales.today()), 16)
    return made


def case_of(order: int) -> CaseKey:
    return CaseKey("unbilled-work", Ref("sale.order", order))


def activities(sales: Seeder, order: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sales.call(
        "mail.activity",
        "search_read",
        domain=[("res_model", "=", "sale.order"), ("res_id", "=", order), ("summary", "like", "nbilled")],
        fields=["active", "user_id", "summary"],
        order="id",
        load="",
        context={"active_test": False},
    )
    return found


def notes(sales: Seeder, move: int) -> list[str]:
    domain = [("model", "=", "account.move"), ("res_id", "=", move), ("body", "like", "tale draft")]
    found = sales.call("mail.message", "search_read", domain=domain, fields=["body"], order="id")
    return [row["body"] for row in found]


def test_unbilled_work_is_asked_on_its_order_and_closed_by_the_bill(fleet: Calm, sales: Seeder, order: int) -> None:
    fleet.scan("unbilled-work")
    (asked,) = activities(sales, order)
    assert (asked["active"], asked["user_id"]) == (True, sales.salesperson)
    assert "2,400.00" in asked["summary"]
    sales.draft_invoice(order)
    fleet.scan("unbilled-work")
    assert [one["active"] for one in activities(sales, order)] == [False]
    assert fleet.state(case_of(order)) is CaseState.CLOSED


def test_the_same_order_leaking_again_is_a_new_episode(fleet: Calm, sales: Seeder, order: int) -> None:
    fleet.scan("unbilled-work")
    draft = sales.draft_invoice(order)
    fleet.scan("unbilled-work")
    sales.call("account.move", "unlink", ids=[draft])
    fleet.scan("unbilled-work")
    assert [one["active"] for one in activities(sales, order)] == [False, True]
    case = fleet.case(case_of(order))
    assert case is not None
    assert (case.episode, case.rung) == (1, 0)


def test_a_project_made_private_closes_nothing(fleet: Calm, sales: Seeder, order: int) -> None:
    fleet.scan("unbilled-work")
    sales.write("project.project", sales.lines(order)[0]["project_id"], privacy_visibility="followers")
    fleet.scan("unbilled-work")
    assert [one["active"] for one in activities(sales, order)] == [True]


def test_orders_that_a_lost_right_hides_stay_open(fleet: Calm, sales: Seeder, order: int) -> None:
    fleet.scan("unbilled-work")
    bot = fleet.fleet.change.whoami().uid
    groups = sales.read("res.users", bot, "group_ids")["group_ids"]
    everything = sales.by_xml_id("sales_team.group_sale_salesman_all_leads")
    own_only = sales.by_xml_id("sales_team.group_sale_salesman")
    narrowed = [group for group in groups if group != everything] + [own_only]
    sales.write("res.users", bot, group_ids=[[6, 0, narrowed]])
    run = fleet.scan("unbilled-work")
    assert run.outcome is RunStatus.NOT_APPLICABLE
    assert "sales_team.group_sale_salesman_all_leads" in run.reason
    assert [one["active"] for one in activities(sales, order)] == [True]


def test_a_cancelled_order_withdraws_its_case(fleet: Calm, sales: Seeder, order: int) -> None:
    fleet.scan("unbilled-work")
    sales.call("sale.order", "action_cancel", ids=[order])
    fleet.scan("unbilled-work")
    assert fleet.state(case_of(order)) is CaseState.WITHDRAWN


def test_a_draft_invoice_without_order_is_noted_once_and_answered_once(fleet: Calm, sales: Seeder) -> None:
    move = sales.move("out_invoice", 500)
    for _ in range(2):
        fleet.scan("stale-drafts")
    assert len(notes(sales, move)) == 1
    sales.post(move)
    for _ in range(2):
        fleet.scan("stale-drafts")
    assert len(notes(sales, move)) == 2
    assert fleet.state(CaseKey("stale-drafts", Ref("account.move", move))) is CaseState.CLOSED


def test_a_draft_invoice_of_an_order_is_asked_on_the_order(fleet: Calm, sales: Seeder, order: int) -> None:
    move = sales.draft_invoice(order)
    fleet.scan("stale-drafts")
    found = sales.call(
        "mail.activity",
        "search_read",
        domain=[("res_model", "=", "sale.order"), ("res_id", "=", order), ("summary", "like", "tale draft")],
        fields=["user_id"],
        load="",
    )
    assert [one["user_id"] for one in found] == [sales.salesperson]
    assert notes(sales, move) == []
