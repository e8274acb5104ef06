"""The same suite judges the ledger on an imitation and on a real server.

On the real one the ledger is a user with no more rights than `docs/how-to/redis.md` gives; a test itself may look at
everything.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from store import Ledger
from tests.contract.guide import rights_in_the_guide
from tests.contract.store.making import Clock, fresh


@pytest.fixture(params=["fakeredis", "server"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "fakeredis":
        imitation: redis.Redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        with imitation:
            yield imitation
    else:
        with redis.Redis.from_url(request.getfixturevalue("redis_url")) as real:
            yield real


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave sentences for all inputs to a real server: an imitation is ten times as slow, and is asked all else."""
    slow = [
        item
        for item in items
        if item.path.parent == Path(__file__).parent
        and "fakeredis" in item.name
        and getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    ]
    for item in slow:
        items.remove(item)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Iterator[Ledger]:
    if isinstance(client, fakeredis.FakeRedis):
        yield fresh(client, clock)
        return
    admin: Any = client
    for rights in rights_in_the_guide():
        admin.execute_command("ACL", "SETUSER", *rights)
    port = client.get_connection_kwargs()["port"]
    with redis.Redis(port=port, username="purser", password="secret") as user:
        yield fresh(user, clock)
