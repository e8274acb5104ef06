"""Automations are explained without any setting, and only fed with what they react to."""

import json
from pathlib import Path

from tests.unit.console.conftest import Purser
from tests.unit.console.test_events import WON


def test_automations_are_listed_with_the_fact_they_react_to(purser: Purser) -> None:
    told = json.loads(purser("automations", "list", "--json").stdout)
    assert ("open-project", "opportunity.won.v1") in [(one["name"], one["on"]) for one in told]
    assert purser("automations", "list").exit_code == 0


def test_an_automation_is_explained(purser: Purser) -> None:
    told = json.loads(purser("automations", "show", "open-project", "--json").stdout)
    assert (told["on"], told["reads"]) == ("opportunity.won.v1", ["crm.lead"])
    assert purser("automations", "show", "open-project").exit_code == 0


def test_a_dry_run_asks_for_odoo_and_no_queue(purser: Purser) -> None:
    Path("won.json").write_text(json.dumps(WON))
    result = purser("automations", "run", "open-project", "--event", "won.json", "--dry-run")
    assert result.exit_code == 2
    assert "PURSER_ODOO_URL is missing" in result.stderr
    assert "PURSER_BROKER_URL" not in result.stderr


def test_a_wrong_event_is_told_before_a_missing_setting(purser: Purser) -> None:
    result = purser("automations", "run", "open-project", "--event", "-", "--dry-run", stdin="{}")
    assert result.exit_code == 2
    assert "not a CloudEvent" in result.stderr


def test_a_misspelt_automation_is_answered_with_the_right_one(purser: Purser) -> None:
    result = purser("automations", "run", "open-projct", "--event", "-", stdin=json.dumps(WON))
    assert result.exit_code == 2
    assert "Did you mean `open-project`?" in result.stderr
