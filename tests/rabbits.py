"""A private RabbitMQ node for tests; one that is missing skips on a laptop and fails in CI."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.rabbit import RabbitNode, find_rabbitmq, serving
from purser.errors import Mistake


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """Run one node for many tests. None of them kills it: see `own_node`."""
    need_rabbitmq()
    with serving(tmp_path_factory.mktemp("rabbit")) as node:
        yield node


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[RabbitNode]:
    """Run a node for one test, which may kill it and start it again."""
    need_rabbitmq()
    with serving(tmp_path / "rabbit") as node:
        yield node


def need_rabbitmq() -> None:
    """Leave a test out where there is no RabbitMQ."""
    try:
        find_rabbitmq()
    except Mistake as missing:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
