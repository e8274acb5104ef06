"""A worker and beat that start while Redis takes no writes wait, and work once it takes them again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.contract.broker.servers import Server, own_server
from tests.e2e.test_running import PROCFILE, Process, Running, environment, recipe
from tests.waiting import wait_until

__all__ = ["recipe"]

State = tuple[tuple[str, ...], tuple[str, ...]]
"""The command that brings a server into a state, and the one that ends it."""

STATES: dict[str, State] = {
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "NOREPLICAS": (
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with own_server(tmp_path / "redis") as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_who_starts_while_redis_refuses_waits_and_then_works(recipe: Running, server: Server, state: str) -> None:
    begin, end = STATES[state]
    recipe.env = environment(server.url)
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*begin)
        front, beat = (recipe.start(name, ["/bin/sh", "-c", PROCFILE[name]]) for name in ("front", "beat"))
        front.wait_for("this worker waits", times=2)
        beat.wait_for("Couldn't apply scheduled task")
        client.execute_command(*end)
        front.wait_for("ready.")
        client.lpush("events", b"no message")
        wait_until(lambda: client.llen("events") == 0, within=60, what="the worker to take what waits")
        assert _is_alive(front)
        assert _is_alive(beat)


def _is_alive(process: Process) -> bool:
    return process.popen.poll() is None
