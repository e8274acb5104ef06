"""What a worker tells everybody on the broker about a task holds no words of an error and no values."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import celery
import pytest
from billiard.einfo import ExceptionInfo
from celery.events.dispatcher import EventDispatcher
from celery.utils.saferepr import saferepr
from celery.worker.request import Request

from config.observability.redaction import Redactor
from config.settings import Settings
from store import DelayKind
from workers.app import create_app
from workers.runtime import request as requests
from workers.runtime.celery_events import BoundedDispatcher
from workers.runtime.control_flow import RetryLater, SendToDeadLetters
from workers.runtime.request import FleetRequest

WORDS = "mail to Anna Larsen, 0170 1234567, anna.larsen@client.com bounced, password=sk-live-4711"
HIDDEN = ("Larsen", "0170", "client.com", "sk-live")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Record the events that Celery would send."""
    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(Request, "send_event", lambda self, type_, **fields: events.append((type_, fields)))
    return events


@pytest.fixture
def request_() -> FleetRequest:
    made = FleetRequest.__new__(FleetRequest)
    made._app = SimpleNamespace(fleet=SimpleNamespace(redactor=Redactor.of(["sk-live-4711"])))
    return made


def _info(error: Exception) -> ExceptionInfo:
    try:
        raise error
    except Exception:  # noqa: BLE001 - the error is what is wanted
        return ExceptionInfo()


def _hides(events: list[tuple[str, dict[str, Any]]]) -> bool:
    return not any(word in str(events) for word in HIDDEN)


@pytest.mark.parametrize(
    "error",
    [ValueError(WORDS), SendToDeadLetters("permanent failure", "Permanent", WORDS), RuntimeError("<" + WORDS)],
)
@pytest.mark.parametrize("event", ["task-failed", "task-retried"])
def test_a_failure_is_told_by_its_name_and_place(
    told: list[Any], request_: FleetRequest, event: str, error: Exception
) -> None:
    info = _info(error)
    request_.send_event(event, exception=saferepr(error), traceback=info.traceback)
    [(_, fields)] = told
    assert fields["exception"] in ("ValueError", "Permanent", "RuntimeError")
    assert "test_celery_events.py" in fields["traceback"]
    assert _hides(told)


@pytest.mark.parametrize(("kind", "name"), [(DelayKind.RETRY, "Transient"), (DelayKind.SNOOZE, "snooze")])
def test_a_message_that_waits_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, told: list[Any], request_: FleetRequest, kind: DelayKind, name: str
) -> None:
    monkeypatch.setattr(FleetRequest, "_keep", lambda self, keep: True)
    monkeypatch.setattr(requests, "task_ready", lambda request: None)
    error = RetryLater(kind, 5, f"Transient: {WORDS}")
    request_._later(error, str(_info(error).traceback))
    assert [fields["exception"] for _, fields in told] == [name]
    assert _hides(told)


def test_values_are_short_and_redacted(told: list[Any], request_: FleetRequest) -> None:
    request_.send_event("task-succeeded", result={"email": WORDS, "rest": "x" * 100_000}, runtime=0.5)
    [(_, fields)] = told
    assert fields["runtime"] == 0.5
    assert len(str(fields)) < 5000
    assert _hides(told)


MEGABYTE = "m" * 1_000_000


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the events that the application's dispatcher would put on the broker."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(EventDispatcher, "_publish", lambda self, event, *_, **__: events.append(event))
    return events


@pytest.fixture
def app() -> Iterator[celery.Celery]:
    with celery.Celery(
        "test", events="workers.runtime.celery_events:FleetEvents", broker="memory://", set_as_current=False
    ) as app:
        yield app


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("event", ["task-received", "task-failed", "worker-heartbeat"])
def test_no_event_of_a_worker_grows_with_the_message(
    app: celery.Celery, sent: list[Any], event: str, buffered: bool
) -> None:
    dispatcher = app.events.Dispatcher(enabled=False, buffer_group=["task", "worker"] if buffered else ())
    dispatcher.enabled, dispatcher.producer = True, object()
    dispatcher.send(
        event,
        uuid=MEGABYTE,
        name=MEGABYTE,
        args=MEGABYTE,
        kwargs={"a": MEGABYTE},
        root_id=[MEGABYTE],
        retries=10**100_000,
        eta=None,
        runtime=0.5,
    )
    dispatcher.flush()
    [told] = sent[0] if buffered else sent
    assert (told["type"], told["eta"], told["runtime"]) == (event, None, 0.5)
    assert told["uuid"] == "m" * 255
    assert len(json.dumps(told)) < 6000


def test_nor_does_the_event_of_a_publisher(app: celery.Celery, sent: list[Any]) -> None:
    app.amqp._event_dispatcher.publish("task-sent", {"uuid": "u1", "name": MEGABYTE, "args": MEGABYTE}, object())
    [told] = sent
    assert told["uuid"] == "u1"
    assert len(json.dumps(told)) < 3000


def test_the_fleet_uses_this_dispatcher() -> None:
    app = create_app(Settings.load(environ={"PURSER_BROKER_URL": "redis://127.0.0.1:1/0"}))
    assert issubclass(app.events.Dispatcher, BoundedDispatcher)
