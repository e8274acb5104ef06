"""Who is absent today and who stands in for them, on a real Odoo 19."""

import datetime as dt
from collections.abc import Iterator

import pytest

from odoo_client import Door, OdooClient, connect
from tasks.people import People
from tasks.rows.askable import ASKING, NAMED
from tests.conftest import OdooEnv
from tests.odoo.seeding_people import Firm

DAY = dt.date(2026, 11, 10)  # a Tuesday
AS_OF = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)


@pytest.fixture
def firm(odoo_env: OdooEnv) -> Iterator[Firm]:
    """Seed a firm of its own."""
    with Firm(odoo_env) as firm:
        yield firm


@pytest.fixture
def reader(odoo_env: OdooEnv) -> Iterator[OdooClient]:
    """Connect as administrator."""
    door = Door(url=odoo_env.url, db=odoo_env.db, login=odoo_env.login, api_key=odoo_env.api_key)
    with connect(door) as client:
        yield client


def people(client: OdooClient, *users: int, as_of: dt.datetime = AS_OF) -> People:
    return People(client.snapshot(ASKING, as_of=as_of, tunables={NAMED: users}))


def test_somebody_on_approved_leave_is_passed_over_for_their_manager(firm: Firm, reader: OdooClient) -> None:
    company = firm.company()
    office = firm.calendar(company)
    boss, worker, peer = (firm.user(company) for _ in range(3))
    boss_record = firm.employee(company, office, user_id=boss)
    away = firm.employee(company, office, user_id=worker, parent_id=boss_record)
    firm.employee(company, office, user_id=peer)
    firm.leave(company, away, DAY)
    known = people(reader, worker, peer)
    assert (known.is_absent(worker), known.is_absent(peer)) == (True, False)
    assert known.first(worker, peer) == peer
    assert people(reader, worker).first(worker) == boss
    assert people(reader, worker, as_of=AS_OF + dt.timedelta(days=1)).first(worker) == worker
    firm.leave(company, boss_record, DAY)
    assert people(reader, worker).first(worker) == worker  # nobody else is left


def test_time_of_type_other_is_no_absence(firm: Firm, reader: OdooClient) -> None:
    company = firm.company()
    office, user = firm.calendar(company), firm.user(company)
    home = firm.employee(company, office, user_id=user)
    kind = firm.create(
        "hr.leave.type",
        company=company,
        name=firm.name("Home office"),
        company_id=company,
        requires_allocation=False,
        leave_validation_type="no_validation",
        time_type="other",
    )
    firm.create(
        "hr.leave",
        company=company,
        employee_id=home,
        holiday_status_id=kind,
        request_date_from=str(DAY),
        request_date_to=str(DAY),
    )
    found = firm.call("resource.calendar.leaves", "search_count", domain=[["holiday_id.employee_id", "=", home]])
    assert found == 1  # Odoo approved it, and it stands in the calendar
    assert not people(reader, user).is_absent(user)


def test_archived_and_portal_users_may_not_be_asked(firm: Firm, reader: OdooClient) -> None:
    company = firm.company()
    gone, active = firm.user(company), firm.user(company)
    firm.call("res.users", "write", ids=[gone], vals={"active": False})
    known = people(reader, gone, active)
    assert (known.may_be_asked(gone), known.may_be_asked(active)) == (False, True)
    assert known.first(gone, active) == active
