"""A handful of processes runs until told to stop: who dies is started again, and nobody is left behind.

Each process leads a group of its own. Stages start in rising order, each when the one before is ready, and stop in
falling order, the processes of a stage together. Only what was started here is ever signalled: a process is not
reaped before its group is gone, so its number cannot have passed to a stranger.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from devtools.local import orphan_reaper
from purser.errors import Misconfigured

Write = Callable[[str, str], None]
"""Takes one line of one process: (name, line)."""


class StartFailed(Misconfigured):
    """A process did not come up; what had been started was stopped again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSpec:
    """One process to keep running."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    """The whole environment of the process. It may hold secrets."""
    cwd: Path
    stage: int = 1
    ready: Callable[[], bool] | None = None
    """Says whether the next stage may start. None: as soon as this one has started."""
    ready_within: float = 20.0
    keep_open: tuple[int, ...] = ()
    """File descriptors the process inherits, such as a lock it is to hold for its life."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How long to wait before a process that died is started again."""

    first: float = 1.0
    cap: float = 30.0
    steady: float = 60.0
    """After living this long a process counts as sound again."""

    def wait(self, deaths: int) -> float:
        """Return the seconds to wait after so many deaths in a row."""
        return min(self.cap, self.first * 2.0 ** min(deaths - 1, 20))


@dataclass(frozen=True, slots=True)
class _ProcessExited:
    child: "_Child"
    code: int


_STOP = object()
_SAME_REQUEST = 1.0
"""Seconds within which several signals are one request: a closing terminal sends two."""


