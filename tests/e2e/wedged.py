"""The fleet's own app, with a main loop that hangs for ever in the first process that is started here."""

import os
import threading
from pathlib import Path
from typing import Any

from celery import signals
from kombu.asynchronous import get_event_loop

from workers.main import app

__all__ = ["app"]


def hang(**_: Any) -> None:
    """Let the loop wait for what never comes."""
    first, hub = Path(os.environ["PURSER_TEST_WEDGE"]), get_event_loop()
    if hub is not None and not first.exists():
        first.touch()
        hub.call_later(1.0, threading.Event().wait)  # type: ignore[no-untyped-call]


signals.worker_ready.connect(hang, weak=False)
