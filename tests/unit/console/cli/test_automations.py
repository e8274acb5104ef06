"""Automations are explained without any setting, and only fed with what they react to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools.fake_odoo import FakeOdoo
from store.audit_log import AuditLog
from tests.unit.console.cli.test_events import WON
from tests.unit.console.conftest import Purser
from workers.controls.apply_changes import ApplyResult
from workers.events import react


def test_automations_are_listed_with_the_fact_they_react_to(purser: Purser) -> None:
    told = json.loads(purser("automations", "list", "--json").stdout)
    assert ("open-project", "opportunity.won.v1") in [(one["name"], one["on"]) for one in told]
    assert purser("automations", "list").exit_code == 0


def test_an_automation_is_explained(purser: Purser) -> None:
    told = json.loads(purser("automations", "show", "open-project", "--json").stdout)
    assert told["on"] == "opportunity.won.v1"
    assert told["also"] == ["opportunity.lost.v1"]
    assert {"crm.lead", "crm.tag", "project.project", "res.partner", "res.users", "sale.order"} <= set(told["reads"])
    assert purser("automations", "show", "open-project").exit_code == 0


def test_a_dry_run_asks_for_odoo_and_no_queue(purser: Purser) -> None:
    Path("won.json").write_text(json.dumps(WON))
    result = purser("automations", "run", "open-project", "--event", "won.json", "--dry-run")
    assert result.exit_code == 2
    assert "PURSER_ODOO_URL is missing" in result.stderr
    assert "PURSER_BROKER_URL" not in result.stderr


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    with FakeOdoo() as twin:
        yield twin


def _won(twin: FakeOdoo) -> dict[str, Any]:
    lead = twin.seed("crm.lead", {"name": "Deal", "partner_name": "Ada & Co", "won_status": "won"})
    return {**WON, "data": {"opportunity_id": lead}}


def _settings(twin: FakeOdoo) -> dict[str, str]:
    return {
        "PURSER_ODOO_URL": twin.url,
        "PURSER_ODOO_DB": twin.db,
        "PURSER_ODOO_LOGIN": "admin",
        "PURSER_ODOO_API_KEY": twin.admin_key,
    }


def test_a_dry_run_shows_each_field_now_and_then_and_writes_nothing(purser: Purser, odoo: FakeOdoo) -> None:
    Path("won.json").write_text(json.dumps(_won(odoo)))
    command = ("automations", "run", "open-project", "--event", "won.json", "--dry-run")
    before = {model: len(odoo.rows(model)) for model in ("res.partner", "project.project", "mail.activity")}
    told = json.loads(purser(*command, "--json", **_settings(odoo)).stdout)
    assert [one["fate"] for one in told] == ["apply"] * 6
    assert told[0]["fields"][0] == {"field": "name", "now": None, "then": "Ada & Co"}
    assert told[1]["ref"]["model"] == "crm.lead"
    table = purser(*command, **_settings(odoo)).stdout
    assert "partner_id" in table
    assert "Ada & Co" in table
    assert before == {model: len(odoo.rows(model)) for model in before}


def test_a_dry_run_shows_what_would_be_refused_and_why(purser: Purser, odoo: FakeOdoo) -> None:
    lead = odoo.seed("crm.lead", {"name": "Deal", "won_status": "won"})
    Path("won.json").write_text(json.dumps({**WON, "data": {"opportunity_id": lead}}))
    command = ("automations", "run", "open-project", "--event", "won.json", "--dry-run")
    (told,) = json.loads(purser(*command, "--json", **_settings(odoo)).stdout)
    assert told["fate"] == "would be refused"
    assert "it has no customer" in told["why"]
    assert "it has no customer" in purser(*command, **_settings(odoo)).stderr


def test_where_nothing_would_change_it_says_why(purser: Purser, odoo: FakeOdoo) -> None:
    lead = odoo.seed("crm.lead", {"name": "Deal", "won_status": "pending"})
    Path("won.json").write_text(json.dumps({**WON, "data": {"opportunity_id": lead}}))
    said = purser("automations", "run", "open-project", "--event", "won.json", "--dry-run", **_settings(odoo)).stderr
    assert (
        f"nothing would change: as Odoo is now, `open-project` finds nothing left to do for crm.lead/{lead}" in said
    )
    assert "Its rule: " in said
    assert "It read crm.lead, " in said


def test_a_run_names_the_reason_of_each_refusal(
    purser: Purser, monkeypatch: pytest.MonkeyPatch, odoo: FakeOdoo
) -> None:
    applied = ApplyResult(done=1, refused=1, reasons=(("opportunity/1/project", "the customer is archived"),))
    monkeypatch.setattr(react, "react", lambda *_: applied)
    Path("won.json").write_text(json.dumps(WON))
    command = ("automations", "run", "open-project", "--event", "won.json")
    environ = {**_settings(odoo), "PURSER_BROKER_URL": "redis://localhost:1"}
    monkeypatch.setattr(AuditLog, "append", lambda *_, **__: None)

    result = purser(*command, **environ)
    assert result.stdout == "open-project: 1 done, 0 already, 1 refused\n"
    assert result.stderr == "opportunity/1/project: the customer is archived\n"
    told = json.loads(purser(*command, "--json", **environ).stdout)
    assert told["reasons"] == [{"key": "opportunity/1/project", "reason": "the customer is archived"}]


def test_a_wrong_event_is_told_before_a_missing_setting(purser: Purser) -> None:
    result = purser("automations", "run", "open-project", "--event", "-", "--dry-run", stdin="{}")
    assert result.exit_code == 2
    assert "not a CloudEvent" in result.stderr


def test_a_misspelt_automation_is_answered_with_the_right_one(purser: Purser) -> None:
    result = purser("automations", "run", "open-projct", "--event", "-", stdin=json.dumps(WON))
    assert result.exit_code == 2
    assert "Did you mean `open-project`?" in result.stderr
