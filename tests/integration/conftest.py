"""A firm in an Odoo, a bot with the documented rights, and a calm fleet."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from config.settings import Settings
from tests.houses import House, firm, house
from tests.integration.calm import Calm
from tests.odoo.seeding_people import Firm

__all__ = ["firm", "house"]


@pytest.fixture
def calm(house: House, firm: Firm, redis_url: str) -> Iterator[Callable[[Path | None], Calm]]:
    """Open a calm fleet with a policy. Make the firm's companies first: the bot must see them."""
    with ExitStack() as stack:

        def open_(policies: Path | None) -> Calm:
            login, key = house.bot(firm)
            settings = Settings.load(
                need={"broker", "ledger", "odoo"},
                environ={
                    "PURSER_BROKER_URL": redis_url,
                    "PURSER_ODOO_URL": house.env.url,
                    "PURSER_ODOO_DB": house.env.db,
                    "PURSER_ODOO_LOGIN": login,
                    "PURSER_ODOO_API_KEY": key,
                },
            )
            made = Calm(settings, policies, dt.datetime.now(dt.UTC))
            stack.callback(made.fleet.disconnect)
            return made

        yield open_
