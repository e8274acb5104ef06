"""The fleet's app with one more task, which counts on the ledger's Redis how often it was carried out."""

from functools import cache
from typing import Any

import redis

from tests.e2e.fuzzing import COUNTER, TASK
from workers.main import app


@cache
def _client() -> Any:
    return redis.Redis.from_url(app.fleet.settings.ledger)


@app.task(name=TASK)  # type: ignore[untyped-decorator, unused-ignore]
def count(model: Any, id: Any) -> None:  # noqa: A002 - as the fleet's own tasks name it
    """Count this message."""
    if not isinstance(model, str) or not isinstance(id, int):
        raise TypeError("a model and the number of a record are needed")
    _client().incr(COUNTER)
