"""What the supervisor starts runs until told to stop, and nothing of it is left afterwards."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from devtools.local import orphan_reaper
from devtools.local.supervisor import Backoff, ProcessSpec, StartFailed, Supervisor, stopped_by_signals
from tests.waiting import wait_until

SOON = Backoff(first=0.05, cap=0.2)

STAYS = """
import signal
print("here", flush=True)
signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("here", flush=True)
while True:
    signal.pause()
"""
WITH_CHILD = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.DEVNULL)
print("child", child.pid, flush=True)
signal.pause()
"""
SAYS_BYE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye")))
print("here", flush=True)
signal.pause()
"""


@dataclass
class Lines:
    """What the processes have written."""

    all: "queue.SimpleQueue[tuple[str, str]]" = field(default_factory=queue.SimpleQueue)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, name: str, line: str) -> None:
        self.seen.append((name, line))

    def of(self, name: str) -> list[str]:
        return [line for its, line in list(self.seen) if its == name]

    def wait_for(self, name: str, words: str, times: int = 1) -> str:
        def found() -> list[str]:
            lines = [line for line in self.of(name) if words in line]
            return lines if len(lines) >= times else []

        return wait_until(found, what=f"{words!r} of {name}, {times} times; seen: {self.seen}")[-1]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def python(code: str, tmp_path: Path, *, name: str = "one", stage: int = 1, **given: object) -> ProcessSpec:
    env = {"PATH": os.environ["PATH"]}
    return ProcessSpec(name=name, argv=(sys.executable, "-c", code), env=env, cwd=tmp_path, stage=stage, **given)  # type: ignore[arg-type]


@contextlib.contextmanager
def running(supervisor: Supervisor) -> Iterator[Supervisor]:
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(timeout=30)
    assert not thread.is_alive()


def is_running(pid: int) -> bool:
    """A zombie that nobody has reaped has ended too."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def has_ended(pid: int) -> bool:
    return not is_running(pid)


def test_lines_come_with_the_name_of_their_process(tmp_path: Path, lines: Lines) -> None:
    two = [python("print('a' * 3); input()", tmp_path), python("import sys; sys.exit('b' * 3)", tmp_path, name="two")]
    with running(Supervisor(two, write=lines, backoff=SOON)):
        lines.wait_for("one", "aaa")
        lines.wait_for("two", "bbb")


def test_a_process_that_dies_is_started_again_and_it_is_said(tmp_path: Path, lines: Lines) -> None:
    with running(Supervisor([python(STAYS, tmp_path)], write=lines, backoff=SOON)) as supervisor:
        lines.wait_for("one", "here")
        first = supervisor.pids["one"]
        os.kill(first, signal.SIGKILL)
        lines.wait_for("one", "was ended by SIGKILL; starts again in 0.05 s")
        lines.wait_for("one", "here", times=2)
        assert supervisor.pids["one"] != first


def test_each_death_in_a_row_is_waited_out_longer_up_to_the_cap(tmp_path: Path, lines: Lines) -> None:
    with running(Supervisor([python("raise SystemExit(3)", tmp_path)], write=lines, backoff=SOON)):
        lines.wait_for("one", "starts again in 0.2 s", times=2)
    waits = [line.rpartition("in ")[2] for line in lines.of("one") if "exit code 3; starts again" in line]
    assert waits[:4] == ["0.05 s", "0.1 s", "0.2 s", "0.2 s"]


def test_a_wait_never_exceeds_its_cap() -> None:
    backoff = Backoff()
    assert [backoff.wait(n) for n in (1, 2, 3, 6, 10_000)] == [1, 2, 4, 30, 30]


def test_a_process_that_lived_long_enough_counts_as_sound_again(tmp_path: Path, lines: Lines) -> None:
    forgiving = Backoff(first=0.05, cap=30, steady=0)
    with running(Supervisor([python("", tmp_path)], write=lines, backoff=forgiving)):
        lines.wait_for("one", "starts again in 0.05 s", times=3)


def test_the_others_go_on_when_one_dies(tmp_path: Path, lines: Lines) -> None:
    two = [python(STAYS, tmp_path), python("raise SystemExit(1)", tmp_path, name="two")]
    with running(Supervisor(two, write=lines, backoff=SOON)) as supervisor:
        lines.wait_for("one", "here")
        pid = supervisor.pids["one"]
        lines.wait_for("two", "starts again", times=2)
        assert supervisor.pids["one"] == pid
        assert is_running(pid)


def test_a_later_stage_waits_until_the_earlier_one_is_ready(tmp_path: Path, lines: Lines) -> None:
    ready = threading.Event()
    first = python(STAYS, tmp_path, name="first", stage=0, ready=ready.is_set)
    with running(Supervisor([python(STAYS, tmp_path, name="later"), first], write=lines)) as supervisor:
        lines.wait_for("first", "here")
        assert "later" not in supervisor.pids
        ready.set()
        lines.wait_for("later", "here")


def test_stages_stop_in_falling_order(tmp_path: Path, lines: Lines) -> None:
    stages = [python(SAYS_BYE, tmp_path, name=str(stage), stage=stage) for stage in (2, 0, 1)]
    with running(Supervisor(stages, write=lines)):
        for stage in "012":
            lines.wait_for(stage, "here")
    assert [name for name, line in lines.seen if line == "bye"] == ["2", "1", "0"]


