"""A connection of kombu on Redis behaves as one expects of a broker, also where the network does not."""

import contextlib
import gc
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.contract.broker.channels import KOMBU, Kept, Reader, connect, plain, reserving, send, turn, turn_until
from tests.contract.broker.house import House
from tests.contract.broker.proxy import Proxy, standing_before
from tests.waiting import wait_until
from workers.broker.redis import scripts
from workers.broker.redis.channel import MAX_DELIVERIES, ReliableRedisChannel
from workers.broker.redis.leases import LeaseLost

RECORD = rb"\d+:\d{13}:1:q"
"""How an answer begins that hands out a message of the queue `q`."""


@pytest.fixture
def kept() -> Iterator[Kept]:
    inbound = Kept()
    with reserving(inbound):
        yield inbound


@pytest.fixture
def url(kept: Kept, redis_url: str) -> str:
    return redis_url


@pytest.fixture
def house(redis_url: str) -> Iterator[House]:
    with redis.Redis.from_url(redis_url) as client:
        yield House(client)


@pytest.fixture
def connection(url: str) -> Iterator[Any]:
    with connect(url) as made:
        yield made


@pytest.fixture
def proxy(redis_server: Any) -> Iterator[Proxy]:
    with standing_before(redis_server.port) as made:
        yield made


def through(proxy: Proxy, **options: Any) -> Any:
    return connect(f"redis://127.0.0.1:{proxy.port}/0", **options)


def questions(house: House) -> int:
    """Count the scripts that ran by name."""
    return int(house.client.info("commandstats")["cmdstat_evalsha"]["calls"])


# -------------------------------------------------------------------- what a broker does --


def test_a_message_is_held_until_it_is_acknowledged(connection: Any, house: House) -> None:
    send(connection, "one")
    reader = Reader(connection)
    assert reader.read(1) == ["one"]
    assert list(house.held()) == [reader.messages[0].delivery_tag]

    reader.messages[0].ack()

    assert house.held() == {}
    assert house.waiting() == []


def test_messages_come_in_order(connection: Any) -> None:
    send(connection, *range(20))

    assert Reader(connection).read(20) == list(range(20))


def test_a_requeued_message_comes_again_first_and_says_so(connection: Any) -> None:
    send(connection, "one", "two")
    reader = Reader(connection, prefetch=1)
    reader.read(1)
    assert "redelivered" not in reader.messages[0].delivery_info

    reader.messages[0].requeue()

    assert reader.read(2) == ["one", "one"]
    assert reader.messages[1].delivery_info["redelivered"] is True


def test_a_rejected_message_is_kept_as_a_letter(connection: Any, house: House, kept: Kept) -> None:
    send(connection, "one")
    reader = Reader(connection)
    reader.read(1)

    reader.messages[0].reject()

    assert [(message.payload, reason) for message, reason in kept.kept] == [("one", "rejected")]
    assert house.held() == {}
    assert house.waiting() == []


def test_a_rejected_message_goes_back_while_the_ledger_is_away(connection: Any, house: House, kept: Kept) -> None:
    send(connection, "one")
    reader = Reader(connection, prefetch=1)
    reader.read(1)
    kept.away = True

    reader.messages[0].reject()

    assert reader.read(2) == ["one", "one"]


def test_no_more_is_taken_than_the_prefetch_allows(connection: Any, house: House) -> None:
    send(connection, *range(5))
    reader = Reader(connection, prefetch=2)
    reader.read(2)
    for _ in range(5):
        turn(connection)
    assert reader.values == [0, 1]
    assert len(house.held()) == 2
    assert len(house.waiting()) == 3

    reader.messages[0].ack()

    assert reader.read(3) == [0, 1, 2]


def test_two_connections_share_a_queue(url: str, house: House) -> None:
    with connect(url) as left, connect(url) as right:
        send(left, *range(10))
        readers = [Reader(left, prefetch=1), Reader(right, prefetch=1)]
        done: list[int] = []
        while len(done) < 10:
            for reader in readers:
                turn(reader.connection)
                while reader.messages:
                    message = reader.messages.pop()
                    done.append(message.payload)
                    message.ack()

        assert sorted(done) == list(range(10))
        assert house.held() == {}


