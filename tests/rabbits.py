"""A private RabbitMQ node for tests; one that is missing skips on a laptop and fails in CI."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.local.rabbitmq_node import RabbitNode, find_rabbitmq, serving
from purser.errors import ConfigurationError


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


@contextlib.contextmanager
def vhost(node: RabbitNode) -> Iterator[str]:
    """Yield the address of a virtual host that is empty, and gone afterwards."""
    name = f"test-{uuid.uuid4()}"
    node.ctl("add_vhost", name)
    node.ctl("set_permissions", "-p", name, "purser", ".*", ".*", ".*")
    yield f"{node.url.removesuffix('//')}/{name}"
    node.ctl("delete_vhost", name)


def need_rabbitmq() -> None:
    """Leave a test out where there is no RabbitMQ."""
    try:
        find_rabbitmq()
    except ConfigurationError as missing:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
