"""Open cases are listed, the oldest first, with who is asked and what is at risk."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from purser.cases import CaseKey, CaseRecord, CaseState
from purser.findings import Money, Period, Ref, Severity
from store import Ledger
from tests.unit.console.conftest import Purser

TODAY = dt.datetime.now(dt.UTC).date()
WEEK = Period(dt.date(2026, 11, 9), dt.date(2026, 11, 15))
LATE = CaseKey("missing-timesheets", Ref("hr.employee", 42), WEEK)
UNBILLED = CaseKey("unbilled-work", Ref("sale.order", 7))
ENDED = CaseKey("unbilled-work", Ref("sale.order", 8))


def case(key: CaseKey, *, days: int, user_id: int, **more: Any) -> CaseRecord:
    opened = TODAY - dt.timedelta(days=days)
    return CaseRecord(
        **{
            "key": key,
            "episode": 0,
            "rung": 0,
            "state": CaseState.OPEN,
            "asked_on": opened,
            "opened_on": opened,
            "severity": Severity.HIGH,
            "user_id": user_id,
            "text": f"about {key.subject}",
            "subject_name": "Ann Archer",
            **more,
        }
    )


@pytest.fixture(autouse=True)
def cases(ledger: Ledger) -> None:
    ledger.cases.put(
        [
            case(LATE, days=3, user_id=5, hours=Decimal("8.50")),
            case(UNBILLED, days=9, user_id=6, money=Money(Decimal("600.00"), "EUR")),
            case(ENDED, days=9, user_id=6, state=CaseState.CLOSED, ended_on=TODAY),
        ]
    )


def keys(text: str) -> list[str]:
    return [one["key"] for one in json.loads(text)]


def test_open_cases_are_listed_the_oldest_first(operator: Purser) -> None:
    result = operator("cases", "list", "--json")
    assert (result.exit_code, keys(result.stdout)) == (0, [str(UNBILLED), str(LATE)])


def test_a_case_tells_who_is_asked_how_old_it_is_and_what_is_at_risk(operator: Purser) -> None:
    unbilled, late = json.loads(operator("cases", "list", "--json").stdout)
    assert (unbilled["owner"], unbilled["age_days"]) == (6, 9)
    assert unbilled["money_at_risk"] == {"amount": "600.00", "currency": "EUR"}
    assert (late["hours_at_risk"], late["money_at_risk"]) == ("8.50", None)


def test_people_get_the_same_facts_as_a_table(operator: Purser) -> None:
    shown = operator("cases", "list").stdout
    assert "600.00 EUR" in shown
    assert "Ann Archer" in shown


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--control", "unbilled-work"], [str(UNBILLED)]),
        (["--owner", "5"], [str(LATE)]),
        (["--owner", "6", "--control", "unbilled-work"], [str(UNBILLED)]),
    ],
)
def test_filters_narrow_the_list(operator: Purser, option: list[str], expected: list[str]) -> None:
    assert keys(operator("cases", "list", "--json", *option).stdout) == expected


def test_a_filter_that_matches_nothing_says_so(operator: Purser) -> None:
    assert operator("cases", "list", "--owner", "5", "--control", "unbilled-work").exit_code == 3


def test_a_misspelt_control_is_a_wrong_use(operator: Purser) -> None:
    assert operator("cases", "list", "--control", "unbilled").exit_code == 2


def test_a_login_is_looked_up_in_odoo(operator: Purser) -> None:
    result = operator("cases", "list", "--owner", "ann")
    assert result.exit_code == 2
    assert "PURSER_ODOO_URL is missing" in result.stderr


@pytest.mark.parametrize("key", [LATE, ENDED])
def test_one_case_is_shown_open_or_ended(operator: Purser, key: CaseKey) -> None:
    assert json.loads(operator("cases", "show", str(key), "--json").stdout)["key"] == str(key)
    assert str(key) in operator("cases", "show", str(key)).stdout


def test_what_is_at_risk_is_readable(operator: Purser) -> None:
    assert "600.00 EUR" in operator("cases", "show", str(UNBILLED)).stdout


def test_an_unknown_case_is_nothing_and_no_key_a_wrong_use(operator: Purser) -> None:
    assert operator("cases", "show", "case/unbilled-work/sale.order/99/-").exit_code == 3
    assert operator("cases", "show", "sale.order/99").exit_code == 2
