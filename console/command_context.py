"""A command asks here for the parts it uses, and hears at once, in one list, which settings they lack."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from config.policy.loader import Policies, load_policies
from config.settings import Need, Settings
from console.output import print_error
from purser.errors import ConfigurationError
from store import Ledger
from tasks.discovery import load_registry
from workers.context import WorkerContext

ENV_FILE = ".env"
_env_file: ContextVar[Path | None] = ContextVar("env_file", default=None)


def use_env_file(path: Path | None) -> None:
    """Read settings from this file too, or from `.env` of the current folder where there is one."""
    default = Path(ENV_FILE)
    _env_file.set(path or (default if default.is_file() else None))


def settings(*need: Need) -> Settings:
    """Load the settings; ConfigurationError lists everything missing of what is needed, unknown or wrong."""
    return Settings.load(need=need, env_file=_env_file.get())


def policies(file: Path | None = None) -> Policies:
    """Load the policies of this file, else those the settings name, else the house view."""
    return load_policies(load_registry(), file or settings().policies)


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Yield the ledger; nothing else is needed. What could not be read meanwhile is named at the end."""
    book = Ledger.connect(settings("ledger").ledger)
    try:
        with book.collecting_unreadable() as unread:
            yield book
    finally:
        book.close()
    for why in unread.values():
        print_error(f"left out: {why}")


@contextmanager
def read_only_context(*also: Need) -> Iterator[WorkerContext]:
    """Yield a fleet that reads Odoo, and what else is needed: it has no queue to write to."""
    fleet = WorkerContext.assemble(settings("odoo", *also), _only_reads, _only_reads)
    try:
        yield fleet
    finally:
        fleet.disconnect()


@contextmanager
def store_context() -> Iterator[WorkerContext]:
    """Yield a fleet with policies and ledger alone: it has no queue to write to."""
    parts = WorkerContext.assemble(settings("ledger"), _only_reads, _only_reads)
    try:
        yield parts
    finally:
        parts.disconnect()


@contextmanager
def worker_context(*also: Need) -> Iterator[WorkerContext]:
    """Yield a fleet with broker and ledger, and with what else is needed."""
    told = settings("broker", "ledger", *also)
    from workers.app import create_app  # Celery takes a moment to import, and most commands do without

    parts: WorkerContext = create_app(told).fleet
    try:
        yield parts
    finally:
        parts.disconnect()


def actor_name() -> str:
    """Name the person at this terminal, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"


def note_text(note: str) -> str:
    """Return the note, or raise ConfigurationError: what changes something needs its reason kept."""
    if not note.strip():
        raise ConfigurationError("--note is empty: say why, for the audit trail")
    return note


def _only_reads(*_: Any, **__: Any) -> None:
    raise ConfigurationError("this command has no queue to write to")
