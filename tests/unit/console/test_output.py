"""What people read is what the data says; what programs read is exact."""

import datetime as dt
import io
import json
import sys
from dataclasses import dataclass
from decimal import Decimal

import pytest

from console import output
from purser.findings import Money, Severity


@dataclass(frozen=True)
class Sample:
    at: dt.datetime
    hours: Decimal
    money: Money | None


def test_decimals_are_strings_and_never_in_exponents() -> None:
    assert output.plain([Decimal("1E+3"), Decimal("0.50"), Decimal(0)]) == ["1000", "0.50", "0"]


def test_a_number_that_json_has_no_form_for_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    output.as_json({"a": [float("nan"), float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 1.5]}


def test_a_value_becomes_its_fields() -> None:
    at = dt.datetime(2026, 11, 16, 6, tzinfo=dt.UTC)
    assert output.plain(Sample(at, Decimal("7.5"), Money(Decimal("600.00"), "EUR"))) == {
        "at": "2026-11-16T06:00:00+00:00",
        "hours": "7.5",
        "money": {"amount": "600.00", "currency": "EUR"},
    }


def test_an_enum_becomes_its_plain_word() -> None:
    assert type(output.plain(Severity.HIGH)) is str


def test_what_stands_in_a_record_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["name"], [["\x1b[2Jgone\x07"], ["[red]kept[/red]"]])
    assert "\x1b" not in (written := capsys.readouterr().out)
    assert r"\x1b[2Jgone\x07" in written
    assert "[red]kept[/red]" in written


def test_a_pipe_gets_each_row_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["summary"], [["word " * 200 + "end"]])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_terminal_gets_a_table_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "40")
    output.table(["summary"], [["word " * 40]])
    assert max(len(line) for line in screen.getvalue().splitlines()) <= 40 + len("\x1b[1m\x1b[0m") * 2


def test_words_to_the_person_are_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error("look here")
    assert capsys.readouterr() == ("", "look here\n")


def test_people_see_words_and_no_python() -> None:
    values = [None, True, Decimal("1234.50"), {"weeks": Decimal(4)}, ("pmo", "billing"), ()]
    assert [output.format_value(one) for one in values] == ["-", "yes", "1,234.50", "weeks=4", "pmo, billing", "-"]


def test_money_is_told_with_its_currency() -> None:
    assert output.money(Money(Decimal("1234.5"), "EUR")) == "1,234.50 EUR"
    assert output.money(None) == "-"
