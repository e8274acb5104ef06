"""A short storm on RabbitMQ: a real fleet is struck by faults drawn by chance, and nothing is lost or doubled."""

from pathlib import Path

import pytest

from tests.e2e.storms import check_storm
from tests.rabbits import need_rabbitmq

pytestmark = [pytest.mark.slow, pytest.mark.redis]


@pytest.mark.timeout(600)
def test_fleet_on_rabbitmq_loses_and_doubles_nothing_in_a_short_storm(tmp_path: Path) -> None:
    need_rabbitmq()
    check_storm("rabbitmq", 15, tmp_path)
