"""What a killed pool process leaves behind ends no worker: its pipes are replaced, and what is no result is left."""

import errno
import io
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency import asynpool

from workers.process.pool import ProcessPool, ResultHandler, TaskPool


class Process:
    """A pool process that has ended, and the pipes it had."""

    def __init__(self, made: ProcessPool, queues: Any, pid: int = 7) -> None:
        self.inq, self.outq, self.synq = queues
        self.pid, self.dead, self.exitcode = pid, False, -signal.SIGKILL
        self.outqR_fd, self.inqW_fd = queues[1]._reader.fileno(), queues[0]._writer.fileno()
        made._queues[queues] = self

    def _is_alive(self) -> bool:
        return False


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> ProcessPool:
    """Return the bookkeeping of a pool without any process."""
    one = ProcessPool.__new__(ProcessPool)
    parts: dict[str, Any] = {
        "synack": False,
        "_queues": {},
        "_pool": [],
        "_state": 0,
        "_waiting_to_start": set(),
        "_fileno_to_inq": {},
        "_fileno_to_outq": {},
        "_all_inqueues": set(),
        "_busy_workers": set(),
        "hub_remove": lambda fd: None,
        "on_inqueue_close": lambda fd, proc: None,
    }
    for name, value in parts.items():
        monkeypatch.setattr(one, name, value, raising=False)
    return one


def test_a_new_process_gets_pipes_although_those_of_a_lost_one_are_still_noted(made: ProcessPool) -> None:
    gone = Process(made, made.create_process_queues())
    queues = made.get_process_queues()
    assert queues != (gone.inq, gone.outq, gone.synq)
    assert made._queues == {queues: None}
    assert gone.inq._writer.closed, "nobody is to read what a lost process left there"


def test_a_new_process_gets_pipes_although_there_are_none_at_all(made: ProcessPool) -> None:
    queues = made.get_process_queues()
    assert made._queues == {queues: None}


def test_pipes_of_living_processes_are_left_alone(made: ProcessPool) -> None:
    living = Process(made, made.create_process_queues())
    made._pool.append(living)
    queues = made.get_process_queues()
    assert len(made._queues) == 2
    assert made._queues[(living.inq, living.outq, living.synq)] is living
    assert made._queues[queues] is None


def handler(made: ProcessPool) -> ResultHandler:
    one = ResultHandler.__new__(ResultHandler)
    one.fileno_to_outq = made._fileno_to_outq
    return one


def test_a_result_that_cannot_be_read_ends_the_process_that_wrote_it(
    made: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    writer = Process(made, made.create_process_queues())
    made._fileno_to_outq[writer.outqR_fd] = writer
    os.write(writer.outq._writer.fileno(), b"\x00\x00\x00\x03\x01\x02\x03")

    def callback(message: object) -> None:
        raise AssertionError(message)

    reading = handler(made)
    reading.handle_event = lambda fd: None
    with pytest.raises(OSError, match="unreadable result") as caught:
        next(iter(reading._recv_message(lambda *_: None, writer.outqR_fd, callback)))
    assert caught.value.errno == errno.EBADF, "the event loop forgets the pipe, and goes on"
    assert killed == [(writer.pid, signal.SIGKILL)]


def test_a_result_that_can_be_read_arrives(made: ProcessPool) -> None:
    assert handler(made)._load(3, io.BytesIO(b"I5\n.")) == 5


def test_the_last_words_of_a_lost_process_end_nothing(made: ProcessPool, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Process(made, made.create_process_queues())
    os.write(lost.outq._writer.fileno(), b"\x00\x00\x00\x03\x01\x02\x03")
    result_handler = SimpleNamespace(on_state_change=lambda task: None, _finish_partial_read=lambda fd, proc: False)
    monkeypatch.setattr(made, "_result_handler", result_handler, raising=False)
    made.process_flush_queues(lost)


def test_a_lost_connection_whose_clearing_fails_ends_nothing(
    made: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise StopIteration

    monkeypatch.setattr(asynpool.AsynPool, "flush", fail)
    made.flush()


def test_processes_that_end_while_the_worker_starts_do_not_end_it(
    made: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynpool.AsynPool, "did_start_ok", lambda self: False)
    assert made.did_start_ok()


def test_a_process_that_was_let_go_of_is_followed_again_and_one_that_has_ended_is_not(made: ProcessPool) -> None:
    added: list[int] = []
    hub: Any = SimpleNamespace(add_reader=lambda fd, *_: added.append(fd))
    reader, writer = os.pipe()
    process: Any = SimpleNamespace(_sentinel_poll=None, _popen=SimpleNamespace(sentinel=reader))
    made._track_child_process(process, hub)
    assert added == [process._sentinel_poll]
    os.close(process._sentinel_poll)
    os.close(reader)
    os.close(writer)
    process._sentinel_poll = None
    made._track_child_process(process, hub)
    assert len(added) == 1


def test_a_pool_that_has_stopped_answers() -> None:
    stopped = TaskPool(limit=3)
    assert stopped.num_processes == 3
    assert stopped.did_start_ok()
