"""A command is run as its user would: arguments and environment in, exit code and two streams out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner, Result

from console.cli.main import app
from store import Ledger


class Purser(Protocol):
    """Runs `purser` with arguments and with settings beside those of the fixture."""

    def __call__(self, *args: str, stdin: str = "", **environ: str) -> Result: ...


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, with no settings of this machine."""
    for name in [one for one in os.environ if one.startswith("PURSER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def purser() -> Purser:
    """Return the command, in an environment without any setting."""

    def run(*args: str, stdin: str = "", **environ: str) -> Result:
        return CliRunner().invoke(app(), list(args), input=stdin, env=environ)

    return run


@pytest.fixture
def operator(purser: Purser, redis_url: str) -> Purser:
    """Return the command with a ledger."""

    def run(*args: str, stdin: str = "", **environ: str) -> Result:
        return purser(*args, stdin=stdin, **{"PURSER_LEDGER_URL": redis_url, **environ})

    return run


@pytest.fixture
def ledger(redis_url: str) -> Iterator[Ledger]:
    """Yield the ledger that `operator` sees."""
    book = Ledger.connect(redis_url)
    yield book
    book.close()
