"""What people do in Odoo is told by a look and by the change feed alike, each its own fact and no other."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from purser.findings import Ref
from tests.houses import House
from tests.integration.calm import Calm
from tests.odoo.seeding_people import Firm
from tests.odoo.seeding_sales import Seeder
from workers.changes import detect, feed
from workers.events import react

Open = Callable[[Path | None], Calm]


@dataclass
class Line:
    """Keeps what is sent."""

    sent: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)

    def __call__(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        self.sent.append((task, kwargs, str(options.get("task_id", ""))))

    def events(self, about: set[Ref]) -> dict[str, dict[str, Any]]:
        """Return the events about some records, by id; the database is shared, so there may be others."""
        names = {str(ref) for ref in about}
        told = [kwargs["event"] for task, kwargs, _ in self.sent if task == "purser.accept"]
        return {event["id"]: event for event in told if event["subject"] in names}


@dataclass
class Desk:
    """A firm's work that waits for somebody to act, and how each of them is done."""

    house: House
    firm: Firm
    company: int
    refs: dict[str, Ref] = field(default_factory=dict)
    acts: dict[str, Callable[[], object]] = field(default_factory=dict)

    def make(self, what: str, model: str, **values: Any) -> Ref:
        self.refs[what] = Ref(model, self.firm.create(model, **values))
        return self.refs[what]

    def write(self, ref: Ref, **values: Any) -> Callable[[], object]:
        return lambda: self.firm.call(ref.model, "write", ids=[ref.id], vals=values)

    def call(self, ref: Ref, method: str) -> Callable[[], object]:
        return lambda: self.firm.call(ref.model, method, ids=[ref.id])


def at_the_twin(desk: Desk) -> None:
    """The twin runs no method: what Odoo would store is written."""
    twin = desk.house.twin
    assert twin is not None
    now = dt.datetime.now(dt.UTC)
    stamp = f"{now:%Y-%m-%d %H:%M:%S}"

    def store(ref: Ref, **values: Any) -> Callable[[], object]:
        return lambda: twin.update(ref.model, ref.id, values)

    lead = desk.make("lead", "crm.lead", name=desk.firm.name("Deal"))
    stage = desk.firm.find("crm.stage", ("is_won", "=", True))
    desk.acts["lead"] = store(lead, won_status="won", probability=100, stage_id=stage, date_closed=stamp)
    project = desk.firm.create("project.project", name=desk.firm.name("Project"), company_id=desk.company)
    milestone = desk.make("milestone", "project.milestone", name="Step", project_id=project)
    desk.acts["milestone"] = store(milestone, is_reached=True, reached_date=f"{now:%Y-%m-%d}")
    invoice = desk.make("invoice", "account.move", move_type="out_invoice", company_id=desk.company)
    desk.acts["invoice"] = store(invoice, state="posted", name=desk.firm.name("INV").replace(" ", "/"))


def at_the_real_one(desk: Desk) -> None:
    """People press buttons."""
    firm = desk.firm
    lead = desk.make("lead", "crm.lead", name=firm.name("Deal"), type="opportunity")
    desk.acts["lead"] = desk.call(lead, "action_set_won")
    lost = desk.make("lost", "crm.lead", name=firm.name("No deal"), type="opportunity")
    desk.acts["lost"] = desk.call(lost, "action_set_lost")
    project = firm.create("project.project", name=firm.name("Project"), allow_milestones=True)
    milestone = desk.make("milestone", "project.milestone", name="Step", project_id=project)
    desk.acts["milestone"] = desk.write(milestone, is_reached=True)
    seeder = Seeder(desk.house.env)
    invoice = desk.refs["invoice"] = Ref("account.move", seeder.move("out_invoice", 100.0))
    desk.acts["invoice"] = lambda: seeder.post(invoice.id)
    employee = firm.employee(desk.company, firm.calendar(desk.company))
    kind = firm.create(
        "hr.leave.type",
        company=desk.company,
        name=firm.name("Leave"),
        company_id=desk.company,
        requires_allocation=False,
        leave_validation_type="hr",
    )
    monday = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=14)
    monday -= dt.timedelta(days=monday.weekday())
    leave = desk.make(
        "leave",
        "hr.leave",
        company=desk.company,
        employee_id=employee,
        holiday_status_id=kind,
        request_date_from=str(monday),
        request_date_to=str(monday),
    )
    context = {"allowed_company_ids": [desk.company]}
    desk.acts["leave"] = lambda: firm.call("hr.leave", "action_approve", ids=[leave.id], context=context)


TOLD = {
    "lead": "opportunity.won.v1",
    "lost": "opportunity.lost.v1",
    "milestone": "milestone.approved.v1",
    "invoice": "invoice.posted.v1",
    "leave": "leave.approved.v1",
}
FEEDS = ("opportunities", "milestones", "invoices", "leaves", "absences")


@pytest.fixture
def desk(house: House, firm: Firm) -> Desk:
    made = Desk(house, firm, firm.company())
    (at_the_real_one if house.twin is None else at_the_twin)(made)
    return made


def absence_of(desk: Desk, leave: Ref) -> Ref:
    """Return what the bot may see of somebody else's leave: it is no time-off officer."""
    return Ref("resource.calendar.leaves", desk.firm.find("resource.calendar.leaves", ("holiday_id", "=", leave.id)))


def test_each_act_is_told_as_its_fact_by_feed_and_look_under_one_identity(calm: Open, desk: Desk) -> None:
    made = calm(None)
    fleet, line = made.fleet, Line()
    fleet.publish = line

    def feed_all() -> dict[str, dict[str, Any]]:
        made.moment = max(made.moment + dt.timedelta(minutes=5), dt.datetime.now(dt.UTC))
        line.sent.clear()
        for name in FEEDS:
            feed.run_slot(fleet, name, holder=f"{name} {made.moment}")
        return line.events(set(desk.refs.values()))

    made.moment = dt.datetime.now(dt.UTC)
    feed_all()  # the watching begins
    assert line.events(set(desk.refs.values())) == {}, "nothing has happened yet"
    for act in desk.acts.values():
        act()
    by_feed = feed_all()
    line.sent.clear()
    for ref in desk.refs.values():
        seen = absence_of(desk, ref) if ref.model == "hr.leave" else ref
        detect.detect(fleet, seen.model, seen.id)
    by_look = line.events(set(desk.refs.values()))

    wanted = sorted((TOLD[name], str(ref)) for name, ref in desk.refs.items())
    assert sorted((event["type"], event["subject"]) for event in by_feed.values()) == wanted
    assert {name: event["source"] for name, event in by_look.items()} == dict.fromkeys(
        by_feed, f"/odoo/{desk.house.env.db}"
    )
    assert all(event["id"].count("/") >= 3 for event in by_feed.values()), "each has its mark"

    for event in by_look.values():
        react.accept(fleet, event, holder="x")
    assert feed_all() == {}, "what was accepted is not sent again"
    desk.firm.call("crm.lead", "write", ids=[desk.refs["lead"].id], vals={"contact_name": "Ada"})
    assert feed_all() == {}, "nor for a later write that makes nothing new true"
