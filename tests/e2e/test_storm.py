"""A short storm on Redis: a real fleet is struck by faults drawn by chance, and nothing is lost or doubled."""

from pathlib import Path

import pytest

from tests.e2e.storms import check_storm

pytestmark = [pytest.mark.slow, pytest.mark.redis]


@pytest.mark.timeout(600)
def test_fleet_on_redis_loses_and_doubles_nothing_in_a_short_storm(tmp_path: Path) -> None:
    check_storm("redis", 30, tmp_path)
