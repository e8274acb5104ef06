"""A deal that is won in Odoo ends as changes in Odoo, although nobody was there to be told."""

from pathlib import Path

import pytest
import yaml

from tasks.discovery import load_registry
from tests.e2e.conftest import Start
from tests.odoo.seeding_people import Firm
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("house", [pytest.param("real", marks=pytest.mark.odoo)], indirect=True)
def test_a_deal_won_while_no_worker_ran_is_told_by_the_feed(firm: Firm, start_fleet: Start, tmp_path: Path) -> None:
    firm.company()
    declared = load_registry()
    off = {"enabled": False}
    policies = {
        "version": 1,
        "controls": dict.fromkeys(declared.controls, off),
        "watches": {**dict.fromkeys(declared.watches, off), "opportunities": {"every": "every 2 seconds"}},
    }
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(policies))
    fleet = start_fleet(tmp_path / "p.yaml")
    worker = fleet.worker("first")
    fleet.beat()
    wait_until(lambda: fleet.ledger.cursors.get("feed/opportunities"), within=40, what="the watching to begin")
    fleet.kill(worker)

    name = firm.name("Deal")
    lead = firm.create("crm.lead", name=name, contact_name=name, type="opportunity")
    firm.call("crm.lead", "action_set_won", ids=[lead])

    fleet.worker("second")
    made = [("name", "=", name)]
    wait_until(lambda: firm.call("project.project", "search", domain=made), within=40, what="its project")
    wait_until(lambda: not fleet.ledger.inbox.count(), within=20, what="all that follows from it")
    assert firm.call("project.project", "search_count", domain=made) == 1
    assert fleet.ledger.letters.count() == 0
