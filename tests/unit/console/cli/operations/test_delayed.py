"""What waits is listed without what it carries, and sent at once or taken off with a name and a reason."""

import base64
import datetime as dt
import json

import pytest

from console.cli.operations.delayed import _span
from store import DeadLetterState, DelayedMessage, DelayKind, Ledger
from tests.unit.console.conftest import Purser

NOW = dt.datetime.now(dt.UTC)
SECRET = "s3cr3t-key-of-odoo"


def entry(name: str, *, hours: float = 1, **given: object) -> DelayedMessage:
    values: dict[str, object] = {
        "queue": "apply",
        "task": "purser.apply",
        "label": "missing-timesheets, 100 changes",
        "kind": DelayKind.RETRY,
        "why": "attempt 3 of 12: UnknownOutcome: no answer, password=hunter2",
        "due": NOW + dt.timedelta(hours=hours),
        "attempt": 3,
        "payload": f'{{"body": "{SECRET}"}}'.encode(),
        "parked_at": NOW,
    }
    return DelayedMessage(id=name, **(values | given))  # type: ignore[arg-type]


def reaction(name: str) -> DelayedMessage:
    """Return one automation's message about an accepted event."""
    event = {"id": "won-7", "source": "/crm", "type": "opportunity.won.v1", "data": {}}
    body = json.dumps([[], {"automation": "open-project", "event": event}, {}]).encode()
    payload = json.dumps({"body": base64.b64encode(body).decode(), "headers": {}}).encode()
    return entry(name, task="purser.react", queue="events", payload=payload)


@pytest.fixture
def waiting(ledger: Ledger) -> Ledger:
    ledger.delayed.park(entry("a-1"))
    ledger.delayed.park(entry("a-2", hours=100))
    ledger.delayed.park(
        entry("s-1", hours=2, queue="scans", task="purser.scan", kind=DelayKind.SNOOZE, why="paused: queue:scans")
    )
    return ledger


def ids(text: str) -> list[str]:
    return [one["id"] for one in json.loads(text)]


def test_an_empty_list_is_an_answer(operator: Purser) -> None:
    result = operator("delayed", "list", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


@pytest.mark.usefixtures("waiting")
def test_what_waits_is_listed_the_earliest_due_first_without_what_it_carries(operator: Purser) -> None:
    table, told = operator("delayed", "list"), operator("delayed", "list", "--json")

    assert ids(told.stdout) == ["a-1", "s-1", "a-2"]
    for result in (table, told):
        assert result.exit_code == 0
        assert "paused: queue:scans" in result.stdout
        assert "missing-timesheets, 100 changes" in result.stdout
        assert SECRET not in result.stdout
        assert "hunter2" not in result.stdout
    assert "4 d" in table.stdout
    assert json.loads(told.stdout)[0]["attempt"] == 3


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--task", "purser.scan"], ["s-1"]),
        (["--queue", "apply"], ["a-1", "a-2"]),
        (["--kind", "snooze"], ["s-1"]),
        (["--kind", "retry", "--limit", "1"], ["a-1"]),
    ],
)
def test_filters_narrow_the_list(operator: Purser, option: list[str], expected: list[str]) -> None:
    assert ids(operator("delayed", "list", "--json", *option).stdout) == expected


@pytest.mark.usefixtures("waiting")
def test_a_filter_that_matches_nothing_says_so(operator: Purser) -> None:
    assert operator("delayed", "list", "--task", "purser.nope").exit_code == 3
    assert operator("delayed", "cancel", "--task", "purser.nope", "--note", "why").exit_code == 3
    assert operator("delayed", "list", "--kind", "nap").exit_code == 2


@pytest.mark.usefixtures("waiting")
def test_a_short_list_says_that_there_is_more(operator: Purser) -> None:
    assert "2 of 3 delayed messages" in operator("delayed", "list", "--limit", "2").stderr


