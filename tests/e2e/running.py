"""Real processes of the fleet, started and killed by tests, and a look at what they left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from config.settings import Settings
from store import Ledger
from tasks.discovery import load_registry
from tests.e2e.brokers import broker_at
from tests.waiting import wait_until
from workers.app import create_app
from workers.context import WorkerContext


class RunningFleet:
    """The processes of one test against one Odoo, with settings, ledger and logs of their own."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self.environ = {**environ, "PURSER_LOG_FORMAT": "console", "PURSER_LOG_LEVEL": "info"}
        self.home = home
        self.settings = Settings.load(need={"broker", "ledger", "odoo"}, environ=self.environ)
        self.app = create_app(self.settings)
        self.fleet: WorkerContext = self.app.fleet
        self.broker = broker_at(self.settings.broker)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def ledger(self) -> Ledger:
        return self.fleet.ledger

    def start(self, name: str, *celery: str, ready: str, app: str = "workers.main") -> subprocess.Popen[bytes]:
        """Start one Celery process in a process group of its own and wait for its sign of life."""
        log = self.home / f"{name}.log"
        command = [sys.executable, "-m", "celery", "-A", app, *celery]
        keep = {k: v for k, v in os.environ.items() if not k.startswith("PURSER_")}
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env={**keep, **self.environ, "PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=Path(__file__).resolve().parents[2],
            )
        self._processes.append(process)
        wait_until(
            lambda: ready in log.read_text(errors="replace") or process.poll() is not None,
            within=60,
            what=f"{ready!r} in the log of {name}",
        )
        assert process.poll() is None, f"{name} ended at once:\n{log.read_text(errors='replace')[-3000:]}"
        return process

    def worker(
        self, name: str = "w", queues: str = "scans,events,apply,outbound", app: str = "workers.main"
    ) -> subprocess.Popen[bytes]:
        options = ("worker", "-Q", queues, "-n", f"{name}@test", "--concurrency", "2")
        return self.start(name, *options, ready=f"{name}@test ready.", app=app)

    def beat(self, name: str = "beat") -> subprocess.Popen[bytes]:
        return self.start(name, "beat", ready="beat: Starting...")

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """Kill -9 a process and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def stop(self) -> None:
        for process in self._processes:
            self.kill(process)
        self.fleet.disconnect()
        self.broker.close()
        self.app.close()

    def depth(self, queue: str) -> int:
        """Count what waits on a queue."""
        return self.broker.depth(queue)

    def push_raw(self, queue: str, raw: bytes) -> None:
        """Put bytes on a queue as anybody with a client could."""
        self.broker.push_raw(queue, raw)

    def headers(self) -> list[dict[str, Any]]:
        """Return the headers of every message that waits, is in flight, or is to come later."""
        parked = [self.ledger.delayed.get(entry.id) for entry in self.ledger.delayed.page(limit=1000).items]
        later = [json.loads(entry.payload) for entry in parked if entry is not None]
        return [message["headers"] for message in (*self.broker.messages(), *later)]

    def held(self) -> int:
        """Count what workers hold."""
        return self.broker.held()

    def quiet(self) -> bool:
        """Return whether nothing waits, nothing is in flight, and nothing is to come later."""
        return self.broker.is_quiet() and not self.ledger.delayed.count()


def write_policies(
    path: Path,
    *,
    every: str,
    retries: Mapping[str, object] | None = None,
    watches: Mapping[str, str] = MappingProxyType({}),
    **controls: Mapping[str, object],
) -> Path:
    """Write a policy in which the named controls run at `every`, watches as often as is said, and nothing else.

    Controls judge also while other tests leave companies that the bot is not in.
    """
    declared = load_registry()
    names = declared.controls
    body = {
        "version": 1,
        "controls": {
            name: {"every": every, "unseen_companies": "judge", **controls[name.replace("-", "_")]}
            if name.replace("-", "_") in controls
            else {"enabled": False}
            for name in names
        },
        "watches": {
            name: {"every": watches[name]} if name in watches else {"enabled": False} for name in declared.watches
        },
        **({"retries": dict(retries)} if retries else {}),
    }
    path.write_text(yaml.safe_dump(body))
    return path


@contextlib.contextmanager
def running(environ: Mapping[str, str], home: Path) -> Iterator[RunningFleet]:
    """Yield a fleet whose processes all end with the block."""
    fleet = RunningFleet(environ, home)
    try:
        yield fleet
    finally:
        fleet.stop()
