"""Runs are listed newest first, and the last thousand of each control stay."""

import datetime as dt
import json
from typing import Any

import redis

from store import ControlRun, Ledger, RunStatus
from tests.contract.store.making import START, key_ending

EARLIER = ("id", "control", "slot", "as_of", "started", "seconds", "trigger", "outcome", "examined", "findings")


def run(id: str, *, minute: int = 0, **given: Any) -> ControlRun:  # noqa: A002
    at = START + dt.timedelta(minutes=minute)
    values: dict[str, Any] = {
        "control": "stale-drafts",
        "slot": at,
        "as_of": at,
        "started": at,
        "seconds": 1.25,
        "trigger": "beat",
        "outcome": RunStatus.COMPLETED,
    }
    return ControlRun(id=id, **(values | given))


def test_a_run_comes_back_as_it_was_recorded(ledger: Ledger) -> None:
    by_hand = run("r1", slot=None, outcome=RunStatus.NOT_APPLICABLE, reason="no timesheets here", rpc_calls=3)

    ledger.runs.record(by_hand)
    ledger.runs.record(by_hand)

    assert ledger.runs.page().items == (by_hand,)


def test_runs_are_listed_by_control_or_together_the_newest_first(ledger: Ledger) -> None:
    for n in range(5):
        ledger.runs.record(run(f"r{n}", minute=n, control="unbilled-work" if n % 2 else "stale-drafts"))

    first = ledger.runs.page(limit=3)

    assert [found.id for found in first.items] == ["r4", "r3", "r2"]
    assert [found.id for found in ledger.runs.page(after=first.next).items] == ["r1", "r0"]
    assert [found.id for found in ledger.runs.page("unbilled-work").items] == ["r3", "r1"]


def test_the_latest_run_is_the_one_that_started_last(ledger: Ledger) -> None:
    assert ledger.runs.latest("stale-drafts") is None
    ledger.runs.record(run("late", minute=9))
    ledger.runs.record(run("early", minute=1))

    latest = ledger.runs.latest("stale-drafts")

    assert latest is not None
    assert latest.id == "late"


def test_beyond_a_thousand_runs_the_oldest_of_that_control_goes(ledger: Ledger, client: redis.Redis) -> None:
    ledger.runs.record(run("other", control="unbilled-work"))
    for n in range(1002):
        ledger.runs.record(run(f"r{n}", minute=n))

    kept = ledger.runs.page("stale-drafts", limit=2000).items

    assert (len(kept), kept[0].id, kept[-1].id) == (1000, "r1001", "r2")
    assert len(ledger.runs.page(limit=2000).items) == 1001
    assert client.zcard(key_ending(client, ":runs")) == 1001


def test_a_record_of_an_earlier_release_was_on_time(ledger: Ledger, client: redis.Redis) -> None:
    ledger.runs.record(run("r1", late=7200.0, missed=3))
    key = key_ending(client, ":runs:records")
    (kept,) = ledger.runs.page().items
    assert (kept.late, kept.missed) == (7200.0, 3)

    old = {name: value for name, value in json.loads(client.hget(key, "r1") or "").items() if name in EARLIER}
    client.hset(key, "r1", json.dumps(old))

    (read,) = ledger.runs.page().items
    assert (read.late, read.missed, read.seconds) == (0.0, 0, 1.25)


def test_a_damaged_record_is_named(ledger: Ledger, client: redis.Redis) -> None:
    ledger.runs.record(run("r1"))
    key = key_ending(client, ":runs:records")
    client.hset(key, "r1", b"{")

    page = ledger.runs.page()
    assert page.items == ()
    assert [":runs:records r1" in why for why in page.unreadable] == [True]
