"""What one step on the server does to a message, on an imitation and on a real server."""

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis

from tests.contract.broker.house import LEASE, House, Taker, delivery_of, keeping
from workers.broker.redis import scripts
from workers.broker.redis.leases import LeaseLost, LeaseManager

ODD = [b"", b"\x00\xff:\r\n1:2:3:q", b"q" * 70, "ümläut 🐎".encode(), b"17:1:1:1:x"]


@pytest.fixture(params=["fakeredis", "server"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "fakeredis":
        imitation: redis.Redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        with imitation:
            yield imitation
    else:
        with redis.Redis.from_url(request.getfixturevalue("redis_url")) as real:
            yield real


@pytest.fixture
def house(client: redis.Redis) -> House:
    return House(client)


@pytest.fixture
def keeper(client: redis.Redis) -> Iterator[LeaseManager]:
    with keeping(client) as made:
        yield made


@pytest.fixture
def taker(keeper: LeaseManager) -> Taker:
    return Taker(keeper)


# -------------------------------------------------------------------------------- taking --


def test_a_taken_message_is_held_and_no_longer_waits(house: House, taker: Taker) -> None:
    house.push(b"one")

    assert taker.take() == (f"{taker.holder}/1", b"one")

    assert house.held() == {f"{taker.holder}/1": b"one"}
    assert house.waiting() == []


def test_asking_again_under_the_same_number_gives_the_same_message(house: House, taker: Taker) -> None:
    house.push(b"one", b"two")
    first = taker.keeper.reserve(taker.next_tag, taker.queues)

    again = taker.keeper.reserve(taker.next_tag, taker.queues)

    assert again == first
    assert house.waiting() == [b"two"]
    assert delivery_of(again) == 1


def test_messages_come_in_the_order_in_which_they_were_sent(house: House, taker: Taker) -> None:
    house.push(b"one", b"two", b"three")

    assert [taken[1] for taken in (taker.take(), taker.take(), taker.take()) if taken] == [b"one", b"two", b"three"]
    assert taker.take() is None


def test_queues_are_looked_at_in_the_order_of_the_question(house: House, keeper: LeaseManager) -> None:
    taker = Taker(keeper, "urgent", "q")
    house.push(b"late", queue="q")
    house.push(b"now", queue="urgent")

    assert [taken[1] for taken in (taker.take(), taker.take()) if taken] == [b"now", b"late"]


def test_a_key_that_is_no_list_does_not_stop_the_other_queues(house: House, keeper: LeaseManager) -> None:
    taker = Taker(keeper, "strange", "q")
    house.client.set("strange", "no list")
    house.push(b"one")

    assert taker.take() == (f"{taker.holder}/1", b"one")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        taker.take()


def test_who_has_no_lease_takes_nothing(house: House, taker: Taker) -> None:
    house.client.zrem(scripts.LEASES, taker.holder)
    house.push(b"one")

    with pytest.raises(LeaseLost):
        taker.take()

    assert house.waiting() == [b"one"]
    assert house.held() == {}


# ------------------------------------------------------------------------------- settling --


@pytest.mark.parametrize("payload", [*ODD, b"\x01\x02" * 2_500_000], ids=lambda value: f"{len(value)} bytes")
def test_what_goes_back_is_byte_for_byte_what_was_taken(house: House, taker: Taker, payload: bytes) -> None:
    house.push(payload)
    taken = taker.take()
    assert taken is not None
    assert taken[1] == payload

    taker.keeper.give_back(taken[0], counted=True)

    assert house.waiting() == [payload]
    assert house.held() == {}


def test_a_queue_may_have_any_name(house: House, keeper: LeaseManager) -> None:
    name = "9:ü:/ q"
    taker = Taker(keeper, name)
    house.push(b"one", queue=name)
    taken = taker.take()
    assert taken is not None

    keeper.give_back(taken[0], counted=False)

    assert house.waiting(name) == [b"one"]


def test_a_message_that_goes_back_is_the_next_one_out(house: House, taker: Taker) -> None:
    house.push(b"one", b"two")
    taken = taker.take()
    assert taken is not None

    taker.keeper.give_back(taken[0], counted=False)

    assert house.waiting() == [b"one", b"two"]


def test_only_a_counted_return_is_a_delivery_that_failed(house: House, taker: Taker) -> None:
    house.push(b"one")
    for counted in (False, False, True, True):
        taken = taker.take()
        assert taken is not None
        taker.keeper.give_back(taken[0], counted=counted)

    assert delivery_of(taker.keeper.reserve(taker.next_tag, taker.queues)) == 3


def test_nothing_is_written_about_a_first_delivery(house: House, taker: Taker) -> None:
    house.push(b"one")
    taken = taker.take()
    assert taken is not None

    taker.keeper.ack(taken[0])

    assert list(house.client.scan_iter(f"{scripts.AGAIN}*")) == []


def test_the_count_of_deliveries_is_forgotten_in_time(house: House, taker: Taker) -> None:
    house.push(b"one")
    taken = taker.take()
    assert taken is not None
    taker.keeper.give_back(taken[0], counted=True)

    [key] = house.client.scan_iter(f"{scripts.AGAIN}*")

    assert 0 < house.client.ttl(key) <= scripts.AGAIN_KEPT


def test_a_message_is_settled_once(house: House, taker: Taker) -> None:
    house.push(b"one")
    taken = taker.take()
    assert taken is not None
    tag = taken[0]

    assert taker.keeper.ack(tag)
    assert not taker.keeper.ack(tag)
    taker.keeper.give_back(tag, counted=True)

    assert house.waiting() == []

    house.push(b"two")
    second = taker.take()
    assert second is not None
    taker.keeper.give_back(second[0], counted=False)
    taker.keeper.give_back(second[0], counted=False)
    assert house.waiting() == [b"two"]


# ---------------------------------------------------------------------------- withdrawing --


def test_a_withdrawn_question_gives_back_what_it_took(house: House, taker: Taker) -> None:
    house.push(b"one", b"two")
    taker.keeper.reserve(taker.next_tag, taker.queues)  # and the answer is never read

    taker.keeper.withdraw(taker.next_tag)

    assert house.waiting() == [b"one", b"two"]
    assert house.held() == {}


def test_a_question_that_arrives_after_it_was_withdrawn_takes_nothing(house: House, taker: Taker) -> None:
    house.push(b"one")
    taker.keeper.withdraw(taker.next_tag)

    assert taker.take() is None
    assert house.waiting() == [b"one"]

    taker.number += 1
    assert taker.take() == (f"{taker.holder}/2", b"one")


def test_what_was_withdrawn_is_forgotten_in_time(house: House, taker: Taker) -> None:
    taker.keeper.withdraw(taker.next_tag)

    [key] = house.client.scan_iter(f"{scripts.CANCELLED}*")

    assert 0 < house.client.ttl(key) <= scripts.CANCELLED_KEPT


# ------------------------------------------------------------------------------- retiring --


def test_a_retired_consumer_leaves_nothing_behind(house: House, taker: Taker) -> None:
    house.push(b"one", b"two", b"three")
    taker.take()
    taker.take()

    taker.keeper.retire(taker.holder)

    assert house.is_clean()
    assert house.waiting() == [b"one", b"two", b"three"]


def test_what_is_worked_on_stays_with_a_retired_consumer_until_it_ends(house: House, taker: Taker) -> None:
    house.push(b"one", b"two", b"three")
    first, second = taker.take(), taker.take()
    assert first is not None
    assert second is not None
    works_on = {"2"}

    taker.keeper.retire(taker.holder, lambda _: works_on)

    assert house.held() == {second[0]: b"two"}
    assert house.waiting() == [b"one", b"three"]
    assert taker.keeper.ack(second[0])
    works_on.clear()
    taker.keeper.beat()  # it was worked on at the last look
    taker.keeper.beat()
    assert house.is_clean()


def test_the_leases_of_a_retired_consumer_are_renewed_while_it_is_worked_for(house: House, taker: Taker) -> None:
    house.push(b"one")
    taken = taker.take()
    assert taken is not None
    taker.keeper.retire(taker.holder, lambda _: {"1"})
    house.client.zadd(scripts.LEASES, {taker.holder: 1})

    taker.keeper.beat()

    assert house.client.zscore(scripts.LEASES, taker.holder) > 1
    assert taker.keeper.ack(taken[0])


def test_retiring_twice_is_once(house: House, taker: Taker) -> None:
    house.push(b"one")
    taker.take()
    taker.keeper.retire(taker.holder)
    taker.keeper.retire(taker.holder)

    assert house.waiting() == [b"one"]


def test_what_is_done_but_not_told_yet_is_not_given_back(
    house: House, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.push(b"one")
    taken = taker.take()
    assert taken is not None

    def away(*_: object) -> None:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(taker.keeper._client, "hdel", away)
        assert taker.keeper.ack(taken[0])
    taker.keeper.retire(taker.holder)
    assert house.waiting() == []

    taker.keeper.beat()

    assert house.is_clean()
    assert house.waiting() == []


def test_leases_do_not_pile_up_over_many_reconnects(house: House, keeper: LeaseManager) -> None:
    house.push(*(b"%d" % number for number in range(5)))
    for _ in range(50):
        taker = Taker(keeper)
        taker.take()
        taker.take()
        keeper.retire(taker.holder)

    assert house.is_clean()
    assert house.waiting() == [b"0", b"1", b"2", b"3", b"4"]


# ---------------------------------------------------------------------------- the living --


def test_a_beat_renews_the_own_leases(house: House, taker: Taker) -> None:
    house.client.zadd(scripts.LEASES, {taker.holder: 1})
    second, _ = house.client.time()

    taker.keeper.beat()

    assert house.client.zscore(scripts.LEASES, taker.holder) >= (second + LEASE) * 1000


def test_what_a_dead_consumer_held_goes_back_in_order_and_counts(house: House, client: redis.Redis) -> None:
    house.push(b"one", b"two", b"three")
    with keeping(client) as dead, keeping(client) as living:
        gone, here = Taker(dead), Taker(living)
        gone.take()
        gone.take()
        house.frozen(gone.holder)

        living.beat()

        assert house.waiting() == [b"one", b"two", b"three"]
        assert house.leases() == {here.holder}
        assert delivery_of(living.reserve(here.next_tag, ("q",))) == 2


def test_who_was_frozen_can_neither_take_nor_settle(house: House, client: redis.Redis) -> None:
    house.push(b"one")
    with keeping(client) as frozen, keeping(client) as living:
        gone, here = Taker(frozen), Taker(living)
        taken = gone.take()
        assert taken is not None
        house.frozen(gone.holder)
        living.beat()
        theirs = here.take()
        assert theirs is not None

        assert not frozen.ack(taken[0])
        frozen.give_back(taken[0], counted=True)
        with pytest.raises(LeaseLost):
            gone.take()

        assert house.held() == {theirs[0]: b"one"}
        frozen.beat()
        assert house.leases() == {here.holder}


def test_a_lease_that_has_ended_unnoticed_is_renewed(house: House, taker: Taker) -> None:
    house.push(b"one")
    taken = taker.take()
    assert taken is not None
    house.frozen(taker.holder)

    taker.keeper.beat()

    assert house.held() == {taken[0]: b"one"}
    assert taker.keeper.ack(taken[0])


@pytest.mark.parametrize(
    ("heard", "silent"),
    [(0.5 * LEASE, 0.0), (3 * LEASE, 0.6 * LEASE), (3 * LEASE, -0.1 * LEASE)],
    ids=["not heard for a whole lease", "server away or its clock set forward", "clock set back"],
)
def test_after_a_gap_everybody_has_a_lease_to_renew(
    house: House, client: redis.Redis, heard: float, silent: float
) -> None:
    house.push(b"one")
    with keeping(client) as late, keeping(client) as early:
        slow, quick = Taker(late), Taker(early)
        taken = slow.take()
        assert taken is not None
        house.frozen(slow.holder, quick.holder)
        house.heard_for(heard, silent)

        early.beat()
        early.beat()
        late.beat()

        assert house.leases() == {slow.holder, quick.holder}
        assert house.held() == {taken[0]: b"one"}
        assert late.ack(taken[0])


def test_a_lease_of_a_clock_that_was_a_day_ahead_ends_like_any_other(house: House, client: redis.Redis) -> None:
    house.push(b"one")
    with keeping(client) as dead, keeping(client) as living:
        gone, here = Taker(dead), Taker(living)
        assert gone.take() is not None
        day = 24 * 3600 * 1000
        client.zincrby(scripts.LEASES, day, gone.holder)

        living.beat()

        ends = client.zscore(scripts.LEASES, gone.holder)
        now = client.time()[0] * 1000
        assert ends is not None
        assert ends < now + 3 * living.lease * 1000
        house.frozen(gone.holder)
        living.beat()
        assert house.waiting() == [b"one"]
        assert house.leases() == {here.holder}


def test_deleted_leases_are_noticed_and_nothing_stays_behind(house: House, taker: Taker) -> None:
    house.push(b"one")
    taker.take()
    house.client.delete(scripts.LEASES)

    taker.keeper.beat()

    assert house.waiting() == [b"one"]
    with pytest.raises(LeaseLost):
        taker.take()


def test_a_queue_that_became_something_else_holds_up_nobody(house: House, client: redis.Redis) -> None:
    house.push(b"stuck", queue="strange")
    house.push(b"one")
    with keeping(client) as dead, keeping(client) as living:
        gone, here = Taker(dead, "strange", "q"), Taker(living)
        stuck, _ = gone.take(), gone.take()
        mine = Taker(living, "strange2")
        house.push(b"mine", queue="strange2")
        own = mine.take()
        assert stuck is not None
        assert own is not None
        for key in ("strange", "strange2"):
            house.client.set(key, "no list")
        living.give_back(own[0], counted=True)
        house.frozen(gone.holder)

        living.beat()
        assert house.held() == {stuck[0]: b"stuck", own[0]: b"mine"}
        assert house.waiting() == [b"one"]
        assert house.leases() == {here.holder, mine.holder, gone.holder}

        for key in ("strange", "strange2"):
            house.client.delete(key)
        living.beat()
        assert house.waiting("strange") == [b"stuck"]
        assert house.waiting("strange2") == [b"mine"]
        assert house.held() == {}


# --------------------------------------------------------------------------- full memory --


@pytest.fixture
def full(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        yield lambda on: client.config_set("maxmemory", 1 if on else 0)
        client.config_set("maxmemory", 0)


def test_nothing_gets_lost_and_work_goes_on_while_the_memory_is_full(redis_url: str, full: Any) -> None:
    with redis.Redis.from_url(redis_url) as client, keeping(client) as dead, keeping(client) as keeper:
        house = House(client)
        gone, here = Taker(dead), Taker(keeper)
        house.push(*(b"%d" % number for number in range(6)))
        gone.take()
        full(True)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.lpush("q", b"refused")

        taken = [here.take() for _ in range(3)]
        assert [one[1] for one in taken if one] == [b"1", b"2", b"3"]
        tags = [one[0] for one in taken if one]
        assert keeper.ack(tags[0])
        keeper.give_back(tags[1], counted=True)
        keeper.withdraw(here.next_tag)
        late = Taker(keeper)
        full(False)
        house.frozen(gone.holder)
        full(True)
        keeper.beat()
        keeper.retire(here.holder)
        keeper.retire(late.holder)

        assert house.is_clean()
        assert sorted(house.waiting()) == [b"0", b"2", b"3", b"4", b"5"]
