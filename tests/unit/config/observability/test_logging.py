"""Every line has one form and no secret, whichever library wrote it."""

import datetime as dt
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from config.observability.logging import bound, configure_logging
from config.settings import Settings

SETTINGS = Settings.load(
    environ={
        "PURSER_BROKER_URL": "redis://:brokerpass@localhost/0",
        "PURSER_ODOO_LOGIN": "bot",
        "PURSER_ODOO_API_KEY": "key-of-the-bot",
        "PURSER_LOG_FORMAT": "json",
    }
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(SETTINGS, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_entry_is_one_json_object_with_time_level_event_and_logger(out: io.StringIO) -> None:
    structlog.get_logger("purser.scan").info("case opened", control="missing-timesheets", hours=7.5)
    logging.getLogger("celery.worker").warning("lost %s\nof %d", "one", 2)
    ours, theirs = lines(out)
    assert list(ours)[:4] == ["time", "level", "event", "logger"]
    assert (ours["level"], ours["event"], ours["logger"]) == ("info", "case opened", "purser.scan")
    assert (ours["control"], ours["hours"]) == ("missing-timesheets", 7.5)
    assert (theirs["level"], theirs["event"], theirs["logger"]) == ("warning", "lost one\nof 2", "celery.worker")
    for entry in (ours, theirs):
        assert dt.datetime.fromisoformat(entry["time"]).utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_and_no_person_is_written(form: str) -> None:
    stream = Terminal()
    configure_logging(SETTINGS.model_copy(update={"log_format": form}), stream=stream)
    log = structlog.get_logger("purser.scan")
    log.info("signed in with key-of-the-bot", url="redis://:brokerpass@localhost/0", args=("key-of-the-bot",))
    log.info("who", name="Anna Muster", email="anna@example.com", password="hunter2", partner={"phone": "0123-456"})
    logging.getLogger("kombu").error("cannot reach %s", "amqp://me:otherpass@host//")
    logging.getLogger("tornado.access").info("200 GET /?api_key=hunter2 %s", {"login": "anna@example.com"})
    try:
        raise RuntimeError("refused: token='hunter2' for anna@example.com")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("celery").exception("failed too")
    written = stream.getvalue()
    for hidden in ("key-of-the-bot", "brokerpass", "otherpass", "hunter2", "Anna", "anna", "0123-456"):
        assert hidden not in written
    assert written.count("RuntimeError") >= 2
    assert "localhost/0" in written


def test_ids_are_bound_to_every_line_inside_and_to_none_outside(out: io.StringIO) -> None:
    slot = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
    with bound(run="r1", slot=slot, control="missing-timesheets"), bound(correlation="c1"):
        structlog.get_logger("purser").info("inside")
        logging.getLogger("httpx").warning("inside too")
    structlog.get_logger("purser").info("outside")
    ours, theirs, outside = lines(out)
    for entry in (ours, theirs):
        assert entry["run"] == "r1"
        assert entry["slot"] == "2026-11-22T06:00:00+00:00"
        assert (entry["correlation"], entry["control"]) == ("c1", "missing-timesheets")
    assert not {"run", "slot", "correlation", "control"} & outside.keys()


def test_an_exception_is_written_once_and_stays_in_its_line(out: io.StringIO) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        structlog.get_logger("purser").exception("failed", control="x")
    [entry] = lines(out)
    assert entry["exception"].count("ValueError: wrong") == 1
    assert entry["level"] == "error"


def test_an_exception_stays_one_for_other_handlers(out: io.StringIO) -> None:
    seen: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = seen.append  # type: ignore[method-assign, assignment]
    logging.getLogger().addHandler(other)
    try:
        raise ValueError("wrong")
    except ValueError as error:
        structlog.get_logger("purser").error("failed", exc_info=error)
    assert seen[0].exc_info is not None
    assert seen[0].exc_info[0] is ValueError


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_logging(SETTINGS.model_copy(update={"log_level": "warning"}), stream=stream)
    structlog.get_logger("purser").info("quiet")
    logging.getLogger("celery").info("quiet")
    structlog.get_logger("purser").warning("loud")
    assert [entry["event"] for entry in lines(stream)] == ["loud"]


def test_libraries_that_log_each_request_are_quiet_at_info(out: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST ...")
    assert out.getvalue() == ""


def test_a_terminal_gets_text_and_a_pipe_gets_json() -> None:
    auto = SETTINGS.model_copy(update={"log_format": "auto"})
    terminal, pipe = Terminal(), io.StringIO()
    configure_logging(auto, stream=terminal)
    structlog.get_logger("purser").info("case opened", control="x")
    configure_logging(auto, stream=pipe)
    structlog.get_logger("purser").info("case opened", control="x")
    assert not terminal.getvalue().startswith("{")
    assert "case opened" in terminal.getvalue()
    assert lines(pipe)[0]["event"] == "case opened"


def test_setting_up_again_replaces_and_does_not_double(out: io.StringIO) -> None:
    again = io.StringIO()
    configure_logging(SETTINGS, stream=again)
    logging.getLogger("celery").warning("once")
    assert out.getvalue() == ""
    assert len(lines(again)) == 1


def test_what_has_no_json_form_is_still_written(out: io.StringIO) -> None:
    structlog.get_logger("purser").info("odd", value=object(), key={1: b"x"}, when=dt.date(2026, 11, 22))
    [entry] = lines(out)
    assert entry["key"] == {"1": "<1 bytes>"}
    assert entry["when"] == "2026-11-22"
