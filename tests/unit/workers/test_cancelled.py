"""A task that is stopped because its message went to others is no step nearer to being a poison."""

from types import SimpleNamespace
from typing import Any

import fakeredis
import pytest
from celery.worker.request import Request

from store import Ledger
from workers.runtime.request import FleetRequest


def test_a_task_stopped_with_its_connection_does_not_count_as_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Any] = []
    monkeypatch.setattr(Request, "cancel", lambda self, pool: stopped.append(pool))
    ledger = Ledger(fakeredis.FakeRedis())
    for _ in range(4):
        ledger.deliveries.count("m-1")
    request = FleetRequest.__new__(FleetRequest)
    request.id = "m-1"
    request._app = SimpleNamespace(fleet=SimpleNamespace(ledger=ledger))
    request.cancel("the pool")
    assert stopped == ["the pool"]
    assert ledger.deliveries.count("m-1") == 1
