"""A private RabbitMQ node serves a test or a drill on this machine, and leaves nothing running behind.

A directory belongs to one node at a time and remembers its ports and its password, so a node that was killed comes
back with its messages at the same address. The node listens on loopback only, has one user and, unless its management
API is asked for, no plugins. It is found through a port mapper (epmd) of its own, so that it meets no other node of
the machine.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from kombu.connection import Connection
from kombu.exceptions import KombuError

from devtools.local.redis_server import free_port
from purser.errors import ConfigurationError, Misconfigured

_PLACES = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/homebrew/sbin"), Path("/usr/local/sbin"))
"""Where the server itself stands. What Debian puts on the PATH is a wrapper that insists on a user of its own."""

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
log.console = true
log.console.level = warning
raft.wal_max_size_bytes = 64000000
disk_free_limit.absolute = 50MB
"""
_NOTHING_MORE: Mapping[str, str] = MappingProxyType({})
_USER = "purser"
_START_WITHIN = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Where a node answers: to clients, to its port mapper, and to its command line tools."""

    amqp: int = 0
    epmd: int = 0
    dist: int = 0

    @classmethod
    def free(cls, before: Self) -> Self:
        """Return the ports of before where nobody has them, else others.

        They lie below those the kernel hands to clients, one of which could take the port of a node that is down.
        """
        wanted = {name: port or random.randrange(20_000, 32_000) for name, port in dataclasses.asdict(before).items()}
        kept = {name: free_port(port) for name, port in wanted.items()}
        if len(set(kept.values())) < len(kept):
            return cls.free(cls())
        return cls(**kept)


class RabbitNode:
    """One private node: start it, kill it, start it again on the same data. `serving` is the usual way to one."""

    def __init__(self, home: Path, binary: Path, ports: Ports, password: str, lock: int) -> None:
        self.home = home
        self.ports = ports
        self.management = ""
        """The address of its management API; '' where it has none."""
        self._binary = binary
        self._password = password
        self._lock = lock
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address with its password: hand it on, print it nowhere."""
        return f"amqp://{_USER}:{self._password}@127.0.0.1:{self.ports.amqp}//"

    @property
    def log(self) -> Path:
        """What the node says, of all its starts."""
        return self.home / "server.log"

    @property
    def pid(self) -> int:
        """The process of the node, which is also the group to signal."""
        if self._server is None:
            raise ConfigurationError(f"the node of {self.home} is not running")
        return self._server.pid

    def answers(self) -> bool:
        """Return whether a client can open a channel."""
        make: Any = Connection
        patience = {"max_retries": 0, "connect_retries_timeout": 2, "read_timeout": 5, "write_timeout": 5}
        with make(self.url, connect_timeout=2, transport_options=patience) as connection:
            try:
                connection.default_channel.close()
            except (*connection.connection_errors, *connection.channel_errors, KombuError):
                return False
        return True

    def start(self) -> None:
        """Start the node and wait until it answers. Misconfigured tells its last words when it does not."""
        if self._server is not None:
            raise ConfigurationError(f"the node of {self.home} runs already")
        self._start_epmd()
        self._server = self._spawn([str(self._binary)])
        _await(self.answers, self._server, self.log, what=f"RabbitMQ on port {self.ports.amqp}", within=_START_WITHIN)

    def kill(self) -> None:
        """End the node at once, as a crash of its machine would (SIGKILL)."""
        if self._server is not None:
            _kill(self._server)
            self._server = None

    def stop(self, within: float = 20.0) -> None:
        """Stop the node in good order, and its port mapper."""
        if self._server is not None:
            self._server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(timeout=within)
            self.kill()
        if self._epmd is not None:
            _kill(self._epmd)  # it keeps nothing
            self._epmd = None

    def ctl(self, *words: str, within: float = 60.0) -> str:
        """Ask the node as `rabbitmqctl` would, such as `set_vm_memory_high_watermark 0.4`; give the answer."""
        tool = self._binary.with_name("rabbitmqctl")
        done = subprocess.run(
            [str(tool), "--quiet", *words],
            env=self._env(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        if done.returncode != 0:
            raise Misconfigured(f"rabbitmqctl {words[0]} failed:\n{(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def _start_epmd(self) -> None:
        """Run the port mapper as a child of ours: one that the node started would outlive it as a daemon."""
        if self._epmd is None:
            self._epmd = self._spawn([_epmd(), "-address", "127.0.0.1", "-port", str(self.ports.epmd)])
            _await(self._epmd_listens, self._epmd, self.log, what="epmd", within=10)

    def _epmd_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports.epmd)) == 0

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                argv,
                env=self._env(),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                pass_fds=(self._lock,),
            )

    def _env(self) -> Mapping[str, str]:
        home = self.home
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": f"/usr/lib/erlang/bin:{os.environ.get('PATH', os.defpath)}",
            "LC_ALL": "C.UTF-8",
            "HOME": str(home),  # the cookie stands there
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "detached": "1",  # the start script then becomes the node, instead of waiting beside it
            "RABBITMQ_NODENAME": "purser@localhost",
            "RABBITMQ_DIST_PORT": str(self.ports.dist),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "node.pid"),
        }


