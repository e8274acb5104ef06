"""Letters are listed without what they carry, shown without secrets, and settled with a name and a reason."""

import datetime as dt
import json

import pytest

from ledger import Attempt, Ledger, Letter, LetterState, fingerprint
from tests.unit.console.conftest import Purser

NOW = dt.datetime.now(dt.UTC)
SECRET = "s3cr3t-key-of-odoo"


def letter(
    name: str, *, task: str = "purser.apply", queue: str = "apply", error: str = "KeyError", days: int = 0
) -> Letter:
    at = NOW - dt.timedelta(days=days)
    body = [[], {"steps": [{"email": "ann@example.com"}], "token": SECRET}, {}]
    return Letter(
        id=name,
        queue=queue,
        task=task,
        body=json.dumps(body).encode(),
        headers={"id": name, "task": task, "lang": "py"},
        reason="permanent failure",
        error=error,
        message=f"no field {name}",
        traceback=f"KeyError: {SECRET}",
        attempts=(Attempt(at, f"{error}: first"), Attempt(at, f"{error}: second")),
        fingerprint=fingerprint(error=error, message="", task=task),
        first_at=at,
        stored_at=at,
    )


@pytest.fixture
def letters(ledger: Ledger) -> Ledger:
    ledger.letters.store(letter("a-1"))
    ledger.letters.store(letter("a-2", days=3))
    ledger.letters.store(letter("b-1", task="purser.scan", queue="scans", error="ValueError"))
    return ledger


def ids(text: str) -> set[str]:
    return {one["id"] for one in json.loads(text)}


def test_an_empty_list_is_an_answer(operator: Purser) -> None:
    result = operator("dead", "list", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


@pytest.mark.usefixtures("letters")
def test_letters_are_listed_without_what_they_carry(operator: Purser) -> None:
    for result in (operator("dead", "list"), operator("dead", "list", "--json")):
        assert result.exit_code == 0
        assert "a-2" in result.stdout
        assert "ann@" not in result.stdout
        assert SECRET not in result.stdout


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--task", "purser.scan"], {"b-1"}),
        (["--queue", "apply"], {"a-1", "a-2"}),
        (["--reason", "permanent failure"], {"a-1", "a-2", "b-1"}),
        (["--since", "24h"], {"a-1", "b-1"}),
        (["--fingerprint", fingerprint(error="ValueError", message="", task="purser.scan")], {"b-1"}),
        (["--queue", "apply", "--since", "1d"], {"a-1"}),
    ],
)
def test_filters_narrow_the_list(operator: Purser, option: list[str], expected: set[str]) -> None:
    assert ids(operator("dead", "list", "--json", *option).stdout) == expected


@pytest.mark.usefixtures("letters")
def test_a_filter_that_matches_nothing_says_so(operator: Purser) -> None:
    assert operator("dead", "list", "--task", "purser.nope").exit_code == 3


@pytest.mark.usefixtures("letters")
def test_a_short_list_says_that_there_is_more(operator: Purser) -> None:
    assert "2 of 3 dead letters" in operator("dead", "list", "--limit", "2").stderr


@pytest.mark.usefixtures("letters")
def test_letters_that_failed_alike_are_one_group(operator: Purser) -> None:
    told = json.loads(operator("dead", "groups", "--json").stdout)
    assert sorted((one["count"], one["error"]) for one in told) == [(1, "ValueError"), (2, "KeyError")]
    assert operator("dead", "groups").exit_code == 0


@pytest.mark.usefixtures("letters")
def test_a_letter_is_shown_with_its_history_and_without_secrets(operator: Purser) -> None:
    for result in (operator("dead", "show", "a-1"), operator("dead", "show", "a-1", "--json")):
        assert result.exit_code == 0
        assert "KeyError: second" in result.stdout
        assert "steps" in result.stdout
        assert "ann@example.com" not in result.stdout
        assert '"token": "<secret>"' in result.stdout


def test_bytes_nobody_can_read_are_shown_all_the_same(operator: Purser, ledger: Ledger) -> None:
    odd = letter("odd")
    ledger.letters.store(Letter(**{**{f: getattr(odd, f) for f in odd.__dataclass_fields__}, "body": b"\xff\x00{"}))
    result = operator("dead", "show", "odd", "--json")
    assert json.loads(result.stdout)["body"] == "\\xff\x00{"


def test_a_letter_that_is_not_there_is_nothing(operator: Purser) -> None:
    assert operator("dead", "show", "nobody").exit_code == 3


@pytest.mark.parametrize("command", [["discard", "a-1"], ["replay", "a-1"], ["replay", "--all"]])
def test_nothing_is_settled_without_a_reason(operator: Purser, letters: Ledger, command: list[str]) -> None:
    assert operator("dead", *command).exit_code == 2
    assert operator("dead", *command, "--note", "  ").exit_code == 2
    assert letters.letters.count() == 3


def test_a_dry_discard_only_says_what_it_would_do(operator: Purser, letters: Ledger) -> None:
    result = operator("dead", "discard", "a-1", "--note", "test data", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "would discard a-1\n")
    assert letters.letters.count() == 3


def test_a_discard_is_settled_with_name_and_reason(operator: Purser, letters: Ledger) -> None:
    result = operator("dead", "discard", "a-1", "b-1", "--note", "test data")
    assert result.exit_code == 0
    kept = letters.letters.get("a-1")
    assert kept is not None
    assert kept.state is LetterState.DISCARDED
    assert kept.settled is not None
    assert kept.settled.note == "test data"
    assert "dead.discard" in operator("audit", "tail").stdout


def test_what_was_not_dead_is_told_one_by_one(operator: Purser, letters: Ledger) -> None:
    some = operator("dead", "discard", "a-1", "nobody", "--note", "why")
    assert (some.exit_code, some.stdout) == (1, "discarded a-1\n")
    assert "nobody is no dead letter" in some.stderr
    assert operator("dead", "discard", "a-1", "--note", "why").exit_code == 3


@pytest.mark.parametrize("choice", [[], ["a-1", "--all"], ["--all", "--group", "f"]])
def test_letters_are_chosen_in_one_way(operator: Purser, choice: list[str]) -> None:
    result = operator("dead", "replay", *choice, "--note", "fixed")
    assert result.exit_code == 2
    assert "say which letters" in result.stderr
