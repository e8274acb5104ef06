"""One command runs the whole fleet on this machine against the Odoo in the environment, until Ctrl-C."""

import io
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TextIO

import typer

from config.settings import PREFIX, Need, Settings
from console import command_context
from console.cli.operations.processes import SOFT_SHUTDOWN
from console.output import clean, print_error
from devtools.local.redis_server import Server, claim, free_port
from devtools.local.supervisor import ProcessSpec, Supervisor, stopped_by_signals
from purser.errors import ConfigurationError
from workers.doctor.checks import Level, check_all

GRACE = 20.0
"""Seconds a process gets to end. A worker lets its tasks finish for half of that (workers/app.py)."""

FLOWER_PORT = 5555

_WORKER = ("celery", "-A", "workers.main", "worker", "-E", "--without-gossip", "--without-mingle")
ROLES: Mapping[str, tuple[str, ...]] = {
    "front": (*_WORKER, "-Q", "scans,events", "-n", "front@%h"),
    "bulk": (*_WORKER, "-Q", "apply,outbound", "-n", "bulk@%h"),
    "beat": ("celery", "-A", "workers.main", "beat", "--enable-remote-control", "-n", "beat@%h"),
    "flower": ("purser", "flower"),
    "gateway": ("purser", "gateway"),
}
"""The processes of a fleet, as Procfile and docker-compose.yml start them too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFleetPlan:
    """What `up` is going to run."""

    settings: Settings
    home: Path
    server: Server | None
    flower_port: int
    made_password: str = field(repr=False)
    """The password of Flower if it was made for this run, else empty."""
    gateway: bool = False
    """The HTTP gateway was asked for, or there are sources that may send to it."""


def up(
    data: Annotated[
        Path | None,
        typer.Option(help="Where queues and ledger are kept when PURSER_BROKER_URL is not set.", file_okay=False),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", min=1, help="Tasks a worker runs at once.")] = 2,
    flower_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"The port of Flower; else {FLOWER_PORT}, or a free one."),
    ] = None,
    gateway: Annotated[
        bool,
        typer.Option(
            "--gateway", help="Run the HTTP gateway, too; it runs anyway where PURSER_GATEWAY_SECRETS is set."
        ),
    ] = False,
) -> None:
    """Run the whole fleet on this machine, against the Odoo in the environment. Ctrl-C ends it."""
    told = command_context.settings("odoo")
    command_context.policies()  # a mistake in them is told here once, and not by each process
    home = data or default_home(os.environ)
    with ExitStack() as stack:
        server = stack.enter_context(claim(home)) if told.broker_url is None else None
        plan = make_plan(told, home=home, server=server, flower_port=flower_port, gateway=gateway)
        _warn(told)
        supervisor = Supervisor(
            tuple(commands(plan, concurrency, os.environ)),
            write=Lines(sys.stdout),
            grace=GRACE,
            on_running=lambda: _banner(plan),
        )
        with stopped_by_signals(supervisor):
            supervisor.run()
    print_error("purser up: everything has ended")


def default_home(environ: Mapping[str, str]) -> Path:
    """Return where state is kept on this machine: $XDG_STATE_HOME/purser, else ~/.local/state/purser."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state") / "purser"


def make_plan(
    told: Settings, *, home: Path, server: Server | None, flower_port: int | None, gateway: bool = False
) -> LocalFleetPlan:
    """Complete what the environment says by what is made for this run."""
    made = "" if told.flower_password or told.people else secrets.token_urlsafe(12)
    environ = told.to_environ()
    if told.policies is not None:
        environ["PURSER_POLICIES"] = str(told.policies.resolve())
    if told.people is not None:
        environ["PURSER_PEOPLE"] = str(told.people.resolve())
    if server is not None:
        environ["PURSER_BROKER_URL"] = server.url
    if made:
        environ["PURSER_FLOWER_PASSWORD"] = made
    if told.log_format == "auto":  # the processes write into pipes, but people read them here
        environ["PURSER_LOG_FORMAT"] = "console" if sys.stdout.isatty() else "json"
    login: tuple[Need, ...] = () if told.people else ("flower",)
    settings = Settings.load(need=("broker", "ledger", "odoo", *login), environ=environ)
    return LocalFleetPlan(
        settings=settings,
        home=home.expanduser().resolve(),
        server=server,
        flower_port=_flower_port(flower_port),
        made_password=made,
        gateway=gateway or told.gateway_secrets is not None,
    )


def _flower_port(asked: int | None) -> int:
    port = free_port(asked or FLOWER_PORT)
    if asked is not None and port != asked:
        raise ConfigurationError(f"port {asked} of 127.0.0.1 is taken: choose another --flower-port")
    return port


def commands(plan: LocalFleetPlan, concurrency: int, environ: Mapping[str, str]) -> Iterator[ProcessSpec]:
    """Yield what runs: the server if it is ours, then workers, beat, Flower and, where it is wanted, the gateway."""
    # A directory of its own: Celery imports from where it stands, and a folder named `workers` may be anywhere.
    cwd = plan.home / "run"
    cwd.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    env = {**others, "PYTHONUNBUFFERED": "1", **plan.settings.to_environ()}
    options = {
        "front": ("--concurrency", str(concurrency)),
        "bulk": ("--concurrency", str(concurrency)),
        "flower": ("--address", "127.0.0.1", "--port", str(plan.flower_port)),
        "gateway": () if plan.settings.senders else ("--hooks-only",),
    }
    if plan.server is not None:
        yield plan.server.command()
    for name, role in ROLES.items():
        if name == "gateway" and not plan.gateway:
            continue
        special = SOFT_SHUTDOWN if "worker" in role else {}
        argv = (*_program(role[0]), *role[1:], *options.get(name, ()))
        yield ProcessSpec(name=name, argv=argv, env={**env, **special}, cwd=cwd)


def _program(name: str) -> tuple[str, ...]:
    """Run a program with this interpreter, whatever is on the PATH."""
    if name == "celery":
        return (sys.executable, "-m", "celery")
    return (sys.executable, "-c", "from console.cli.main import main; main()")


class Lines:
    """Writes each line with the name of its process before it, one at a time."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter stops nothing

    def __call__(self, name: str, line: str) -> None:
        """Write one line."""
        with self._lock:
            self._out.write(f"{name:<6} | {clean(line)}\n")
            self._out.flush()


def _warn(told: Settings) -> None:
    """Say what `purser doctor` would, before it scrolls away; the fleet starts all the same."""
    for check in check_all(told, command_context.policies):
        if check.level is not Level.OK:
            print_error(f"{check.level}: {check.name}: {check.found}\n      {check.what_to_do}")


def _banner(plan: LocalFleetPlan) -> None:
    told = plan.settings
    login = f"logins of {told.people}" if told.people else f"login {told.flower_user}"
    password = f", password {plan.made_password} (for this run, shown once)" if plan.made_password else ""
    lines = [
        f"The fleet is starting, against {told.odoo_url} (database {told.odoo_db}).",
        f"Flower    http://127.0.0.1:{plan.flower_port} ({login}{password})",
    ]
    if plan.gateway:
        lines.append(f"Gateway   http://{told.gateway_host}:{told.gateway_port}")
    if plan.server is not None:
        lines += [
            f"Queues    kept in {plan.server.home}; other commands reach them with",
            f"          export PURSER_BROKER_URL_FILE={plan.server.url_file}",
        ]
    lines += [f"Ctrl-C    ends everything, within {GRACE:g} s; once more, at once.", ""]
    print_error("\n".join(["", *lines]))