def test_what_waits_can_be_counted_and_purged(connection: Any, house: House) -> None:
    send(connection, *range(3))
    queue = plain("q")(connection.channel())

    assert queue.queue_declare(passive=True).message_count == 3
    assert queue.purge() == 3
    assert house.waiting() == []


def test_steps_of_priority_are_kept(url: str, house: House) -> None:
    with connect(url, priority_steps=[0, 3, 6, 9]) as connection:
        reader = Reader(connection, prefetch=1)
        for priority in (9, 3, 0, 6):
            send(connection, priority, priority=priority)
        done: list[int] = []
        while len(done) < 4:
            turn_until(connection, lambda: reader.messages)
            message = reader.messages.pop()
            done.append(message.payload)
            message.ack()

        assert done == [0, 3, 6, 9]

        send(connection, "late", priority=9)
        turn_until(connection, lambda: reader.messages)
        reader.messages[0].requeue()
        assert house.client.llen("q\x06\x169") == 1


def test_a_busy_queue_does_not_starve_the_others(connection: Any) -> None:
    send(connection, *range(50), queue="busy")
    for queue in ("b", "c"):
        send(connection, queue, queue=queue)
    reader = Reader(connection, "busy", "b", "c", prefetch=1)

    for _ in range(4):
        reader.read(1)
        if {"b", "c"} & set(reader.values):
            break
        reader.messages.pop().ack()

    assert {"b", "c"} & set(reader.values)


def test_a_message_on_any_of_many_idle_queues_is_found_soon(connection: Any, house: House) -> None:
    names = [f"q{number}" for number in range(12)]
    reader = Reader(connection, *names)
    turn(connection, timeout=0.3)
    for count, name in enumerate(reversed(names), start=1):
        send(connection, name, queue=name)
        reader.read(count, within=2)

    assert reader.values == list(reversed(names))


def test_a_key_before_all_names_is_kept(url: str, house: House) -> None:
    with connect(url, global_keyprefix="firm:") as connection:
        send(connection, "one", "two")
        assert len(house.waiting("firm:q")) == 2
        reader = Reader(connection, prefetch=1)
        reader.read(1)
        reader.messages[0].requeue()
        assert reader.read(2) == ["one", "one"]
        reader.messages[1].ack()
        assert plain("q")(connection.channel()).get().payload == "two"

    assert len(house.waiting("firm:q")) == 1  # given back at the end
    assert house.is_clean()


# --------------------------------------------------------------------- asking for one ----


def test_one_message_can_be_asked_for(connection: Any, house: House) -> None:
    send(connection, "one", "two")
    queue = plain("q")(connection.channel())

    first = queue.get()
    assert first.payload == "one"
    assert list(house.held()) == [first.delivery_tag]
    first.ack()
    second = queue.get(no_ack=True)

    assert second.payload == "two"
    assert house.held() == {}
    assert queue.get() is None


def test_asking_for_one_gives_back_what_was_not_acknowledged(url: str, house: House) -> None:
    with connect(url) as connection:
        send(connection, "one", "two", "three")
        queue = plain("q")(connection.channel())
        queue.get(no_ack=True)
        queue.get()
        queue.get()

    assert len(house.waiting()) == 2
    assert house.is_clean()


def test_a_channel_that_only_asked_without_acknowledging_ends_its_lease(url: str, house: House) -> None:
    with connect(url) as connection:
        send(connection, "one")
        assert plain("q")(connection.channel()).get(no_ack=True).payload == "one"

    assert house.is_clean()


def test_asking_for_one_does_not_disturb_who_consumes(connection: Any, house: House) -> None:
    reader = Reader(connection, "a")
    turn(connection)  # a question is pending
    send(connection, "one")

    plain("q")(reader.channel).get().ack()
    send(connection, "two", queue="a")

    assert reader.read(1) == ["two"]


