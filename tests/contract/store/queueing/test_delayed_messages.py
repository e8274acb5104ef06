"""What waits is in one place, goes out once it is due, and leaves by a person's word only as a letter."""

import base64
import datetime as dt
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purser.errors import Permanent, Transient
from store import DeadLetterFilter, DeadLetterState, DelayedMessage, DelayKind, Ledger, MessageReservation
from store.content_digest import payload_digest
from store.queueing.delayed_messages import BATCH_BYTES
from tests.contract.store.making import START, Clock, delayed, envelope, fresh, key_ending, letter
from tests.waiting import wait_until

HELD = MessageReservation("purser:broker:held:w1", "1")
LEASE = dt.timedelta(seconds=30)
QUEUE = "apply"

words = st.text(max_size=20)


def waiting(ledger: Ledger, **wanted: Any) -> list[str]:
    return [found.id for found in ledger.delayed.page(**wanted).items]


def on_queue(client: Any, queue: str = QUEUE) -> list[bytes]:
    """Return what stands on a queue, the next to be consumed first."""
    found: list[bytes] = client.lrange(queue, 0, -1)
    return found[::-1]


@pytest.fixture(autouse=True)
def _no_queue_left(client: redis.Redis) -> None:
    client.delete(QUEUE, HELD.key)


# ---------------------------------------------------------------------------- parking --