def test_who_does_not_stop_within_the_grace_period_is_killed_and_it_is_said(tmp_path: Path, lines: Lines) -> None:
    with running(Supervisor([python(STUBBORN, tmp_path)], write=lines, grace=0.2)) as supervisor:
        lines.wait_for("one", "here")
        pid = supervisor.pids["one"]
    assert has_ended(pid)
    assert "does not stop: killed" in lines.of("one")


def test_asked_to_stop_once_more_it_waits_no_longer(tmp_path: Path, lines: Lines) -> None:
    supervisor = Supervisor([python(STUBBORN, tmp_path)], write=lines, grace=600)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    lines.wait_for("one", "here")
    supervisor.stop()

    def ends_when_asked_again() -> bool:
        supervisor.stop()
        thread.join(timeout=0.2)
        return not thread.is_alive()

    wait_until(ends_when_asked_again, what="the supervisor to lose patience")


def test_what_a_process_has_started_ends_with_it(tmp_path: Path, lines: Lines) -> None:
    with running(Supervisor([python(WITH_CHILD, tmp_path)], write=lines)):
        grandchild = int(lines.wait_for("one", "child").split()[1])
        assert is_running(grandchild)
    wait_until(partial(has_ended, grandchild), what="the grandchild to end")


def test_what_a_killed_process_had_started_is_gone_before_the_next_one_starts(tmp_path: Path, lines: Lines) -> None:
    with running(Supervisor([python(WITH_CHILD, tmp_path)], write=lines, backoff=SOON)) as supervisor:
        grandchild = int(lines.wait_for("one", "child").split()[1])
        os.kill(supervisor.pids["one"], signal.SIGKILL)
        lines.wait_for("one", "starts again")
        wait_until(partial(has_ended, grandchild), what="the grandchild to end")


def test_a_start_that_fails_half_way_leaves_nothing_behind(tmp_path: Path, lines: Lines) -> None:
    missing = ProcessSpec(name="two", argv=("/no/such/program",), env={}, cwd=tmp_path, stage=2)
    supervisor = Supervisor([python(WITH_CHILD, tmp_path, ready=lambda: bool(lines.of("one"))), missing], write=lines)
    with pytest.raises(StartFailed, match="two cannot start: /no/such/program: No such file or directory"):
        supervisor.run()
    grandchild = int(lines.of("one")[0].split()[1])
    wait_until(partial(has_ended, grandchild), what="the grandchild to end")
    assert supervisor.pids == {}


def test_who_dies_before_it_is_ready_stops_the_start_with_its_last_words(tmp_path: Path, lines: Lines) -> None:
    dying = python("import sys; sys.exit('the port is taken')", tmp_path, ready=lambda: False)
    with pytest.raises(StartFailed, match="one ended with exit code 1\n  the port is taken"):
        Supervisor([dying], write=lines).run()


def test_who_is_never_ready_stops_the_start(tmp_path: Path, lines: Lines) -> None:
    idle = python(STAYS, tmp_path, ready=lambda: False, ready_within=0.1)
    with pytest.raises(StartFailed, match=r"one was not ready within 0\.1 s"):
        Supervisor([idle], write=lines).run()


def test_stopping_while_a_stage_is_not_ready_yet_ends_it_all(tmp_path: Path, lines: Lines) -> None:
    idle = python(STAYS, tmp_path, ready=lambda: False, ready_within=600)
    with running(Supervisor([idle, python(STAYS, tmp_path, name="later", stage=2)], write=lines)):
        lines.wait_for("one", "here")
    assert lines.of("later") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_it_and_are_given_back(tmp_path: Path, lines: Lines, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    supervisor = Supervisor(
        [python(STAYS, tmp_path)], write=lines, on_running=lambda: signal.raise_signal(number), backoff=SOON
    )
    with stopped_by_signals(supervisor):
        supervisor.run()
    assert supervisor.pids == {}
    assert signal.getsignal(number) == before


def test_a_reader_that_went_away_stops_it(tmp_path: Path) -> None:
    def broken(name: str, line: str) -> None:
        raise BrokenPipeError

    supervisor = Supervisor([python(STAYS, tmp_path)], write=broken)
    supervisor.run()
    assert supervisor.pids == {}


SUPERVISES = """
import sys
from pathlib import Path
from devtools.local.supervisor import ProcessSpec, Supervisor
child = ProcessSpec(name="one", argv=(sys.executable, "-c", sys.argv[1]), env={}, cwd=Path.cwd())
Supervisor([child], write=lambda name, line: print(line, flush=True), grace=0.2).run()
"""


@pytest.mark.parametrize(
    "code",
    [WITH_CHILD, WITH_CHILD.removesuffix("signal.pause()\n") + STUBBORN],
    ids=["its child obeys", "its child does not"],
)
def test_a_supervisor_that_is_killed_leaves_nobody_behind(code: str) -> None:
    argv = [sys.executable, "-c", SUPERVISES, code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            grandchild = int((supervisor.stdout or sys.stdin).readline().split()[1])
            child = int(Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2].split()[1])
        finally:
            supervisor.kill()
    for pid in (child, grandchild):
        wait_until(partial(has_ended, pid), what=f"{pid} to end")


def test_the_guard_forgets_who_has_ended() -> None:
    assert orphan_reaper.read(["+ 10 0\n", "+ 11 1\n", "- 10\n", "nonsense\n"]) == {11: 1}


def test_secrets_of_the_environment_do_not_print(tmp_path: Path) -> None:
    command = ProcessSpec(name="one", argv=("x",), env={"PURSER_ODOO_API_KEY": "s3cret"}, cwd=tmp_path)
    assert "s3cret" not in repr(command)
