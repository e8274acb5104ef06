"""A running fleet against the real Odoo, with a bot that has the documented rights."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import OdooEnv
from tests.e2e.bot import make_bot
from tests.e2e.running import RunningFleet, running
from tests.odoo.seeding_people import Firm

Start = Callable[..., RunningFleet]


@pytest.fixture
def firm(odoo_env: OdooEnv) -> Iterator[Firm]:
    """Give a firm of its own in the real Odoo."""
    with Firm(odoo_env) as made:
        yield made


@pytest.fixture
def start_fleet(odoo_env: OdooEnv, firm: Firm, redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Set up a fleet for a policy. Make the firm's companies first: the bot must see them."""
    with ExitStack() as stack:

        def start(policies: Path, **environ: str) -> RunningFleet:
            login, key = make_bot(firm)
            settings = {
                "PURSER_BROKER_URL": redis_url,
                "PURSER_ODOO_URL": odoo_env.url,
                "PURSER_ODOO_DB": odoo_env.db,
                "PURSER_ODOO_LOGIN": login,
                "PURSER_ODOO_API_KEY": key,
                "PURSER_POLICIES": str(policies),
                "PURSER_VISIBILITY_TIMEOUT": "5",
                **environ,
            }
            return stack.enter_context(running(settings, tmp_path))

        yield start