@given(
    id_=st.text(min_size=1, max_size=40),
    told=st.tuples(words, words, words, words),
    kind=st.sampled_from(DelayKind),
    attempt=st.integers(0, 100),
    payload=st.binary(min_size=1, max_size=200),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_entry_comes_back_as_it_was_and_parking_it_twice_is_parking_it_once(
    client: redis.Redis, id_: str, told: tuple[str, str, str, str], kind: DelayKind, attempt: int, payload: bytes
) -> None:
    ledger = fresh(client)
    queue, task, label, why = told
    entry = delayed(id_, queue=queue, task=task, label=label, why=why, kind=kind, attempt=attempt, payload=payload)

    assert ledger.delayed.park(entry) is True
    assert ledger.delayed.park(entry) is True

    assert ledger.delayed.get(id_) == entry
    assert ledger.delayed.page(queue=queue, task=task, kind=kind).items == (replace(entry, payload=b""),)
    assert ledger.delayed.count() == 1


def test_parking_anew_tells_anew_and_keeps_the_first_moment(ledger: Ledger) -> None:
    ledger.delayed.park(delayed(minute=1))

    ledger.delayed.park(
        delayed(
            minute=9, kind=DelayKind.SNOOZE, task="scan", why="paused: all", parked_at=START + dt.timedelta(minutes=3)
        )
    )

    kept = ledger.delayed.get("m1")
    assert kept is not None
    assert (kept.due, kept.kind, kept.why, kept.parked_at) == (
        START + dt.timedelta(minutes=9),
        DelayKind.SNOOZE,
        "paused: all",
        START,
    )
    assert waiting(ledger, kind=DelayKind.RETRY) == waiting(ledger, task="apply") == []
    assert waiting(ledger, kind=DelayKind.SNOOZE, task="scan") == ["m1"]


def test_an_entry_without_its_bytes_or_its_id_is_turned_away(ledger: Ledger) -> None:
    ledger.delayed.park(delayed())
    (listed,) = ledger.delayed.page().items

    with pytest.raises(ValueError, match="bytes"):
        ledger.delayed.park(listed)
    with pytest.raises(ValueError, match="id"):
        delayed("")


def test_a_parked_message_leaves_its_worker_in_the_same_step(ledger: Ledger, client: redis.Redis) -> None:
    client.hset(HELD.key, mapping={"1": b"ours", "2": b"another"})

    assert ledger.delayed.park(delayed(), settles=HELD) is True

    assert client.hkeys(HELD.key) == [b"2"]
    assert ledger.delayed.count() == 1


def test_a_message_that_is_no_longer_ours_is_not_parked(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.delayed.park(delayed(), settles=HELD) is False

    assert ledger.delayed.count() == 0
    assert ledger.delayed.get("m1") is None


# ----------------------------------------------------------------------------- moving --


def test_what_is_due_goes_on_its_queue_the_earliest_first_and_byte_for_byte(
    ledger: Ledger, client: redis.Redis, clock: Clock
) -> None:
    for minute in (3, 1, 2, 9):
        ledger.delayed.park(delayed(f"m{minute}", minute=minute, payload=b"\x00\xff%d" % minute))
    assert ledger.delayed.move_due() == 0

    clock.pass_(minutes=3)

    assert ledger.delayed.move_due() == 3
    assert on_queue(client) == [b"\x00\xff1", b"\x00\xff2", b"\x00\xff3"]
    assert waiting(ledger, queue=QUEUE) == ["m9"]
    assert ledger.delayed.get("m1") is None


def test_the_mover_takes_no_more_than_it_is_told_nor_much_more_than_a_step_carries(
    ledger: Ledger, client: redis.Redis, clock: Clock
) -> None:
    half = b"x" * (BATCH_BYTES * 2 // 3)
    for n in range(3):
        ledger.delayed.park(delayed(f"large{n}", minute=1, payload=half))
    for n in range(3):
        ledger.delayed.park(delayed(f"small{n}", minute=2))
    clock.pass_(minutes=5)

    assert [ledger.delayed.move_due(limit=2) for _ in range(5)] == [1, 1, 2, 2, 0]
    assert ledger.delayed.count() == 0


def test_an_entry_its_queue_cannot_take_holds_up_nobody_and_is_not_lost(
    ledger: Ledger, client: redis.Redis, clock: Clock
) -> None:
    client.set("scans", b"by something else")
    ledger.delayed.park(delayed("stuck", queue="scans", minute=1))
    ledger.delayed.park(delayed("m2", minute=2))
    clock.pass_(minutes=3)

    assert ledger.delayed.move_due() == 1
    assert ledger.delayed.move_due() == 0
    assert waiting(ledger) == ["stuck"]

    client.delete("scans")
    clock.pass_(minutes=1)
    assert ledger.delayed.move_due() == 1


def test_a_hand_that_deleted_or_broke_an_entry_holds_up_nobody(
    ledger: Ledger, client: redis.Redis, clock: Clock
) -> None:
    for n in range(3):
        ledger.delayed.park(delayed(f"m{n}", minute=n + 1))
    client.delete(key_ending(client, ":delayed:m0"))
    broken = key_ending(client, ":delayed:m1")
    client.delete(broken)
    client.set(broken, b"mine")
    clock.pass_(minutes=5)

    assert ledger.delayed.move_due() == 1
    assert on_queue(client) == [delayed("m2").payload]
    with pytest.raises(Permanent, match=":delayed:m1"):
        ledger.delayed.get("m1")


def test_an_entry_nobody_here_can_read_holds_up_no_loan(ledger: Ledger, client: redis.Redis, clock: Clock) -> None:
    for n in range(4):
        ledger.delayed.park(delayed(f"m{n}", minute=n + 1))
    client.delete(key_ending(client, ":delayed:m0"))
    broken = key_ending(client, ":delayed:m1")
    client.delete(broken)
    client.set(broken, b"mine")
    client.hset(key_ending(client, ":delayed:m2"), "kind", b"of a newer Purser")
    clock.pass_(minutes=5)

    (lent,) = ledger.delayed.lend_due(lease=LEASE)
    assert (lent.id, ledger.delayed.sent(lent)) == ("m3", True)
    clock.pass_(minutes=1)
    assert ledger.delayed.lend_due(lease=LEASE) == ()
    assert ledger.delayed.count() == 2
    assert [key.rpartition(":")[2] for key in ledger.unreadable()] == ["m1", "m2"]


def test_nothing_due_costs_two_small_commands(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        ledger = Ledger(client)
        before = client.info("commandstats")
        for _ in range(10):
            ledger.delayed.move_due()
            ledger.delayed.lend_due(lease=LEASE)
        after = client.info("commandstats")
    spent = {name: after[name]["calls"] - before.get(name, {}).get("calls", 0) for name in after}
    assert {name: calls for name, calls in spent.items() if calls and name != "cmdstat_info"} == {
        "cmdstat_zrange": 40
    }


@pytest.mark.parametrize("round_", range(5))
def test_of_many_movers_each_message_is_moved_by_one(redis_url: str, round_: int) -> None:
    start = threading.Barrier(4)
    with redis.Redis.from_url(redis_url) as client:
        now = dt.datetime.now(dt.UTC)
        one = Ledger(client)
        for n in range(200):
            one.delayed.park(delayed(f"m{n}", due=now - dt.timedelta(seconds=1), payload=b"%d" % n))

        def move(_: int) -> int:
            book = Ledger.connect(redis_url)
            try:
                start.wait(timeout=10)
                return sum(iter(lambda: book.delayed.move_due(limit=7), 0))
            finally:
                book.close()

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(move, range(4))) == 200
        assert sorted(on_queue(client)) == sorted(b"%d" % n for n in range(200))


# ---------------------------------------------------------------------------- lending --


def test_what_is_lent_is_nobody_elses_until_the_lease_ends(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed(minute=1))
    clock.pass_(minutes=1)

    (lent,) = ledger.delayed.lend_due(lease=LEASE)
    assert (lent.id, lent.payload) == ("m1", delayed().payload)
    assert ledger.delayed.lend_due(lease=LEASE) == ()
    assert ledger.delayed.move_due() == 0
    assert ledger.delayed.next_due() == clock() + LEASE

    clock.pass_(seconds=30)
    assert [again.id for again in ledger.delayed.lend_due(lease=LEASE)] == ["m1"]


def test_what_was_sent_is_off_once(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed())
    clock.pass_(minutes=1)
    (lent,) = ledger.delayed.lend_due(lease=LEASE)

    assert ledger.delayed.sent(lent) is True
    assert ledger.delayed.sent(lent) is False
    assert ledger.delayed.count() == 0


@pytest.mark.parametrize("way", ["parked again while it was lent", "gone and parked again under the same id"])
def test_a_message_parked_anew_stays_whatever_an_earlier_lender_says(ledger: Ledger, clock: Clock, way: str) -> None:
    ledger.delayed.park(delayed())
    clock.pass_(minutes=1)
    (lent,) = ledger.delayed.lend_due(lease=LEASE)
    if way.startswith("gone"):
        clock.pass_(minutes=1)
        (second,) = ledger.delayed.lend_due(lease=LEASE)
        ledger.delayed.sent(second)
    ledger.delayed.park(delayed(minute=60))

    assert ledger.delayed.sent(lent) is False

    assert waiting(ledger) == ["m1"]
    assert ledger.delayed.next_due() == START + dt.timedelta(hours=1)


def test_what_two_lenders_published_is_taken_off_by_the_first_to_say_so(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed())
    clock.pass_(minutes=1)
    (slow,) = ledger.delayed.lend_due(lease=LEASE)
    clock.pass_(minutes=1)
    (fast,) = ledger.delayed.lend_due(lease=LEASE)

    assert [ledger.delayed.sent(slow), ledger.delayed.sent(fast)] == [True, False]


def test_a_loan_carries_no_more_than_a_step_holds(ledger: Ledger, clock: Clock) -> None:
    for n in range(2):
        ledger.delayed.park(delayed(f"m{n}", payload=b"x" * (BATCH_BYTES * 2 // 3)))
    clock.pass_(minutes=1)

    assert [len(ledger.delayed.lend_due(lease=LEASE)) for _ in range(3)] == [1, 1, 0]


# --------------------------------------------------------------------- by a person's word --


def test_a_person_makes_an_entry_due_at_once(ledger: Ledger, client: redis.Redis) -> None:
    ledger.delayed.park(delayed("m1", minute=90))
    ledger.delayed.park(delayed("m2", minute=60))
    ledger.delayed.park(delayed("over", minute=-1))

    assert ledger.delayed.now(["m1", "unknown", "over"], who="ada", note="Odoo is back") == ("m1",)

    assert waiting(ledger) == waiting(ledger, kind=DelayKind.RETRY) == ["over", "m1", "m2"]
    assert ledger.delayed.move_due() == 2
    assert [(e.who, e.action, e.what, e.note) for e in ledger.audit.tail()] == [
        ("ada", "delayed.now", "m1", "Odoo is back")
    ]


def test_a_cancelled_entry_is_a_discarded_letter_that_could_be_tried_again(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed(payload=envelope(b"[[], {}, {}]", {"id": "m1", "task": "apply"})))
    clock.pass_(seconds=5)

    assert ledger.delayed.cancel(["m1", "unknown"], who="ada", note="wrong client") == ("m1",)

    assert ledger.delayed.count() == 0
    assert ledger.delayed.cancel(["m1"], who="ada", note="again") == ()
    (kept,) = ledger.letters.page(
        DeadLetterFilter(state=DeadLetterState.DISCARDED, queue=QUEUE, task="apply", reason="cancelled")
    ).items
    assert (kept.body, kept.headers) == (b"[[], {}, {}]", {"id": "m1", "task": "apply"})
    assert (kept.content_type, kept.content_encoding) == ("application/json", "utf-8")
    assert kept.settled is not None
    assert (kept.settled.who, kept.settled.note, kept.settled.at) == ("ada", "wrong client", clock())
    assert [(e.who, e.action, e.what, e.note) for e in ledger.audit.tail()] == [
        ("ada", "delayed.cancel", "m1", "wrong client")
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\xff no JSON",
        b"[1, 2]",
        b'"text"',
        b"[" * 100_000,
        b'{"body": "%%%", "properties": {"body_encoding": "base64"}, "headers": {}}',
        b'{"body": 7, "properties": {}, "headers": {}, "content-type": "a", "content-encoding": "b"}',
        b'{"body": "x", "properties": [1], "headers": {}, "content-type": "a", "content-encoding": "b"}',
        b'{"body": "x", "properties": {}, "headers": null, "content-type": "a", "content-encoding": "b"}',
    ],
)
def test_bytes_nobody_can_read_are_cancelled_all_the_same_and_kept(ledger: Ledger, payload: bytes) -> None:
    ledger.delayed.park(delayed(payload=payload))

    assert ledger.delayed.cancel(["m1"], who="ada", note="garbage") == ("m1",)

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.body, kept.state, kept.queue) == (payload, DeadLetterState.DISCARDED, QUEUE)


def test_what_is_being_published_is_not_cancelled(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed())
    clock.pass_(minutes=1)
    ledger.delayed.lend_due(lease=LEASE)

    assert ledger.delayed.cancel(["m1"], who="ada", note="too late") == ()
    assert (ledger.delayed.count(), ledger.letters.get("m1"), ledger.audit.tail()) == (1, None, ())

    clock.pass_(minutes=1)
    assert ledger.delayed.cancel(["m1"], who="ada", note="it was never sent") == ("m1",)


def test_a_cancelled_message_whose_letter_was_replayed_is_one_discarded_letter_with_its_first_bytes(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.letters.store(letter("m1", body=b'{"n": 1, "m": 2}'))
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    ledger.letters.finish_replay(begun, who="ada", note="fixed")
    ledger.delayed.park(delayed(payload=envelope(b'{"m": 2, "n": 1}', {"id": "m1", "task": "apply"})))

    ledger.delayed.cancel(["m1"], who="ada", note="no")

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.state, kept.body, kept.replays, len(kept.attempts)) == (
        DeadLetterState.DISCARDED,
        b'{"n": 1, "m": 2}',
        1,
        1,
    )
    assert ledger.letters.count(DeadLetterFilter(state=DeadLetterState.REPLAYED)) == 0


@pytest.mark.parametrize(("who", "note"), [("ada", ""), ("ada", "  "), ("", "why")])
def test_nobody_acts_without_a_name_and_a_reason(ledger: Ledger, who: str, note: str) -> None:
    ledger.delayed.park(delayed())

    for act in (ledger.delayed.now, ledger.delayed.cancel):
        with pytest.raises(ValueError, match="say"):
            act(["m1"], who=who, note=note)

    assert waiting(ledger) == ["m1"]


def test_what_is_removed_leaves_no_trace(ledger: Ledger, client: redis.Redis) -> None:
    ledger.delayed.park(delayed("m1"))
    ledger.delayed.park(delayed("m2"))

    assert ledger.delayed.remove(["m1", "unknown"]) == ("m1",)

    assert waiting(ledger) == waiting(ledger, queue=QUEUE) == ["m2"]
    assert (ledger.audit.tail(), ledger.letters.get("m1")) == ((), None)
    ledger.delayed.remove(["m2"])
    assert ledger.delayed.next_due() is None


# ---------------------------------------------------------------------------- listing --


def test_pages_list_every_entry_once_the_earliest_due_first(ledger: Ledger) -> None:
    for n in range(25):
        ledger.delayed.park(delayed(f"m{n:02}", minute=n // 10))

    seen: list[str] = []
    after = None
    while True:
        page = ledger.delayed.page(after=after, limit=7)
        seen += [found.id for found in page.items]
        after = page.next
        if after is None:
            break

    assert seen == [f"m{n:02}" for n in range(25)]


def test_an_index_with_more_ties_than_a_batch_is_read_to_its_end(ledger: Ledger) -> None:
    for n in range(1100):
        ledger.delayed.park(delayed(f"m{n:04}"))

    first = ledger.delayed.page(limit=800)
    second = ledger.delayed.page(limit=800, after=first.next)

    assert [found.id for found in first.items + second.items] == [f"m{n:04}" for n in range(1100)]
    assert second.next is None


def test_filters_narrow_a_page_alone_and_together(ledger: Ledger) -> None:
    ledger.delayed.park(delayed("a", minute=1, task="scan", queue="scans"))
    ledger.delayed.park(delayed("b", minute=2, task="scan", queue="scans", kind=DelayKind.SNOOZE))
    ledger.delayed.park(delayed("c", minute=3, kind=DelayKind.SNOOZE))

    assert waiting(ledger, task="scan") == ["a", "b"]
    assert waiting(ledger, queue=QUEUE) == ["c"]
    assert waiting(ledger, kind=DelayKind.SNOOZE) == ["b", "c"]
    assert waiting(ledger, kind=DelayKind.SNOOZE, task="scan") == ["b"]
    assert waiting(ledger, task="nothing") == []
    assert ledger.delayed.next_due() == START + dt.timedelta(minutes=1)


# --------------------------------------------------------- both delayed and dead, never --


def test_a_letter_takes_the_delayed_copy_of_its_message_off(ledger: Ledger) -> None:
    ledger.delayed.park(delayed("m1"))
    ledger.delayed.park(delayed("m2"))

    ledger.letters.store(letter("m1"))

    assert waiting(ledger) == waiting(ledger, queue=QUEUE) == ["m2"]
    assert ledger.letters.count() == 1


def test_a_letter_whose_message_waits_to_be_tried_again_is_no_longer_dead(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1"))

    ledger.delayed.park(delayed("m1"))

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.state, kept.body) == (DeadLetterState.SUPERSEDED, letter().body)
    assert ledger.letters.count() == 0

    ledger.letters.store(letter("m1", minute=5))
    assert (ledger.letters.count(), ledger.delayed.count()) == (1, 0)


def test_a_replay_whose_message_is_delayed_already_was_published(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1"))
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    ledger.delayed.park(delayed("m1", minute=60))

    assert ledger.letters.abort_replay(begun) is False
    clock.pass_(minutes=10)
    assert ledger.letters.count() == 0
    assert ledger.letters.finish_replay(begun, who="ada", note="fixed") is True

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert kept.settled is not None
    assert (kept.state, kept.settled.who) == (DeadLetterState.REPLAYED, "ada")
    assert waiting(ledger) == ["m1"]


# ------------------------------------------------------------------------ out of memory --


@pytest.fixture
def full(redis_url: str) -> Iterator[redis.Redis]:
    """Yield a real server that a test fills by `config_set("maxmemory", 1)`."""
    with redis.Redis.from_url(redis_url) as client:
        try:
            yield client
        finally:
            client.config_set("maxmemory", 0)


def test_a_full_server_loses_nothing_and_goes_on_when_it_has_room(full: redis.Redis) -> None:
    clock = Clock()
    ledger = fresh(full, clock)
    for name in ("m1", "m2"):
        ledger.delayed.park(delayed(name, minute=1, payload=envelope(name.encode(), {"id": name, "task": "apply"})))
    ledger.letters.store(letter("dead", covers="scan/x"))
    full.hset(HELD.key, "1", b"ours")
    clock.pass_(minutes=1)

    def seen() -> tuple[object, ...]:
        lists = (ledger.delayed.page().items, ledger.letters.page().items, ledger.letters.groups())
        return (*lists, full.hgetall(HELD.key), full.keys())

    told = seen()

    full.config_set("maxmemory", 1)
    for act in (
        lambda: ledger.delayed.park(delayed("new"), settles=HELD),
        lambda: ledger.delayed.park(delayed("dead"), settles=HELD),
        lambda: ledger.delayed.move_due(),
        lambda: ledger.delayed.lend_due(lease=LEASE),
        lambda: ledger.delayed.cancel(["m1"], who="ada", note="no"),
        lambda: ledger.letters.store(letter("new"), settles=HELD),
        lambda: ledger.letters.supersede("scan/x", before=START + dt.timedelta(hours=1), by="a run"),
    ):
        with pytest.raises(Transient):
            act()
        assert seen() == told

    full.config_set("maxmemory", 0)
    assert ledger.delayed.park(delayed("new", minute=9), settles=HELD) is True
    assert ledger.delayed.move_due() == 2
    assert [json.loads(raw)["headers"]["id"] for raw in on_queue(full)] == ["m1", "m2"]
    assert base64.b64decode(json.loads(on_queue(full)[0])["body"]) == b"m1"


def test_a_message_of_fifty_megabytes_waits_and_goes_on_like_any_other(redis_url: str) -> None:
    payload = bytes(range(256)) * (50 * 4096)
    with redis.Redis.from_url(redis_url) as client:
        clock = Clock()
        ledger = fresh(client, clock)
        entry = delayed(payload=payload)
        ledger.delayed.park(entry)
        assert ledger.delayed.get("m1") == entry
        clock.pass_(minutes=1)
        assert ledger.delayed.move_due() == 1
        assert client.rpop(QUEUE) == payload

        ledger.delayed.park(entry)
        ledger.delayed.cancel(["m1"], who="ada", note="too large")
        kept = ledger.letters.get("m1")
        assert kept is not None
        assert kept.body == payload


def test_the_servers_clock_says_what_is_due(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        ledger = Ledger(client)
        ledger.delayed.park(delayed(due=dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=300)))

        wait_until(ledger.delayed.move_due, what="the entry to be due")

        assert on_queue(client) == [delayed().payload]


def test_a_moment_without_a_zone_is_turned_away(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="time zone"):
        ledger.delayed.park(delayed(due=START.replace(tzinfo=None)))


def test_an_entry_is_shown_without_what_it_carries() -> None:
    assert "payload" not in repr(delayed(payload=b"secret"))
    assert isinstance(delayed(), DelayedMessage)


# --------------------------------------------------------------- two messages under one id --


def told(amount: int) -> bytes:
    return f'{{"amount": {amount}}}'.encode()


def test_messages_of_two_tasks_that_share_an_id_and_a_body_wait_side_by_side(ledger: Ledger) -> None:
    for task in ("purser.accept", "purser.react", "purser.accept"):
        ledger.delayed.park(delayed("m1", task=task, payload=envelope(told(100), {"id": "m1", "task": task})))
    assert sorted(one.task for one in ledger.delayed.page().items) == ["purser.accept", "purser.react"]


@pytest.mark.parametrize("is_enveloped", [True, False])
def test_two_messages_that_share_an_id_wait_side_by_side(
    ledger: Ledger, client: redis.Redis, clock: Clock, is_enveloped: bool
) -> None:
    for n, amount in enumerate((100, 900, 100)):
        payload = envelope(told(amount), {"id": "m1", "try": n}) if is_enveloped else told(amount)
        client.hset("purser:broker:held:two", str(n), "x")
        assert ledger.delayed.park(
            delayed("m1", payload=payload), settles=MessageReservation("purser:broker:held:two", str(n))
        )
    assert client.hlen("purser:broker:held:two") == 0
    assert ledger.delayed.count() == 2
    ids = [one.id for one in ledger.delayed.page().items]
    kept = [found.payload for id_ in ids if (found := ledger.delayed.get(id_)) is not None]
    assert len({payload_digest(payload) for payload in kept}) == 2

    clock.pass_(minutes=2)
    lent = ledger.delayed.lend_due(lease=LEASE)
    assert [ledger.delayed.sent(one) for one in lent] == [True, True]
    assert ledger.delayed.count() == 0


def test_two_messages_that_share_an_id_are_two_letters(ledger: Ledger, client: redis.Redis) -> None:
    for n, amount in enumerate((100, 900, 100, 900)):
        client.hset("purser:broker:held:two", str(n), "x")
        made = letter("m1", minute=n, body=told(amount))
        assert ledger.letters.store(made, settles=MessageReservation("purser:broker:held:two", str(n)))
    assert client.hlen("purser:broker:held:two") == 0
    first, second = sorted(ledger.letters.page().items, key=lambda one: one.id)
    assert (first.id, first.body, len(first.attempts)) == ("m1", told(100), 2)
    assert (second.id[:3], second.body, len(second.attempts)) == ("m1~", told(900), 2)


def test_keeping_a_letter_names_the_id_it_is_kept_under(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.letters.keep(letter("m1", body=told(100))) == "m1"
    other = ledger.letters.keep(letter("m1", body=told(900)))
    found = ledger.letters.get(other)
    assert other != "m1"
    assert found is not None
    assert found.body == told(900)
    assert ledger.letters.keep(letter("m1", body=told(900), minute=2)) == other

    held = MessageReservation("purser:broker:held:two", "1")
    assert ledger.letters.keep(letter("m2"), settles=held) == ""
    client.hset("purser:broker:held:two", "1", "x")
    assert ledger.letters.keep(letter("m2"), settles=held) == "m2"


def test_what_waits_and_what_is_dead_under_one_id_are_not_taken_for_one_another(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=told(100)))
    ledger.delayed.park(delayed("m1", payload=envelope(told(900), {"id": "m1"})))
    assert (ledger.letters.count(), ledger.delayed.count()) == (1, 1)

    ledger.letters.store(letter("m1", body=told(100), minute=3))
    assert (ledger.letters.count(), ledger.delayed.count()) == (1, 1)

    ledger.letters.store(letter("m1", body=told(900), minute=4))
    assert (ledger.letters.count(), ledger.delayed.count()) == (2, 0)

    ledger.delayed.park(delayed("m1", payload=envelope(told(900), {"id": "m1"})))
    assert (ledger.letters.count(), ledger.delayed.count()) == (1, 1)
    (left,) = ledger.letters.page().items
    assert left.body == told(100)


def test_an_edited_letter_that_fails_again_is_the_same_letter(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=told(100)))
    ledger.letters.edit("m1", body=told(200), expects=0, who="ada", note="why")
    ledger.letters.store(letter("m1", body=told(200), minute=1))
    ledger.letters.store(letter("m1", body=told(100), minute=2))
    assert [one.body for one in ledger.letters.page().items] == [told(200)]


def test_a_cancelled_message_does_not_take_the_place_of_another_letter(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=told(100)))
    ledger.delayed.park(delayed("m1", payload=envelope(told(900), {"id": "m1"})))
    assert ledger.delayed.cancel(["m1"], who="ada", note="no") == ("m1",)
    assert [one.body for one in ledger.letters.page().items] == [told(100)]
    assert [one.body for one in ledger.letters.page(DeadLetterFilter(state=DeadLetterState.DISCARDED)).items] == [
        told(900)
    ]


def test_an_imported_letter_with_the_id_of_another_is_kept_beside_it(ledger: Ledger, client: redis.Redis) -> None:
    other = fresh(client)
    other.letters.store(letter("m1", body=told(900)))
    (exported,) = other.letters.export()
    ledger.letters.store(letter("m1", body=told(100)))

    assert (ledger.letters.put(exported), ledger.letters.put(exported)) == (True, False)

    assert sorted(one.body for one in ledger.letters.page().items) == [told(100), told(900)]


# ------------------------------------------------------- a clock that was ahead for a moment --


@pytest.fixture
def _parked_ahead(ledger: Ledger, clock: Clock) -> None:
    """Park one message while the clock is a day ahead, then put the clock right."""
    clock.pass_(days=1)
    ledger.delayed.park(delayed("m1", due=clock() + dt.timedelta(minutes=2), kind=DelayKind.SNOOZE))
    clock.pass_(days=-1)


@pytest.mark.usefixtures("_parked_ahead")
def test_a_message_parked_by_a_clock_that_was_ahead_waits_as_long_as_was_asked(ledger: Ledger, clock: Clock) -> None:
    assert ledger.delayed.move_due() == 0
    found = ledger.delayed.get("m1")
    assert found is not None
    assert found.due == clock() + dt.timedelta(minutes=2)
    clock.pass_(minutes=2)
    assert ledger.delayed.move_due() == 1
    assert ledger.delayed.count() == 0


@pytest.mark.usefixtures("_parked_ahead")
def test_a_message_parked_by_a_clock_that_was_ahead_goes_out_now_when_a_person_says_so(ledger: Ledger) -> None:
    assert ledger.delayed.now(["m1"], who="anna", note="the clock was wrong") == ("m1",)
    assert ledger.delayed.move_due() == 1


def test_a_message_lent_by_a_clock_that_was_ahead_is_lent_again(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed("m1", due=clock()))
    clock.pass_(days=1)
    assert len(ledger.delayed.lend_due(lease=LEASE)) == 1
    clock.pass_(days=-1)
    assert ledger.delayed.lend_due(lease=LEASE) == ()
    clock.pass_(seconds=LEASE.total_seconds())
    assert [entry.id for entry in ledger.delayed.lend_due(lease=LEASE)] == ["m1"]


def test_a_message_parked_by_a_right_clock_is_left_alone(ledger: Ledger, clock: Clock) -> None:
    due = clock() + dt.timedelta(days=3)
    ledger.delayed.park(delayed("m1", due=due))
    ledger.delayed.park(delayed("m2", due=clock()))
    assert ledger.delayed.move_due() == 1
    found = ledger.delayed.get("m1")
    assert found is not None
    assert found.due == due


def test_nothing_is_left_of_entries_that_are_gone(ledger: Ledger, client: redis.Redis, clock: Clock) -> None:
    for name in ("m1", "m2", "m3"):
        ledger.delayed.park(delayed(name, due=clock()))
    ledger.delayed.cancel(["m1"], who="anna", note="not needed")
    ledger.delayed.remove(["m2"])
    ledger.delayed.move_due()
    assert [key for key in client.scan_iter("*delayed*") if not key.endswith(b"versions")] == []
