"""What a real Odoo 19 does to the row of an absence when a request is moved, and what is told of it."""

import datetime as dt

from odoo_client import OdooClient
from tasks.automations.ask_about_leave import ask_about_leave
from tasks.watchers.leaves import CalendarAbsence, CancelledLeave, absences, leaves
from tests.odoo.seeding_people import Firm

NOW = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
FIRST, LATER = dt.date(2027, 1, 12), dt.date(2027, 1, 19)


def told(odoo: OdooClient, leave: int) -> list[str]:
    """Return the identities of what the two watches tell of a request."""
    rows = odoo.look(CalendarAbsence, [("holiday_id", "=", leave)], as_of=NOW).rows
    called_off = odoo.look(CancelledLeave, [("id", "=", leave)], as_of=NOW).rows
    facts = [fact for row in rows for fact in absences(row, NOW)] + [
        fact for row in called_off for fact in leaves(row, NOW)
    ]
    return [fact.identity for fact in facts]


def asked(odoo: OdooClient, leave: int) -> list[str]:
    (fact,) = (
        fact
        for row in odoo.look(CalendarAbsence, [("holiday_id", "=", leave)], as_of=NOW).rows
        for fact in absences(row, NOW)
    )
    read = odoo.snapshot(ask_about_leave.reads, as_of=NOW, event=fact)
    return [str(getattr(change, "key", "")) for change in ask_about_leave(fact, read)]


def test_a_request_that_is_moved_or_approved_once_more_is_told_and_asked_anew(staff: Firm, odoo: OdooClient) -> None:
    company = staff.company()
    user = staff.user(company)
    person = staff.employee(company, staff.calendar(company), user_id=user)
    project = staff.create("project.project", company=company, name=staff.name("Project"), company_id=company)
    for day in (FIRST, LATER):
        staff.create(
            "project.task",
            company=company,
            name=staff.name("Task"),
            project_id=project,
            user_ids=[[6, 0, [user]]],
            date_deadline=f"{day} 11:00:00",
        )
    leave = staff.leave(company, person, FIRST)
    seen, questions = [told(odoo, leave)], [asked(odoo, leave)]
    for days in ({}, {"request_date_from": str(LATER), "request_date_to": str(LATER)}):
        staff.call("hr.leave", "action_refuse", ids=[leave])
        seen.append(told(odoo, leave))
        staff.call("hr.leave", "write", ids=[leave], vals={"state": "confirm"})
        if days:
            staff.call("hr.leave", "write", ids=[leave], vals=days)
        staff.call("hr.leave", "action_approve", ids=[leave])
        seen.append(told(odoo, leave))
        questions.append(asked(odoo, leave))
    assert [len(one) for one in seen] == [1] * 5
    approvals = [one[0] for one in seen[::2]]
    assert len(set(approvals)) == 3, approvals
    refusals = [one[0] for one in seen[1::2]]
    assert all("leave.cancelled" in one for one in refusals)
    assert len(set(refusals)) == 2, "refused twice for the same days"
    assert [len(one) for one in questions] == [1, 1, 1]
    assert len({one[0] for one in questions}) == 3, questions