def test_asking_for_one_finds_bytes_that_are_no_message(connection: Any, house: House) -> None:
    house.push(b"\xff garbage")

    with pytest.raises(ValueError, match="not JSON"):
        plain("q")(connection.channel()).get()

    assert house.waiting() == [b"\xff garbage"]


def test_who_asks_for_one_without_a_lease_is_told(connection: Any, house: House) -> None:
    send(connection, "one")
    queue = plain("q")(connection.channel())
    assert queue.get().payload == "one"
    house.client.delete(scripts.LEASES)

    with pytest.raises(LeaseLost):
        queue.get()


# ------------------------------------------------------------------------- queue's time --


def test_a_queue_that_nobody_uses_goes_and_one_that_is_consumed_stays(connection: Any, house: House) -> None:
    reader = Reader(connection, plain("q", expires=60), prefetch=1)
    turn(connection)
    send(connection, *range(3), queue="q")
    house.client.pexpire("q", 1000)

    reader.read(1)
    assert house.client.pttl("q") > 1000

    house.client.pexpire("q", 1)
    wait_until(lambda: not house.client.exists("q"), what="the queue to expire")


def test_waiting_on_a_queue_does_not_take_its_time_away(connection: Any, house: House) -> None:
    Reader(connection, plain("q", expires=60), prefetch=1)
    house.client.lpush("q", "one")
    house.client.pexpire("q", 60_000)

    house.client.blmove("q", "q", 1, "RIGHT", "RIGHT")

    assert house.client.pttl("q") > 0


# ------------------------------------------------------------ without acknowledgement ----


def test_a_consumer_without_acknowledgement_takes_no_lease(connection: Any, house: House) -> None:
    send(connection, "one")

    assert Reader(connection, no_ack=True).read(1) == ["one"]
    assert house.is_clean()


def test_consumers_with_and_without_acknowledgement_stand_side_by_side(connection: Any, house: House) -> None:
    reader = Reader(connection, "q", prefetch=10)
    free: list[Any] = []
    reader.consumer.on_message = None
    reader.consumer.register_callback(lambda _, message: reader.messages.append(message))
    other = Reader(connection, "free", no_ack=True)
    with_both = reader.channel
    with_both.basic_consume("also-free", True, lambda message: free.append(message.payload), "tag-free")
    send(connection, "one")
    send(connection, "two", queue="free")
    send(connection, "three", queue="also-free")

    turn_until(connection, lambda: reader.messages and other.messages and free)

    assert free == ["three"]
    assert list(house.held()) == [reader.messages[0].delivery_tag]


def test_a_question_from_before_the_lease_is_read_as_it_was_asked(connection: Any, house: House) -> None:
    reader = Reader(connection, "free", no_ack=True)
    turn(connection)  # the stock question is pending
    more: list[Any] = []
    reader.channel.basic_consume("q", False, more.append, "with-ack")
    send(connection, "one", queue="free")
    send(connection, "two")

    turn_until(connection, lambda: reader.messages and more)

    assert reader.values == ["one"]
    assert list(house.held()) == [more[0].delivery_tag]


def test_a_broadcast_is_acknowledged_without_ado(connection: Any, house: House) -> None:
    every = KOMBU.Queue("mine", KOMBU.Exchange("all", type="fanout"), routing_key="")
    before = house.client.pubsub_numpat()
    reader = Reader(connection, every)
    turn(connection)
    wait_until(lambda: house.client.pubsub_numpat() > before, what="the subscription")
    channel = connection.channel()
    channel.basic_publish(channel.prepare_message("hello"), "all", "")

    turn_until(connection, lambda: reader.messages)
    reader.messages[0].ack()

    assert house.is_clean()


def test_a_channel_that_was_closed_is_a_lost_connection_to_whoever_still_sends(connection: Any) -> None:
    channel = connection.channel()
    channel.close()
    with pytest.raises(connection.recoverable_connection_errors):
        channel.basic_publish(channel.prepare_message("late"), "", "q")


