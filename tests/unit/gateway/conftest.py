"""Every test has a gateway of its own."""

import pytest

from tests.unit.gateway.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()
