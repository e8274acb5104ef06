"""Every line of every library comes out in one form: JSON for programs, readable on a terminal, clean of secrets."""

import datetime as dt
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.observability.redaction import Redactor
from config.settings import Settings

_NOISY = {
    **dict.fromkeys(("httpx", "httpcore", "asyncio", "urllib3", "hpack"), logging.WARNING),
    # At the level debug these write out what they carry: bodies of messages, arguments of calls, rows of Odoo.
    **dict.fromkeys(
        ("amqp", "kombu", "celery.pool", "celery.concurrency", "multiprocessing", "odoorpc"), logging.INFO
    ),
}
"""Libraries that tell every request, or what is in it, at a level at which nobody asked for it."""

_ALREADY_TEXT = frozenset({"time", "level", "logger"})


def redactor_of(settings: Settings) -> Redactor:
    """Build the redactor that knows the secrets of these settings."""
    return Redactor.of(settings.secrets, hosts={socket.gethostname()})


def configure_logging(settings: Settings, *, redactor: Redactor | None = None, stream: TextIO | None = None) -> None:
    """Send what structlog and the standard library log to `stream` (stderr), in one form.

    Celery replaces what it finds at start: connect this to its signal `setup_logging`, and it leaves it alone.
    """
    target = sys.stderr if stream is None else stream
    clean = _RedactingProcessor(redactor_of(settings) if redactor is None else redactor)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            keep_exc_info=True,
            processors=[
                _exception_of_record,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                clean,
                *_renderer(settings, target),
            ],
        )
    )
    structlog.configure(
        # Cleaned once before it reaches the standard library, where other handlers (Sentry's) see it too.
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            clean,
            _hand_over,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if getattr(one, "of_purser", False)]:
        root.removeHandler(old)
    handler.of_purser = True  # type: ignore[attr-defined] # so that setting up again replaces it
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name, level in _NOISY.items():
        logging.getLogger(name).setLevel(max(level, root.level))


@contextmanager
def bound(
    *, run: str | None = None, slot: dt.datetime | None = None, correlation: str | None = None, **more: object
) -> Iterator[None]:
    """Put the ids of what is being done on every line that is logged inside, whoever logs it."""
    ids = {"run": run, "slot": slot.isoformat() if slot else None, "correlation": correlation, **more}
    with structlog.contextvars.bound_contextvars(**{name: value for name, value in ids.items() if value is not None}):
        yield


def _hand_over(logger: WrappedLogger, method: str, entry: EventDict) -> tuple[tuple[EventDict], dict[str, object]]:
    """Pass an entry to the standard library, its exception as an exception: Sentry's handler looks for it there."""
    error = entry.pop("exc_info", None)
    arguments, keywords = structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, entry)
    return arguments, {**keywords, "exc_info": error}


def _exception_of_record(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Take the exception over from the record, a copy of ours, so that it is written in its line and not below it."""
    record = entry["_record"]
    if record.exc_info:
        entry["exc_info"] = record.exc_info
    record.exc_info = record.exc_text = None
    return entry


class _RedactingProcessor:
    """Redacts a whole entry, the event's own text included."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
        return {key: self._shown(key, value) for key, value in entry.items()}

    def _shown(self, key: str, value: object) -> object:
        if key in _ALREADY_TEXT or key.startswith("_") or key == "exc_info":
            return value
        return self._redactor.entry(key, value)


def _renderer(settings: Settings, target: TextIO) -> list[Processor]:
    readable = settings.log_format == "console" or (settings.log_format == "auto" and target.isatty())
    if readable:
        return [
            structlog.dev.ConsoleRenderer(
                colors=target.isatty(),
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [_ordered, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _ordered(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Put what every line has in front."""
    first = {key: entry[key] for key in ("time", "level", "event", "logger") if key in entry}
    return {**first, **entry}
