"""Real workers of a small Celery application, started, frozen and killed by tests."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import celery
import redis

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
MODULE = "tests.contract.broker.small_app"


@dataclass
class Worker:
    """One worker in a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def host(self) -> str:
        return f"{self.name}@small"

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def is_ready(self) -> bool:
        return f"{self.host} ready." in self.said

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[int]:
        """Return the processes of the pool."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in task.read_text().split()]

    def signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill -9 the worker with its whole pool."""
        self.signal_all(signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


@dataclass
class Crew:
    """The workers of one test, their broker, and the effects of their tasks."""

    home: Path
    broker: str
    effects: Any
    environ: dict[str, str]
    workers: list[Worker] = field(default_factory=list)

    def start(self, *options: str, pool: str = "prefork", broker: str | None = None) -> Worker:
        """Start a worker; it may take a moment until it is ready."""
        name = f"w{len(self.workers)}"
        log = self.home / f"{name}.log"
        command = [
            *(sys.executable, "-m", "celery", "-A", MODULE, "worker", "-n", f"{name}@small", "-l", "info"),
            *("--pool", pool, "--concurrency", "2", "--without-gossip", "--without-mingle", *options),
        ]
        environ = self.environ | ({"SMALL_BROKER": broker} if broker else {})
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT
            )
        self.workers.append(Worker(name, process, log))
        return self.workers[-1]

    def ready(self, *options: str, **more: Any) -> Worker:
        """Start a worker and wait until it is ready."""
        worker = self.start(*options, **more)
        wait_until(lambda: worker.is_ready or not worker.lives, within=60, what=f"{worker.name} to be ready")
        assert worker.lives, worker.said[-3000:]
        return worker

    def send(self, numbers: Iterable[int], *, seconds: float = 0.0, queue: str = "a") -> None:
        """Send one task for each number."""
        with (
            celery.Celery("sender", broker=self.broker, set_as_current=False) as app,
            app.connection_for_write(transport_options=self.options) as connection,
            app.amqp.Producer(connection) as producer,
        ):
            for number in numbers:
                app.send_task("mark", (number, seconds), queue=queue, producer=producer, retry=False)

    def asks(self, question: str) -> bool:
        """Ask the workers something, as an operator does; say whether one has answered."""
        command = [sys.executable, "-m", "celery", "-A", MODULE, "inspect", "-t", "3", question]
        asked = subprocess.run(command, env=self.environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return "online" in asked.stdout

    @property
    def options(self) -> dict[str, Any]:
        return {"priority_steps": [0], "master_name": self.environ.get("SMALL_MASTER")}

    def counts(self, what: str = "done") -> dict[int, int]:
        """Return how often each number was begun or done."""
        keys = list(self.effects.scan_iter(f"{what}:*", count=5000))
        values = self.effects.mget(keys) if keys else []
        return {int(key.partition(b":")[2]): int(value) for key, value in zip(keys, values, strict=True)}

    def done_by(self, worker: Worker) -> int:
        """Return how many tasks a worker has begun."""
        return int(self.effects.get(f"by:{worker.host}") or 0)

    def stop(self) -> None:
        """Let every worker end in good order."""
        for worker in self.workers:
            if worker.lives:
                worker.process.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.process.wait(timeout=30)


@contextlib.contextmanager
def crew_of(home: Path, *, broker: str, effects: str, **environ: str) -> Iterator[Crew]:
    """Yield a crew without workers yet; none is left at the end."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PURSER_", "SMALL_"))}
    told = {"SMALL_BROKER": broker, "SMALL_EFFECTS": effects, "PYTHONUNBUFFERED": "1", **environ}
    with redis.Redis.from_url(effects) as client:
        crew = Crew(home, broker, client, {**keep, **told})
        try:
            yield crew
        finally:
            for worker in crew.workers:
                worker.signal_all(signal.SIGCONT)
                worker.kill()
