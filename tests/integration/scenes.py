"""What an automation meets in an Odoo: a piece of business, the fact that was told of it, and what is looked at.

Each scene is made anew each time, beside those before it, in the twin as in a real Odoo. The twin computes nothing,
so it is told what Odoo would have computed.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from events.billing import BillingReady, InvoicePosted, PaymentMissed
from events.employee import LeaveApproved
from events.event import Event
from events.opportunity import OpportunityWon
from events.project import MilestoneApproved
from purser.findings import Period
from tests.odoo.seeding_people import Firm
from tests.odoo.seeding_sales import Seeder

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One piece of business. `told` are the facts by which it may be told, all of them the same news."""

    told: Sequence[Event]
    desks: Sequence[tuple[str, int]]
    """The records whose activities and notes are looked at; those of `found` come on top."""
    found: Callable[[], Sequence[tuple[str, int]]] = tuple
    more: Callable[[], Any] = lambda: None
    """What else is to be the same, without ids."""
    computes: Callable[[], None] = lambda: None
    """What Odoo works out after each change, and the twin does not."""
    take_back: Callable[[], None]
    """What people do that makes the fact untrue again."""
    late: Sequence[Event] = ()
    """What is told too late then, where it is something else than `told`."""
    by_hand: Callable[[], None] = lambda: None
    """What people change afterwards, and nobody overwrites."""


@dataclass
class Stage:
    """One Odoo in which scenes are made."""

    seeder: Seeder
    firm: Firm
    is_real: bool
    role: int | None = None
    """A role in projects that the policy gives to the salesperson."""
    made: int = field(default=0)

    def name(self, word: str) -> str:
        """Return a name that no other scene has."""
        self.made += 1
        return f"{word} {self.seeder.tag}-{self.made}"

    def create(self, model: str, **values: Any) -> int:
        return self.seeder.create(model, **values)

    def computed(self, **values: Any) -> Values:
        """Return what Odoo computes and the twin must be told."""
        return {} if self.is_real else values

    def do(self, model: str, method: str, id_: int, twin: Values, **context: Any) -> None:
        """Let people press a button; the twin is told what comes of it."""
        if self.is_real:
            self.seeder.call(model, method, ids=[id_], context=context)
        else:
            self.seeder.write(model, id_, **twin)

    def rows(self, model: str, domain: list[Any], *fields: str) -> list[Values]:
        found: list[Values] = self.seeder.call(
            model,
            "search_read",
            domain=domain,
            fields=list(fields),
            load="",
            order="id",
            context={"active_test": False},
        )
        return found

    def look(self, scene: Scene) -> Mapping[str, Any]:
        """Return what there is, in words that are the same for each scene of a kind."""
        desks = (*scene.desks, *scene.found())
        return {
            "activities": sorted(self._activity(one) for model, id_ in desks for one in self.activities(model, id_)),
            "notes": sorted(_wordless(row["body"]) for model, id_ in desks for row in self._notes(model, id_)),
            "more": scene.more(),
        }

    def activities(self, model: str, id_: int) -> list[Values]:
        return self.rows(
            "mail.activity",
            [["res_model", "=", model], ["res_id", "=", id_]],
            *("summary", "note", "user_id", "date_deadline", "active", "res_model"),
        )

    def _activity(self, row: Values) -> tuple[Any, ...]:
        words = _wordless(f"{row['summary']} {row['note']}")
        return row["res_model"], words, row["user_id"] or 0, row["date_deadline"], row["active"]

    def _notes(self, model: str, id_: int) -> list[Values]:
        """Return the notes of the bot: Odoo writes some of its own, whose number is no business of ours."""
        domain = [["model", "=", model], ["res_id", "=", id_], ["subtype_id.internal", "=", True]]
        rows = self.rows("mail.message", domain, "body")
        return [row for row in rows if "Reached." in row["body"] or "Ready to be billed" in row["body"]]


def _wordless(text: str) -> str:
    """Leave out the numbers, which are other ones in each scene."""
    return re.sub(r"\d+", "#", text)