class Supervisor:
    """Runs commands until `stop` is called. Use one once.

    `on_exit` is called with the name, process id and exit code of a process that ended without being stopped.
    """

    def __init__(
        self,
        commands: Sequence[ProcessSpec],
        *,
        write: Write,
        grace: float = 20.0,
        backoff: Backoff | None = None,
        on_running: Callable[[], None] = lambda: None,
        on_exit: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        self._commands = tuple(commands)
        self._to = write
        self._grace = grace
        self._backoff = backoff or Backoff()
        self._on_running = on_running
        self._on_exit = on_exit
        self._happened: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._children: dict[str, _Child] = {}
        self._deaths: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._guard: _OrphanReaperProcess | None = None
        self._asked = 0.0

    def stop(self) -> None:
        """Ask for the end; asked again, it does not wait for anybody. May be called by a signal handler."""
        self._happened.put(_STOP)

    def run(self) -> None:
        """Start everything, keep it running, and stop it all when told. StartFailed says who did not come up."""
        with _OrphanReaperProcess(self._grace) as self._guard:
            try:
                if self._start_all():
                    self._on_running()
                    self._keep()
            finally:
                self._stop_all()

    @property
    def pids(self) -> dict[str, int]:
        """The process numbers of what runs now."""
        return {name: child.pid for name, child in list(self._children.items())}

    # ------------------------------------------------------------------------------ start --

    def _start_all(self) -> bool:
        """Start stage by stage; False when the end was asked for meanwhile."""
        for stage in sorted({command.stage for command in self._commands}):
            these = [command for command in self._commands if command.stage == stage]
            for command in these:
                self._start(command)
            if not all(self._becomes_ready(command) for command in these):
                return False
        return True

    def _start(self, command: ProcessSpec) -> None:
        try:
            child = _Child(command, self._write, self._happened)
        except OSError as error:
            raise StartFailed(f"{command.name} cannot start: {command.argv[0]}: {error.strerror}") from error
        self._children[command.name] = child
        self._tell_guard(f"+ {child.pid} {command.stage}")

    def _becomes_ready(self, command: ProcessSpec) -> bool:
        deadline = time.monotonic() + command.ready_within
        while command.ready is not None and not command.ready():
            happened = self._next(0.05)
            if happened is _STOP:
                return False
            if isinstance(happened, _ProcessExited):
                self._bury(happened.child)
                raise StartFailed(f"{happened.child.command.name} {_how(happened.code)}{happened.child.last_words()}")
            if time.monotonic() > deadline:
                words = self._children[command.name].last_words()
                raise StartFailed(f"{command.name} was not ready within {command.ready_within:g} s{words}")
        return True

    # ------------------------------------------------------------------------------- keep --

    def _keep(self) -> None:
        while True:
            soonest = min(self._due.values(), default=None)
            happened = self._next(None if soonest is None else max(0.0, soonest - time.monotonic()))
            if happened is _STOP:
                return
            if isinstance(happened, _ProcessExited):
                self._bury(happened.child)
                self._on_exit(happened.child.command.name, happened.child.pid, happened.code)
                self._plan_restart(happened.child.command, _how(happened.code), lived=happened.child.age())
            self._start_what_is_due()

    def _plan_restart(self, command: ProcessSpec, how: str, *, lived: float) -> None:
        deaths = 1 if lived >= self._backoff.steady else self._deaths.get(command.name, 0) + 1
        wait = self._backoff.wait(deaths)
        self._deaths[command.name] = deaths
        self._due[command.name] = time.monotonic() + wait
        self._write(command.name, f"{how}; starts again in {wait:g} s")

    def _start_what_is_due(self) -> None:
        now = time.monotonic()
        for command in self._commands:
            if self._due.get(command.name, now + 1) <= now:
                del self._due[command.name]
                try:
                    self._start(command)
                except StartFailed as error:
                    self._plan_restart(command, str(error), lived=0)

    # ------------------------------------------------------------------------------- stop --

    def _stop_all(self) -> None:
        self._asked = time.monotonic()
        for stage in sorted({child.command.stage for child in self._children.values()}, reverse=True):
            these = [child for child in self._children.values() if child.command.stage == stage]
            for child in these:
                child.signal(signal.SIGTERM)
            self._await_end(these)
            for child in self._still(these):
                self._write(child.command.name, "does not stop: killed")
                child.kill_group()
            self._await_killed(these)

    def _await_end(self, children: Sequence["_Child"]) -> None:
        """Wait until these have ended, but not beyond the grace period and not when asked to stop once more."""
        deadline = time.monotonic() + self._grace
        while self._still(children) and (left := deadline - time.monotonic()) > 0:
            happened = self._next(left)
            if isinstance(happened, _ProcessExited):
                self._bury(happened.child)
            elif happened is _STOP and time.monotonic() - self._asked > _SAME_REQUEST:
                self._grace = deadline = 0.0

    def _await_killed(self, children: Sequence["_Child"]) -> None:
        """Wait for those that cannot refuse. One that hangs in the kernel is left to the guard."""
        while self._still(children) and (happened := self._next(10.0)) is not None:
            if isinstance(happened, _ProcessExited):
                self._bury(happened.child)

    def _still(self, children: Sequence["_Child"]) -> list["_Child"]:
        return [child for child in children if self._children.get(child.command.name) is child]

    def _write(self, name: str, line: str) -> None:
        try:
            self._to(name, line)
        except OSError:  # nobody reads us any more; the pipes of the children must be emptied all the same
            self.stop()

    def _next(self, within: float | None) -> object | None:
        try:
            return self._happened.get(timeout=within)
        except queue.Empty:
            return None

    def _bury(self, child: "_Child") -> None:
        child.finish_reading()
        self._children.pop(child.command.name, None)
        self._tell_guard(f"- {child.pid}")

    def _tell_guard(self, line: str) -> None:
        if self._guard is not None:
            self._guard.tell(line)


@contextlib.contextmanager
def stopped_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal stop the supervisor. For the main thread only."""
    before = {
        number: signal.signal(number, lambda *_: supervisor.stop())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -------------------------------------------------------------------------- one process --


class _Child:
    """A started process: its lines are passed on, its end is reported once, its group ends with it."""

    def __init__(self, command: ProcessSpec, write: Write, happened: "queue.SimpleQueue[object]") -> None:
        self.command = command
        self._write, self._happened = write, happened
        self._tail: deque[str] = deque(maxlen=5)
        self._lock = threading.Lock()
        self._is_reaped = False
        self._born = time.monotonic()
        self._process = subprocess.Popen(
            command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=command.keep_open,
        )
        self._reader = threading.Thread(target=self._read, name=f"{command.name} lines", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name=f"{command.name} end", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def age(self) -> float:
        return time.monotonic() - self._born

    def last_words(self) -> str:
        """Return the last lines, to end an error message with."""
        return "".join(f"\n  {line}" for line in self._tail)

    def signal(self, number: int) -> None:
        """Signal the process itself; it tells its own children."""
        with self._lock:
            if not self._is_reaped:
                _unless_gone(os.kill, self.pid, number)

    def kill_group(self) -> None:
        """Kill the process and whatever it started in its group."""
        with self._lock:
            if not self._is_reaped:
                _unless_gone(os.killpg, self.pid, signal.SIGKILL)

    def finish_reading(self) -> None:
        """Wait for the last lines; somebody who left the group may hold the pipe, so not for ever."""
        self._reader.join(timeout=2)

    def _watch(self) -> None:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # ended, but its number is still its own
        else:
            self._process.wait()
        with self._lock:
            _unless_gone(os.killpg, self.pid, signal.SIGKILL)
            code = self._process.wait()
            self._is_reaped = True
        self._happened.put(_ProcessExited(self, code))

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        with self._process.stdout as pipe:
            for raw in pipe:
                line = raw.decode(errors="replace").rstrip("\r\n")
                self._tail.append(line)
                self._write(self.command.name, line)


def _unless_gone(send: Callable[[int, int], None], pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a dead group
        send(pid, number)


def _how(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


class _OrphanReaperProcess:
    """The process that ends our children when we are killed ourselves."""

    def __init__(self, grace: float) -> None:
        self._argv = (sys.executable, "-I", str(Path(orphan_reaper.__file__).resolve()), str(grace))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        return self

    def tell(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody killed the guard: go on without
                pipe.write(f"{line}\n".encode())
                pipe.flush()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