@pytest.mark.parametrize("act", ["cancel", "now"])
@pytest.mark.parametrize("choice", [[], ["a-1", "--all"], ["--all", "--task", "t"], ["a-1", "--queue", "apply"]])
def test_messages_are_chosen_in_one_way(operator: Purser, waiting: Ledger, act: str, choice: list[str]) -> None:
    result = operator("delayed", act, *choice, "--note", "why")

    assert result.exit_code == 2
    assert "say which messages" in result.stderr
    assert waiting.delayed.count() == 3


@pytest.mark.parametrize("act", ["cancel", "now"])
def test_nothing_is_done_without_a_reason_nor_when_it_is_only_tried(
    operator: Purser, waiting: Ledger, act: str
) -> None:
    before = waiting.delayed.page().items
    assert operator("delayed", act, "--all").exit_code == 2
    assert operator("delayed", act, "--all", "--note", "  ").exit_code == 2
    result = operator("delayed", act, "--all", "--note", "why", "--dry-run", "--json")

    assert (result.exit_code, ids(result.stdout)) == (0, ["a-1", "s-1", "a-2"])
    assert all("would be" in one["status"] for one in json.loads(result.stdout))
    assert waiting.delayed.page().items == before
    assert waiting.audit.tail() == ()


def test_a_cancelled_message_is_a_discarded_letter_with_name_and_reason(operator: Purser, waiting: Ledger) -> None:
    result = operator("delayed", "cancel", "a-1", "a-2", "--note", "wrong client")

    assert result.exit_code == 0
    assert [found.id for found in waiting.delayed.page().items] == ["s-1"]
    kept = waiting.letters.get("a-2")
    assert kept is not None
    assert kept.settled is not None
    assert (kept.state, kept.settled.note) == (DeadLetterState.DISCARDED, "wrong client")
    assert "delayed.cancel" in operator("audit", "tail").stdout


def test_all_of_a_kind_are_due_at_once(operator: Purser, waiting: Ledger) -> None:
    result = operator("delayed", "now", "--kind", "retry", "--note", "Odoo is back", "--json")

    assert (result.exit_code, ids(result.stdout)) == (0, ["a-1", "a-2"])
    assert [one["status"] for one in json.loads(result.stdout)] == ["due now", "due now"]
    assert waiting.delayed.move_due() == 2
    assert [found.id for found in waiting.delayed.page().items] == ["s-1"]


def test_what_does_not_wait_is_told_one_by_one(operator: Purser, waiting: Ledger) -> None:
    some = operator("delayed", "cancel", "a-1", "nobody", "--note", "why")
    assert some.exit_code == 1
    assert "1 of 2 were left as they are" in some.stderr
    assert operator("delayed", "cancel", "nobody", "a-1", "--note", "why").exit_code == 3

    waiting.delayed.park(entry("over", hours=-1))
    assert operator("delayed", "now", "over", "--note", "why").exit_code == 3
    assert operator("delayed", "now", "over", "--note", "why", "--dry-run").exit_code == 3


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (dt.timedelta(seconds=-5), "now"),
        (dt.timedelta(seconds=0.2), "now"),
        (dt.timedelta(seconds=59), "59 s"),
        (dt.timedelta(minutes=3, seconds=7), "3 min 7 s"),
        (dt.timedelta(hours=2, seconds=9), "2 h 9 s"),
        (dt.timedelta(days=1, hours=2, minutes=3), "1 d 2 h"),
    ],
)
def test_a_wait_is_told_in_its_two_largest_units(left: dt.timedelta, said: str) -> None:
    assert _span(left) == said


def test_what_was_cancelled_is_not_sent_again(ledger: Ledger, operator: Purser) -> None:
    ledger.inbox.accept("/crm", "won-7", {}, ["open-project"], again_after=dt.timedelta(seconds=1))
    ledger.delayed.park(reaction("r-1"))
    assert operator("delayed", "cancel", "r-1", "--note", "won by mistake").exit_code == 0
    assert ledger.inbox.count() == 0
