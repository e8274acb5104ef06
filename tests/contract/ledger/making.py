"""Rows for the ledger's suite, built from what a test cares about."""

import datetime as dt
import itertools
from typing import Any

import redis

from ledger import Attempt, Ledger, Letter, fingerprint

START = dt.datetime(2026, 11, 16, 8, 0, tzinfo=dt.UTC)

_prefixes = itertools.count()


class Clock:
    """A clock that moves when a test moves it."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> dt.datetime:
        return self.moment

    def pass_(self, **span: float) -> dt.datetime:
        self.moment += dt.timedelta(**span)
        return self.moment


def fresh(client: redis.Redis, clock: Clock | None = None) -> Ledger:
    """Give an empty ledger, alone under its prefix."""
    return Ledger(client, prefix=f"t{next(_prefixes)}", now=clock or Clock())


def key_ending(client: Any, end: str) -> str:
    """Give the one key with this ending."""
    (key,) = [name.decode() for name in client.keys("*") if name.decode().endswith(end)]
    return str(key)


def letter(id: str = "m1", *, minute: int = 0, message: str = "sale.order 7 is locked", **given: Any) -> Letter:  # noqa: A002
    """Give a letter that failed so many minutes after START."""
    at = START + dt.timedelta(minutes=minute)
    task, error = given.setdefault("task", "apply"), given.setdefault("error", "Permanent")
    values: dict[str, Any] = {
        "queue": "apply",
        "body": b'{"n": 1}',
        "reason": "permanent failure",
        "fingerprint": fingerprint(error=error, message=message, task=task),
        "attempts": (Attempt(at, f"{error}: {message}"),),
        "first_at": at,
        "stored_at": at,
    }
    return Letter(id=id, message=message, **(values | given))
