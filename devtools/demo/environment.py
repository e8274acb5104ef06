"""Everything the demo needs runs on this machine, in one directory of its own, and is gone when the demo ends.

The twin answers in this process; the private server, workers, beat and Flower are processes under the supervisor of
`purser up`, with the same command lines.
"""

import contextlib
import datetime as dt
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import redis
import yaml

from config.queues import QUEUES, redis_lists
from config.settings import PREFIX, Settings
from console.output import print_error
from devtools.demo import sample_company as firms
from devtools.demo.sample_company import SampleCompany
from devtools.fake_odoo import FakeOdoo
from devtools.local.redis_server import Server, claim, free_port
from devtools.local.supervisor import Backoff, Supervisor
from devtools.local.up import LocalFleetPlan, commands
from odoo_client import OdooClient, OdooConnection, connect
from purser.cases import CaseKey, CaseRecord
from purser.errors import ConfigurationError, PurserError
from store import ControlRun, DeadLetter, Ledger
from tasks.discovery import load_registry
from workers.app import create_app
from workers.broker.redis.scripts import HELD
from workers.context import WorkerContext

T = TypeVar("T")

EVERY = 3
"""Seconds from one tick of a control to the next."""

LEASE = 3
"""Seconds until the messages of a dead worker go to another."""

_PAUSE = 0.1
_GRACE = 4.0
_LOG_LINES = 4000


class DemoEnvironmentStopped(PurserError):
    """The fleet of the demo does not run: what follows would prove nothing."""


class DemoEnvironment:
    """The running fleet, and looks at what it does: in the ledger, on the queues and in the twin."""

    def __init__(self, home: Path, server: Server, twin: FakeOdoo) -> None:
        self.home, self.server, self.twin = home, server, twin
        self.keep = False
        """Whether its directory stays."""
        self.progress: Callable[[str], None] = lambda _: None
        """Hears what is seen while something is waited for."""
        self.firm: SampleCompany = firms.seed(twin, dt.datetime.now(dt.UTC))
        self.flower_port = free_port()
        self.flower_password = secrets.token_urlsafe(12)
        self.settings = Settings.load(need=("broker", "ledger", "odoo", "flower"), environ=self._environ())
        self._app = create_app(self.settings)
        self.fleet: WorkerContext = self._app.fleet
        self._redis = redis.Redis.from_url(self.settings.broker)
        self._logs = home / "logs"
        self._logs.mkdir(mode=0o700)
        self._lines: dict[str, deque[str]] = {}
        self._fault: BaseException | None = None
        plan = LocalFleetPlan(
            settings=self.settings, home=home, server=server, flower_port=self.flower_port, made_password=""
        )
        self.env_file.touch(mode=0o600)
        self.env_file.write_text("".join(f"{k}={v}\n" for k, v in self.settings.to_environ().items()))
        self.supervisor = Supervisor(
            tuple(commands(plan, 2, os.environ)), write=self._write, grace=_GRACE, backoff=Backoff(first=0.5)
        )
        self._thread = threading.Thread(target=self._run, name="supervisor")

    # ------------------------------------------------------------------------------ running --

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        while self._thread.is_alive():  # an impatient Ctrl-C in here must not leave anybody behind
            with contextlib.suppress(KeyboardInterrupt):
                self.supervisor.stop()
                self._thread.join(timeout=2 * _GRACE)
        self.fleet.disconnect()
        self._redis.close()
        self._app.close()

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except Exception as error:  # noqa: BLE001 - it is raised again by whoever waits for the fleet
            self._fault = error

    def _write(self, name: str, line: str) -> None:
        self._lines.setdefault(name, deque(maxlen=_LOG_LINES)).append(line)
        with (self._logs / f"{name}.log").open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{line}\n")

    def _environ(self) -> dict[str, str]:
        policies = self.home / "policies.yaml"
        policies.write_text(yaml.safe_dump(_policy(), sort_keys=False), encoding="utf-8")
        return {
            "PURSER_BROKER_URL": self.server.url,
            "PURSER_ODOO_URL": self.twin.url,
            "PURSER_ODOO_DB": self.twin.db,
            "PURSER_ODOO_LOGIN": firms.BOT,
            "PURSER_ODOO_API_KEY": self.firm.bot_key,
            "PURSER_POLICIES": str(policies),
            "PURSER_LEASE": str(LEASE),
            "PURSER_HEARTBEAT": "0.5",
            "PURSER_FLOWER_PASSWORD": self.flower_password,
            "PURSER_ENVIRONMENT": "demo",
            "PURSER_LOG_FORMAT": "console",
        }

    @property
    def flower_url(self) -> str:
        """Where Flower is."""
        return f"http://127.0.0.1:{self.flower_port}"

    @property
    def env_file(self) -> Path:
        """A file that tells other `purser` commands of this fleet."""
        return self.home / "fleet.env"

    # ------------------------------------------------------------------------------ waiting --

    def watch(
        self,
        look: Callable[[], T],
        good: Callable[[T], bool],
        *,
        within: float,
        show: Callable[[T], str] = lambda _: "",
    ) -> T:
        """Look until it is good or the time is over, and give what was seen last. Fell when the fleet is gone."""
        deadline = time.monotonic() + within
        while not good(seen := look()) and time.monotonic() < deadline:
            self.progress(show(seen))
            if not self._thread.is_alive():
                raise DemoEnvironmentStopped(
                    f"the fleet has ended by itself: {self._fault or 'see its logs'}"
                ) from self._fault
            time.sleep(_PAUSE)
        return seen

    # ------------------------------------------------------------------------------- acting --

    def purser(self, *args: str) -> "subprocess.Popen[bytes]":
        """Start the `purser` command as somebody at a terminal would."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        with (self._logs / "commands.log").open("ab") as log:
            return subprocess.Popen(
                (sys.executable, "-c", "from console.cli.main import main; main()", *args),
                env={**others, **self.settings.to_environ()},
                cwd=self.home / "run",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def door(self, login: str, key: str) -> OdooClient:
        """Enter the twin over HTTP as one of the firm."""
        return connect(OdooConnection(url=self.twin.url, db=self.twin.db, login=login, api_key=key))

    def push(self, queue: str, raw: bytes) -> None:
        """Put bytes on a queue as anybody with a Redis client could."""
        self._redis.lpush(queue, raw)

    def kill(self, name: str) -> int:
        """Kill -9 a process and all its children; give its number."""
        pid = self.pid(name)
        if not pid:
            raise DemoEnvironmentStopped(f"{name} does not run")
        os.killpg(pid, signal.SIGKILL)
        return pid

    # ------------------------------------------------------------------------------ looking --

    @property
    def ledger(self) -> Ledger:
        """The memory of the fleet."""
        return self.fleet.ledger

    def workers(self) -> frozenset[str]:
        """Ask which workers answer."""
        replies = self._app.control.ping(timeout=0.5)
        return frozenset(node.partition("@")[0] for reply in replies for node in reply)

    def flower_says(self) -> tuple[int, int]:
        """Return Flower's answers without and with the login; 0 for none."""
        login = b64encode(f"{self.settings.flower_user}:{self.flower_password}".encode()).decode()
        headers: Sequence[dict[str, str]] = ({}, {"Authorization": f"Basic {login}"})
        try:
            stranger, known = (httpx.get(f"{self.flower_url}/metrics", headers=one).status_code for one in headers)
        except httpx.HTTPError:
            return 0, 0
        return stranger, known

    def pid(self, name: str) -> int:
        """Return the number of a process, 0 while it is down."""
        return self.supervisor.pids.get(name, 0)

    def said(self, name: str, words: str) -> bool:
        """Return whether a process has logged these words."""
        return any(words in line for line in tuple(self._lines.get(name, ())))

    def is_quiet(self) -> bool:
        """Return whether nothing waits on a queue and nothing is in flight."""
        pipe = self._redis.pipeline(transaction=True)
        for name in chain.from_iterable(map(redis_lists, QUEUES)):
            pipe.llen(name)
        for held in self._redis.scan_iter(match=f"{HELD}*", count=1000):
            pipe.hlen(held)
        return not any(pipe.execute())

    def open_cases(self) -> dict[CaseKey, CaseRecord]:
        """Return the open cases of every control."""
        found: dict[CaseKey, CaseRecord] = {}
        for control in firms.CONTROLS:
            found |= self.ledger.cases.of(control, open_only=True)
        return found

    def runs(self, control: str) -> tuple[ControlRun, ...]:
        """Return the runs of a control, the newest first."""
        return self.ledger.runs.page(control, limit=200).items

    def letters(self) -> dict[str, DeadLetter]:
        """Return the dead letters by id."""
        return {letter.id: letter for letter in self.ledger.letters.page(limit=500).items}

    def activities(self, *domain: Any) -> list[dict[str, Any]]:
        """Read activities in Odoo, done ones included."""
        fields = ["res_model", "res_id", "user_id", "summary", "active", "feedback", "write_date"]
        return self.twin.rows("mail.activity", list(domain), fields)


@contextlib.contextmanager
def demo_environment() -> Iterator[DemoEnvironment]:
    """Yield a running stage. Its directory goes with it, unless `stage.keep` was set or something broke."""
    home = Path(tempfile.mkdtemp(prefix="purser-demo-")).resolve()
    keep = True
    try:
        with FakeOdoo() as twin, claim(home / "server") as server, DemoEnvironment(home, server, twin) as stage:
            yield stage
            keep = stage.keep
    except (KeyboardInterrupt, ConfigurationError):
        keep = False
        raise
    finally:
        if keep:
            print_error(f"The logs of the processes are kept in {home / 'logs'}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def _policy() -> dict[str, Any]:
    return {
        "version": 1,
        "timezone": firms.ZONE.key,
        "roles": {"pmo": [firms.PMO], "billing": [firms.BILLING]},
        "controls": {
            firms.MISSING: {
                "every": f"every {EVERY} seconds",
                "tunables": {"hourly_rate": firms.RATE, "exempt_employees": [firms.EXEMPT]},
            },
            firms.UNBILLED: {"every": f"every {EVERY} seconds"},
            firms.DRAFTS: {"every": f"every {EVERY} seconds"},
        },
        "watches": {name: {"enabled": False} for name in load_registry().watches},  # the story tells its own events
    }
