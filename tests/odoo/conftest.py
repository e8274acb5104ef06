"""A door to the real Odoo 19, and a customer with documents of its own in it."""

from collections.abc import Iterator

import pytest

from odoo_client import OdooClient, OdooConnection, connect
from tests.conftest import OdooEnv
from tests.odoo.seeding_people import Firm
from tests.odoo.seeding_sales import Seeder


@pytest.fixture
def odoo(odoo_env: OdooEnv) -> Iterator[OdooClient]:
    """Open the door as administrator."""
    door = OdooConnection(url=odoo_env.url, db=odoo_env.db, login=odoo_env.login, api_key=odoo_env.api_key)
    with connect(door) as client:
        yield client


@pytest.fixture
def firm(odoo_env: OdooEnv) -> Iterator[Seeder]:
    """Make a customer, a salesperson and an employee."""
    seeder = Seeder(odoo_env)
    yield seeder
    seeder.close()


@pytest.fixture
def staff(odoo_env: OdooEnv) -> Iterator[Firm]:
    """Seed a firm whose people have calendars, managers and absences."""
    with Firm(odoo_env) as firm:
        yield firm
