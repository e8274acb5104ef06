"""A running fleet against the real Odoo, with a bot that has the documented rights."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devtools.local.rabbitmq_node import RabbitNode, serving
from tests.e2e.running import RunningFleet, running
from tests.houses import House, firm, house
from tests.odoo.seeding_people import Firm
from tests.rabbits import need_rabbitmq

__all__ = ["firm", "house"]

Start = Callable[..., RunningFleet]


@pytest.fixture
def start_fleet(house: House, firm: Firm, redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Set up a fleet for a policy. Make the firm's companies first: the bot must see them."""
    with ExitStack() as stack:

        def start(policies: Path, **environ: str) -> RunningFleet:
            login, key = house.bot(firm)
            settings = {
                "PURSER_BROKER_URL": redis_url,
                "PURSER_ODOO_URL": house.env.url,
                "PURSER_ODOO_DB": house.env.db,
                "PURSER_ODOO_LOGIN": login,
                "PURSER_ODOO_API_KEY": key,
                "PURSER_POLICIES": str(policies),
                "PURSER_LEASE": "3",
                "PURSER_HEARTBEAT": "0.5",
                **environ,
            }
            return stack.enter_context(running(settings, tmp_path))

        yield start


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """Run one RabbitMQ, with its management API, for all tests here that do not kill it."""
    need_rabbitmq()
    with serving(tmp_path_factory.mktemp("rabbit"), management=True) as node:
        yield node
