"""A process whose clock is wrong: `python -m console.drill.skewed SECONDS -- PROGRAM...` runs a Python module so.

`time.time` and the moments of `datetime` are shifted before anything else is imported, so whatever the process asks
for the time of day hears the wrong one. Durations (`time.monotonic`) stay right, as on a machine with a wrong clock.
"""

import datetime as dt
import runpy
import sys
import time
from typing import Any


def shift(seconds: float) -> None:
    """Shift the clock of this process. Call it before other modules take `datetime` along."""
    true_time, true_ns, true_class = time.time, time.time_ns, dt.datetime

    class Kind(type):
        """Lets a moment made before the shift, or by C code, count as one of ours."""

        def __instancecheck__(cls, one: Any) -> bool:
            return isinstance(one, true_class)

        def __subclasscheck__(cls, one: type) -> bool:
            return issubclass(one, true_class)

    class Shifted(true_class, metaclass=Kind):  # type: ignore[valid-type, misc]
        """Moments by the wrong clock."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return true_class.now(tz) + dt.timedelta(seconds=seconds)

        @classmethod
        def utcnow(cls) -> Any:
            return (true_class.now(dt.UTC) + dt.timedelta(seconds=seconds)).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return true_class.now() + dt.timedelta(seconds=seconds)

    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1_000_000_000)
    dt.datetime = Shifted  # type: ignore[misc]


def main() -> None:
    """Shift, then be the module that is named: `... -- celery -A app worker`."""
    seconds, mark, module, *rest = sys.argv[1:]
    if mark != "--":
        raise SystemExit("usage: python -m console.drill.skewed SECONDS -- MODULE ARGUMENTS...")
    shift(float(seconds))
    sys.stdout.write(f"this process has its clock shifted by {seconds} s\n")
    sys.stdout.flush()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
