"""A consumer with nothing to do waits in Redis, at all its queues at once: with and without an event loop."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu.asynchronous import Hub

from tests.contract.broker.channels import Kept, Reader, connect, plain, reserving, send, turn
from tests.contract.broker.house import House
from tests.contract.broker.proxy import Proxy, standing_before
from tests.waiting import wait_until
from workers.broker.redis.channel import IDLE_WAIT_SECONDS

NAMES = ("q", "b", "c", "d")
NEVER = 3600.0


class Loop(Hub):
    """An event loop that does not wait long for events."""

    def fire_timers(self, *args: Any, **options: Any) -> float:
        super().fire_timers(*args, **options)  # type: ignore[no-untyped-call]
        return 0.01


class Waiter:
    """A consumer of four queues, whose bells ring by themselves after so many seconds."""

    def __init__(self, url: str, house: House, *, looped: bool, timeout: float = NEVER, **options: Any) -> None:
        self.url, self.house = house.url, house
        self.connection = connect(url, **options)
        self.connection.transport.brpop_timeout = timeout
        self.connection.connect()
        self.loop: Any = Loop() if looped else None  # type: ignore[no-untyped-call]
        if self.loop:
            self.connection.register_with_event_loop(self.loop)
            self.loop.propagate_errors = self.connection.connection_errors
        self.reader = Reader(self.connection, *NAMES, prefetch=1)

    def turn(self) -> None:
        """Let the connection do what there is to do now."""
        if self.loop:
            next(self.loop.loop)
        else:
            turn(self.connection, timeout=0.01)

    def turn_until(self, condition: Callable[[], Any], what: str) -> None:
        def turned() -> Any:
            self.turn()
            return condition()

        wait_until(turned, what=what)

    def replaces(self, bell: str) -> None:
        """Turn until all bells are set, and this one no more."""
        self.turn_until(lambda: bell not in self.bells and len(self.bells) == len(NAMES), "another bell")

    def waits(self, at: int = len(NAMES)) -> None:
        """Turn until so many bells are set."""
        self.turn_until(lambda: len(self.bells) == at, f"{at} bells")

    def gets(self, value: Any) -> None:
        """Turn until this message has come, and no other; acknowledge it."""
        self.turn_until(lambda: self.reader.messages, f"{value}")
        (message,) = self.reader.messages
        assert message.payload == value
        message.ack()
        self.reader.messages.clear()

    def told(self, queue: str) -> None:
        """Send the name of a queue to it; it must come."""
        with connect(self.house.url) as other:
            send(other, queue, queue=queue)
        self.gets(queue)

    @property
    def bells(self) -> list[str]:
        """Return the connections on which somebody waits."""
        return [one["id"] for one in self.house.client.client_list() if "b" in one["flags"]]

    @property
    def questions(self) -> int:
        """Count the scripts that ran by name."""
        return int(self.house.client.info("commandstats")["cmdstat_evalsha"]["calls"])

    @property
    def is_disturbed(self) -> bool:
        """Return whether something is to be read that was not read in a few turns."""
        for _ in range(5):
            self.turn()
        poller = self.loop.poller if self.loop else self.connection.transport.cycle.poller
        return bool(poller.poll(0))

    def close(self) -> None:
        self.connection.close()
        if self.loop:
            self.loop.close()


@pytest.fixture
def house(redis_url: str) -> Iterator[House]:
    with redis.Redis.from_url(redis_url) as client:
        yield House(client)


@pytest.fixture
def proxy(redis_server: Any) -> Iterator[Proxy]:
    with standing_before(redis_server.port) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["drained", "event loop"])
def start(request: pytest.FixtureRequest, redis_url: str, house: House) -> Iterator[Callable[..., Waiter]]:
    """Yield what starts a consumer; nobody else asks anything."""
    with reserving(Kept(), heartbeat=NEVER), contextlib.ExitStack() as stack:

        def started(url: str = redis_url, **options: Any) -> Waiter:
            waiter = Waiter(url, house, looped=request.param, **options)
            stack.callback(waiter.close)
            return waiter

        yield started


Start = Callable[..., Waiter]

# --------------------------------------------------------------------- nothing to do ----


def test_who_has_nothing_to_do_sends_nothing(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()
    before = house.client.info("stats")["total_commands_processed"]

    for _ in range(10):
        waiter.turn()

    assert house.client.info("stats")["total_commands_processed"] == before + 1  # ours
    assert not waiter.is_disturbed


def test_a_message_on_any_queue_takes_one_question_and_one_in_vain(start: Start) -> None:
    waiter = start()
    for name in (*NAMES, *reversed(NAMES)):
        waiter.waits()
        before = waiter.questions
        waiter.told(name)
        waiter.waits()
        assert waiter.questions - before == 2


def test_what_comes_while_a_bell_is_being_set_rings_it(start: Start, house: House, proxy: Proxy) -> None:
    waiter = start(f"redis://127.0.0.1:{proxy.port}/0")
    late = proxy.delay_request(rb"BLMOVE\r\n\$1\r\nq")
    waiter.waits(at=len(NAMES) - 1)
    assert late.played.is_set()

    with connect(house.url) as other:
        send(other, "one")
    late.release.set()

    waiter.gets("one")


def test_a_bell_rings_by_itself_after_a_while_and_is_set_again(start: Start) -> None:
    waiter = start(timeout=0.1)
    waiter.waits()
    before = waiter.questions

    waiter.turn_until(lambda: waiter.questions > before + 3, "questions")

    waiter.waits()
    waiter.told("c")


def test_bells_come_on_top_of_what_the_pool_may_have(start: Start) -> None:
    waiter = start(max_connections=2)

    waiter.waits()

    waiter.told("d")


# ------------------------------------------------------------------ nothing to be taken ----


def test_a_bell_that_rings_for_one_who_can_take_nothing_is_heard_once(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()
    with connect(house.url) as other:
        send(other, "one")
        waiter.turn_until(lambda: waiter.reader.messages, "one")
        send(other, "two", queue="b")

    waiter.turn_until(lambda: len(waiter.bells) == 2, "two bells to have rung")
    before = waiter.questions

    assert not waiter.is_disturbed
    assert waiter.questions == before
    assert len(house.waiting("b")) == 1
    waiter.gets("one")
    waiter.gets("two")


def test_a_queue_that_is_cancelled_has_no_bell_until_it_is_consumed_again(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()

    waiter.reader.consumer.cancel_by_queue("q")
    waiter.waits(at=3)
    with connect(house.url) as other:
        send(other, "one")
    waiter.told("b")
    waiter.waits(at=3)
    assert len(house.waiting()) == 1

    waiter.reader.consumer.add_queue(plain("q"))
    waiter.reader.consumer.consume()
    waiter.gets("one")
    waiter.waits()


def test_a_key_that_is_no_list_is_asked_once_in_a_breath(start: Start, house: House) -> None:
    waiter = start()
    house.client.set("c", "no list")
    waiter.turn_until(lambda: waiter.reader.channel._rest_until > time.monotonic(), "a rest")
    before, began = waiter.questions, time.monotonic()

    waiter.turn_until(lambda: waiter.questions >= before + 2, "two more questions")

    assert time.monotonic() - began > IDLE_WAIT_SECONDS
    house.client.delete("c")
    waiter.told("c")


def test_who_ends_takes_the_bells_down(start: Start) -> None:
    waiter = start()
    waiter.waits()

    waiter.reader.channel.close()

    wait_until(lambda: not waiter.bells, what="no bell to be set")
    cycle = waiter.connection.transport.cycle
    assert not [kind for _, _, kind in cycle._chan_to_sock if kind == "BELL"]
    assert not [kind for _, kind in cycle._fd_to_chan.values() if kind == "BELL"]


# ------------------------------------------------------------------------- the network ----


def test_a_bell_whose_connection_is_killed_is_set_again(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()
    for number in range(len(NAMES)):
        bell = waiter.bells[number]
        house.client.client_kill_filter(_id=bell)
        waiter.replaces(bell)
    for name in NAMES:
        waiter.told(name)


def test_a_bell_whose_connection_was_closed_while_nobody_needed_it_is_set_again(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()
    idle = waiter.bells
    with connect(house.url) as other:
        for name in NAMES:
            send(other, name, queue=name)
    waiter.turn_until(lambda: waiter.reader.messages and not waiter.bells, "all to have rung")

    for bell in idle:
        house.client.client_kill_filter(_id=bell)
    for name in NAMES:
        waiter.gets(name)

    waiter.waits()
    assert waiter.reader.channel._rest_until == 0


def test_who_asks_is_connected_again_when_only_the_bells_are_left(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()

    for one in house.client.client_list():
        if "b" not in one["flags"] and one["cmd"] == "evalsha":
            house.client.client_kill_filter(_id=one["id"])

    waiter.told("b")
    waiter.waits()


def test_when_all_connections_are_killed_all_are_made_again(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()

    house.client.client_kill_filter(_type="normal", skipme=True)

    for name in NAMES:
        waiter.told(name)
    waiter.waits()


def test_a_bell_of_which_nothing_is_heard_is_given_up(start: Start, house: House, proxy: Proxy) -> None:
    late = proxy.delay_request(rb"BLMOVE\r\n\$1\r\nq")
    waiter = start(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.1, health_check_interval=1)
    waiter.turn_until(late.played.is_set, "a question that does not arrive")

    waiter.waits()

    waiter.told("q")
    assert not late.release.is_set()


def test_a_bell_that_was_moved_off_by_its_server_is_set_again(start: Start, house: House) -> None:
    waiter = start()
    waiter.waits()
    bell = waiter.bells[0]

    house.client.client_unblock(bell, error=True)  # as when a master is a replica from now on

    waiter.replaces(bell)
    for name in NAMES:
        waiter.told(name)
