"""On a real Odoo 19: drafts are made once by a bot that cannot post, and the action does nothing beyond its list."""

import dataclasses
import datetime as dt
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from odoo_client import ChangeOutcome, ChangeStatus, OdooClient, OdooConnection, connect, provisioning, server_action
from odoo_client.server_action import VERSION, OperationRequest
from odoo_client.transport.error_mapping import AccessDenied
from odoo_client.transport.request import Request
from purser import RecordLink, Ref, RunOperation, Update
from purser.engine.predictions import PredictedOutcome
from purser.errors import NotSetUp, PurserError, Transient
from tests.conftest import OdooEnv
from tests.odoo.seeding_sales import UNITS, Seeder
from workers.doctor.checks import Level
from workers.provisioning import OdooSite

_NUMBERS = itertools.count(1)
Enter = Callable[..., OdooClient]


@pytest.fixture(scope="module")
def enter(odoo_env: OdooEnv) -> Iterator[Enter]:
    """Set up the receipt action, and make users of the group that may run it."""
    office = Seeder(odoo_env)
    door = OdooConnection(url=odoo_env.url, db=odoo_env.db, login=odoo_env.login, api_key=odoo_env.api_key)
    with ExitStack() as stack:
        admin = stack.enter_context(connect(door))
        dialect = provisioning.CurrentStateReader(admin).dialect(())
        provisioning.apply_plan(
            admin, provisioning.desired_records(dialect, bots=(), key_days=365, hooks={}, rules=())
        )

        def one(*groups: str) -> OdooClient:
            login, key = office.bot("base.group_user", f"{provisioning.MODULE}.{provisioning.GROUP}", *groups)
            return stack.enter_context(connect(dataclasses.replace(door, login=login, api_key=key)))

        yield one
    office.close()


@pytest.fixture(scope="module")
def billing(enter: Enter) -> OdooClient:
    return enter("sales_team.group_sale_salesman_all_leads")


def draft(order: int, *, named: str = "", **arguments: Any) -> RunOperation:
    key = named or f"order/{order}/invoice/{next(_NUMBERS)}"
    return RunOperation(operation="order.draft-invoice", on=Ref("sale.order", order), key=key, arguments=arguments)


def one(outcomes: tuple[ChangeOutcome, ...]) -> ChangeOutcome:
    (outcome,) = outcomes
    return outcome


def invoices(firm: Seeder, order: int) -> list[int]:
    found: list[int] = firm.read("sale.order", order, "invoice_ids")["invoice_ids"]
    return found


def delivered(firm: Seeder, units: int = 4) -> int:
    line = {"product_id": firm.product("delivery", "manual", unit=UNITS), "product_uom_qty": 10, "price_unit": 100}
    order = firm.order(line)
    firm.write("sale.order.line", firm.lines(order)[0]["id"], qty_delivered=units)
    return order


def test_a_draft_is_made_once_and_the_bot_that_makes_it_cannot_post(billing: OdooClient, firm: Seeder) -> None:
    order = delivered(firm)
    change = draft(order)
    first = one(billing.perform(change))
    assert first.status is ChangeStatus.DONE, first.reason
    assert first.ref is not None
    move = firm.read("account.move", first.ref.id, "state", "move_type", "amount_untaxed")
    assert (move["state"], move["move_type"], move["amount_untaxed"]) == ("draft", "out_invoice", 400.0)

    again = one(billing.perform(change))
    assert (again.status, again.ref) == (ChangeStatus.ALREADY, first.ref)
    other = one(billing.perform(draft(order)))
    assert (other.status, "has a draft invoice already" in other.reason) == (ChangeStatus.REFUSED, True)
    assert invoices(firm, order) == [first.ref.id]

    with pytest.raises(AccessDenied):
        billing.send(Request(model="account.move", method="action_post", ids=(first.ref.id,)))
    values = {"vals": {"state": "posted"}}
    with pytest.raises(AccessDenied):
        billing.send(Request(model="account.move", method="write", ids=(first.ref.id,), arguments=values))
    assert firm.read("account.move", first.ref.id, "state")["state"] == "draft"

    firm.post(first.ref.id)
    nothing = one(billing.perform(draft(order)))
    assert (nothing.status, "nothing to invoice" in nothing.reason) == (ChangeStatus.REFUSED, True)
    assert one(billing.perform(change)).status is ChangeStatus.ALREADY


def test_only_time_until_the_given_day_is_billed(billing: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 100})
    line = firm.lines(order)[0]
    firm.log(line, "2026-10-02", 8)
    firm.log(line, "2026-11-02", 4)
    outcome = one(billing.perform(draft(order, until=dt.date(2026, 10, 31))))
    assert outcome.status is ChangeStatus.DONE, outcome.reason
    assert outcome.ref is not None
    assert firm.read("account.move", outcome.ref.id, "amount_untaxed")["amount_untaxed"] == 800.0


