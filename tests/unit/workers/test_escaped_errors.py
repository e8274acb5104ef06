"""Errors of the worker's own code end no process and leak neither a message nor a place of the pool."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError, TimeLimitExceeded
from celery.worker import state
from celery.worker.request import Request
from kombu.asynchronous.hub import Hub
from kombu.asynchronous.semaphore import LaxBoundedSemaphore
from structlog.testing import capture_logs

from workers.broker.redis.channel import ReliableChannelMixin
from workers.broker.redis.leases import LeaseLost
from workers.escaped_errors import ESCAPED
from workers.process.consumer import FleetConsumer
from workers.process.loop_errors import LoopErrorHandler
from workers.runtime import request as request_module
from workers.runtime.callbacks import TaskCallbacks
from workers.runtime.maintenance import LoopActivity
from workers.runtime.request import FleetRequest


class Broken(Exception):
    """An error that nobody foresaw."""


def broken(*_: Any, **__: Any) -> None:
    raise Broken("no one foresaw this")


# ------------------------------------------------------------------------- the event loop --


@pytest.fixture
def hub() -> Any:
    made: Any = Hub
    return made(timer=None)


def turn(hub: Any) -> None:
    """Let the event loop run what is ready."""
    for callback in hub._pop_ready():
        callback()


def test_a_callback_that_fails_is_logged_and_counted_and_the_others_run(hub: Any) -> None:
    errors, before = LoopErrorHandler(), ESCAPED.count
    ran: list[str] = []
    errors.watch(hub, (ConnectionError,))
    errors.watch(hub, (ConnectionError,))  # a reconnect registers again
    hub.call_soon(broken)
    hub.call_soon(ran.append, "other")
    with capture_logs() as logged:
        turn(hub)
    assert ran == ["other"]
    assert ESCAPED.count == before + 1
    assert [entry["event"] for entry in logged] == ["a callback of the event loop failed"]


def test_a_lost_connection_is_raised_from_a_callback(hub: Any) -> None:
    LoopErrorHandler().watch(hub, (ConnectionError,))

    def lose() -> None:
        raise ConnectionError("gone")

    hub.call_soon(lose)
    with pytest.raises(ConnectionError):
        turn(hub)


# ----------------------------------------------------------------------- taking from Redis --


class Channel(ReliableChannelMixin):
    """A channel that is handed records, and a keeper that notes what goes back."""

    keeper: Any = None

    def __init__(self, deliver: Any) -> None:
        self.back: list[tuple[str, bool]] = []
        self.keeper = SimpleNamespace(give_back=lambda tag, counted: self.back.append((tag, counted)))
        self.connection = SimpleNamespace(_deliver=deliver, connection_errors=(ConnectionError, LeaseLost))

    def _queue(self, key: bytes) -> str:
        return key.decode()


RAW = (
    b'{"body": "W10=", "content-type": "application/json", "content-encoding": "utf-8", "headers": {}, "properties": '
    b'{"delivery_tag": "t", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "q"}}}'
)


def test_a_message_at_which_the_code_behind_the_channel_fails_goes_back_counted() -> None:
    channel, before = Channel(broken), ESCAPED.count
    with capture_logs() as logged:
        assert channel._take(b"1:0:1:q" + RAW, "h/1") == "q"
    assert channel.back == [("h/1", True)], "after too many deliveries it is a letter"
    assert ESCAPED.count == before + 1
    assert logged[0]["log_level"] == "error"
    assert channel._rest_until > 0


@pytest.mark.parametrize("lost", [ConnectionError, LeaseLost])
def test_a_lost_connection_is_raised_while_a_message_is_taken(lost: type[Exception]) -> None:
    def lose(*_: Any) -> None:
        raise lost("gone")

    channel = Channel(lose)
    with pytest.raises(lost):
        channel._take(b"1:0:1:q" + RAW, "h/1")
    assert channel.back == []


# ------------------------------------------------------------------------ handing to the pool --


class World:
    """A consumer without a worker around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.semaphore = LaxBoundedSemaphore(1)
        self.aside: list[Any] = []
        self.consumer: Any = FleetConsumer.__new__(FleetConsumer)
        self.consumer.controller = SimpleNamespace(semaphore=self.semaphore)
        self.consumer.pool, self.consumer.seen = None, LoopActivity()
        self.consumer.connection_errors = (ConnectionError,)
        monkeypatch.setattr(FleetConsumer, "_set_aside", lambda _, message, *why: self.aside.append(message))
        monkeypatch.setattr(state, "task_ready", lambda _: None)

    def begin(self, execute: Any) -> Any:
        """Begin a request that waited for a free process."""
        request = SimpleNamespace(id="m", acknowledged=False, _message="message", execute_using_pool=execute)
        self.semaphore.acquire(self.consumer._begin, request)
        return request


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_request_that_the_pool_does_not_take_is_kept_and_gives_its_place_back(world: World) -> None:
    before = ESCAPED.count
    with capture_logs():
        request = world.begin(broken)
    assert world.semaphore.value == 1
    assert world.aside == ["message"]
    assert (request.acknowledged, ESCAPED.count) == (True, before + 1)


def test_a_revoked_request_gives_its_place_back(world: World) -> None:
    def revoked(_: Any) -> None:
        raise TaskRevokedError("m")

    world.begin(revoked)
    assert (world.semaphore.value, world.aside) == (1, [])


def test_a_request_whose_connection_is_lost_gives_its_place_back_and_the_worker_connects_anew(world: World) -> None:
    def lose(_: Any) -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        world.begin(lose)
    assert (world.semaphore.value, world.aside) == (1, [])


# --------------------------------------------------------------------------- the end of a task --


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what becomes of a request at its end."""
    done: list[str] = []
    monkeypatch.setattr(request_module, "task_ready", lambda _: done.append("ready"))
    monkeypatch.setattr(request_module, "later", lambda act, *_: done.append(act.__name__))
    return done


def failing(**parts: Any) -> Any:
    request: Any = FleetRequest.__new__(FleetRequest)
    request.name, request.id, request._message = "t", "m", "message"
    for name, value in parts.items():
        setattr(request, name, value)
    return request


def test_an_error_at_the_end_of_a_task_gives_its_message_back(ended: list[str]) -> None:
    request = failing(_on_failure=broken)
    with capture_logs() as logged:
        request.on_failure(SimpleNamespace(exception=ValueError()))
    assert ended == ["ready", "give_back"]
    assert request.acknowledged
    assert logged[0]["log_level"] == "error"


def test_what_has_found_its_place_already_is_not_given_back(ended: list[str]) -> None:
    request = failing(_on_failure=broken, acknowledged=True)
    with capture_logs():
        request.on_failure(SimpleNamespace(exception=ValueError()))
    assert ended == ["ready"]


def test_errbacks_of_a_killed_task_are_published_once_and_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[Any] = []
    monkeypatch.setattr(TaskCallbacks, "failed", lambda one, *_: published.append(one.error))
    monkeypatch.setattr(request_module, "to_dead_letters", lambda *_, **__: None)
    left: list[Any] = []
    monkeypatch.setattr(Request, "on_failure", lambda one, *_, **__: left.append(one._context.errbacks))
    context = SimpleNamespace(callbacks=None, errbacks=[{"task": "x"}], chain=None, chord=None)
    request = failing(_context=context, _app=SimpleNamespace(fleet=None))
    killed = SimpleNamespace(exception=TimeLimitExceeded(5), traceback="")
    request.on_failure(killed)
    assert published == [[{"task": "x"}]]
    assert left == [None], "Celery publishes none of them"
