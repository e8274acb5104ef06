"""What a worker tells everybody on the broker about a task holds no words of an error and no values."""

from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery.utils.saferepr import saferepr
from celery.worker.request import Request

from config.redact import Redactor
from ledger import Kind
from workers import request as requests
from workers.endings import Later, SetAside
from workers.request import FleetRequest

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
    "error", [ValueError(WORDS), SetAside("permanent failure", "Permanent", WORDS), RuntimeError("<" + WORDS)]
)
@pytest.mark.parametrize("event", ["task-failed", "task-retried"])
def test_a_failure_is_told_by_its_name_and_place(
    told: list[Any], request_: FleetRequest, event: str, error: Exception
) -> None:
    info = _info(error)
    request_.send_event(event, exception=saferepr(error), traceback=info.traceback)
    [(_, fields)] = told
    assert fields["exception"] in ("ValueError", "Permanent", "RuntimeError")
    assert "test_task_events.py" in fields["traceback"]
    assert _hides(told)


@pytest.mark.parametrize(("kind", "name"), [(Kind.RETRY, "Transient"), (Kind.SNOOZE, "snooze")])
def test_a_message_that_waits_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, told: list[Any], request_: FleetRequest, kind: Kind, name: str
) -> None:
    monkeypatch.setattr(FleetRequest, "_keep", lambda self, keep: True)
    monkeypatch.setattr(requests, "task_ready", lambda request: None)
    error = Later(kind, 5, f"Transient: {WORDS}")
    request_._later(error, str(_info(error).traceback))
    assert [fields["exception"] for _, fields in told] == [name]
    assert _hides(told)


def test_other_fields_are_short_and_redacted(told: list[Any], request_: FleetRequest) -> None:
    request_.send_event("task-succeeded", result={"email": WORDS}, runtime=0.5, other="x" * 100_000)
    [(_, fields)] = told
    assert fields["runtime"] == 0.5
    assert len(str(fields)) < 5000
    assert _hides(told)
