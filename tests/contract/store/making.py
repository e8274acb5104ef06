"""Rows for the ledger's suite, built from what a test cares about."""

import base64
import datetime as dt
import itertools
import json
from collections.abc import Mapping
from typing import Any

import redis

from store import Attempt, DeadLetter, DelayedMessage, DelayKind, Ledger, fingerprint

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
    """Return an empty ledger, alone under its prefix."""
    return Ledger(client, prefix=f"purser{next(_prefixes)}", now=clock or Clock())


def key_ending(client: Any, end: str) -> str:
    """Return the one key with this ending."""
    (key,) = [name.decode() for name in client.keys("*") if name.decode().endswith(end)]
    return str(key)


def letter(id: str = "m1", *, minute: int = 0, message: str = "sale.order 7 is locked", **given: Any) -> DeadLetter:  # noqa: A002
    """Return a letter that failed so many minutes after START."""
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
    return DeadLetter(id=id, message=message, **(values | given))


def delayed(id: str = "m1", *, minute: int = 1, **given: Any) -> DelayedMessage:  # noqa: A002
    """Return a message that is due so many minutes after START."""
    values: dict[str, Any] = {
        "queue": "apply",
        "task": "apply",
        "label": "control missing-timesheets",
        "kind": DelayKind.RETRY,
        "why": "attempt 1 of 12: Transient: Odoo does not answer",
        "due": START + dt.timedelta(minutes=minute),
        "attempt": 1,
        "payload": envelope(b'{"n": 1}', {"id": id, "task": "apply"}),
        "parked_at": START,
    }
    return DelayedMessage(id=id, **(values | given))


def envelope(body: bytes, headers: Mapping[str, Any], **properties: Any) -> bytes:
    """Return the bytes that a message is on a Redis list."""
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "headers": dict(headers),
            "properties": {"body_encoding": "base64", **properties},
            "content-type": "application/json",
            "content-encoding": "utf-8",
        }
    ).encode()
