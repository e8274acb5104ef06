"""The list of workers says who is missing where work waits."""

import dataclasses
import datetime as dt
import json

import pytest

from console.cli.operations.workers import problem_with
from store import Ledger, WorkerReport, WorkerStatus
from store.fleet.worker_heartbeats import GHOST_AFTER, NAME_TAKEN, SILENCE
from tests.unit.console.conftest import Purser

NOW = dt.datetime.now(dt.UTC)
OLD = GHOST_AFTER.total_seconds() + 1
MEMBER = WorkerReport(name="celery@one", host="one", pid=7, queues=("apply",), started=NOW, at=NOW, capacity=2)


def heard(name: str = "celery@one", *, gone: bool = False, **told: object) -> WorkerStatus:
    member = dataclasses.replace(MEMBER, name=name, **told)  # type: ignore[arg-type]
    return WorkerStatus(member=member, at=NOW, age=2 * SILENCE if gone else dt.timedelta(seconds=1))


def test_a_worker_that_works_is_no_problem() -> None:
    one = heard(oldest={"apply": OLD}, active=2)
    assert problem_with(one, [one]) == ""


def test_a_ghost_is_one() -> None:
    one = heard(state="ghost")
    assert "ghost" in problem_with(one, [one, heard("celery@two")])


def test_a_worker_whose_name_another_one_has_is_one() -> None:
    one = heard(state=NAME_TAKEN)
    assert "another worker has its name" in problem_with(one, [one, heard("celery@two")])


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], "nobody else works on queue apply"),
        ([heard("celery@two", gone=True)], "nobody else works on queue apply"),
        ([heard("celery@two", state="ghost")], "nobody else works on queue apply"),
        ([heard("celery@two", queues=("scans",))], "nobody else works on queue apply"),
        ([heard("celery@two", oldest={"apply": OLD}, active=2)], "grow old on queue apply"),
    ],
)
def test_who_is_gone_is_missed_where_work_waits(others: list[WorkerStatus], words: str) -> None:
    one = heard(gone=True)
    assert words in problem_with(one, [one, *others])


@pytest.mark.parametrize("oldest", [{}, {"apply": 3.0}, {"scans": OLD}])
def test_who_is_gone_and_replaced_is_no_problem(oldest: dict[str, float]) -> None:
    one = heard(gone=True)
    assert problem_with(one, [one, heard("celery@two", oldest=oldest, active=2)]) == ""


def test_workers_list_shows_the_errors_that_no_task_handled(operator: Purser, ledger: Ledger) -> None:
    ledger.crew.report(dataclasses.replace(MEMBER, errors=3))
    assert json.loads(operator("workers", "list", "--json").stdout)[0]["errors"] == 3
    assert "errors" in operator("workers", "list").stdout


def test_the_list_shows_each_worker(operator: Purser, ledger: Ledger) -> None:
    ledger.crew.report(dataclasses.replace(MEMBER, active=1, oldest={"apply": 3.2}, last_consumed=NOW))

    told = operator("workers", "list")
    assert told.exit_code == 0, told.stderr
    for words in ("celery@one", "working", "1/2", "apply=3 s"):
        assert words in told.stdout
    (one,) = json.loads(operator("workers", "list", "--json").stdout)
    assert (one["name"], one["state"], one["queues"], one["oldest"]) == (
        "celery@one",
        "working",
        ["apply"],
        {"apply": 3.2},
    )


def test_the_list_ends_with_4_when_somebody_is_a_ghost(operator: Purser, ledger: Ledger) -> None:
    ledger.crew.report(dataclasses.replace(MEMBER, state="ghost"))
    told = operator("workers", "list", "--json")
    assert told.exit_code == 4
    assert "celery@one: a ghost" in told.stderr
    assert json.loads(told.stdout)[0]["state"] == "ghost"


def test_a_fleet_without_workers_is_an_empty_list(operator: Purser) -> None:
    told = operator("workers", "list", "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (0, [])


def test_a_worker_is_forgotten_by_name(operator: Purser, ledger: Ledger) -> None:
    ledger.crew.report(MEMBER)
    assert operator("workers", "forget", "celery@two", "--note", "x").exit_code == 3
    assert operator("workers", "forget", "celery@one", "--note", " ").exit_code == 2
    assert operator("workers", "forget", "celery@one", "--note", "x", "--dry-run").exit_code == 0
    assert len(ledger.crew.all()) == 1
    assert operator("workers", "forget", "celery@one", "--note", "x").exit_code == 0
    assert ledger.crew.all() == ()
