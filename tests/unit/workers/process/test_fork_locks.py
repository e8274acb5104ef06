"""A process that is forked while threads of its parent hold locks can log, import and compute all the same."""

import functools
import importlib
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import LifoQueue

import pytest

from workers.process import fork_locks

FORKS = 500
SECONDS = 30.0
"""How long a child may take under load before it counts as one that hangs."""


class Computes:
    """Has a property whose class-wide lock (Python 3.11) is held while it is computed."""

    @functools.cached_property
    def value(self) -> int:
        time.sleep(0.0005)
        return 1


class Locks:
    """Locks of every sort that a library may hold."""

    def __init__(self, log: logging.Logger, folder: Path) -> None:
        self.plain, self.again = threading.Lock(), threading.RLock()
        self.queue: LifoQueue[int] = LifoQueue()
        self.log, self.folder = log, folder

    def take_all(self) -> None:
        """Do what takes each of them."""
        with self.plain, self.again:
            assert Computes().value == 1
        self.queue.put(1)
        self.queue.get()
        self.log.warning("written by somebody")
        sys.modules.pop("slow_to_import", None)
        importlib.import_module("slow_to_import")


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Locks]:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.0005)\nx = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    log = logging.getLogger("forked")
    handler = logging.FileHandler(tmp_path / "log")
    log.addHandler(handler)
    log.propagate = False
    yield Locks(log, tmp_path)
    log.removeHandler(handler)
    handler.close()
    sys.modules.pop("slow_to_import", None)


def forked(act: Callable[[], None]) -> bool:
    """Do something in a forked process; return whether it came to its end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os.write(writer, b"y")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], SECONDS)
        done = bool(ready) and os.read(reader, 1) == b"y"
    finally:
        os.close(reader)
        if not done:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return done


@pytest.fixture
def busy_threads(locks: Locks) -> Iterator[None]:
    """Have threads take the locks all the time."""
    stop = threading.Event()

    def hammer(act: Callable[[], object]) -> None:
        while not stop.is_set():
            act()

    def plain() -> None:
        with locks.plain, locks.again:
            time.sleep(0.0005)

    def queueing() -> None:
        locks.queue.put(1)
        locks.queue.get()

    def importing() -> None:
        sys.modules.pop("slow_to_import", None)
        importlib.import_module("slow_to_import")

    acts: list[Callable[[], object]] = [
        plain,
        lambda: Computes().value,
        queueing,
        lambda: locks.log.warning("written by a thread"),
        importing,
    ]
    threads = [threading.Thread(target=hammer, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("busy_threads")
def test_no_forked_process_hangs_however_busy_the_threads_are(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    fork_locks.install()
    found = fork_locks.every_lock()
    monkeypatch.setattr(
        fork_locks, "every_lock", lambda: found
    )  # the search is what takes long, and has a test of its own
    assert [n for n in range(FORKS) if not forked(locks.take_all)] == []


def test_a_lock_held_by_another_thread_is_free_in_the_forked_process_and_stays_held_here(locks: Locks) -> None:
    fork_locks.install()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.plain, locks.again:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait()
    assert forked(locks.take_all)
    assert locks.plain.locked()
    release.set()
    thread.join()
    locks.take_all()


def test_every_lock_of_libraries_and_of_ours_is_found(locks: Locks) -> None:
    found = {id(one) for one in fork_locks.every_lock()}
    assert {id(locks.plain), id(locks.again), id(locks.queue.mutex)} <= found
    assert id(Computes.__dict__["value"].lock) in found or sys.version_info >= (3, 12)


def test_the_thread_that_forks_is_alive_in_the_new_process() -> None:
    fork_locks.install()

    def act() -> None:
        assert threading.current_thread().is_alive()
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()

    assert forked(act)