def credited(firm: Seeder, invoice: int, **quantity: float) -> int:
    """Credit an invoice in full, or its first line in part, and post the credit note."""
    context = {"active_model": "account.move", "active_ids": [invoice]}
    journal = firm.read("account.move", invoice, "journal_id")["journal_id"]
    wizard = firm.create("account.move.reversal", context, move_ids=[[6, 0, [invoice]]], journal_id=journal)
    note = firm.call("account.move.reversal", "refund_moves", ids=[wizard])["res_id"]
    if quantity:
        (line, *_) = firm.read("account.move", note, "invoice_line_ids")["invoice_line_ids"]
        firm.write("account.move", note, invoice_line_ids=[[1, line, quantity]])
    firm.post(note)
    return int(note)


def test_a_draft_above_what_is_due_is_rolled_back_and_says_so(billing: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 1, "price_unit": 100})
    line = firm.lines(order)[0]
    firm.log(line, "2026-10-05", 20)
    firm.post(billed := firm.draft_invoice(order))
    firm.log(line, "2026-10-16", 5)
    firm.log(line, "2026-12-16", 30)
    credited(firm, billed, quantity=11)
    before = invoices(firm, order)
    outcome = one(billing.perform(draft(order, until=dt.date(2026, 10, 31), at_most=Decimal(4600))))
    assert outcome.status is ChangeStatus.REFUSED
    assert "would hold 2500.00 USD" in outcome.reason
    assert "where 1600.00 is due" in outcome.reason
    assert invoices(firm, order) == before

    late = one(billing.perform(draft(order, at_most=Decimal(1600))))
    assert (late.status, "4600.00 is due now" in late.reason) == (ChangeStatus.CONFLICT, True)
    outcome = one(billing.perform(draft(order, at_most=Decimal(4600))))
    assert outcome.status is ChangeStatus.DONE, outcome.reason
    assert outcome.ref is not None
    assert firm.read("account.move", outcome.ref.id, "amount_untaxed")["amount_untaxed"] == 4600.0


@pytest.mark.parametrize("how", ["cancelled", "credited", "credited, not reconciled", "deleted"])
def test_a_receipt_of_an_invoice_that_was_undone_does_not_say_done(
    billing: OdooClient, firm: Seeder, how: str
) -> None:
    order = delivered(firm)
    change = draft(order)
    first = one(billing.perform(change))
    assert first.ref is not None
    if how == "cancelled":
        firm.call("account.move", "button_cancel", ids=[first.ref.id])
    elif how == "deleted":
        firm.call("account.move", "unlink", ids=[first.ref.id])
    else:
        firm.post(first.ref.id)
        credited(firm, first.ref.id)
    if how == "credited, not reconciled":
        lines = firm.read("account.move", first.ref.id, "line_ids")["line_ids"]
        firm.call("account.move.line", "remove_move_reconcile", ids=lines)
        state = firm.read("account.move", first.ref.id, "payment_state", "state")
        assert (state["payment_state"], state["state"]) == ("not_paid", "posted")
    assert [one.fate for one in billing.preview([change])] == [PredictedOutcome.APPLY]
    second = one(billing.perform(change))
    assert second.status is ChangeStatus.DONE, second.reason
    assert second.ref != first.ref
    assert one(billing.perform(change)).status is ChangeStatus.ALREADY


def test_what_a_run_with_a_last_day_left_is_billed_without_one(billing: OdooClient, firm: Seeder) -> None:
    order = firm.order({"product_id": firm.product("delivery"), "product_uom_qty": 40, "price_unit": 100})
    firm.log(firm.lines(order)[0], "2026-10-02", 8)
    firm.log(firm.lines(order)[0], "2026-11-02", 4)
    first = one(billing.perform(draft(order, until=dt.date(2026, 10, 31), at_most=Decimal(1200))))
    assert first.ref is not None, first.reason
    firm.post(first.ref.id)
    rest = one(billing.perform(draft(order, at_most=Decimal(400))))
    assert rest.ref is not None, rest.reason
    assert firm.read("account.move", rest.ref.id, "amount_untaxed")["amount_untaxed"] == 400.0


def test_a_down_payment_is_deducted_and_discounts_and_decimals_are_no_difference(
    billing: OdooClient, firm: Seeder
) -> None:
    line = {"product_id": firm.product("delivery"), "product_uom_qty": 3, "price_unit": 33.33, "discount": 15}
    order = firm.order(line)
    firm.post(firm.draft_invoice(order, advance_payment_method="fixed", fixed_amount=50))
    firm.log(firm.lines(order)[0], "2026-10-02", 7.25)
    outcome = one(billing.perform(draft(order, at_most=Decimal("155.39"))))
    assert outcome.ref is not None, outcome.reason
    assert firm.read("account.move", outcome.ref.id, "amount_untaxed")["amount_untaxed"] == 155.4


