"""What the fleet asks of RabbitMQ, asked of a real one."""

import contextlib
import datetime as dt
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import pytest
from amqp.exceptions import MessageNacked
from kombu.messaging import Consumer

from config.queues import QUEUES
from config.settings import SecretUrl, Settings
from devtools.local.rabbitmq_node import RabbitNode
from purser.errors import ConfigurationError, Misconfigured, Permanent
from tests.contract.broker.conftest import connect
from tests.waiting import wait_until
from workers.broker.kombu_envelope import MAX_BYTES
from workers.broker.rabbitmq import amqp_connection, topology
from workers.broker.rabbitmq.amqp_connection import UnreadableAmqpMessage
from workers.broker.rabbitmq.dead_letter_collector import DeadLetterCollector
from workers.broker.redis.channel import MAX_DELIVERIES

pytestmark = pytest.mark.slow


def send(connection: Any, queue: str, body: bytes = b"[]", **properties: Any) -> None:
    connection.Producer().publish(
        body, routing_key=queue, content_type="application/json", content_encoding="utf-8", **properties
    )


def raw(node: RabbitNode, queue: str, body: Any = b"[]", **properties: Any) -> None:
    """Publish as a foreign program would, with whatever properties it likes."""
    host = f"127.0.0.1:{node.ports.amqp}"
    user, password = node.url.split("//")[1].split("@")[0].split(":")
    with amqp.Connection(host=host, userid=user, password=password) as made:
        made.channel().basic_publish(amqp.Message(body, **properties), exchange="", routing_key=queue)


