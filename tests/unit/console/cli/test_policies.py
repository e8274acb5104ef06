"""A policy is checked with everything that is wrong in it, and shown as it counts."""

import json
from pathlib import Path

from tests.unit.console.conftest import Purser

WRONG = """\
version: 1
controls:
  unbilled-work:
    tunables: {grace_day: 3}
  stale-darfts: {enabled: false}
"""


def test_the_house_view_is_in_order(purser: Purser) -> None:
    result = purser("policies", "check")
    assert result.exit_code == 0
    assert "in order" in result.stdout


def test_a_wrong_policy_is_told_with_all_that_is_wrong(purser: Purser) -> None:
    Path("firm.yaml").write_text(WRONG)
    result = purser("policies", "check", "--file", "firm.yaml")
    assert result.exit_code == 4
    assert "Did you mean `grace_days`?" in result.stdout
    assert "Did you mean `stale-drafts`?" in result.stdout
    assert "firm.yaml:4" in result.stdout


def test_programs_get_the_problems_as_a_list(purser: Purser) -> None:
    Path("firm.yaml").write_text(WRONG)
    result = purser("policies", "check", "--json", PURSER_POLICIES="firm.yaml")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"], len(told["problems"])) == (4, False, 2)


def test_a_role_nobody_fills_is_a_word_to_the_wise(purser: Purser) -> None:
    Path("firm.yaml").write_text("version: 1\nroles: {billing: [bea]}\n")
    result = purser("policies", "check", "--file", "firm.yaml")
    assert result.exit_code == 0
    assert "`pmo`" in result.stderr
    assert "`billing`" not in result.stderr


def test_a_file_that_is_not_there_is_a_wrong_use(purser: Purser) -> None:
    assert purser("policies", "check", "--file", "nowhere.yaml").exit_code == 2


def test_what_counts_is_shown_complete(purser: Purser) -> None:
    Path("firm.yaml").write_text("version: 1\ncontrols: {unbilled-work: {tunables: {grace_days: 9}}}\n")
    told = json.loads(purser("policies", "show", "--file", "firm.yaml", "--json").stdout)
    assert told["controls"]["unbilled-work"]["tunables"]["grace_days"] == 9
    assert told["controls"]["stale-drafts"]["enabled"] is True
    assert purser("policies", "show").exit_code == 0


def test_how_long_the_fleet_waits_and_when_it_stands_still_is_shown(purser: Purser) -> None:
    Path("firm.yaml").write_text(
        "version: 1\n"
        "retries: {react: {attempts: 15, errors: {UnknownOutcome: {base: 30 s}}}}\n"
        "freezes: {month-end: {days_before: 1, days_after: 2, what: [queue:apply], months: [12]}}\n"
    )
    told = json.loads(purser("policies", "show", "--file", "firm.yaml", "--json").stdout)
    retries = {(one["task"], one["error"]): (one["attempts"], one["base"], one["cap"]) for one in told["retries"]}
    assert retries["react", "UnknownOutcome"] == (15, 30.0, 3600.0)
    assert retries["react", "Transient"] == (15, 1.0, 3600.0)
    assert retries["scan", "Conflict"] == (12, 0.5, 60.0)
    assert told["freezes"] == [
        {"name": "month-end", "what": ["queue:apply"], "days_before": 1, "days_after": 2, "months": [12]}
    ]
    shown = purser("policies", "show", "--file", "firm.yaml", COLUMNS="200").stdout
    assert "month-end" in shown
    assert "30 s" in shown


def test_who_tells_master_data_is_shown(purser: Purser) -> None:
    Path("firm.yaml").write_text("version: 1\nownership: {customer: [/crm], resource: []}\n")
    told = json.loads(purser("policies", "show", "--file", "firm.yaml", "--json").stdout)
    assert told["ownership"] == {"customer": ["/crm"], "resource": []}
    shown = purser("policies", "show", "--file", "firm.yaml").stdout
    assert "tells of a customer" in shown
    assert "Odoo alone" in shown
