"""What would leave for Sentry holds the error and its ids, no secret and no personal data."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import celery
import pytest
import sentry_sdk
import structlog
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from config.observability.logging import bound, configure_logging
from config.observability.sentry import release, setup_sentry
from config.settings import Settings

SETTINGS = Settings.load(
    environ={
        "PURSER_BROKER_URL": "redis://:brokerpass@localhost/0",
        "PURSER_ODOO_LOGIN": "bot",
        "PURSER_ODOO_API_KEY": "key-of-the-bot",
        "PURSER_SENTRY_DSN": "https://public@localhost/1",
        "PURSER_ENVIRONMENT": "test-stage",
        "PURSER_LOG_FORMAT": "json",
    }
)
PERSON = "Anna Muster"
EMAIL = "anna.muster@example.com"
HIDDEN = ("brokerpass", "key-of-the-bot", "hunter2", "public@localhost", "Anna", "Muster", "anna", "0123-456")


class Captured(Transport):
    """Keeps the bytes that would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize())

    def event(self) -> dict[str, Any]:
        """Return the one event that was sent, all of its envelope being clean."""
        assert len(self.sent) == 1
        text = self.sent[0].decode()
        assert [hidden for hidden in HIDDEN if hidden in text] == []
        event: dict[str, Any] = json.loads(text.splitlines()[2])
        return event


@pytest.fixture
def sentry() -> Iterator[Captured]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    configure_logging(SETTINGS)
    captured = Captured()
    assert setup_sentry(SETTINGS, transport=captured)
    with sentry_sdk.isolation_scope(), sentry_sdk.new_scope():
        yield captured
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def task() -> Any:
    app = celery.Celery("test", broker="memory://", set_as_current=False)

    def fail(partner: dict[str, str], *, api_key: str) -> None:
        local = partner  # a frame whose variables must not be sent
        structlog.get_logger("purser.apply").info("looking", name=local["name"], case="case/x")
        raise RuntimeError(f"Odoo refused {EMAIL}: password='hunter2', key {api_key}, {local!r}")

    return app.task(fail, name="purser.fail", shared=False)


def test_a_failing_celery_task_is_reported_clean(sentry: Captured, task: Any) -> None:
    with bound(run="run-1", correlation="corr-1", control="missing-timesheets"):
        result = task.apply(args=[{"name": PERSON, "phone": "0123-456"}], kwargs={"api_key": "key-of-the-bot"})
    assert result.failed()
    event = sentry.event()
    [error] = event["exception"]["values"]
    assert error["type"] == "RuntimeError"
    assert error["mechanism"]["type"] == "celery"
    assert error["value"].startswith("Odoo refused <personal>: password=<secret>, key <secret>")
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert all("vars" not in frame for frame in error["stacktrace"]["frames"])
    assert event["extra"]["celery-job"] == {"task_name": "purser.fail"}
    assert event["tags"]["run"] == "run-1"
    assert event["tags"]["correlation"] == "corr-1"
    assert event["environment"] == "test-stage"
    assert event["release"] == release()
    [crumb] = [one for one in event["breadcrumbs"]["values"] if one["category"] == "purser.apply"]
    assert (crumb["message"], crumb["data"]["case"], crumb["data"]["name"]) == ("looking", "case/x", "<personal>")


def test_a_logged_error_is_reported_clean_with_its_fields(sentry: Captured) -> None:
    try:
        raise ValueError(f"name='{PERSON}'")
    except ValueError:
        structlog.get_logger("purser.scan").exception(
            "scan failed", control="x", subject_name=PERSON, dsn="hunter2", url="redis://:brokerpass@localhost/0"
        )
    event = sentry.event()
    assert event["logentry"] == {"message": "scan failed"}
    assert event["logger"] == "purser.scan"
    assert event["extra"]["control"] == "x"
    assert event["extra"]["subject_name"] == "<personal>"
    assert event["exception"]["values"][0]["value"] == "name=<personal>"


def test_an_error_of_a_library_is_reported_without_its_arguments(sentry: Captured) -> None:
    logging.getLogger("kombu").error("cannot reach %s for %s", "redis://:brokerpass@localhost/0", PERSON)
    event = sentry.event()
    assert event["logentry"] == {"message": "cannot reach %s for %s"}


def sent_by_hand() -> None:
    sentry_sdk.set_user({"email": EMAIL, "username": PERSON})
    sentry_sdk.set_context("partner", {"name": PERSON})
    sentry_sdk.set_extra("partner", {"name": PERSON, "phone": "0123-456", "id": 4})
    sentry_sdk.set_tag("who", EMAIL)
    sentry_sdk.add_breadcrumb(message=f"wrote to {EMAIL}", data={"api_key": "hunter2"})
    sentry_sdk.capture_message(f"key-of-the-bot of {EMAIL}")


def failing_chain() -> None:
    try:
        try:
            raise KeyError(EMAIL)
        except KeyError as error:
            raise ValueError("token: hunter2") from error
    except ValueError as error:
        sentry_sdk.capture_exception(error)


@pytest.mark.parametrize("report", [sent_by_hand, failing_chain])
def test_whatever_is_reported_is_clean(sentry: Captured, report: Callable[[], None]) -> None:
    report()
    event = sentry.event()
    assert "user" not in event
    assert "request" not in event
    assert "partner" not in event["contexts"]
    assert event["contexts"]["runtime"]["name"] == "CPython"


def test_the_sdk_itself_is_told_to_collect_nothing_about_people(sentry: Captured) -> None:
    client = sentry_sdk.get_client()
    assert not client.should_send_default_pii()
    assert client.options["include_local_variables"] is False
    assert client.options["max_request_body_size"] == "never"


def test_performance_data_is_never_sent(sentry: Captured, task: Any) -> None:
    assert task.apply(args=[{"name": "x"}], kwargs={"api_key": "x"}).failed()
    with sentry_sdk.start_transaction(name=EMAIL):
        pass
    assert [b'"type":"event"' in envelope for envelope in sentry.sent] == [True]


def test_messages_carry_no_headers_of_sentry(sentry: Captured) -> None:
    app = celery.Celery("test", broker="memory://", set_as_current=False)
    app.send_task("purser.nothing", queue="quiet")
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("quiet").get(timeout=5)
    assert [name for name in message.headers if "sentry" in name or "baggage" in name] == []


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers it was sent."""

    def do_GET(self) -> None:
        body = json.dumps(list(self.headers.keys())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_calls_carry_no_headers_of_sentry(sentry: Captured) -> None:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        connection.request("GET", "/")
        names = json.loads(connection.getresponse().read())
        connection.close()
    assert "Host" in names
    assert [name for name in names if "sentry" in name.lower() or "baggage" in name.lower()] == []


def test_without_a_dsn_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://public@localhost/1")
    assert not setup_sentry(SETTINGS.model_copy(update={"sentry_dsn": None}))
    assert not sentry_sdk.is_initialized()
