"""The same suite judges the ledger on an imitation and on a real server."""

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from ledger import Ledger
from tests.contract.ledger.making import Clock, fresh


@pytest.fixture(params=["fakeredis", "server"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "fakeredis":
        imitation: redis.Redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        with imitation:
            yield imitation
    else:
        with redis.Redis.from_url(request.getfixturevalue("redis_url")) as real:
            yield real


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return fresh(client, clock)
