"""Flower as people meet it: a process of its own on a free port, before a ledger and the demo's firm in the twin."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.console_users import hash_password
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = {"anna": "editor", "emil": "editor", "otto": "operator", "vera": "viewer"}
"""Who may enter, and as what. Everybody's password is their name and what follows."""
BEHIND = " says open sesame"


@dataclass(frozen=True)
class Flower:
    """A running Flower."""

    url: str
    log: Path
    environ: Mapping[str, str] = field(repr=False)

    @staticmethod
    def login(name: str) -> tuple[str, str]:
        """Return name and password of somebody."""
        return name, name + BEHIND


def write_people(path: Path) -> Path:
    """Write the file of people."""
    lines = (f"{name}: {{role: {role}, password: {hash_password(name + BEHIND)}}}\n" for name, role in PEOPLE.items())
    path.write_text("".join(lines))
    return path


@contextlib.contextmanager
def flower(environ: Mapping[str, str], home: Path, *options: str) -> Iterator[Flower]:
    """Run `purser flower` until the block ends."""
    log = home / "flower.log"
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
    run = "from console.cli.main import main; main()"
    command = [sys.executable, "-c", run, "flower", "--port", "0", *options]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=home,
            env={**keep, **environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: "Flower: http" in log.read_text() or process.poll() is not None,
            within=60,
            what="Flower to listen",
        )
        assert process.poll() is None, log.read_text()
        (line,) = [line for line in log.read_text().splitlines() if line.startswith("Flower: http")]
        yield Flower(line.split()[1], log, environ)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
