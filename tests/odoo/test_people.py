"""Who is absent today and who stands in for them, on a real Odoo 19."""

import datetime as dt

from odoo_client import OdooClient
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING, NAMED
from tests.odoo.seeding_people import Firm

DAY = dt.date(2026, 11, 10)  # a Tuesday
AS_OF = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)


def people(client: OdooClient, *users: int, as_of: dt.datetime = AS_OF) -> PersonIndex:
    return PersonIndex(client.snapshot(ASKING, as_of=as_of, tunables={NAMED: users}))


def test_somebody_on_approved_leave_is_passed_over_for_their_manager(staff: Firm, odoo: OdooClient) -> None:
    company = staff.company()
    office = staff.calendar(company)
    boss, worker, peer = (staff.user(company) for _ in range(3))
    boss_record = staff.employee(company, office, user_id=boss)
    away = staff.employee(company, office, user_id=worker, parent_id=boss_record)
    staff.employee(company, office, user_id=peer)
    staff.leave(company, away, DAY)
    known = people(odoo, worker, peer)
    assert (known.is_absent(worker), known.is_absent(peer)) == (True, False)
    assert known.first(worker, peer) == peer
    assert people(odoo, worker).first(worker) == boss
    assert people(odoo, worker, as_of=AS_OF + dt.timedelta(days=1)).first(worker) == worker
    staff.leave(company, boss_record, DAY)
    assert people(odoo, worker).first(worker) == worker  # nobody else is left


def test_time_of_type_other_is_no_absence(staff: Firm, odoo: OdooClient) -> None:
    company = staff.company()
    office, user = staff.calendar(company), staff.user(company)
    home = staff.employee(company, office, user_id=user)
    kind = staff.create(
        "hr.leave.type",
        company=company,
        name=staff.name("Home office"),
        company_id=company,
        requires_allocation=False,
        leave_validation_type="no_validation",
        time_type="other",
    )
    staff.create(
        "hr.leave",
        company=company,
        employee_id=home,
        holiday_status_id=kind,
        request_date_from=str(DAY),
        request_date_to=str(DAY),
    )
    found = staff.call("resource.calendar.leaves", "search_count", domain=[["holiday_id.employee_id", "=", home]])
    assert found == 1  # Odoo approved it, and it stands in the calendar
    assert not people(odoo, user).is_absent(user)


def test_archived_and_portal_users_may_not_be_asked(staff: Firm, odoo: OdooClient) -> None:
    company = staff.company()
    gone, active = staff.user(company), staff.user(company)
    staff.call("res.users", "write", ids=[gone], vals={"active": False})
    known = people(odoo, gone, active)
    assert (known.may_be_asked(gone), known.may_be_asked(active)) == (False, True)
    assert known.first(gone, active) == active
