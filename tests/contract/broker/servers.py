"""A Redis of one's own that can be killed, started again, and told how to listen."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.waiting import wait_until


class Server:
    """One server, or one sentinel, with its own directory and a port that stays the same."""

    def __init__(self, home: Path, *options: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.port = home, free_port()
        found = shutil.which("redis-server")
        if found is None:
            pytest.skip("no redis-server on the PATH")
        self._command = [found, *options] if "--sentinel" in options else [found, *options, "--save", ""]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            *(*self._command, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)),
            *("--logfile", str(self.home / "server.log")),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(self.answers, what="the server to answer")

    def answers(self) -> bool:
        with redis.Redis(port=self.port, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True
            except redis.ConnectionError:
                return False

    def kill(self) -> None:
        """Kill -9 it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def own_server(home: Path, *options: str) -> Iterator[Server]:
    """Run a server for one test."""
    server = Server(home, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