# --------------------------------------------------------------------------- opportunities --


def won(stage: Stage) -> Scene:
    """An opportunity is won, and there is a template for what was sold."""
    name, customer = stage.name("Deal"), stage.name("Customer")
    service = stage.name("Audit")
    tag = stage.create("crm.tag", name=service)
    template = stage.create("project.project", name=service, is_template=True, allow_milestones=True)
    played = {"role_ids": [[6, 0, [stage.role]]]} if stage.role else {}
    stage.create("project.task", name="Interviews", project_id=template, **played)
    stage.create("project.milestone", name="Report", project_id=template)
    own = {"partner_name": customer, "user_id": stage.seeder.salesperson, "type": "opportunity"}
    lead = stage.create("crm.lead", name=name, tag_ids=[[6, 0, [tag]]], **own)
    is_won = stage.rows("crm.stage", [["is_won", "=", True]], "id")[0]["id"]
    other = stage.rows("crm.stage", [["is_won", "=", False]], "id")[0]["id"]
    stage.seeder.write("crm.lead", lead, stage_id=is_won, probability=100, **stage.computed(won_status="won"))

    def projects() -> list[tuple[str, int]]:
        return [("project.project", row["id"]) for row in stage.rows("project.project", [["name", "=", name]], "id")]

    def more() -> Any:
        partner = stage.seeder.read("crm.lead", lead, "partner_id")["partner_id"]
        known = stage.rows("res.partner", [["name", "=", customer]], "id", "is_company")
        ids = [id_ for _, id_ in projects()]
        found = stage.rows("project.task", [["project_id", "in", ids]], "name", "user_ids")
        tasks = [(row["name"], row["user_ids"]) for row in found]
        steps = [row["name"] for row in stage.rows("project.milestone", [["project_id", "in", ids]], "name")]
        owned = [
            row["partner_id"] == partner for row in stage.rows("project.project", [["id", "in", ids]], "partner_id")
        ]
        return len(known), [row["id"] == partner for row in known], owned, tasks, steps

    def by_hand() -> None:
        for _, id_ in projects():
            stage.seeder.write("project.project", id_, user_id=stage.seeder.salesperson, allocated_hours=40)

    closed = stage.rows("crm.lead", [["id", "=", lead]], "date_closed")[0]["date_closed"]
    marked = dt.datetime.fromisoformat(closed).replace(tzinfo=dt.UTC) if closed else None
    return Scene(
        told=(OpportunityWon(opportunity_id=lead), OpportunityWon(opportunity_id=lead, closed_at=marked)),
        desks=(("crm.lead", lead),),
        found=projects,
        more=more,
        take_back=lambda: stage.seeder.write(
            "crm.lead", lead, stage_id=other, probability=20, **stage.computed(won_status="pending")
        ),
        by_hand=by_hand,
    )


# ---------------------------------------------------------------------------------- orders --


def _order(stage: Stage, price: float) -> tuple[int, int, int]:
    """Make a confirmed order of ten units that two milestones deliver; give order, line and first milestone."""
    seeder = stage.seeder
    if stage.is_real:
        product = seeder.product("delivery", "milestones", unit="uom.product_uom_unit")
        order = seeder.order({"product_id": product, "product_uom_qty": 10, "price_unit": price})
        line = seeder.lines(order)[0]
        id_, project = line["id"], line["project_id"]
        milestone = stage.rows("project.milestone", [["sale_line_id", "=", id_]], "id")[0]["id"]
        seeder.write("project.milestone", milestone, product_uom_qty=4)
        stage.create("project.milestone", name="Rest", project_id=project, sale_line_id=id_, quantity_percentage=0.6)
        return order, id_, milestone
    currency = stage.rows("res.currency", [], "id")[0]["id"]
    money = {"currency_id": currency, "partner_invoice_id": seeder.customer}
    product = stage.create("product.product", name=stage.name("Product"), type="service")
    order = seeder.quotation(
        {"product_id": product, "product_uom_qty": 10, "price_unit": price}, state="sale", **money
    )
    id_ = stage.rows("sale.order.line", [["order_id", "=", order]], "id")[0]["id"]
    values = {"qty_delivered_method": "milestones", "price_reduce_taxexcl": price, "invoice_status": "no"}
    seeder.write("sale.order.line", id_, **values)
    project = stage.create("project.project", name=stage.name("Project"))
    first, _ = (
        stage.create(
            "project.milestone", name="Step", project_id=project, sale_line_id=id_, quantity_percentage=share
        )
        for share in (0.4, 0.6)
    )
    return order, id_, first


