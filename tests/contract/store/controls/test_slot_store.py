"""A slot is worked by one holder at a time, and never again once done."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import ClaimResult, Ledger
from tests.contract.store.making import START, Clock, fresh

MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


def claim(ledger: Ledger, holder: str, slot: dt.datetime = START, lease: dt.timedelta = MINUTE) -> ClaimResult:
    return ledger.slots.claim("stale-drafts", slot, holder=holder, lease=lease)


def test_a_second_holder_waits_until_the_lease_lapses(ledger: Ledger, clock: Clock) -> None:
    assert claim(ledger, "a") is ClaimResult.GRANTED
    assert claim(ledger, "b") is ClaimResult.BUSY
    clock.pass_(seconds=59)
    assert claim(ledger, "b") is ClaimResult.BUSY
    clock.pass_(seconds=1)
    assert claim(ledger, "b") is ClaimResult.GRANTED
    assert claim(ledger, "a") is ClaimResult.BUSY


def test_the_holder_enters_again_and_so_renews_its_lease(ledger: Ledger, clock: Clock) -> None:
    claim(ledger, "a")
    clock.pass_(seconds=50)
    assert claim(ledger, "a") is ClaimResult.GRANTED
    clock.pass_(seconds=50)
    assert claim(ledger, "b") is ClaimResult.BUSY


def test_a_slot_at_or_before_the_last_done_one_is_done(ledger: Ledger, clock: Clock) -> None:
    clock.pass_(hours=2)
    claim(ledger, "a", START + HOUR)
    assert ledger.slots.last_done("stale-drafts") is None

    assert ledger.slots.done("stale-drafts", START + HOUR, holder="a") is True

    assert claim(ledger, "a", START) is ClaimResult.DONE
    assert claim(ledger, "b", START + HOUR) is ClaimResult.DONE
    assert claim(ledger, "b", START + 2 * HOUR) is ClaimResult.GRANTED
    assert ledger.slots.last_done("stale-drafts") == START + HOUR


def test_an_older_slot_done_late_does_not_move_the_mark_back(ledger: Ledger, clock: Clock) -> None:
    clock.pass_(hours=2)
    claim(ledger, "a", START)
    claim(ledger, "b", START + HOUR)
    ledger.slots.done("stale-drafts", START + HOUR, holder="b")

    ledger.slots.done("stale-drafts", START, holder="a")

    assert ledger.slots.last_done("stale-drafts") == START + HOUR


def test_who_lost_the_lease_cannot_mark_the_slot_of_the_next_holder(ledger: Ledger, clock: Clock) -> None:
    claim(ledger, "a")
    clock.pass_(minutes=2)
    claim(ledger, "b")

    assert ledger.slots.done("stale-drafts", START, holder="a") is False
    assert ledger.slots.last_done("stale-drafts") is None
    assert ledger.slots.done("stale-drafts", START, holder="b") is True


def test_a_released_slot_is_free_at_once_and_only_its_holder_releases_it(ledger: Ledger) -> None:
    claim(ledger, "a")

    assert ledger.slots.release("stale-drafts", START, holder="b") is False
    assert claim(ledger, "b") is ClaimResult.BUSY
    assert ledger.slots.release("stale-drafts", START, holder="a") is True
    assert claim(ledger, "b") is ClaimResult.GRANTED


def test_controls_do_not_share_their_slots(ledger: Ledger) -> None:
    claim(ledger, "a")
    ledger.slots.done("stale-drafts", START, holder="a")

    assert ledger.slots.claim("unbilled-work", START, holder="b", lease=MINUTE) is ClaimResult.GRANTED


@given(holders=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), waits=st.lists(st.integers(0, 90)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_history_of_claims_gives_a_slot_to_two_at_once(
    client: redis.Redis, holders: list[str], waits: list[int]
) -> None:
    clock = Clock()
    ledger = fresh(client, clock)
    owner, until = "", START

    for n, holder in enumerate(holders):
        clock.pass_(seconds=waits[n] if n < len(waits) else 0)
        free = holder == owner or clock.moment >= until
        assert claim(ledger, holder) is (ClaimResult.GRANTED if free else ClaimResult.BUSY)
        if free:
            owner, until = holder, clock.moment + MINUTE


@pytest.mark.parametrize("round_", range(20))
def test_of_many_that_claim_together_one_is_granted(redis_url: str, round_: int) -> None:
    start = threading.Barrier(8)

    def ask(holder: int) -> ClaimResult:
        ledger = Ledger.connect(redis_url)
        try:
            start.wait(timeout=10)
            return claim(ledger, f"holder-{holder}", START + round_ * HOUR)
        finally:
            ledger.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert sorted(answers) == [ClaimResult.BUSY] * 7 + [ClaimResult.GRANTED]


@pytest.mark.parametrize("lease", [dt.timedelta(0), -MINUTE])
def test_a_lease_of_no_time_is_turned_away(ledger: Ledger, lease: dt.timedelta) -> None:
    with pytest.raises(ValueError, match="lease"):
        claim(ledger, "a", lease=lease)


def test_a_run_that_decided_nothing_leaves_what_the_one_before_decided(ledger: Ledger, clock: Clock) -> None:
    clock.pass_(hours=2)
    slots = ledger.slots
    slots.claim("stale-drafts", START, holder="a", lease=HOUR)
    slots.done("stale-drafts", START, holder="a")
    later = START + HOUR
    slots.claim("stale-drafts", later, holder="b", lease=HOUR)

    assert slots.done("stale-drafts", later, holder="b", is_completed=False)

    assert (slots.last_done("stale-drafts"), slots.last_completed("stale-drafts")) == (later, START)


def test_a_slot_that_an_older_release_marked_as_done_counts_as_completed(ledger: Ledger, client: Any) -> None:
    slots = ledger.slots
    slots.claim("stale-drafts", START, holder="a", lease=HOUR)
    slots.done("stale-drafts", START, holder="a")
    client.delete(f"{ledger._store.prefix}:slots:completed")
    assert slots.last_completed("stale-drafts") == START

    slots.claim("stale-drafts", START + HOUR, holder="b", lease=HOUR)
    slots.done("stale-drafts", START + HOUR, holder="b", is_completed=False)

    assert slots.last_completed("stale-drafts") == START


def test_a_lease_of_a_clock_that_was_a_day_ahead_has_lapsed(ledger: Ledger, clock: Clock) -> None:
    clock.pass_(days=1)
    assert claim(ledger, "a") is ClaimResult.GRANTED
    clock.pass_(days=-1)
    assert claim(ledger, "b") is ClaimResult.GRANTED
    assert claim(ledger, "c") is ClaimResult.BUSY


def test_a_slot_done_by_a_clock_that_was_ahead_marks_nothing_once_the_clock_is_right(
    ledger: Ledger, clock: Clock
) -> None:
    clock.pass_(hours=1)
    ahead = clock()
    assert claim(ledger, "a", slot=ahead) is ClaimResult.GRANTED
    assert ledger.slots.done("stale-drafts", ahead, holder="a")
    clock.pass_(hours=-1)

    assert ledger.slots.last_done("stale-drafts") is None
    assert ledger.slots.last_completed("stale-drafts") is None
    assert claim(ledger, "b", slot=START) is ClaimResult.GRANTED
    assert ledger.slots.done("stale-drafts", START, holder="b")
    assert ledger.slots.last_done("stale-drafts") == START
    assert ledger.slots.last_completed("stale-drafts") == START
    assert claim(ledger, "c", slot=START) is ClaimResult.DONE