def test_orders_that_cannot_be_billed_are_refused_beside_one_that_can(billing: OdooClient, firm: Seeder) -> None:
    quotation = firm.quotation({"product_id": firm.product("delivery", "manual", unit=UNITS), "product_uom_qty": 1})
    fresh, due = delivered(firm, units=0), delivered(firm)
    outcomes = billing.perform(draft(quotation), draft(due), draft(fresh))
    assert [one.status for one in outcomes] == [ChangeStatus.REFUSED, ChangeStatus.DONE, ChangeStatus.REFUSED]
    assert "is not a confirmed order" in outcomes[0].reason
    assert len(invoices(firm, due)) == 1


def test_two_who_bill_an_order_at_one_moment_make_one_draft(
    billing: OdooClient, odoo_env: OdooEnv, firm: Seeder
) -> None:
    order = delivered(firm)
    change, start, found = draft(order), threading.Barrier(3), list[ChangeOutcome]()

    def work() -> None:
        with connect(dataclasses.replace(billing.door)) as client:
            client.receipts.check()
            start.wait(30)
            while True:
                try:
                    found.append(one(client.perform(change)))
                except Transient:
                    continue
                return

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.status for outcome in found) == [
        ChangeStatus.ALREADY,
        ChangeStatus.ALREADY,
        ChangeStatus.DONE,
    ]
    assert len(invoices(firm, order)) == 1


def test_a_right_that_the_bot_lacks_is_a_refusal(enter: Enter, firm: Seeder) -> None:
    plain = enter("sales_team.group_sale_salesman")  # own documents only
    outcome = one(plain.perform(draft(delivered(firm))))
    assert outcome.status is ChangeStatus.REFUSED
    assert outcome.reason


def test_the_action_does_nothing_beyond_its_list(billing: OdooClient, odoo: OdooClient, firm: Seeder) -> None:
    order = delivered(firm)
    strange = one(billing.perform(draft(order, named=f"case/{order}/x")))
    assert (strange.status, "its keys begin with order/" in strange.reason) == (ChangeStatus.REFUSED, True)
    more = one(billing.perform(draft(order, force=True)))
    assert (more.status, "does not take force" in more.reason) == (ChangeStatus.REFUSED, True)

    (action,) = [one.id for one in provisioning.installed_records(odoo) if one.name == provisioning.ACTION]
    change = {"key": f"order/{order}/x", "operation": "order.confirm", "id": order, "arguments": {}}

    def run(client: OdooClient, **context: Any) -> Any:
        return client.send(Request(model="ir.actions.server", method="run", ids=(action,), context=context))["infos"]

    told = run(billing, purser_version=VERSION, purser_changes=[change])["results"]
    assert (told[0][1], "not among the operations" in told[0][4]) == ("refused", True)
    other = run(billing, purser_version=VERSION + 1, purser_changes=[change])
    assert other == {"version": VERSION, "results": []}
    assert invoices(firm, order) == []

    login, key = firm.bot("base.group_user", "sales_team.group_sale_salesman_all_leads")
    with connect(dataclasses.replace(billing.door, login=login, api_key=key)) as stranger:
        with pytest.raises(AccessDenied):
            run(stranger, purser_version=VERSION, purser_changes=[])
        values = {"vals": {"code": "raise UserError('mine')"}}
        with pytest.raises(PurserError):
            stranger.send(Request(model="ir.actions.server", method="write", ids=(action,), arguments=values))


def test_roles_of_a_template_are_filled_and_its_order_line_is_linked(enter: Enter, firm: Seeder) -> None:
    manager = enter("project.group_project_manager", "sales_team.group_sale_salesman_all_leads")
    role = firm.create("project.role", name=f"Designer {firm.tag}")
    template = firm.create("project.project", name=f"Template {firm.tag}", is_template=True)
    firm.create("project.task", name="Design", project_id=template, user_ids=[], role_ids=[[6, 0, [role]]])
    order = firm.order({"product_id": firm.product("delivery", "manual"), "product_uom_qty": 8, "price_unit": 100})
    line = Ref("sale.order.line", firm.lines(order)[0]["id"])
    outcome = one(
        manager.perform(
            RunOperation(
                operation="project.from-template",
                on=Ref("project.project", template),
                key=f"order/{order}/project",
                arguments={
                    "name": f"Work {firm.tag}",
                    "partner_id": RecordLink(Ref("res.partner", firm.customer)),
                    "sale_line_id": RecordLink(line),
                    f"role/{role}": RecordLink(Ref("res.users", firm.salesperson)),
                    "date_start": dt.date(2026, 3, 2),
                    "date": dt.date(2026, 6, 30),
                },
            )
        )
    )
    assert outcome.status is ChangeStatus.DONE, outcome.reason
    assert outcome.ref is not None
    project = firm.read("project.project", outcome.ref.id, "sale_line_id", "date_start", "date", "partner_id")
    assert (project["sale_line_id"], project["date_start"], project["date"]) == (line.id, "2026-03-02", "2026-06-30")
    tasks = firm.call(
        "project.task", "search_read", domain=[["project_id", "=", outcome.ref.id]], fields=["user_ids"], load=""
    )
    assert [task["user_ids"] for task in tasks] == [[firm.salesperson]]