@contextlib.contextmanager
def claim(home: Path, more: Mapping[str, str] = _NOTHING_MORE, *, management: bool = False) -> Iterator[RabbitNode]:
    """Prepare the node of a directory and hold the directory; it is not started yet, and stopped at the end.

    `more` are further lines of its rabbitmq.conf; with `management` it has the API that speaks HTTP.
    """
    binary = find_rabbitmq()
    home = home.expanduser().resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)  # what stands in it is for its owner's eyes
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{home} is in use by another RabbitMQ node: end it, or name another directory"
            ) from None
        node = _prepare(home, binary, lock, more, management)
        try:
            yield node
        finally:
            node.stop()
    finally:
        os.close(lock)


@contextlib.contextmanager
def serving(home: Path, more: Mapping[str, str] = _NOTHING_MORE, *, management: bool = False) -> Iterator[RabbitNode]:
    """Run the node of a directory for as long as the block lasts; `more` and `management` are as for `claim`."""
    with claim(home, more, management=management) as node:
        node.start()
        yield node


def find_rabbitmq() -> Path:
    """Find the server to run. ConfigurationError when there is none."""
    for place in _PLACES:
        if os.access(place / "rabbitmq-server", os.X_OK):
            return place / "rabbitmq-server"
    found = shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise ConfigurationError(
            "no rabbitmq-server on this machine: install the package rabbitmq-server (3.10 or newer)"
        )
    return Path(found).resolve()


def _epmd() -> str:
    found = shutil.which("epmd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/lib/erlang/bin")
    if found is None:
        raise ConfigurationError("no epmd on this machine: it comes with Erlang, which RabbitMQ needs")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedNode:
    """What a directory knows of its node."""

    ports: Ports = field(default_factory=Ports)
    password: str = field(default="", repr=False)


def _prepare(home: Path, binary: Path, lock: int, more: Mapping[str, str], management: bool) -> RabbitNode:
    before = _remembered(home)
    kept = _SavedNode(ports=Ports.free(before.ports), password=before.password or secrets.token_hex(24))
    (home / "data").mkdir(exist_ok=True)
    _write_cookie(home / ".erlang.cookie")
    (home / "node.json").write_text(json.dumps(dataclasses.asdict(kept)), encoding="utf-8")
    configuration = _CONFIGURATION.format(port=kept.ports.amqp, user=_USER, password=kept.password)
    node = RabbitNode(home, binary, kept.ports, kept.password, lock)
    if management:
        port = free_port()
        more = {**more, "management.tcp.ip": "127.0.0.1", "management.tcp.port": str(port)}
        node.management = f"http://127.0.0.1:{port}"
    configuration += "".join(f"{name} = {value}\n" for name, value in more.items())
    (home / "rabbitmq.conf").write_text(configuration, encoding="utf-8")
    (home / "env.conf").touch()
    (home / "advanced.config").write_text("[].\n", encoding="utf-8")
    (home / "plugins").write_text("[rabbitmq_management].\n" if management else "[].\n", encoding="utf-8")
    return node


def _write_cookie(path: Path) -> None:
    """Choose the secret of the node's tools once; Erlang's own choice could be guessed by a neighbour."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(24), encoding="utf-8")
        path.chmod(0o400)


def _remembered(home: Path) -> _SavedNode:
    path = home / "node.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return _SavedNode(ports=Ports(**told["ports"]), password=str(told["password"]))
    except FileNotFoundError:
        return _SavedNode()
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{path} cannot be read: remove the directory, a new node is made") from error


def _await(
    ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path, *, what: str, within: float
) -> None:
    deadline = time.monotonic() + within
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(encoding="utf-8", errors="replace")[-2000:].rstrip()
            raise Misconfigured(f"{what} did not come up:\n{words}")
        time.sleep(0.1)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process we started, with its group. One that is reaped is left alone: its number may be another's."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)
