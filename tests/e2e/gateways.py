"""`purser gateway` as a process of its own, for tests that need its real doors."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Gateway:
    """`purser gateway` as a process."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self.log = home / "gateway.log"
        keep = {k: v for k, v in os.environ.items() if not k.startswith("PURSER_")}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from console.cli.main import main; main()", "gateway"],
                env={**keep, **environ, "PURSER_LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)},
                cwd=home,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        found = wait_until(self._address, within=30, what="the gateway to listen")
        assert found is not None
        self.url = found[1]

    def _address(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.log.read_text()
        return re.search(r'"the gateway listens".*"address": "([^"]+)"', self.log.read_text())

    def stop(self) -> int:
        """Tell it to stop; give its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=20)


@contextlib.contextmanager
def listening(environ: Mapping[str, str], home: Path) -> Iterator[Gateway]:
    """Yield a gateway that ends with the block."""
    gateway = Gateway(environ, home)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()