FIRST_VERSION = Path(__file__).parent / "receipt_action_v1.txt"
"""The text that the first version of the set-up wrote, as Odoo databases may hold it."""


def test_receipts_of_the_first_version_count_after_the_update(
    billing: OdooClient, odoo: OdooClient, firm: Seeder
) -> None:
    """An update of a database that an earlier release set up keeps what was done, and works at once."""
    first = FIRST_VERSION.read_text(encoding="utf-8")
    assert server_action.EARLIER[server_action.digest(first)] == 1
    (action,) = [one.id for one in provisioning.installed_records(odoo) if one.name == provisioning.ACTION]
    site = OdooSite(admin=odoo, bots=(), rules=())
    name = firm.read("ir.actions.server", action, "name")["name"]
    firm.write("ir.actions.server", action, code=first, name="Purser: receipt action, version 1")

    stands, undone, fresh = (delivered(firm) for _ in range(3))
    changes = {order: draft(order) for order in (stands, undone, fresh)}
    asked = [
        {"key": one.key, "operation": one.operation, "id": one.on.id, "arguments": {}}
        for order, one in changes.items()
        if order != fresh
    ]
    context = {"purser_version": 1, "purser_changes": asked}
    told = billing.send(Request(model="ir.actions.server", method="run", ids=(action,), context=context))["infos"]
    assert [result[1] for result in told["results"]] == ["done", "done"]
    made = {order: result[3] for order, result in zip((stands, undone), told["results"], strict=True)}
    with pytest.raises(NotSetUp, match="is version 1, this release speaks"):
        billing.perform(changes[fresh])

    assert {one.level for one in site.check()} == {Level.OK, Level.FAIL}
    site.carry_out(force=True)
    assert {one.level for one in site.check()} == {Level.OK}
    assert firm.read("ir.actions.server", action, "name")["name"] == name
    firm.call("account.move", "button_cancel", ids=[made[undone]])
    outcomes = billing.perform(*changes.values())
    assert [one.status for one in outcomes] == [ChangeStatus.ALREADY, ChangeStatus.DONE, ChangeStatus.DONE]
    assert outcomes[0].ref == Ref("account.move", made[stands])
    assert [len(invoices(firm, order)) for order in changes] == [1, 2, 1]


def test_what_is_asked_and_what_stands_in_odoo_speak_alike(billing: OdooClient) -> None:
    assert billing.receipts.check() == VERSION
    with pytest.raises(PurserError):
        billing.receipts.perform([OperationRequest(key="order/1/x", operation="order.confirm", id=1)])


def test_days_that_odoo_fills_in_are_those_of_the_bot_s_time_zone(enter: Enter, firm: Seeder) -> None:
    """Odoo computes the day of a milestone after the call, without its context: the zone of the user counts."""
    manager = enter("project.group_project_manager")
    (user,) = firm.call("res.users", "search", domain=[["login", "=", manager.door.login]])
    project = firm.create("project.project", name=f"P {firm.tag}", allow_milestones=True)
    days = {}
    for zone in ("Etc/GMT+12", "Pacific/Kiritimati"):  # 26 hours apart: never the same day
        firm.write("res.users", user, tz=zone)
        written, performed = (firm.create("project.milestone", name="M", project_id=project) for _ in range(2))
        change = Update(
            ref=Ref("project.milestone", written), expect={"is_reached": False}, values={"is_reached": True}
        )
        assert one(manager.apply([change])).status is ChangeStatus.DONE
        key = f"milestone/{performed}/reached"
        reach = RunOperation(operation="milestone.reach", on=Ref("project.milestone", performed), key=key)
        assert one(manager.perform(reach)).status is ChangeStatus.DONE
        own = {firm.read("project.milestone", ref, "reached_date")["reached_date"] for ref in (written, performed)}
        (days[zone],) = own
    assert days["Etc/GMT+12"] < days["Pacific/Kiritimati"]