def _cancel(stage: Stage, order: int) -> None:
    stage.do("sale.order", "action_cancel", order, {"state": "cancel"}, disable_cancel_warning=True)


def approved(stage: Stage) -> Scene:
    """A milestone is approved elsewhere, with evidence."""
    order, line, milestone = _order(stage, 100)

    def more() -> Any:
        delivered = stage.seeder.read("sale.order.line", line, "qty_delivered")["qty_delivered"]
        return stage.seeder.read("project.milestone", milestone, "is_reached")["is_reached"], delivered

    def computes() -> None:
        if not stage.is_real:
            reached = stage.seeder.read("project.milestone", milestone, "is_reached")["is_reached"]
            stage.seeder.write("sale.order.line", line, qty_delivered=4 if reached else 0)

    def by_hand() -> None:
        stage.seeder.write("project.milestone", milestone, is_reached=False)
        computes()

    return Scene(
        told=(MilestoneApproved(milestone_id=milestone, evidence="Protocol signed"),),
        desks=(("project.milestone", milestone), ("sale.order", order)),
        more=more,
        computes=computes,
        take_back=lambda: None,  # nobody has it ticked, whatever somebody saw
        late=(MilestoneApproved(milestone_id=milestone, reached_on=dt.datetime.now(dt.UTC).date()),),
        by_hand=by_hand,
    )


def _ready(stage: Stage, price: float) -> Scene:
    order, line, milestone = _order(stage, price)
    delivered = {"qty_delivered": 4, "qty_to_invoice": 4, "invoice_status": "to invoice"}
    stage.seeder.write("project.milestone", milestone, is_reached=True)
    if not stage.is_real:
        stage.seeder.write("sale.order.line", line, **delivered)

    def more() -> Any:
        ids = stage.seeder.read("sale.order", order, "invoice_ids")["invoice_ids"]
        return [
            (row["state"], row["move_type"], row["amount_untaxed"])
            for row in stage.rows("account.move", [["id", "in", ids]], "state", "move_type", "amount_untaxed")
        ]

    return Scene(
        told=(BillingReady(order_id=order, cause=f"milestone/{milestone}/2026-11-26"),),
        desks=(("sale.order", order),),
        more=more,
        take_back=lambda: _cancel(stage, order),
    )


def ready(stage: Stage) -> Scene:
    """An order can be billed, and nothing speaks against a draft."""
    return _ready(stage, 100)


def ready_and_large(stage: Stage) -> Scene:
    """An order can be billed, and finance should look first."""
    return _ready(stage, 100_000)


# -------------------------------------------------------------------------------- invoices --


def _invoice(stage: Stage, day: dt.date) -> tuple[int, int]:
    """Make a posted invoice of an order, due on the day it bears."""
    seeder = stage.seeder
    if stage.is_real:
        order, _, milestone = _order(stage, 100)
        seeder.write("project.milestone", milestone, is_reached=True)
        invoice = seeder.draft_invoice(order)
        seeder.write("account.move", invoice, invoice_date=day.isoformat(), invoice_payment_term_id=False)
        seeder.write("account.move", invoice, invoice_date_due=day.isoformat())
        seeder.post(invoice)
        return order, invoice
    order = seeder.quotation()
    currency = stage.rows("res.currency", [], "id")[0]["id"]
    owed = {"state": "posted", "payment_state": "not_paid", "amount_residual": 400, "currency_id": currency}
    whose = {"partner_id": seeder.customer, "invoice_user_id": seeder.salesperson}
    when = {"invoice_date": day.isoformat(), "invoice_date_due": day.isoformat()}
    invoice = stage.create("account.move", name=stage.name("INV"), move_type="out_invoice", **owed, **whose, **when)
    seeder.write("sale.order", order, invoice_ids=[[6, 0, [invoice]]])
    return order, invoice


