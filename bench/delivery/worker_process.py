"""Workers under measurement on a private Redis, and what can be seen of them from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import redis

from bench.delivery.apps.noop import ANSWERS, BROKER, QUEUES, WITH_EVENTS
from devtools.local.redis_server import Server
from store import Ledger
from workers.broker.redis.scripts import HELD

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 60.0
"""Seconds until something that should have happened counts as failed."""
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One worker: which application, how it runs."""

    app: str
    pool: str = "prefork"
    queues: tuple[str, ...] = QUEUES[:1]
    events: bool = False
    log_level: str = "warning"
    time_limit: int = 0
    """Seconds after which a task is asked to stop; 0 leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast a worker went, warm-up left out."""

    rate: float
    """Messages a second."""
    main: float
    """Microseconds of CPU that the main process spent on a message."""
    children: float
    """Microseconds of CPU that the processes of the pool spent on a message."""


class WorkerProcess:
    """One running worker, with a database of the server to itself."""

    def __init__(self, spec: Spec, url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.spec, self.url, self.process, self.log = spec, url, process, log
        self.client: Any = redis.Redis.from_url(url, socket_timeout=2 * TIMEOUT_SECONDS)
        self._forge = forge(url)

    def feed(self, count: int, queue: str = QUEUES[0], task: str = "bench.noop") -> None:
        """Put messages on a queue, faster than any worker takes them."""
        for begin in range(0, count, 500):
            self.client.lpush(queue, *(self._forge(task, queue) for _ in range(min(500, count - begin))))

    def await_answer(self, queue: str = QUEUES[0]) -> float:
        """Send one message and give the seconds until the task that it begins has answered."""
        raw = self._forge("bench.answer", queue)
        began = time.perf_counter()
        self.client.lpush(queue, raw)
        answer = self.client.brpop(ANSWERS, TIMEOUT_SECONDS)
        took = time.perf_counter() - began
        if answer is None:
            raise SystemExit(f"the worker of {self.spec} does not answer:\n{self._said()}")
        return took

    def pace(self, count: int, warm: int) -> Throughput:
        """Let the worker go through some messages, and give its speed after the first ones, by the server's clock."""
        self.feed(count)
        began = self._when(count - warm)
        ended = self._when(warm // 2)
        done = began.waiting - ended.waiting
        self.settle()
        return Throughput(
            rate=done / (ended.at - began.at),
            main=(ended.main - began.main) / done * 1e6,
            children=(ended.children - began.children) / done * 1e6,
        )

    def settle(self) -> None:
        """Wait until nothing is left on the queues or in flight."""
        wait_for(lambda: not self._left(), f"the end of the messages of {self.spec}")

    def memory(self) -> tuple[float, list[float]]:
        """Return the resident megabytes of the main process and of each process of its pool."""
        return rss_of(self.process.pid), [rss_of(pid) for pid in children_of(self.process.pid)]

    def end(self) -> None:
        """Wait for the end of the worker, which was told to end."""
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.client.close()

    def check(self) -> None:
        """Raise SystemExit when it was not the tasks that were measured: a message became a letter."""
        ledger = Ledger.connect(self.url)
        letters = ledger.letters.count()
        ledger.close()
        if letters:
            raise SystemExit(f"{letters} messages of {self.spec} became letters:\n{self._said()}")

    def _when(self, waiting: int) -> "_Sample":
        found: list[_Sample] = []

        def reached() -> bool:
            (seconds, micros), left = self.client.pipeline().time().llen(QUEUES[0]).execute()
            if left <= waiting:
                pids = children_of(self.process.pid)
                main = cpu_of(self.process.pid)
                found.append(_Sample(seconds + micros / 1e6, left, main, sum(map(cpu_of, pids))))
            return bool(found)

        wait_for(reached, f"{self.spec} to come down to {waiting} messages", pause=0.01)
        return found[0]

    def _left(self) -> int:
        pipe = self.client.pipeline(transaction=False)
        for queue in QUEUES:
            pipe.llen(queue)
        for key in ("unacked", *self.client.scan_iter(match=f"{HELD}*")):
            pipe.hlen(key)
        return sum(pipe.execute())

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    waiting: int
    main: float
    children: float


class BenchmarkEnvironment:
    """Where the measuring takes place: one server, and a directory for the logs."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home = server, home
        self.client: Any = redis.Redis.from_url(server.url)

    def url(self, database: int = 0) -> str:
        """Return the address of one database."""
        return f"{self.server.url.rpartition('/')[0]}/{database}"

    @contextlib.contextmanager
    def workers(self, *specs: Spec) -> Iterator[list[WorkerProcess]]:
        """Run workers, each with its database, until the block ends; then empty the server."""
        started: list[WorkerProcess] = []
        try:
            for number, spec in enumerate(specs):
                started.append(self._start(spec, number))
            for worker in started:
                worker.await_answer()
                worker.settle()
            yield started
        finally:
            for worker in started:
                worker.process.terminate()
            for worker in started:
                worker.end()
        for worker in started:
            worker.check()
        self.client.flushall()

    def _start(self, spec: Spec, number: int) -> WorkerProcess:
        log = self.home / f"{spec.app}-{uuid.uuid4().hex[:8]}.log"
        options = ("-P", spec.pool, "-c", "2", "-Q", ",".join(spec.queues), "-l", spec.log_level)
        command = (
            *(sys.executable, "-m", "celery", "-A", f"bench.delivery.apps.{spec.app}", "worker"),
            *("--without-gossip", "--without-mingle", *options, "-n", f"{spec.app}{number}@bench"),
        )
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env=environ(
                    self.url(number), events=spec.events, log_level=spec.log_level, time_limit=spec.time_limit
                ),
                stdout=out,
                stderr=out,
                cwd=ROOT,
                start_new_session=True,
            )
        return WorkerProcess(spec, self.url(number), process, log)


def environ(url: str, *, events: bool = False, log_level: str = "warning", time_limit: int = 0) -> Mapping[str, str]:
    """Return the environment of a process under measurement. There is no Odoo: nothing here calls it."""
    limits = {
        "PURSER_ODOO_TIMEOUT": str(time_limit / 2),
        "PURSER_TASK_SOFT_TIME_LIMIT": str(time_limit),
        "PURSER_TASK_TIME_LIMIT": str(time_limit + 1),
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PURSER_")},
        BROKER: url,
        WITH_EVENTS: str(int(events)),
        "PURSER_ODOO_URL": "http://127.0.0.1:9",
        "PURSER_ODOO_DB": "bench",
        "PURSER_ODOO_LOGIN": "bench",
        "PURSER_ODOO_API_KEY": "bench",
        "PURSER_LOG_LEVEL": log_level,
        "PURSER_LOG_FORMAT": "json",
        **(limits if time_limit else {}),
    }


def forge(url: str) -> Callable[[str, str], bytes]:
    """Return what makes messages as a publisher would: one is published, the others are it with ids of their own."""
    with celery.Celery("forge", broker=url, set_as_current=False) as app, redis.Redis.from_url(url) as client:
        app.send_task("bench.noop", queue="bench:forge", argsrepr="", kwargsrepr="no-op")
        model: Any = json.loads(bytes(client.rpop("bench:forge") or b""))
        client.delete("_kombu.binding.bench:forge")

    def forged(task: str, queue: str) -> bytes:
        id_ = str(uuid.uuid4())
        headers = {**model["headers"], "id": id_, "root_id": id_, "task": task}
        info = {"exchange": "", "routing_key": queue}
        properties = {**model["properties"], "correlation_id": id_, "delivery_tag": id_, "delivery_info": info}
        return json.dumps({**model, "headers": headers, "properties": properties}).encode()

    return forged


def wait_for(condition: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    """Wait until something is so. SystemExit names what never came."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {TIMEOUT_SECONDS:.0f} s in vain for {what}")
        time.sleep(pause)


# ------------------------------------------------------------------- what the kernel tells --


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_of(pid: int) -> float:
    """Return the resident megabytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def children_of(pid: int) -> list[int]:
    """Return the child processes, by age."""
    told = [path.read_text(encoding="utf-8").split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(child) for children in told for child in children)
