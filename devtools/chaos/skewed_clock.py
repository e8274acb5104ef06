"""A process whose clock is wrong: `python -m devtools.chaos.skewed_clock OFFSET -- PROGRAM...` runs it so.

OFFSET is a number of seconds, or `@FILE`: a file that holds the seconds as one little-endian double and may be
written while the process runs (`write_offset`). `time.time` and the moments of `datetime` are shifted before anything
else is imported, so whatever the process asks for the time of day hears the wrong one. Durations (`time.monotonic`)
stay right, as on a machine with a wrong clock.
"""

import datetime as dt
import mmap
import runpy
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OFFSET = struct.Struct("<d")


def write_offset(file: Path, seconds: float) -> None:
    """Write the offset that processes with this file follow from now on; the file is made where it is missing."""
    with file.open("r+b" if file.exists() else "xb") as out:
        out.write(_OFFSET.pack(seconds))


def read_offset(option: str) -> Callable[[], float]:
    """Return what tells the offset in seconds that is in force now."""
    if not option.startswith("@"):
        seconds = float(option)
        return lambda: seconds
    with Path(option[1:]).open("rb") as file:
        view = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    return lambda: float(_OFFSET.unpack_from(view)[0])


def skew_clock(offset: Callable[[], float]) -> None:
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
            return true_class.now(tz) + dt.timedelta(seconds=offset())

        @classmethod
        def utcnow(cls) -> Any:
            return (true_class.now(dt.UTC) + dt.timedelta(seconds=offset())).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return true_class.now() + dt.timedelta(seconds=offset())

    time.time = lambda: true_time() + offset()
    time.time_ns = lambda: true_ns() + int(offset() * 1_000_000_000)
    dt.datetime = Shifted  # type: ignore[misc]


def main() -> None:
    """Shift, then be the module that is named: `... -- celery -A app worker`."""
    option, mark, module, *rest = sys.argv[1:]
    if mark != "--":
        raise SystemExit("usage: python -m devtools.chaos.skewed_clock OFFSET -- MODULE ARGUMENTS...")
    offset = read_offset(option)
    skew_clock(offset)
    sys.stdout.write(f"this process has its clock shifted by {offset():g} s\n")
    sys.stdout.flush()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
