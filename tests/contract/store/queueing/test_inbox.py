"""An accepted event stays known until every automation is done with it, and is given out again when it stalls."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purser.errors import Transient
from store import InboxEntry, Ledger
from store.queueing.inbox import BATCH_BYTES
from tests.contract.store.making import START, Clock, fresh, key_ending

TEN = dt.timedelta(minutes=10)
EVENT = {"type": "opportunity.won.v1", "data": {"name": "Zürich", "amount": 1.5, "tags": [None, True]}}


def accept(ledger: Ledger, id_: str = "e1", *automations: str, **given: Any) -> bool:
    values: dict[str, Any] = {"event": EVENT, "again_after": TEN} | given
    event, again_after = values["event"], values["again_after"]
    return ledger.inbox.accept("crm", id_, event, automations or ("open-project",), again_after=again_after)


def lent(ledger: Ledger, **given: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(entry.id, entry.pending) for entry in ledger.inbox.lend_stalled(**{"knows_queues": True, **given})]


def test_an_accepted_event_is_known_until_every_automation_is_done(ledger: Ledger) -> None:
    assert accept(ledger, "e1", "b", "a") is True
    assert accept(ledger, "e1", "b", "a") is False

    expected = InboxEntry(source="crm", id="e1", event=EVENT, pending=("a", "b"), accepted_at=START, emitted=0)
    assert ledger.inbox.get("crm", "e1") == expected
    assert ledger.inbox.page().items == (expected,)
    assert ledger.inbox.done("crm", "e1", "b") is True
    assert ledger.inbox.done("crm", "e1", "b") is False
    assert [entry.pending for entry in ledger.inbox.page().items] == [("a",)]
    assert ledger.inbox.done("crm", "e1", "a") is True

    assert ledger.inbox.get("crm", "e1") is None
    assert (ledger.inbox.count(), ledger.inbox.page().items) == (0, ())
    assert ledger.inbox.done("crm", "e1", "a") is False


def test_an_event_nobody_reacts_to_is_not_kept(ledger: Ledger) -> None:
    assert ledger.inbox.accept("crm", "e1", EVENT, (), again_after=TEN) is False

    assert (ledger.inbox.count(), ledger.inbox.get("crm", "e1")) == (0, None)


def test_accepting_again_keeps_what_is_done_done(ledger: Ledger) -> None:
    accept(ledger, "e1", "a", "b")
    ledger.inbox.done("crm", "e1", "a")

    accept(ledger, "e1", "a", "b")

    kept = ledger.inbox.get("crm", "e1")
    assert kept is not None
    assert kept.pending == ("b",)


def test_an_event_without_progress_is_given_out_ever_more_rarely(ledger: Ledger, clock: Clock) -> None:
    accept(ledger)
    looks = []
    for minute in range(1, 60 * 40 + 1):
        clock.moment = START + dt.timedelta(minutes=minute)
        if lent(ledger):
            looks.append(minute)

    gaps = [later - earlier for earlier, later in zip([0, *looks], looks, strict=False)]
    assert gaps == [10, 20, 40, 80, 160, 320, 360, 360, 360, 360]
    kept = ledger.inbox.get("crm", "e1")
    assert kept is not None
    assert kept.emitted == len(looks)


def test_what_is_lent_is_nobody_elses_and_only_what_stalled_is_lent(ledger: Ledger, clock: Clock) -> None:
    accept(ledger, "e1", "a", "b")
    ledger.inbox.done("crm", "e1", "b")
    clock.pass_(minutes=10)

    (entry,) = ledger.inbox.lend_stalled(knows_queues=True)

    assert (entry.source, entry.event, entry.pending, entry.emitted) == ("crm", EVENT, ("a",), 1)
    assert lent(ledger) == []


def test_a_message_that_is_parked_is_not_given_out_before_its_time(ledger: Ledger, clock: Clock) -> None:
    accept(ledger, "e1", "parked", "stalled")
    assert ledger.inbox.progress("crm", "e1", "parked", quiet_until=START + dt.timedelta(minutes=120)) is True

    clock.pass_(minutes=10)
    assert lent(ledger) == [("e1", ("stalled",))]
    ledger.inbox.done("crm", "e1", "stalled")

    clock.pass_(minutes=20)
    assert lent(ledger) == []
    clock.moment = START + dt.timedelta(minutes=139, seconds=59)
    assert lent(ledger) == []
    clock.moment = START + dt.timedelta(minutes=140)  # its time, and one wait
    assert lent(ledger) == [("e1", ("parked",))]


def test_a_look_that_finds_everybody_quiet_counts_for_nothing(ledger: Ledger, clock: Clock) -> None:
    accept(ledger)
    ledger.inbox.progress("crm", "e1", "open-project", quiet_until=START + dt.timedelta(minutes=15))
    clock.pass_(minutes=10)
    assert lent(ledger) == []

    clock.pass_(minutes=15)
    (entry,) = ledger.inbox.lend_stalled(knows_queues=True)

    assert entry.emitted == 1


def test_progress_of_what_is_not_awaited_is_nothing(ledger: Ledger) -> None:
    accept(ledger)

    assert ledger.inbox.progress("crm", "e1", "other", quiet_until=START) is False
    assert ledger.inbox.progress("crm", "unknown", "open-project", quiet_until=START) is False

    assert ledger.inbox.count() == 1


def test_a_loan_carries_no_more_than_it_is_told_and_than_a_step_holds(ledger: Ledger, clock: Clock) -> None:
    large = {"text": "x" * (BATCH_BYTES * 2 // 3)}
    for n in range(2):
        accept(ledger, f"large{n}", event=large)
    clock.pass_(seconds=1)
    for n in range(3):
        accept(ledger, f"small{n}")
    clock.pass_(minutes=10)

    assert [len(lent(ledger, limit=2)) for _ in range(5)] == [1, 2, 2, 0, 0]


def test_events_are_listed_by_page_the_earliest_first_wherever_they_stand_in_line(
    ledger: Ledger, clock: Clock
) -> None:
    for n in range(5):
        accept(ledger, f"e{n}")
        clock.pass_(minutes=3)
    ledger.inbox.lend_stalled(knows_queues=True)

    first = ledger.inbox.page(limit=3)

    assert [entry.id for entry in first.items] == ["e0", "e1", "e2"]
    assert [entry.id for entry in ledger.inbox.page(after=first.next).items] == ["e3", "e4"]


@given(
    source=st.text(max_size=60),
    id_=st.text(max_size=60),
    automations=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4, unique=True),
    event=st.dictionaries(st.text(max_size=9), st.none() | st.text(max_size=9) | st.integers() | st.booleans()),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_event_with_any_id_comes_back_as_it_was(
    client: redis.Redis, source: str, id_: str, automations: list[str], event: dict[str, Any]
) -> None:
    clock = Clock()
    ledger = fresh(client, clock)
    assert ledger.inbox.accept(source, id_, event, automations, again_after=TEN) is True
    assert ledger.inbox.accept(f"{source}x", id_, event, automations, again_after=TEN) is True
    clock.pass_(minutes=10)

    found = ledger.inbox.lend_stalled(knows_queues=True)

    assert sorted((entry.source, entry.id, entry.event, entry.pending) for entry in found) == [
        (source, id_, event, tuple(sorted(automations))),
        (f"{source}x", id_, event, tuple(sorted(automations))),
    ]
    for automation in automations:
        assert ledger.inbox.done(source, id_, automation) is True
    assert ledger.inbox.count() == 1


def test_a_name_utf_8_cannot_hold_is_kept_all_the_same(ledger: Ledger) -> None:
    assert ledger.inbox.accept("crm\udc80", "e\udc81", EVENT, ["a"], again_after=TEN) is True
    assert ledger.inbox.done("crm\udc80", "e\udc81", "a") is True


def test_an_event_of_a_megabyte_comes_back_as_it_was(ledger: Ledger, clock: Clock) -> None:
    event = {"text": "ü" * 1_000_000}
    accept(ledger, event=event)
    clock.pass_(minutes=10)

    assert [entry.event for entry in ledger.inbox.lend_stalled(knows_queues=True)] == [event]


def test_what_cannot_be_kept_is_turned_away(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        accept(ledger, event={"at": START})
    with pytest.raises(ValueError, match="stalls"):
        accept(ledger, again_after=dt.timedelta(0))

    assert ledger.inbox.count() == 0


def test_an_entry_a_hand_deleted_is_forgotten_and_a_broken_one_is_named(
    ledger: Ledger, client: redis.Redis, clock: Clock
) -> None:
    accept(ledger, "e1")
    accept(ledger, "e2", "other")
    todo = [name for name in client.keys("*:todo") if b"other" in client.hkeys(name)]
    client.delete(*todo)
    clock.pass_(minutes=10)
    assert lent(ledger) == [("e1", ("open-project",))]
    assert ledger.inbox.count() == 1

    (kept,) = [name for name in client.keys("*:inbox:*") if client.type(name) == b"hash" and b"todo" not in name]
    client.hset(kept, "event", b"[oops")
    page = ledger.inbox.page()
    assert page.items == ()
    assert [":inbox:" in why for why in page.unreadable] == [True]


@pytest.mark.parametrize("round_", range(5))
def test_of_many_that_ask_each_event_goes_to_one(redis_url: str, round_: int) -> None:
    start = threading.Barrier(4)
    clock = Clock()
    with redis.Redis.from_url(redis_url) as client:
        prefix = f"many{round_}"
        one = Ledger(client, prefix=prefix, now=clock)
        for n in range(100):
            accept(one, f"e{n}")
        clock.pass_(minutes=10)

        def ask(_: int) -> list[str]:
            with redis.Redis.from_url(redis_url) as mine:
                book = Ledger(mine, prefix=prefix, now=clock)
                start.wait(timeout=10)
                return [
                    entry.id
                    for batch in iter(lambda: book.inbox.lend_stalled(limit=7, knows_queues=True), ())
                    for entry in batch
                ]

        with ThreadPoolExecutor(4) as pool:
            found = [name for names in pool.map(ask, range(4)) for name in names]
    assert sorted(found) == sorted(f"e{n}" for n in range(100))


def test_a_full_server_keeps_what_it_has_and_lends_nothing_it_could_not_note(redis_url: str) -> None:
    clock = Clock()
    with redis.Redis.from_url(redis_url) as client:
        ledger = fresh(client, clock)
        accept(ledger)
        clock.pass_(minutes=10)
        told = (ledger.inbox.page().items, client.keys())
        client.config_set("maxmemory", 1)
        try:
            for act in (lambda: accept(ledger, "new"), lambda: lent(ledger)):
                with pytest.raises(Transient):
                    act()
            assert (ledger.inbox.page().items, client.keys()) == told
        finally:
            client.config_set("maxmemory", 0)
        assert lent(ledger) == [("e1", ("open-project",))]


def test_keys_of_the_inbox_hold_no_foreign_text(ledger: Ledger, client: redis.Redis) -> None:
    accept(ledger, "e 1\n\x00")

    assert key_ending(client, ":todo").isprintable()


def test_who_does_not_know_the_queues_gives_one_copy_a_day(ledger: Ledger, clock: Clock) -> None:
    accept(ledger, "e1")
    copies: list[InboxEntry] = []
    for _ in range(10 * 24 * 4):
        clock.pass_(minutes=15)
        copies += ledger.inbox.lend_stalled()
    assert len(copies) == 10


def test_an_event_whose_message_still_waits_counts_as_not_sent_again(ledger: Ledger, clock: Clock) -> None:
    accept(ledger, "e1")
    clock.pass_(minutes=10)
    (entry,) = ledger.inbox.lend_stalled(knows_queues=True)
    assert entry.emitted == 1

    ledger.inbox.held_back(entry.source, entry.id)
    ledger.inbox.held_back(entry.source, entry.id)

    assert [one.emitted for one in ledger.inbox.page().items] == [0]
    assert ledger.inbox.lend_stalled(knows_queues=True) == (), "it is looked at again later"
    clock.pass_(minutes=20)
    assert [one.emitted for one in ledger.inbox.lend_stalled(knows_queues=True)] == [1]
