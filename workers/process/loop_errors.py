"""Keep an error in a callback of the event loop from ending the worker: Celery runs them without a net."""

from functools import partial
from typing import Any

import structlog

from workers.escaped_errors import ESCAPED

log = structlog.get_logger(__name__)


class LoopErrorHandler:
    """Catches, logs and counts what callbacks given to `hub.call_soon` raise."""

    def watch(self, hub: Any, connection_errors: tuple[type[BaseException], ...]) -> None:
        """Catch errors in the callbacks of an event loop. A lost connection is raised: the worker connects anew."""
        if getattr(hub, "_loop_errors", None) is not None:
            return
        hub._loop_errors = self
        pop_ready = hub._pop_ready
        passed_on = (*hub.propagate_errors, *connection_errors, MemoryError)
        hub._pop_ready = lambda: [partial(self._run, item, passed_on) for item in pop_ready() if item]

    def _run(self, callback: Any, passed_on: tuple[type[BaseException], ...]) -> None:
        try:
            callback()
        except passed_on:
            raise
        except Exception:
            log.exception("a callback of the event loop failed", callback=repr(callback)[:200], count=ESCAPED.add())
