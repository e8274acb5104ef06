"""Checks of `purser doctor` whose answer depends on values alone."""

from types import SimpleNamespace
from typing import Any

import pytest

from config.settings import BotRole
from workers.doctor.checks import BotUser, Level, timezones


def bot(zone: str | None, *roles: BotRole) -> BotUser:
    me: Any = SimpleNamespace(tz=zone)
    client: Any = None
    return BotUser(roles=roles, login="purser", client=client, me=me)


@pytest.mark.parametrize(
    ("zone", "firm", "roles", "warns"),
    [
        ("Europe/Berlin", "Europe/Berlin", (BotRole.CHANGE,), False),
        ("Europe/Berlin", "Asia/Tokyo", (BotRole.CHANGE,), True),
        ("Europe/Berlin", "Asia/Tokyo", (BotRole.AUDIT,), False),
        ("Europe/Berlin", "Asia/Tokyo", (BotRole.AUDIT, BotRole.BILLING), True),
        (None, "UTC", (BotRole.CHANGE,), False),
        (None, "Europe/Berlin", (BotRole.BILLING,), True),
    ],
)
def test_doctor_warns_of_a_writing_bot_in_another_time_zone_than_the_firm(
    zone: str | None, firm: str, roles: tuple[BotRole, ...], warns: bool
) -> None:
    checks = list(timezones([bot(zone, *roles)], firm))
    assert [one.level for one in checks] == [Level.WARN] * warns
    assert all(firm in one.what_to_do and "purser odoo setup --force" in one.what_to_do for one in checks)
