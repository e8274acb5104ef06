"""Where the twin and a real Odoo differ, the twin is wrong."""

import pytest

from tests.contract.fake_odoo.conftest import OdooSide, TwinSide, shown
from tests.contract.fake_odoo.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_twin_answers_as_odoo_does(scenario: Scenario, odoo_side: OdooSide, twin_side: TwinSide) -> None:
    real, ours = shown(scenario(odoo_side)), shown(scenario(twin_side))
    assert ours == real
