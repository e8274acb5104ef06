"""Errors reach Sentry with what an engineer needs and without what nobody there may see."""

import logging
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import sentry_sdk
import structlog
from sentry_sdk.transport import Transport

from config.observability.logging import redactor_of
from config.observability.redaction import Redactor
from config.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Breadcrumb, BreadcrumbHint, Event, Hint

_DISTRIBUTION = "odoo-purser"
_TAGS = ("run", "slot", "correlation", "control", "automation", "watch")
"""Bound ids by which events can be found in Sentry."""
_KEPT_CONTEXTS = ("runtime", "os", "trace")
_LEFT_OUT = ("user", "request", "threads", "modules")


def setup_sentry(
    settings: Settings, *, redactor: Redactor | None = None, transport: Transport | type[Transport] | None = None
) -> bool:
    """Report errors to the DSN of the settings; without one nothing happens, and the answer is False."""
    if settings.sentry_dsn is None:
        return False
    from sentry_sdk.integrations.celery import CeleryIntegration  # imports Celery: only where errors are reported

    scrub = _SentryScrubber(redactor or redactor_of(settings))
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.environment,
        release=release(),
        transport=transport,
        before_send=scrub.event,
        before_breadcrumb=scrub.breadcrumb,
        # `send_default_pii` is off unless set, and setting it at all is deprecated.
        include_local_variables=False,
        max_request_body_size="never",
        # What is sent is what is listed here: no guesses from installed libraries, no headers on messages and calls.
        integrations=[CeleryIntegration(propagate_traces=False)],
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        trace_propagation_targets=[],
        enable_backpressure_handling=False,
        enable_logs=False,
        spotlight=False,
    )
    return True


def release() -> str | None:
    """Name the release that runs, as Sentry groups by it."""
    try:
        return f"purser@{version(_DISTRIBUTION)}"
    except PackageNotFoundError:
        return None


class _SentryScrubber:
    """Cleans what is about to leave. If it fails, the SDK sends nothing, which is the safe side."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def event(self, event: "Event", hint: "Hint") -> "Event":
        """Clean an event."""
        found: dict[str, Any] = dict(event)
        for key in _LEFT_OUT:
            found.pop(key, None)
        found["extra"] = self._extra(found.get("extra") or {})
        found["contexts"] = {k: v for k, v in (found.get("contexts") or {}).items() if k in _KEPT_CONTEXTS}
        found["contexts"].get("trace", {}).pop("data", None)
        found["tags"] = self._redactor.value({**(found.get("tags") or {}), **_bound_ids()})
        found["breadcrumbs"] = {"values": [self._crumb(one) for one in _values(found.get("breadcrumbs"))]}
        for error in _values(found.get("exception")):
            self._exception(error)
        if isinstance(found.get("message"), str):
            found["message"] = self._redactor.text(found["message"])
        if "logentry" in found:
            self._log_entry(found, hint.get("log_record"))
        return found  # type: ignore[return-value] # a dict with an event's keys

    def breadcrumb(self, crumb: "Breadcrumb", hint: "BreadcrumbHint") -> "Breadcrumb":
        """Clean a breadcrumb; one made from a log entry keeps its event and fields."""
        record = hint.get("log_record")
        if not isinstance(record, logging.LogRecord):
            return self._crumb(crumb)
        text, fields = self._said(record)
        return {**crumb, "message": text, "data": fields}

    def _crumb(self, crumb: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **crumb,
            "message": self._redactor.value(crumb.get("message")),
            "data": self._redactor.value(crumb.get("data") or {}),
        }

    def _extra(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        shown = {key: self._redactor.entry(key, value) for key, value in extra.items()}
        job = extra.get("celery-job")
        if isinstance(job, Mapping):
            shown["celery-job"] = {"task_name": job.get("task_name")}  # its arguments may be about people
        return shown

    def _exception(self, error: dict[str, Any]) -> None:
        error["value"] = self._redactor.value(error.get("value"))
        (error.get("mechanism") or {}).pop("data", None)
        for frame in (error.get("stacktrace") or {}).get("frames") or ():
            frame.pop("vars", None)
            for key in ("pre_context", "context_line", "post_context"):
                if key in frame:
                    frame[key] = self._redactor.value(frame[key])

    def _log_entry(self, event: dict[str, Any], record: object) -> None:
        if isinstance(record, logging.LogRecord):
            text, fields = self._said(record)
            event["logentry"] = {"message": text}
            event["extra"] = {**event["extra"], **fields}
        else:
            event["logentry"] = {"message": self._redactor.value(event["logentry"].get("message"))}

    def _said(self, record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
        """Return text and fields of a log record. Arguments without a key stay out: they may be names."""
        said: object = record.msg  # the type stubs say str; structlog hands over its entry
        if isinstance(said, dict):
            shown = {key: self._redactor.entry(key, value) for key, value in said.items() if not key.startswith("_")}
            return str(shown.pop("event", "")), shown
        return self._redactor.text(str(said)), {}


def _bound_ids() -> dict[str, Any]:
    bound = structlog.contextvars.get_contextvars()
    return {name: bound[name] for name in _TAGS if name in bound}


def _values(interface: object) -> list[dict[str, Any]]:
    values = interface.get("values") if isinstance(interface, Mapping) else interface
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []
