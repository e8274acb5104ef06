"""Everything a drill needs runs on this machine, in one directory of its own, and is gone when the drill ends.

Broker, ledger, workers and beat are real processes under the supervisor of `purser up`; the twin answers in this
process. The drill itself reaches the broker directly, also where the workers go through the proxy.
"""

import contextlib
import datetime as dt
import os
import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

import celery
import yaml

from config.queues import QUEUES
from config.settings import PREFIX, Settings
from console.cli.operations.processes import SOFT_SHUTDOWN
from devtools.chaos.brokers import ChaosRabbitMQ, ChaosRedis, claimed, claimed_redis
from devtools.chaos.fault import Against, FaultNotObserved, FaultRequirements
from devtools.chaos.fault_proxy import FaultProxy
from devtools.chaos.odoo_target import OdooTarget
from devtools.chaos.skewed_clock import write_offset
from devtools.local.supervisor import Backoff, ProcessSpec, Supervisor
from purser.errors import PurserError
from store import Ledger
from store.timestamps import to_micros
from tasks.discovery import load_registry
from workers.app import create_app
from workers.context import WorkerContext

LEASE = 4
"""Seconds until the messages of a dead worker come back."""

STALLED = 10
"""Seconds until an accepted event of which nothing is heard is sent again."""

CONTROL = "missing-timesheets"
WORKERS = ("a", "b")
_GRACE = 8.0
_PAUSE = 0.05
_LOG_LINES = 20_000


class ChaosEnvironmentStopped(PurserError):
    """The fleet of the drill has ended by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentConfig:
    """What is the same for every stage of a drill."""

    home: Path
    office: OdooTarget
    against: Against = "redis"
    restart_odoo: str = ""
    """The command that restarts a real Odoo."""
    stock: str = ""
    """The app of a stock Celery instead of the fleet, such as `devtools.chaos.stock_celery:plain`."""
    rng: random.Random = field(default_factory=random.Random)
    is_short: bool = False


class PendingCounts(NamedTuple):
    """What has not come to its end, by the place where it is."""

    broker: int
    delayed: int
    events: int
    """Accepted, and not yet done with."""

    def __str__(self) -> str:
        return f"{self.broker} at the broker, {self.delayed} delayed, {self.events} events open"


class ProcessExit(NamedTuple):
    """A process that ended while the fleet was to run."""

    name: str
    pid: int
    code: int


class ChaosEnvironment:
    """A running fleet for the faults of one set-up."""

    def __init__(
        self, plan: EnvironmentConfig, setup: FaultRequirements, home: Path, things: contextlib.ExitStack
    ) -> None:
        self.plan, self.setup, self.home = plan, setup, home
        self.office, self.rng = plan.office, plan.rng
        self.logs = home / "logs"
        self.logs.mkdir(parents=True)
        (home / "run").mkdir()
        (home / "trouble").mkdir()
        self._lines: dict[str, deque[str]] = {}
        self._starts: dict[str, int] = {}
        self.exits: list[ProcessExit] = []
        self._fault: BaseException | None = None
        self.broker: ChaosRedis | ChaosRabbitMQ = things.enter_context(
            claimed(plan.against, home, self.pid, moving_clock=setup.moving_clocks)
        )
        needs_ledger = setup.own_ledger or plan.against == "rabbitmq"
        self.own_ledger = (
            things.enter_context(claimed_redis(home / "ledger", "ledger", self.pid, moving_clock=setup.moving_clocks))
            if needs_ledger
            else None
        )
        port = urlsplit(self.broker.url).port or 0
        self.proxy = things.enter_context(FaultProxy(port, plan.rng)) if setup.proxied else None
        self.settings = Settings.load(need=("broker", "ledger", "odoo"), environ=self._environ(self.broker.url))
        self._app: celery.Celery = create_app(self.settings)
        self.fleet: WorkerContext = self._app.fleet
        self.supervisor = Supervisor(
            tuple(self._commands()),
            write=self._write,
            grace=_GRACE,
            backoff=Backoff(first=0.2, cap=0.2),
            on_exit=lambda name, pid, code: self.exits.append(ProcessExit(name, pid, code)),
        )
        self._thread = threading.Thread(target=self._run, name="supervisor")

    # ------------------------------------------------------------------------------ running --

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            for name in WORKERS:
                self.await_up(name, after=0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.supervisor.pids.values():  # who is frozen cannot hear that it is to end
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(number, signal.SIGCONT)
        while self._thread.is_alive():  # an impatient Ctrl-C in here must not leave anybody behind
            with contextlib.suppress(KeyboardInterrupt):
                self.supervisor.stop()
                self._thread.join(timeout=2 * _GRACE)
        self.fleet.disconnect()
        self._app.close()

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except Exception as error:  # noqa: BLE001 - it is raised again by whoever waits for the fleet
            self._fault = error

    def _write(self, name: str, line: str) -> None:
        self._lines.setdefault(name, deque(maxlen=_LOG_LINES)).append(line)
        if f"{name}@drill ready." in line:
            self._starts[name] = self._starts.get(name, 0) + 1
        with (self.logs / f"{name}.log").open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{line}\n")

    def _environ(self, broker_url: str) -> dict[str, str]:
        policies = self.home / "policies.yaml"
        policies.write_text(yaml.safe_dump(self._policy(), sort_keys=False), encoding="utf-8")
        access = self.office.access
        told = {
            "PURSER_BROKER_URL": broker_url,
            "PURSER_ODOO_URL": access.url,
            "PURSER_ODOO_DB": access.db,
            "PURSER_ODOO_LOGIN": access.login,
            "PURSER_ODOO_API_KEY": access.api_key,
            "PURSER_POLICIES": str(policies),
            "PURSER_LEASE": str(LEASE),
            "PURSER_HEARTBEAT": "1",
            "PURSER_STALLED_AFTER": str(STALLED),
            "PURSER_ENVIRONMENT": "drill",
            "PURSER_LOG_FORMAT": "console",
        }
        if self.own_ledger is not None:
            told["PURSER_LEDGER_URL"] = self.own_ledger.url
        return {**told, **dict(self.setup.environ)}

    def _policy(self) -> dict[str, Any]:
        controls: dict[str, Any] = {name: {"enabled": False} for name in ("unbilled-work", "stale-drafts")}
        controls[CONTROL] = (
            {"every": f"every {self.setup.scan_every} seconds", "tunables": {"weeks_back": 1}}
            if self.setup.beats
            else {"enabled": False}
        )
        watches = {
            name: {"enabled": False} for name in load_registry().watches
        }  # its deals are told by their own events
        return {"version": 1, "controls": controls, "watches": watches}

    def _commands(self) -> Iterator[ProcessSpec]:
        yield from self.broker.commands()
        if self.own_ledger is not None:
            yield from self.own_ledger.commands()
        url = self.broker.url
        if self.proxy is not None:
            parts = urlsplit(url)
            place = f"{parts.netloc.rpartition(':')[0]}:{self.proxy.port}"
            url = urlunsplit(parts._replace(netloc=place))
        told = Settings.load(need=("broker", "ledger", "odoo"), environ=self._environ(url))
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        temporary = self.home / "tmp"  # a killed worker leaves its temporary folders: they go with this one
        temporary.mkdir(exist_ok=True)
        env = {**others, "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary), **told.to_environ()}
        soft = {} if self.plan.stock else SOFT_SHUTDOWN
        for number, name in enumerate(WORKERS):
            app = self.plan.stock or "devtools.chaos.faulty_tasks"
            work = ("celery", "-A", app, "worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO")
            options = ("-Q", ",".join(QUEUES), "-n", f"{name}@drill", "--concurrency", "2")
            skew = self._clock_option(name, number)
            yield ProcessSpec(
                name=name, argv=_python(skew, *work, *options), env={**env, **soft}, cwd=self.home / "run"
            )
        for number in range(self.setup.beats):
            beat = ("celery", "-A", "workers.main", "beat", "--loglevel", "INFO")
            argv = _python(f"{-self.setup.skew}" if self.setup.skew else "", *beat)
            yield ProcessSpec(name=f"beat{number + 1}", argv=argv, env=env, cwd=self.home / "run", stage=2)

    def _clock_option(self, name: str, number: int) -> str:
        """Return the option that makes a worker's clock wrong; '' for a right one."""
        if self.setup.moving_clocks:
            self.shift_clock(name, 0.0)
            return f"@{self._clock_file(name)}"
        return f"{self.setup.skew}" if self.setup.skew and number == 0 else ""

    def _clock_file(self, name: str) -> Path:
        return self.home / f"{name}.clock"

    def shift_clock(self, name: str, seconds: float) -> None:
        """Move the clock of a worker's machine away from the right time. Needs `FaultRequirements.moving_clocks`."""
        write_offset(self._clock_file(name), seconds)

    # ------------------------------------------------------------------------------ waiting --

    def watch(self, look: Callable[[], bool], *, within: float) -> bool:
        """Look until it is so or the time is over. Fell when the fleet is gone."""
        deadline = time.monotonic() + within
        while not (seen := look()) and time.monotonic() < deadline:
            self.check_alive()
            time.sleep(_PAUSE)
        return seen

    def check_alive(self) -> None:
        """Raise Fell when the fleet has ended by itself."""
        if not self._thread.is_alive():
            raise ChaosEnvironmentStopped(
                f"the fleet has ended by itself: {self._fault or 'see its logs'}"
            ) from self._fault

    def pid(self, name: str) -> int:
        """Return the number of a process, 0 while it is down."""
        return self.supervisor.pids.get(name, 0)

    def starts(self, name: str) -> int:
        """Return how often a worker has come up so far."""
        return self._starts.get(name, 0)

    def await_up(self, name: str, *, after: int, within: float = 40.0) -> None:
        """Wait until a worker has come up more than `after` times."""
        if not self.watch(lambda: self.starts(name) > after, within=within):
            last = "\n".join(tuple(self._lines.get(name, ()))[-15:])
            raise ChaosEnvironmentStopped(f"worker {name} did not come up within {within:g} s:\n{last}")

    def said(self, name: str, words: str) -> int:
        """Return how many lines of a process hold these words."""
        return sum(words in line for line in tuple(self._lines.get(name, ())))

    # ------------------------------------------------------------------------------- acting --

    def signal(self, name: str, number: signal.Signals, *, group: bool = False) -> int:
        """Signal a process, or it and all its children; give its number."""
        pid = self.pid(name)
        if not pid:
            raise FaultNotObserved(f"{name} does not run")
        (os.killpg if group else os.kill)(pid, number)
        return pid

    def children(self, name: str) -> list[int]:
        """Return the process numbers of a worker's pool."""
        found = self._app.control.inspect(destination=[f"{name}@drill"], timeout=3).stats() or {}
        return [int(pid) for node in found.values() for pid in node["pool"]["processes"]]

    def send(self, task: str, kwargs: dict[str, Any], *, id: str, queue: str, label: str) -> None:  # noqa: A002
        """Put a task on its queue."""
        self._app.send_task(task, kwargs=kwargs, task_id=id, queue=queue, argsrepr="", kwargsrepr=label)

    def begun_again(self) -> int:
        """Count the messages so far that were begun after somebody else had had them; a stock Celery counts none."""
        node = self.own_ledger or self.broker
        return len(set(node.client.scan_iter("purser:deliveries:*"))) if isinstance(node, ChaosRedis) else 0

    def rewind(self, control: str, by: dt.timedelta) -> None:
        """Let the ledger believe that the last slot of a control was done so much earlier."""
        node = self.own_ledger or self.broker
        last = self.ledger.slots.last_done(control)
        if last is None or not isinstance(node, ChaosRedis):
            raise FaultNotObserved(f"{control} has not run yet")
        node.client.hset("purser:slots:done", control, to_micros(last - by))

    # ------------------------------------------------------------------------------ looking --

    @property
    def ledger(self) -> Ledger:
        """The memory of the fleet."""
        return self.fleet.ledger

    def waiting(self) -> "PendingCounts":
        """Count the messages that wait on queues or are in flight, and what the ledger holds for later."""
        ledger = self.ledger
        return PendingCounts(self.broker.waiting(), ledger.delayed.count(), ledger.inbox.count())

    def letters(self) -> dict[str, set[str]]:
        """Return the dead letters by id, each with the ids it is known by."""
        found: dict[str, set[str]] = {}
        after = None
        while True:
            page = self.ledger.letters.page(limit=500, after=after)
            found |= {one.id: {one.id, one.correlation_id or "", one.causation_id or ""} - {""} for one in page.items}
            after = page.next
            if after is None:
                return found


def _python(skew: str, *module: str) -> tuple[str, ...]:
    """Run a module with this interpreter, with a wrong clock where one is asked for."""
    wrong = ("-m", "devtools.chaos.skewed_clock", skew, "--") if skew else ("-m",)
    return (sys.executable, *wrong, *module)


@contextlib.contextmanager
def chaos_environment(plan: EnvironmentConfig, setup: FaultRequirements, home: Path) -> Iterator[ChaosEnvironment]:
    """Yield a running stage in a directory of its own."""
    with contextlib.ExitStack() as things, ChaosEnvironment(plan, setup, home, things) as stage:
        yield stage
