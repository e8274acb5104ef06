"""A worker that falls silent or idles beside old work is noticed."""

import dataclasses
import datetime as dt

import pytest
import redis

from store import Ledger, WorkerReport
from store.fleet.worker_heartbeats import GHOST_AFTER
from tests.contract.store.making import START, Clock, key_ending

SECOND = dt.timedelta(seconds=1)

MEMBER = WorkerReport(
    name="celery@one",
    host="one",
    pid=7,
    queues=("apply", "events"),
    started=START,
    at=START,
    last_consumed=START,
    active=1,
    capacity=2,
    oldest={"apply": 3.5},
    version="1.2",
)


def test_what_a_worker_reports_is_read_back_with_its_age(ledger: Ledger, clock: Clock) -> None:
    ledger.crew.report(dataclasses.replace(MEMBER, name="celery@two", last_consumed=None, oldest={}))
    ledger.crew.report(MEMBER)
    clock.pass_(seconds=20)

    first, second = ledger.crew.all()

    assert first.member == MEMBER
    assert (first.at, first.age, first.state) == (START, 20 * SECOND, "working")
    assert (second.member.name, second.member.last_consumed) == ("celery@two", None)


def test_each_report_replaces_the_one_before(ledger: Ledger, clock: Clock) -> None:
    ledger.crew.report(MEMBER)
    clock.pass_(seconds=50)
    ledger.crew.report(dataclasses.replace(MEMBER, active=2))
    clock.pass_(seconds=50)

    (one,) = ledger.crew.all()

    assert (one.member.active, one.age, one.state) == (2, 50 * SECOND, "working")


def test_a_worker_silent_for_a_minute_is_gone_and_after_a_day_forgotten(
    ledger: Ledger, client: redis.Redis, clock: Clock
) -> None:
    ledger.crew.report(MEMBER)
    clock.pass_(seconds=60)
    assert [one.state for one in ledger.crew.all()] == ["working"]
    clock.pass_(seconds=1)
    assert [one.state for one in ledger.crew.all()] == ["gone"]
    clock.pass_(hours=24)
    assert ledger.crew.all() == ()

    ledger.crew.report(dataclasses.replace(MEMBER, name="celery@two"))

    assert client.hkeys(key_ending(client, ":crew")) == [b"celery@two"]


def test_its_own_clock_does_not_decide_how_old_a_report_is(ledger: Ledger, clock: Clock) -> None:
    ledger.crew.report(dataclasses.replace(MEMBER, at=START - dt.timedelta(hours=5)))
    assert [one.state for one in ledger.crew.all()] == ["working"]


def test_a_worker_that_ends_in_good_order_leaves_no_trace(ledger: Ledger) -> None:
    ledger.crew.report(MEMBER)
    assert ledger.crew.leave("celery@one") is True
    assert ledger.crew.leave("celery@one") is False
    assert ledger.crew.all() == ()
    assert ledger.audit.tail() == ()


def test_a_person_forgets_a_worker_and_that_is_audited(ledger: Ledger) -> None:
    ledger.crew.report(MEMBER)
    assert ledger.crew.forget("celery@two", who="ada", note="moved") is False
    assert ledger.crew.forget("celery@one", who="ada", note="moved") is True
    assert ledger.crew.all() == ()
    assert [(one.action, one.what) for one in ledger.audit.tail()] == [("workers.forget", "celery@one")]


LATER = START + GHOST_AFTER + SECOND
OLD = GHOST_AFTER.total_seconds() + 1


@pytest.mark.parametrize(
    ("told", "is_ghost"),
    [
        ({}, True),
        ({"last_consumed": None}, True),
        ({"active": 2}, False),
        ({"last_consumed": LATER - SECOND}, False),
        ({"last_consumed": None, "started": LATER - SECOND}, False),
        ({"oldest": {"apply": 5.0}}, False),
        ({"oldest": {}}, False),
    ],
)
def test_a_ghost_has_free_hands_and_leaves_old_messages_alone(told: dict[str, object], is_ghost: bool) -> None:
    member = dataclasses.replace(MEMBER, at=LATER, oldest={"apply": OLD, "events": 0.0})
    member = dataclasses.replace(member, **told)  # type: ignore[arg-type]
    assert member.is_ghost() is is_ghost


def test_the_list_says_so_too(ledger: Ledger) -> None:
    ledger.crew.report(dataclasses.replace(MEMBER, at=LATER, oldest={"apply": OLD}))
    ledger.crew.report(dataclasses.replace(MEMBER, name="celery@two", state="ghost"))
    assert [one.state for one in ledger.crew.all()] == ["ghost", "ghost"]


def test_a_damaged_report_is_said_to_be_one(ledger: Ledger, client: redis.Redis) -> None:
    ledger.crew.report(MEMBER)
    client.hset(key_ending(client, ":crew"), "celery@one", b"{}")
    assert ledger.crew.all() == ()
    assert [name.rpartition(" ")[2] for name in ledger.unreadable()] == ["celery@one"]


def test_a_worker_heard_of_by_a_clock_that_was_a_day_ahead_falls_silent_like_any_other(
    ledger: Ledger, clock: Clock
) -> None:
    clock.pass_(days=1)
    ledger.crew.report(MEMBER)
    clock.pass_(days=-1)
    other = dataclasses.replace(MEMBER, name="celery@two")
    ledger.crew.report(other)
    clock.pass_(minutes=5)
    ledger.crew.report(other)

    states = {one.member.name: one.state for one in ledger.crew.all()}
    assert states == {"celery@one": "gone", "celery@two": "working"}
