"""What a supervisor started ends with it, even when the supervisor itself is killed.

A guard reads its supervisor's pipe: `+ PID STAGE` when a process starts, `- PID` when it has ended. The pipe's end
means that the supervisor is gone; whatever is still listed is then stopped, the highest stage first. It runs as a
bare script (`python -I guard.py GRACE`), so it needs the standard library alone.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping


def read(lines: Iterable[str]) -> dict[int, int]:
    """Follow the pipe to its end and give the stage of each process that still runs."""
    running: dict[int, int] = {}
    for line in lines:
        match line.split():
            case ["+", pid, stage]:
                running[int(pid)] = int(stage)
            case ["-", pid]:
                running.pop(int(pid), None)
    return running


def kill_orphans(running: Mapping[int, int], grace: float) -> None:
    """Ask each process to stop, stage by stage, and kill the groups that do not within `grace` seconds."""
    for stage in sorted(set(running.values()), reverse=True):
        pids = [pid for pid, its in running.items() if its == stage]
        for pid in pids:
            _quietly(os.kill, pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while any(_is_there(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in pids:
            _quietly(os.killpg, pid, signal.SIGKILL)


def _is_there(pid: int) -> bool:
    return _quietly(os.kill, pid, 0)


def _quietly(send: Callable[[int, int], None], pid: int, number: int) -> bool:
    try:
        send(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    kill_orphans(read(sys.stdin), float(sys.argv[1]))
