"""An operator pauses and resumes by name, and a name that would hold nothing back is caught."""

import datetime as dt
import json

import pytest

from store import Ledger
from tests.unit.console.conftest import Purser


@pytest.mark.parametrize(
    "target", ["all", "queue:apply", "control:unbilled-work", "automation:open-project", "watch:leaves"]
)
def test_a_pause_is_made_listed_and_ended(operator: Purser, ledger: Ledger, target: str) -> None:
    paused = operator("pause", target, "--note", "month end")
    assert paused.exit_code == 0, paused.stderr
    assert paused.stdout == f"paused {target} until it is resumed\n"
    assert "month end" in operator("pauses").stdout

    assert operator("resume", target, "--note", "closed").exit_code == 0

    assert ledger.pauses.all() == ()
    assert [(one.action, one.what) for one in ledger.audit.tail()] == [("pause", target), ("resume", target)]


@pytest.mark.parametrize(("given", "seconds"), [("30s", 30), ("30m", 1800), ("2h", 7200), ("3d", 259_200)])
def test_a_pause_for_a_while_ends_by_itself(operator: Purser, ledger: Ledger, given: str, seconds: int) -> None:
    assert operator("pause", "all", "--note", "x", "--for", given).exit_code == 0
    (kept,) = ledger.pauses.all()
    assert kept.until is not None
    assert abs((kept.until - kept.at).total_seconds() - seconds) < 10


def test_a_pause_until_a_moment_is_in_utc_unless_it_says_otherwise(operator: Purser, ledger: Ledger) -> None:
    operator("pause", "queue:apply", "--note", "x", "--until", "2099-01-31T18:00")
    operator("pause", "queue:scans", "--note", "x", "--until", "2099-01-31T18:00+02:00")
    ends = {one.target: one.until for one in ledger.pauses.all()}
    assert ends == {
        "queue:apply": dt.datetime(2099, 1, 31, 18, tzinfo=dt.UTC),
        "queue:scans": dt.datetime(2099, 1, 31, 16, tzinfo=dt.UTC),
    }


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("everything", "--note", "x"), "write all, queue:NAME"),
        (("queue:aply", "--note", "x"), "Did you mean `apply`?"),
        (("control:unbilled-wrk", "--note", "x"), "Did you mean `unbilled-work`?"),
        (("watch:leafs", "--note", "x"), "Did you mean `leaves`?"),
        (("automation:open-projekt", "--note", "x"), "Did you mean `open-project`?"),
        (("all", "--note", " "), "--note is empty"),
        (("all", "--note", "x", "--for", "soon"), "write 30m"),
        (("all", "--note", "x", "--for", "0h"), "write 30m"),
        (("all", "--note", "x", "--until", "tomorrow"), "is no moment"),
        (("all", "--note", "x", "--until", "2020-01-01"), "is past"),
        (("all", "--note", "x", "--until", "2099-01-01", "--for", "2h"), "not both"),
        (("all", "--note", "x", "--for", "99999d", "--until", ""), ""),
    ],
)
def test_what_makes_no_sense_is_said_so(operator: Purser, ledger: Ledger, args: tuple[str, ...], hint: str) -> None:
    said = operator("pause", *args)
    if hint:
        assert said.exit_code == 2
        assert hint in said.stderr
        assert ledger.pauses.all() == ()
    else:
        assert said.exit_code == 0


def test_an_unknown_name_is_paused_by_force(operator: Purser, ledger: Ledger) -> None:
    assert operator("pause", "control:of-tomorrow", "--note", "x", "--force").exit_code == 0
    assert [one.target for one in ledger.pauses.all()] == ["control:of-tomorrow"]
    assert operator("pause", "nonsense", "--note", "x", "--force").exit_code == 2


def test_a_dry_run_changes_nothing(operator: Purser, ledger: Ledger) -> None:
    assert operator("pause", "all", "--note", "x", "--dry-run").stdout.startswith("would pause all")
    assert ledger.pauses.all() == ()

    operator("pause", "all", "--note", "x")
    assert operator("resume", "all", "--note", "x", "--dry-run").stdout == "would resume all\n"
    assert len(ledger.pauses.all()) == 1


def test_what_is_not_paused_is_nothing_to_resume(operator: Purser) -> None:
    operator("pause", "queue:apply", "--note", "x")
    said = operator("resume", "queue:aply", "--note", "x")
    assert said.exit_code == 3
    assert "Did you mean `queue:apply`?" in said.stderr


def test_programs_get_json_alone(operator: Purser) -> None:
    made = json.loads(operator("pause", "all", "--note", "x", "--for", "2h", "--json").stdout)
    assert (made["target"], made["note"]) == ("all", "x")
    assert [one["target"] for one in json.loads(operator("pauses", "--json").stdout)] == ["all"]
    assert json.loads(operator("resume", "all", "--note", "x", "--json").stdout)["resumed"] == "all"
    assert json.loads(operator("pauses", "--json").stdout) == []
