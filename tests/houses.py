"""An Odoo to run a whole fleet against: the twin on any machine, the real one where there is one."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from devtools.fake_odoo import FakeOdoo
from tests.conftest import OdooEnv
from tests.e2e.bot import GROUPS, make_bot
from tests.odoo.seeding_people import Firm

PARAMS = ["twin", pytest.param("real", marks=pytest.mark.odoo)]


@dataclass(frozen=True)
class House:
    """One Odoo, and how to hire a bot with the documented rights in it: login and key."""

    env: OdooEnv
    bot: Callable[[Firm], tuple[str, str]]
    twin: FakeOdoo | None = None


def open_house(request: pytest.FixtureRequest, kind: str = "") -> House:
    """Return the Odoo of this kind, or that a fixture's parameter names."""
    if (kind or request.param) == "real":
        return House(request.getfixturevalue("odoo_env"), make_bot)
    twin = FakeOdoo()
    twin.start()
    request.addfinalizer(twin.stop)

    def bot(firm: Firm) -> tuple[str, str]:
        login, key = firm.name("bot").replace(" ", "."), secrets.token_hex(20)
        companies = [row["id"] for row in twin.rows("res.company")]
        twin.add_user(login, key, GROUPS, companies=companies)
        return login, key

    return House(OdooEnv(url=twin.url, db=twin.db, login="admin", api_key=twin.admin_key), bot, twin)


@pytest.fixture(params=PARAMS)
def house(request: pytest.FixtureRequest) -> House:
    """Return the Odoo; one parameter for each kind."""
    return open_house(request)


@pytest.fixture
def firm(house: House) -> Iterator[Firm]:
    """Yield a firm of its own in it."""
    with Firm(house.env) as made:
        yield made