class Taker:
    """Takes from queues and keeps what came, as a worker's consumer would."""

    def __init__(self, connection: Any, *queues: str) -> None:
        self.connection = connection
        self.messages: list[Any] = []
        self.problems: list[tuple[Any, BaseException]] = []
        by_name = {queue.name: queue for queue in (topology.dead_queue(), *topology.work_queues())}
        make: Any = Consumer
        self._consumer = make(
            connection.channel(),
            [by_name[name] for name in queues],
            on_message=self.messages.append,
            on_decode_error=lambda message, error: self.problems.append((message, error)),
            accept=["json"],
        )
        self._consumer.qos(prefetch_count=1, apply_global=False)
        self._consumer.consume()

    def take(self) -> Any:
        """Return the next message."""
        self._until(lambda: self.messages)
        return self.messages.pop(0)

    def take_problem(self) -> tuple[Any, BaseException]:
        self._until(lambda: self.problems)
        return self.problems.pop(0)

    def _until(self, came: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 20
        while not came():
            assert time.monotonic() < deadline, "nothing came"
            try:
                self.connection.drain_events(timeout=0.2)
            except TimeoutError:
                continue

    def close(self) -> None:
        self._consumer.channel.close()


# ---------------------------------------------------------------------------------- queues --


def test_declaring_twice_is_declaring_once(untouched: Any) -> None:
    topology.declare(untouched)
    topology.declare(untouched)
    assert [topology.depth(untouched, queue) for queue in (*QUEUES, topology.DEAD)] == [0] * 5
    assert topology.unusable(untouched) == []


def test_a_queue_with_other_settings_is_named_with_what_to_do(untouched: Any) -> None:
    untouched.channel().queue_declare("apply", durable=True, auto_delete=False)
    with pytest.raises(Misconfigured, match="the queue apply is there with other settings") as told:
        topology.declare(untouched)
    assert "rabbitmqctl delete_queue apply" in str(told.value)
    assert "(x-dead-letter-exchange is none, and should be 'purser.dead')" in str(told.value)


def test_looking_for_unusable_queues_makes_none(untouched: Any) -> None:
    untouched.channel().queue_declare("apply", durable=True, auto_delete=False)
    (problem,) = topology.unusable(untouched)
    assert "the queue apply is there with other settings" in problem
    assert topology.depth(untouched, "scans") is None
    assert topology.depth(untouched, topology.DEAD) is None


def test_a_task_limit_above_the_consumer_timeout_stops_the_start() -> None:
    def settings(limit: int) -> Settings:
        return Settings(
            broker_url=SecretUrl("amqp://localhost"), task_time_limit=limit, task_soft_time_limit=100, odoo_timeout=60
        )

    assert topology.settings_for(settings(300))["broker_heartbeat"] == 15
    with pytest.raises(
        ConfigurationError, match=r"PURSER_TASK_TIME_LIMIT \(450 s\) is too long.*PURSER_RABBITMQ_CONSUMER_TIMEOUT"
    ):
        topology.settings_for(settings(450))


# -------------------------------------------------------------------------------- publishing --


def test_what_was_confirmed_is_there_after_the_node_was_killed(wire: None, own_node: RabbitNode) -> None:
    with connect(own_node.url) as connection:
        topology.declare(connection)
        for _ in range(50):
            send(connection, "apply", delivery_mode=2)
    own_node.kill()
    own_node.start()
    with connect(own_node.url) as again:
        wait_until(lambda: topology.depth(again, "apply") == 50, what="the queue to be read again")


def test_a_message_for_a_queue_that_is_not_there_is_an_error_and_not_silence(untouched: Any) -> None:
    with pytest.raises(untouched.recoverable_connection_errors, match="the broker has no queue apply"):
        send(untouched, "apply")


def test_a_queue_that_was_removed_is_made_again_by_the_next_message(untouched: Any) -> None:
    topology.declare(untouched)
    (queue,) = [queue for queue in topology.work_queues() if queue.name == "apply"]
    producer = untouched.Producer()
    told = {"routing_key": "apply", "declare": [queue], "retry": True, "retry_policy": {"max_retries": 2}}
    producer.publish("first", **told)
    with connect(untouched.as_uri(include_password=True)) as other:
        other.channel().queue_delete("apply")
    producer.publish("second", **told)
    assert topology.depth(untouched, "apply") == 1


def test_publishing_on_a_lost_connection_is_an_error_that_passes(untouched: Any) -> None:
    topology.declare(untouched)
    channel = untouched.default_channel
    message = channel.prepare_message(b"{}")
    untouched.connection.collect()  # as a lost connection is: its channels have none any more
    assert channel.connection is None
    with pytest.raises(untouched.recoverable_connection_errors):
        channel.basic_publish(message, exchange="", routing_key="apply")


def test_headers_larger_than_a_frame_are_refused_by_name_and_the_connection_stays(untouched: Any) -> None:
    topology.declare(untouched)
    channel = untouched.default_channel
    large = channel.prepare_message(b"{}", headers={"task": "x" * 200_000})
    with pytest.raises(Permanent, match=r"headers of the message take 200,.*frame_max"):
        channel.basic_publish(large, exchange="", routing_key="apply")
    largest = channel.prepare_message(b"{}", headers={"task": "x" * (untouched.connection.frame_max - 200)})
    channel.basic_publish(largest, exchange="", routing_key="apply")
    assert topology.depth(untouched, "apply") == 1


def test_a_full_queue_refuses_aloud(untouched: Any) -> None:
    limits = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
    untouched.channel().queue_declare("small", durable=True, auto_delete=False, arguments=limits)
    producer, refused = untouched.Producer(), 0
    for _ in range(10):
        try:
            producer.publish("x", routing_key="small")
        except MessageNacked:
            refused += 1
    assert refused >= 7


def test_a_broker_that_hangs_is_an_error_in_time(
    connection: Any, node: RabbitNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(connection, "apply")
    monkeypatch.setattr(amqp_connection, "TIMEOUT_SECONDS", 1.0)
    os.killpg(node.pid, signal.SIGSTOP)
    try:
        with pytest.raises(connection.recoverable_connection_errors, match="did not confirm within 1 s"):
            send(connection, "apply")
    finally:
        os.killpg(node.pid, signal.SIGCONT)


def test_a_broker_short_of_memory_refuses_tasks_at_once_and_stalls_no_news(connection: Any, node: RabbitNode) -> None:

    def tell() -> bool:
        connection.Producer().publish("news", exchange="purser", routing_key="nobody")
        return bool(connection.connection.is_blocked)

    node.ctl("set_vm_memory_high_watermark", "0.00000001")
    try:
        wait_until(tell, within=20, what="the broker to say that it is short of memory")
        with pytest.raises(connection.recoverable_connection_errors, match="short of memory or disk"):
            send(connection, "apply")
        for _ in range(10_000):  # more than a socket holds
            tell()
    finally:
        node.ctl("set_vm_memory_high_watermark", "0.4")
    wait_until(lambda: not tell(), within=20, what="the broker to take messages again")


# ----------------------------------------------------------------------------- what comes in --


@pytest.mark.parametrize(
    "properties",
    [
        {"correlation_id": b"\xff\xfe"},
        {"application_headers": {"task": "purser.scan", "deep": {"level": "0"}}},
        {"application_headers": {"at": dt.datetime(9999, 12, 31, tzinfo=dt.UTC)}},
    ],
    ids=["text", "depth", "date"],
)
def test_properties_nobody_can_read_end_nobody_and_the_body_is_kept(
    connection: Any, node: RabbitNode, properties: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as foreign:
        foreign.setattr(amqp.serialization, "str_to_bytes", lambda s: s if isinstance(s, bytes) else s.encode())
        foreign.setattr(amqp.serialization, "calendar", _FarAway)
        if "deep" in properties.get("application_headers", {}):
            properties = {"application_headers": {"deep": nested(300)}}
        raw(node, "apply", b"kept as it is", **properties)
    taker = Taker(connection, "apply")
    message, problem = taker.take_problem()
    assert isinstance(problem, UnreadableAmqpMessage)
    assert message.body == b"kept as it is"
    assert list(message.headers) == ["unread-properties"]
    message.ack()
    send(connection, "apply")
    assert taker.take().body == b"[]"


class _FarAway:
    @staticmethod
    def timegm(_: Any) -> int:
        return 1_800_000_000_000  # milliseconds where seconds are meant


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_body_larger_than_is_read_is_set_aside_whole(connection: Any) -> None:
    send(connection, "apply", b" " * (MAX_BYTES + 1), headers={"task": "purser.scan"})
    message, problem = Taker(connection, "apply").take_problem()
    assert "too large" in str(problem)
    assert len(message.body) == MAX_BYTES + 1


def test_a_body_stays_the_bytes_it_is_and_the_queue_is_named(connection: Any) -> None:
    body = "é".encode("latin-1")
    connection.Producer().publish(
        body, exchange="purser", routing_key="apply", content_type="text/plain", content_encoding="latin-1"
    )
    message = Taker(connection, "scans", "apply").take()
    assert message.body == body
    assert message.delivery_info["queue"] == "apply"
    assert not message.delivery_info["redelivered"]


# ------------------------------------------------------------------------ going back and dying --


def test_what_goes_back_is_byte_for_byte_and_never_counts(connection: Any) -> None:
    body = zlib.compress(b"[[], {}, {}]")
    headers = {"task": "purser.scan", "id": "one", "compression": "application/x-gzip", "nothing": None, "n": [1, {}]}
    send(connection, "apply", body, headers=headers, correlation_id="one", priority=3)
    taker = Taker(connection, "apply")
    for _ in range(2 * MAX_DELIVERIES):
        message = taker.take()
        message.requeue()
    message = taker.take()
    assert message.sent_body == body
    assert message.headers == headers
    assert (message.properties["correlation_id"], message.content_type) == ("one", "application/json")
    assert topology.depth(connection, "apply") == 0
    assert topology.depth(connection, topology.DEAD) == 0


def test_what_goes_back_over_a_lost_connection_comes_again_by_itself(connection: Any, node: RabbitNode) -> None:
    send(connection, "apply")
    message = Taker(connection, "apply").take()
    connection.collect()
    message.requeue()
    with connect(node.url) as again:
        again_taken = Taker(again, "apply").take()
        assert again_taken.delivery_info["redelivered"]
        assert "x-delivery-count" not in again_taken.headers
        again_taken.ack()


class Book:
    """Keeps letters, and is away when told to be."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0
        self.letters: list[dict[str, Any]] = []

    def keep(self, message: Any, *, reason: str, error: str, text: str) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionError("the ledger is away")
        told = {"queue": message.delivery_info["queue"], "body": message.body, "headers": message.headers}
        self.letters.append({**told, "reason": reason, "error": error})

    def reasons(self) -> list[str]:
        return [letter["reason"] for letter in self.letters]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def collecting(connection: Any, node: RabbitNode, book: Book) -> Iterator[DeadLetterCollector]:
    dead = DeadLetterCollector(lambda: connect(node.url), book.keep, breath=0.05)
    dead.start()
    yield dead
    dead.stop()


def test_a_message_that_takes_its_worker_along_is_given_up_and_kept(
    connection: Any, collecting: DeadLetterCollector, book: Book
) -> None:
    send(connection, "apply", b"poison", headers={"id": "p", "task": "purser.apply"})
    send(connection, "apply", b"neighbour", headers={"id": "n", "task": "purser.apply"})
    taker = Taker(connection, "apply")
    done = []
    while not book.letters:
        wait_until(lambda: taker_has(taker) or book.letters, what="a message or a letter")
        if taker.messages:
            message = taker.messages.pop()
            if message.body == b"poison":
                message.reject(requeue=True)  # as the broker does for a worker that died
            else:
                done.append(message.body)
                message.ack()
    (letter,) = book.letters
    assert done == [b"neighbour"]
    assert letter == {
        "queue": "apply",
        "body": b"poison",
        "headers": {"id": "p", "task": "purser.apply"},
        "reason": "too many deliveries",
        "error": "PoisonMessage",
    }


def taker_has(taker: Taker) -> bool:
    with contextlib.suppress(TimeoutError):
        taker.connection.drain_events(timeout=0.05)
    return bool(taker.messages)


def test_the_broker_says_why_it_gave_up(connection: Any, collecting: DeadLetterCollector, book: Book) -> None:
    send(connection, "apply", headers={"id": "r"})
    Taker(connection, "apply").take().reject()
    wait_until(lambda: book.reasons() == ["rejected"], what="the rejected one")
    send(connection, "scans", headers={"id": "e"}, expiration=0.05)
    wait_until(lambda: book.reasons() == ["rejected", "expired"], what="the expired one")
    assert [letter["queue"] for letter in book.letters] == ["apply", "scans"]
    assert book.letters[1]["headers"] == {"id": "e"}


def test_while_the_ledger_is_away_the_dead_wait_in_order_and_none_is_lost(
    connection: Any, collecting: DeadLetterCollector, book: Book
) -> None:
    book.away = True
    for number in range(5):
        send(connection, topology.DEAD, str(number).encode())
    wait_until(lambda: book.asked > 2 * MAX_DELIVERIES, what="many tries")
    assert book.letters == []
    book.away = False
    wait_until(lambda: len(book.letters) == 5, what="the letters")
    assert [letter["body"] for letter in book.letters] == [b"0", b"1", b"2", b"3", b"4"]
    wait_until(lambda: topology.depth(connection, topology.DEAD) == 0, what="an empty queue")


def test_the_dead_are_collected_again_after_the_broker_was_away(wire: None, own_node: RabbitNode, book: Book) -> None:
    book.away = True
    with connect(own_node.url) as connection:
        topology.declare(connection)
        send(connection, topology.DEAD, b"before", delivery_mode=2)
    dead = DeadLetterCollector(lambda: connect(own_node.url), book.keep, breath=0.05)
    dead.start()
    wait_until(lambda: book.asked, what="a try")
    own_node.kill()
    own_node.start()
    book.away = False
    wait_until(lambda: [letter["body"] for letter in book.letters] == [b"before"], within=20, what="the letter")
    dead.stop()


def test_unreadable_dead_are_kept_too(collecting: DeadLetterCollector, node: RabbitNode, book: Book) -> None:
    raw(node, topology.DEAD, b"x", application_headers={"deep": nested(300)})
    raw(node, topology.DEAD, b"", application_headers={"x-death": "nonsense", "x-first-death-queue": 7})
    wait_until(lambda: len(book.letters) == 2, what="two letters")
    assert book.reasons() == ["unreadable", "rejected"]
    assert [letter["queue"] for letter in book.letters] == ["", ""]
