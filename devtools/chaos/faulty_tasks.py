"""The app of the drill's workers: the fleet's own, and one more task that gets into trouble before it does its work.

Trouble comes `times` times for one message; a file counts, for it has to outlive the process that is in trouble.
"""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any, Literal

from celery.exceptions import SoftTimeLimitExceeded

from workers.main import app

Trouble = Literal["killed", "out of memory", "too long"]

_ROOM = 64 * 2**20
"""Bytes a process that is to run out of memory may still take."""


@app.task(name="drill.apply")  # type: ignore[untyped-decorator, unused-ignore]
def apply_or_fail(trouble: Trouble, times: int, counter: str, **kwargs: Any) -> Any:
    """Get into trouble, or else carry the chunk out."""
    if _counted(Path(counter)) <= times:
        match trouble:
            case "killed":
                app.tasks["purser.apply"].run(**kwargs)  # Odoo has committed, and nobody was told
                os.kill(os.getpid(), signal.SIGKILL)
            case "out of memory":
                _take_all()
            case "too long":
                _hang()
    return app.tasks["purser.apply"].run(**kwargs)


def _hang() -> None:
    """Hear nothing of a soft limit, as a library does that swallows every exception."""
    while True:
        with contextlib.suppress(SoftTimeLimitExceeded):
            time.sleep(3600)


def _counted(counter: Path) -> int:
    with counter.open("a") as file:
        file.write(".")
        return file.tell()


def _take_all() -> None:
    """Take memory until there is none. The limit is this process's own, and is lifted again."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM, before[1]))
    taken = []
    try:
        while True:
            taken.append(bytearray(2**20))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
