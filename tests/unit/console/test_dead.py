"""Letters are listed without what they carry, shown without secrets, and settled with a name and a reason."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from store import Attempt, DeadLetter, DeadLetterState, Ledger, WorkerReport, fingerprint
from tests.conftest import RedisServer
from tests.unit.console.conftest import Purser

NOW = dt.datetime.now(dt.UTC)
SECRET = "s3cr3t-key-of-odoo"


def letter(
    name: str, *, task: str = "purser.apply", queue: str = "apply", error: str = "KeyError", days: int = 0
) -> DeadLetter:
    at = NOW - dt.timedelta(days=days)
    body = [[], {"steps": [{"email": "ann@example.com"}], "token": SECRET}, {}]
    return DeadLetter(
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
    ledger.letters.store(
        DeadLetter(**{**{f: getattr(odd, f) for f in odd.__dataclass_fields__}, "body": b"\xff\x00{"})
    )
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
    assert kept.state is DeadLetterState.DISCARDED
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


# --------------------------------------------------------------------------- chosen, settled --


@pytest.mark.usefixtures("letters")
def test_a_list_goes_on_where_the_page_before_ended(operator: Purser) -> None:
    first = operator("dead", "list", "--json", "--limit", "2")
    after = first.stderr.partition("--after ")[2].split()[0]
    rest = operator("dead", "list", "--json", "--limit", "2", "--after", after)
    assert ids(first.stdout) | ids(rest.stdout) == {"a-1", "a-2", "b-1"}
    assert len(ids(rest.stdout)) == 1


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("option", "expected"),
    [(["--text", "ANN@example"], {"a-1", "a-2", "b-1"}), (["--error", "ValueError"], {"b-1"})],
)
def test_text_and_error_narrow_the_list_too(operator: Purser, option: list[str], expected: set[str]) -> None:
    assert ids(operator("dead", "list", "--json", *option).stdout) == expected


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("option", "words"),
    [(["--text", "x"], "too short"), (["--since", "soon"], "no moment"), (["--subject", "lead 4"], "no record")],
)
def test_a_wrong_filter_is_one_sentence(operator: Purser, option: list[str], words: str) -> None:
    result = operator("dead", "list", *option)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_filter_is_discarded_and_restored(operator: Purser, letters: Ledger) -> None:
    assert operator("dead", "discard", "--queue", "apply", "--note", "test data", "--dry-run").exit_code == 0
    assert letters.letters.count() == 3
    assert operator("dead", "discard", "--queue", "apply", "--note", "test data").exit_code == 0
    assert letters.letters.count() == 1
    result = operator("dead", "restore", "--queue", "apply", "--note", "it was not", "--json")
    assert {(one["id"], one["status"]) for one in json.loads(result.stdout)} == {
        ("a-1", "restored"),
        ("a-2", "restored"),
    }
    assert letters.letters.count() == 3
    acts = [one["action"] for one in json.loads(operator("audit", "tail", "--json").stdout)]
    assert acts == ["dead.discard", "dead.discard", "dead.restore", "dead.restore"]


@pytest.mark.usefixtures("letters")
def test_what_was_not_discarded_cannot_be_restored(operator: Purser) -> None:
    result = operator("dead", "restore", "a-1", "--note", "why")
    assert result.exit_code == 3
    assert "no discarded letter" in result.stderr


# ----------------------------------------------------------------------------------- carried --


def test_exported_letters_are_the_same_where_they_are_imported(
    operator: Purser, letters: Ledger, redis_server: RedisServer, tmp_path: Path
) -> None:
    file = tmp_path / "letters.jsonl"
    assert operator("dead", "export", "--queue", "apply", "--file", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o077 == 0
    assert operator("dead", "export", "--file", str(file)).exit_code == 2
    elsewhere = {"PURSER_LEDGER_URL": redis_server.url_of(3)}
    for kept in ("2 letters would be kept, 0", "2 letters kept, 0", "0 letters kept, 2"):
        dry = ["--dry-run"] if "would" in kept else []
        assert kept in operator("dead", "import", str(file), "--note", "moved", *dry, **elsewhere).stderr
    book = Ledger.connect(redis_server.url_of(3))
    assert book.letters.get("a-1") == letters.letters.get("a-1")
    book.close()


def test_lines_that_are_no_letters_are_named_and_the_others_kept(operator: Purser, letters: Ledger) -> None:
    lines = operator("dead", "export", "--group", group(letters, "b-1")).stdout
    letters.letters.discard(["b-1"], who="t", note="t")
    result = operator(
        "dead", "import", "-", "--note", "moved", stdin=f"nonsense\n{{}}\n\n{lines.replace('b-1', 'b-2')}"
    )
    assert result.exit_code == 1
    assert "line 1: not JSON: Expecting value" in result.stderr
    assert "line 2: " in result.stderr
    assert letters.letters.get("b-2") is not None


def group(ledger: Ledger, name: str) -> str:
    found = ledger.letters.get(name)
    assert found is not None
    return found.fingerprint


# ----------------------------------------------------------------------------------- replays --


def test_a_replay_of_letters_that_nobody_can_read_is_not_begun(
    operator: Purser, ledger: Ledger, redis_url: str
) -> None:
    for n in range(3):
        made = replace(letter(f"x-{n}"), reason="unreadable", message="the body is not JSON")
        ledger.letters.store(made)

    result = operator("dead", "replay", "--all", "--note", "n", "--no-wait", "--yes", PURSER_BROKER_URL=redis_url)

    assert result.exit_code == 1
    assert "no worker can read any of the 3 letters (the first: the body is not JSON)" in result.stderr
    assert json.loads(operator("dead", "replays", "list", "--json").stdout) == []


WORKER = WorkerReport(name="celery@one", host="h", pid=1, queues=("scans", "events"), started=NOW, at=NOW)


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize(
    "chosen", [("x-1",), ("--all", "--no-wait", "--yes"), ("--all", "--dry-run"), ("x-1", "--dry-run")]
)
def test_a_replay_to_a_queue_that_no_worker_reads_is_refused_before_anything_is_sent(
    operator: Purser, ledger: Ledger, redis_url: str, chosen: tuple[str, ...], *, is_running: bool
) -> None:
    ledger.letters.store(letter("x-1", queue="nobody"))
    if is_running:
        ledger.crew.report(WORKER)

    result = operator("dead", "replay", *chosen, "--note", "n", PURSER_BROKER_URL=redis_url)

    assert result.exit_code == 1
    assert "nobody" in result.stderr
    assert ("celery@one reads scans, events" in result.stderr) is is_running
    assert "-Q" in result.stderr
    assert "--to-unread-queue" in result.stderr
    assert ledger.letters.count() == 1
    assert json.loads(operator("dead", "replays", "list", "--json").stdout) == []


def test_a_replay_to_a_queue_that_no_worker_reads_goes_there_when_this_is_wanted(
    operator: Purser, ledger: Ledger, redis_url: str
) -> None:
    ledger.letters.store(letter("x-1", queue="nobody"))
    result = operator(
        *("dead", "replay", "x-1", "--note", "n", "--to-unread-queue", "--json"), PURSER_BROKER_URL=redis_url
    )
    assert [one["status"] for one in json.loads(result.stdout)] == ["replayed"]
    assert ledger.letters.count() == 0


def test_a_queue_of_the_fleet_has_no_reader_where_the_running_workers_read_others(
    operator: Purser, letters: Ledger, redis_url: str
) -> None:
    letters.crew.report(WORKER)
    result = operator(
        "dead", "replay", "a-1", "b-1", "--note", "n", "--dry-run", "--json", PURSER_BROKER_URL=redis_url
    )
    assert [one["status"] for one in json.loads(result.stdout)] == ["no reader", "would replay"]


def test_an_imported_letter_of_a_queue_that_no_worker_reads_is_refused(
    operator: Purser, ledger: Ledger, redis_server: RedisServer, tmp_path: Path
) -> None:
    file = tmp_path / "letters.jsonl"
    ledger.letters.store(letter("x-1", queue="nobody"))
    ledger.letters.store(letter("a-1"))
    assert operator("dead", "export", "--file", str(file)).exit_code == 0
    elsewhere = {"PURSER_LEDGER_URL": redis_server.url_of(3)}
    for dry in (["--dry-run"], []):
        refused = operator("dead", "import", str(file), "--note", "moved", *dry, **elsewhere)
        assert refused.exit_code == 1
        assert "no worker reads the queue `nobody`" in refused.stderr
        assert "1 letter" in refused.stderr
    kept = operator("dead", "import", str(file), "--note", "moved", "--to-unread-queue", **elsewhere)
    assert "1 letter kept, 1 known" in kept.stderr


def test_a_replay_is_begun_looked_at_and_cancelled(operator: Purser, letters: Ledger, redis_url: str) -> None:
    broker = {"PURSER_BROKER_URL": redis_url}
    begun = operator("dead", "replay", "--queue", "apply", "--note", "mended", "--no-wait", **broker)
    assert begun.exit_code == 0, begun.stderr
    name = begun.stdout.strip()
    (listed,) = json.loads(operator("dead", "replays", "list", "--json").stdout)
    assert (listed["id"], listed["total"], listed["state"], listed["what"]) == (name, 2, "running", "queue=apply")
    assert operator("dead", "replays", "pause", name, "--note", "lunch").exit_code == 0
    assert operator("dead", "replays", "pause", name, "--note", "lunch").exit_code == 2
    assert "paused" in operator("dead", "replays", "show", name).stdout
    assert operator("dead", "replays", "resume", name, "--note", "back").exit_code == 0
    assert operator("dead", "replays", "cancel", name, "--note", "no").exit_code == 0
    assert json.loads(operator("dead", "replays", "show", name, "--json").stdout)["state"] == "cancelled"
    assert letters.letters.count() == 3


def test_a_replay_that_is_not_there_is_nothing(operator: Purser) -> None:
    for act in (("show", "x"), ("pause", "x", "--note", "n"), ("cancel", "x", "--note", "n")):
        assert operator("dead", "replays", *act).exit_code == 3


# -------------------------------------------------------------------------------------- edits --


@pytest.fixture
def event(ledger: Ledger) -> DeadLetter:
    at = NOW
    told = {"id": "w-1", "source": "/crm", "type": "opportunity.won.v1", "data": {"opportunity_id": "x"}}
    kept = DeadLetter(
        id="e-1",
        queue="events",
        task="purser.accept",
        body=json.dumps([[], {"event": {"specversion": "1.0", **told}}, {}]).encode(),
        headers={"id": "e-1", "task": "purser.accept", "lang": "py"},
        reason="permanent failure",
        error="Permanent",
        message="data does not fit",
        fingerprint="f",
        first_at=at,
        stored_at=at,
    )
    ledger.letters.store(kept)
    return kept


def values(opportunity: object) -> str:
    told = {"id": "w-1", "source": "/crm", "type": "opportunity.won.v1", "data": {"opportunity_id": opportunity}}
    return json.dumps({"event": {"specversion": "1.0", **told}})


@pytest.mark.usefixtures("event")
def test_an_edit_is_checked_kept_as_a_patch_and_undone(operator: Purser, ledger: Ledger, redis_url: str) -> None:
    def edit(*args: str, stdin: str = "") -> Result:
        return operator("dead", "edit", "e-1", "--note", "typo", *args, stdin=stdin, PURSER_BROKER_URL=redis_url)

    unfit = edit("--file", "-", stdin=values("still no number"))
    assert unfit.exit_code == 1
    assert "opportunity_id" in unfit.stderr
    assert edit("--file", "-", "--dry-run", stdin=values(7)).exit_code == 0
    found = ledger.letters.get("e-1")
    assert found is not None
    assert not found.edits

    assert edit("--file", "-", stdin=values(7)).exit_code == 0
    shown = json.loads(operator("dead", "show", "e-1", "--json").stdout)
    (patch,) = shown["edits"][0]["patch"]
    assert (patch["path"], patch["before"], patch["after"]) == ("/1/event/data/opportunity_id", "x", 7)
    assert shown["body"][1]["event"]["data"] == {"opportunity_id": 7}

    assert edit("--undo").exit_code == 0
    found = ledger.letters.get("e-1")
    assert found is not None
    assert found.body == found.original
    assert len(found.edits) == 2


@pytest.mark.usefixtures("event")
def test_an_edit_without_a_terminal_needs_a_file(operator: Purser, redis_url: str) -> None:
    result = operator("dead", "edit", "e-1", "--note", "typo", PURSER_BROKER_URL=redis_url)
    assert result.exit_code == 2
    assert "--file" in result.stderr


@pytest.mark.usefixtures("letters")
def test_what_may_not_be_edited_says_why(operator: Purser, redis_url: str) -> None:
    result = operator("dead", "edit", "b-1", "--note", "n", "--file", "-", stdin="{}", PURSER_BROKER_URL=redis_url)
    assert result.exit_code == 1
    assert "PURSER_EDITABLE" in result.stderr
