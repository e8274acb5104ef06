"""A pool whose main process outlives whatever a pool process leaves behind when it is killed at a bad moment.

Celery's pool reads results from one pipe for each process. A process that is killed while it writes leaves half a
result there, and the next process that gets the pipe is misunderstood. Here such a pipe is replaced, what cannot be
read ends the process that wrote it, never the worker, and bookkeeping that a lost connection left behind is mended.
"""

import contextlib
import errno
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import structlog
from billiard.pool import EX_RECYCLE
from celery.concurrency import asynpool, prefork

log = structlog.get_logger(__name__)


class ResultHandler(asynpool.ResultHandler):
    """Reads results; what is none ends the process that sent it."""

    def _recv_message(self, add_reader: Any, fd: int, callback: Any, **kwargs: Any) -> Iterator[None]:
        load = partial(self._load, fd)
        return super()._recv_message(add_reader, fd, callback, load=load, **kwargs)  # type: ignore[no-any-return]

    def _load(self, fd: int, data: Any) -> Any:
        try:
            return pickle.load(data)  # noqa: S301 - written by a process of our own
        except Exception as problem:
            process = self.fileno_to_outq.get(fd)
            log.error("unreadable result: its pool process is replaced", problem=repr(problem)[:200])
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            raise OSError(errno.EBADF, "unreadable result") from problem  # nobody reads this pipe any more


class ProcessPool(asynpool.AsynPool):
    """Celery's pool of processes, with bookkeeping that mends itself."""

    ResultHandler = ResultHandler

    def get_process_queues(self) -> Any:
        """Return pipes for a new process. Those of a process that is gone are replaced where none are free."""
        for queues, owner in self._queues.items():
            if owner is None:
                return queues
        for queues, owner in list(self._queues.items()):
            if not any(owner is process for process in self._pool):
                log.warning("pipes of a pool process that is gone are replaced", pid=getattr(owner, "pid", None))
                self._replace(queues, owner)
        for queues, owner in self._queues.items():
            if owner is None:
                return queues
        queues = self.create_process_queues()
        self._queues[queues] = None
        return queues

    def process_flush_queues(self, proc: Any) -> None:
        """Read what a process that has ended still said; what it did not finish is left."""
        try:
            if not self._result_handler._finish_partial_read(proc.outqR_fd, proc):
                super().process_flush_queues(proc)
        except Exception as problem:  # noqa: BLE001 - the process is gone, and its messages come back
            log.error("last words of a pool process not understood", pid=proc.pid, problem=repr(problem)[:200])

    def flush(self) -> None:
        """Forget what no process has begun, for a connection was lost. What goes wrong there ends no worker."""
        try:
            super().flush()
        except Exception:
            log.exception("pool not flushed to its end, and goes on")

    def did_start_ok(self) -> bool:
        """Return True: processes that ended while the worker started are replaced, as later on."""
        if not super().did_start_ok():
            log.error("pool processes ended while the worker started: they are replaced")
        return True

    def on_process_alive(self, pid: int) -> None:
        """Give work to a process that has started. Pipes keep their numbers: those of one before it are forgotten."""
        process = next((one for one in self._pool if one.pid == pid), None)
        if process is not None and self._fileno_to_inq.get(process.inqW_fd) is not process:
            self._fileno_to_inq.pop(process.inqW_fd, None)
            self._all_inqueues.discard(process.inqW_fd)
        super().on_process_alive(pid)

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        if getattr(proc, "_sentinel_poll", proc) is None:  # it was let go of once: after a reconnect, or it has ended
            del proc._sentinel_poll
        with contextlib.suppress(OSError):  # it has ended: the timer replaces it
            super()._track_child_process(proc, hub)

    def _create_process_handlers(self, hub: Any) -> None:
        super()._create_process_handlers(hub)
        stock: Any = self
        ended: Callable[[Any], None] = stock.on_process_down

        def on_process_down(proc: Any) -> None:
            ended(proc)
            if not proc.dead and proc.exitcode not in (0, EX_RECYCLE):
                queues = (proc.inq, proc.outq, proc.synq)
                if self._queues.get(queues, proc) is None:
                    self._replace(queues, proc)

        stock.on_process_down = on_process_down

    def _replace(self, queues: Any, proc: Any) -> None:
        """Close pipes that may hold half a message, and make others."""
        with contextlib.suppress(AssertionError, OSError):
            self.destroy_queues(queues, proc)
        self._queues.pop(queues, None)
        self._queues[self.create_process_queues()] = None


class TaskPool(prefork.TaskPool):
    """Celery's prefork pool on our pool of processes."""

    Pool = ProcessPool

    def did_start_ok(self) -> bool:
        """Return whether the processes have started; a pool that is stopping has."""
        return self._pool is None or bool(super().did_start_ok())

    @property
    def num_processes(self) -> int:
        """Return how many tasks run at a time."""
        return int(self.limit if self._pool is None else self._pool._processes)