# -------------------------------------------------------------------------- odd messages --


@pytest.mark.parametrize(
    "raw",
    [b"\xff\xfe\x00garbage", b"hello", b"[1,2]", b'{"a":1}', b"[" * 100_000, b'{"body":"","properties":{}}', b""],
    ids=lambda raw: raw[:12].decode(errors="replace"),
)
def test_bytes_that_are_no_message_become_a_letter_and_the_next_one_comes(
    connection: Any, house: House, kept: Kept, raw: bytes
) -> None:
    house.push(raw)
    send(connection, "good")

    assert Reader(connection).read(1) == ["good"]

    assert [(bytes_, queue, bool(problem)) for bytes_, queue, problem in kept.letters] == [(raw, "q", True)]
    assert len(house.held()) == 1


def test_bytes_that_are_no_message_wait_while_the_ledger_is_away(connection: Any, house: House, kept: Kept) -> None:
    kept.away = True
    house.push(b"garbage")
    Reader(connection)
    turn_until(connection, lambda: house.held() == {} and house.waiting() == [b"garbage"])
    kept.away = False

    turn_until(connection, lambda: kept.letters)

    assert house.waiting() == []


def test_a_message_that_came_back_too_often_becomes_a_letter(connection: Any, house: House, kept: Kept) -> None:
    send(connection, "poison")
    reader = Reader(connection, prefetch=1)
    for count in range(MAX_DELIVERIES):
        reader.read(count + 1)
        reader.messages[-1].requeue()

    turn_until(connection, lambda: kept.kept)

    assert [(message.payload, reason) for message, reason in kept.kept] == [("poison", "too many deliveries")]
    assert house.held() == {}
    assert house.waiting() == []


def test_a_key_that_is_no_list_is_reported_and_the_other_queue_is_served(connection: Any, house: House) -> None:
    reader = Reader(connection, "strange", "q")
    house.client.set("strange", "no list")
    send(connection, "one")
    assert reader.read(1) == ["one"]

    turn_until(connection, lambda: reader.channel._rest_until > time.monotonic())
    send(connection, "two")

    assert reader.read(2) == ["one", "two"]


def test_a_rest_ends_without_an_event_loop_and_without_a_timeout(connection: Any, house: House) -> None:
    reader = Reader(connection)
    reader.channel._rest_until = time.monotonic() + 0.2
    send(connection, "one")

    connection.drain_events()  # waits as long as it takes

    assert reader.values == ["one"]


# ------------------------------------------------------------------------------- the end --


def test_a_channel_that_closes_gives_back_what_it_holds_in_order(url: str, house: House) -> None:
    with connect(url) as connection:
        send(connection, *range(4))
        before = house.waiting()
        reader = Reader(connection, prefetch=3)
        reader.read(3)

    assert house.waiting() == before
    assert house.is_clean()


def test_a_channel_that_closes_keeps_what_is_worked_on(url: str, house: House, kept: Kept) -> None:
    with connect(url) as connection:
        send(connection, "one", "two")
        reader = Reader(connection)
        reader.read(2)
        message = reader.messages[1]
        kept.works_on.add(message.delivery_tag)
        channel = reader.channel

    assert list(house.held()) == [message.delivery_tag]

    channel.keeper.ack(message.delivery_tag)
    kept.works_on.clear()
    wait_until(house.is_clean, what="the lease to end with the last message")


def test_a_cancelled_consumer_takes_nothing_more(connection: Any, house: House) -> None:
    reader = Reader(connection)
    turn_until(connection, lambda: reader.channel._empty)  # a bell is set

    reader.consumer.cancel()
    send(connection, "one")
    for _ in range(3):
        turn(connection)

    assert len(house.waiting()) == 1
    assert house.held() == {}