def posted(stage: Stage) -> Scene:
    """An invoice is posted."""
    order, invoice = _invoice(stage, dt.datetime.now(dt.UTC).date())
    number = stage.seeder.read("account.move", invoice, "name")["name"]
    return Scene(
        told=(InvoicePosted(invoice_id=invoice, number=number), InvoicePosted(invoice_id=invoice)),
        desks=(("sale.order", order),),
        take_back=lambda: stage.do("account.move", "button_draft", invoice, {"state": "draft"}),
    )


def missed(stage: Stage) -> Scene:
    """An invoice should have been paid three weeks ago."""
    order, invoice = _invoice(stage, dt.datetime.now(dt.UTC).date() - dt.timedelta(days=20))
    return Scene(
        told=(PaymentMissed(invoice_id=invoice, level=2), PaymentMissed(invoice_id=invoice)),
        desks=(("sale.order", order),),
        take_back=lambda: stage.do("account.move", "button_draft", invoice, {"state": "draft"}),
    )


# ---------------------------------------------------------------------------------- people --


def away(stage: Stage) -> Scene:
    """Somebody with a task that is due next Tuesday is away from Monday to Wednesday."""
    seeder = stage.seeder
    monday = Period.week_of(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=7)).first
    people = [(user, stage.create("hr.employee", name=stage.name("E"), user_id=user)) for user in _users(stage, 2)]
    (mine, person), (other, _) = people
    project = stage.create("project.project", name=stage.name("Project"), user_id=seeder.salesperson)
    due = {"date_deadline": f"{monday + dt.timedelta(days=1)} 12:00:00", "project_id": project}
    task = stage.create("project.task", name="Report", user_ids=[[6, 0, [mine]]], **due)
    stage.create("project.task", name="Other", user_ids=[[6, 0, [other]]], project_id=project)
    stage.create("project.task", name="Done", user_ids=[[6, 0, [mine]]], state="1_done", **due)
    last = monday + dt.timedelta(days=2)
    if stage.is_real:
        company = seeder.read("hr.employee", person, "company_id")["company_id"]
        leave = stage.firm.leave(company, person, monday, last)
    else:
        leave = stage.create("hr.leave", employee_id=person, state="validate")
        resource = seeder.read("hr.employee", person, "resource_id")["resource_id"]
        span = {"date_from": f"{monday} 07:00:00", "date_to": f"{last} 16:00:00"}
        stage.create("resource.calendar.leaves", name="away", resource_id=resource, holiday_id=leave, **span)

    def take_back() -> None:
        if stage.is_real:
            seeder.call("hr.leave", "action_refuse", ids=[leave])
            return
        gone = stage.rows("resource.calendar.leaves", [["holiday_id", "=", leave]], "id")
        seeder.call("resource.calendar.leaves", "unlink", ids=[row["id"] for row in gone])

    return Scene(
        told=(LeaveApproved(leave_id=leave, state="validate", absence="1"), LeaveApproved(leave_id=leave)),
        desks=(("project.task", task),),
        take_back=take_back,
    )


def _users(stage: Stage, count: int) -> list[int]:
    return [stage.seeder.user("works") for _ in range(count)]


SCENES: Mapping[str, tuple[str, Callable[[Stage], Scene]]] = {
    "won": ("open-project", won),
    "milestone": ("reach-milestone", approved),
    "ready": ("draft-invoice", ready),
    "large": ("draft-invoice", ready_and_large),
    "posted": ("follow-up-invoice", posted),
    "missed": ("review-account", missed),
    "leave": ("ask-about-leave", away),
}
"""The automation of each scene, and how it is made."""
