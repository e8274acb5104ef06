"""A refusal waits until a person settles it with a reason."""

import datetime as dt
import json

import pytest

from store import Ledger, RefusalRecord
from tests.unit.console.conftest import Purser

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def refused(ledger: Ledger) -> Ledger:
    ledger.refusals.add(
        RefusalRecord(
            id="opportunity/4/project",
            task="automation open-project",
            what="ensure project.project",
            why="You are not allowed to create 'Project' records.",
            change={"kind": "ensure"},
            first_at=NOW,
            last_at=NOW,
        )
    )
    return ledger


@pytest.mark.usefixtures("refused")
def test_refusals_are_listed_and_shown(operator: Purser) -> None:
    assert [one["id"] for one in json.loads(operator("refusals", "list", "--json").stdout)] == [
        "opportunity/4/project"
    ]
    assert "not allowed" in operator("refusals", "list").stdout
    assert "not allowed" in operator("refusals", "show", "opportunity/4/project").stdout
    assert json.loads(operator("refusals", "show", "opportunity/4/project", "--json").stdout)["count"] == 1


def test_a_dry_close_closes_nothing(operator: Purser, refused: Ledger) -> None:
    assert operator("refusals", "close", "opportunity/4/project", "--note", "by hand", "--dry-run").exit_code == 0
    assert refused.refusals.count() == 1


def test_a_closed_refusal_waits_no_longer_and_is_audited(operator: Purser, refused: Ledger) -> None:
    assert operator("refusals", "close", "opportunity/4/project", "--note", "made by hand").exit_code == 0
    assert refused.refusals.count() == 0
    (entry,) = json.loads(operator("audit", "tail", "--json").stdout)
    assert (entry["action"], entry["what"], entry["note"]) == (
        "refusals.close",
        "opportunity/4/project",
        "made by hand",
    )
    assert entry["who"]
    assert operator("refusals", "close", "opportunity/4/project", "--note", "again").exit_code == 3


@pytest.mark.usefixtures("refused")
def test_a_refusal_is_not_closed_without_a_reason(operator: Purser) -> None:
    assert operator("refusals", "close", "opportunity/4/project").exit_code == 2
    assert operator("refusals", "close", "opportunity/4/project", "--note", "").exit_code == 2


def test_an_unknown_refusal_is_nothing(operator: Purser) -> None:
    assert operator("refusals", "show", "x").exit_code == 3
    assert operator("refusals", "close", "x", "--note", "y", "--dry-run").exit_code == 3