def test_a_cancelled_consumer_gives_back_what_its_pending_question_took(connection: Any, house: House) -> None:
    reader = Reader(connection)
    send(connection, "one")
    connection.transport.cycle.on_poll_start()  # asks, and does not read yet
    wait_until(house.held, what="the pending question to take it")

    reader.consumer.cancel()

    wait_until(lambda: house.waiting() and not house.held(), what="it to go back")
    reader.consumer.consume()
    assert reader.read(1) == ["one"]


def test_what_is_left_of_a_consumer_reads_on_when_one_queue_is_cancelled(connection: Any, house: House) -> None:
    reader = Reader(connection, "q", "other")
    turn_until(connection, lambda: reader.channel._empty)

    reader.consumer.cancel_by_queue("q")
    send(connection, "one")
    send(connection, "two", queue="other")

    assert reader.read(1) == ["two"]
    assert len(house.waiting()) == 1


def test_a_question_that_arrives_after_the_end_takes_nothing(url: str, house: House, proxy: Proxy) -> None:
    with through(proxy) as connection:
        send(connection, "warm")
        reader = Reader(connection, prefetch=1)
        reader.read(1)
        late = proxy.delay_request(b"EVALSHA")
        reader.messages[0].ack()
        turn(connection)
        wait_until(late.played.is_set, what="the question to be on its way")

        reader.consumer.cancel()
        send(connection, "one")
        reader.channel.keeper.stop()  # it would ask, too
        before = questions(house)
        late.release.set()
        wait_until(lambda: questions(house) > before, what="the question to be answered after all")

        assert len(house.waiting()) == 1
        assert house.held() == {}


def test_recovered_messages_come_again_to_the_same_channel(connection: Any, house: House) -> None:
    send(connection, "one", "two")
    reader = Reader(connection, prefetch=2)
    reader.read(2)

    reader.channel.basic_recover(requeue=True)

    assert reader.read(4) == ["one", "two", "one", "two"]
    for message in reader.messages[2:]:
        message.ack()
    assert house.held() == {}
    assert len(house.leases()) == 1


def test_two_channels_on_one_connection_stand_apart(connection: Any, house: House) -> None:
    left, right = Reader(connection, "a"), Reader(connection, "b")
    send(connection, "one", queue="a")
    send(connection, "two", queue="b")
    turn_until(connection, lambda: left.messages and right.messages)

    left.channel.close()

    assert len(house.waiting("a")) == 1
    assert list(house.held()) == [right.messages[0].delivery_tag]
    right.messages[0].ack()
    assert house.held() == {}


def test_two_channels_on_one_connection_may_share_a_queue(url: str, house: House) -> None:
    with connect(url) as connection:
        send(connection, *range(6))
        left, right = Reader(connection, prefetch=2), Reader(connection, prefetch=2)
        turn_until(connection, lambda: len(left.messages) + len(right.messages) >= 2)
        right.channel.close()
        left.channel.close()

        assert sorted(house.waiting()) == sorted(set(house.waiting()))
        assert len(house.waiting()) == 6
        assert house.is_clean()


def test_threads_may_acknowledge(connection: Any, house: House) -> None:
    send(connection, *range(60))
    reader = Reader(connection)
    reader.read(60)
    threads = [threading.Thread(target=message.ack) for message in reader.messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert house.held() == {}
    assert house.waiting() == []


def test_a_forked_child_ends_no_lease_of_its_parent(connection: Any, house: House) -> None:
    send(connection, "one")
    reader = Reader(connection)
    reader.read(1)

    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            reader.channel.retire()
            gc.collect()
        os._exit(0)
    os.waitpid(child, 0)

    assert list(house.held()) == [reader.messages[0].delivery_tag]
    assert len(house.leases()) == 1


# --------------------------------------------------------------------------- the network --


def test_an_answer_that_gets_lost_is_given_again(url: str, house: House, proxy: Proxy) -> None:
    with through(proxy) as connection:
        send(connection, "one", "two", "three")
        trick = proxy.lose_answer(RECORD)
        reader = Reader(connection)
        while not trick.played.is_set():
            with contextlib.suppress(*connection.connection_errors):
                turn(connection)

        assert reader.read(3) == ["one", "two", "three"]
        assert all("redelivered" not in message.delivery_info for message in reader.messages)
        for message in reader.messages:
            message.ack()
        assert house.held() == {}
        assert house.waiting() == []


def test_every_third_answer_may_get_lost(url: str, house: House, proxy: Proxy) -> None:
    with through(proxy) as connection:
        send(connection, *range(60))
        reader = Reader(connection, prefetch=1)
        done: list[int] = []
        trick, lost = proxy.lose_answer(RECORD), 1
        while len(done) < 60:
            with contextlib.suppress(*connection.connection_errors):
                turn(connection)
            while reader.messages:
                message = reader.messages.pop()
                message.ack()
                done.append(message.payload)
            if trick.played.is_set() and len(done) >= 3 * lost:
                trick, lost = proxy.lose_answer(RECORD), lost + 1

        assert done == list(range(60))
        assert lost > 15
        wait_until(lambda: not house.held(), what="all acknowledgements to be told")
        assert house.waiting() == []


def test_an_answer_to_one_who_asked_for_one_may_get_lost(url: str, house: House, proxy: Proxy) -> None:
    with through(proxy) as connection:
        send(connection, "one")
        proxy.lose_answer(RECORD)

        assert plain("q")(connection.channel()).get().payload == "one"
        assert len(house.held()) == 1


def test_a_connection_that_is_killed_is_made_anew(connection: Any, house: House) -> None:
    send(connection, "one")
    reader = Reader(connection, prefetch=1)
    reader.read(1)
    with contextlib.suppress(*connection.connection_errors):
        house.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        reader.messages[0].ack()
        turn(connection)
    send(connection, "two")

    def read() -> bool:
        with contextlib.suppress(*connection.connection_errors):
            turn(connection)
        return len(reader.messages) == 2

    wait_until(read, what="the next message")
    reader.messages[1].ack()
    wait_until(lambda: not house.held(), what="all acknowledgements to be told")
    assert house.waiting() == []


def test_what_ended_while_the_network_was_away_is_told_later(url: str, house: House, proxy: Proxy) -> None:
    with through(proxy, socket_timeout=0.5) as connection:
        send(connection, "done", "back")
        reader = Reader(connection)
        reader.read(2)

        with proxy.silence():
            reader.messages[0].ack()
            reader.messages[1].requeue()
            assert len(house.held()) == 2

        wait_until(lambda: not house.held() and house.waiting(), what="both to be told")
        assert len(house.waiting()) == 1


def test_a_channel_that_closes_without_a_network_gives_back_later(url: str, house: House, proxy: Proxy) -> None:
    connection = through(proxy, socket_timeout=0.5)
    send(connection, "one")
    reader = Reader(connection)
    reader.read(1)

    with proxy.silence():
        connection.close()
        assert len(house.held()) == 1

    wait_until(house.is_clean, what="it to be given back")
    assert len(house.waiting()) == 1


def test_a_consumer_whose_lease_has_ended_begins_anew(url: str, house: House) -> None:
    with connect(url) as connection:
        send(connection, "one")
        reader = Reader(connection)
        reader.read(1)
        house.client.delete(scripts.LEASES)

        with pytest.raises(LeaseLost):
            turn_until(connection, lambda: False)
        reader.channel.close()
        again = Reader(connection)
        assert again.read(1) == ["one"]
        reader.messages[0].ack()  # refused

        assert list(house.held()) == [again.messages[0].delivery_tag]


def test_a_server_that_forgot_the_scripts_is_told_them_again(connection: Any, house: House) -> None:
    reader = Reader(connection, prefetch=1)
    for count in range(1, 4):
        house.client.script_flush()
        send(connection, count)
        reader.read(count)
        house.client.script_flush()
        reader.messages[-1].ack()
        reader.channel.keeper.beat()

    assert reader.values == [1, 2, 3]


def test_the_channel_of_the_process_is_ours(connection: Any) -> None:
    assert isinstance(connection.channel(), ReliableRedisChannel)
