"""A RabbitMQ with the queues of the fleet, and connections to it as the fleet makes them."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from amqp import method_framing
from kombu.connection import Connection
from kombu.transport import pyamqp

from config.queues import QUEUES
from devtools.local.rabbitmq_node import RabbitNode
from tests.rabbits import own_node, rabbit_node
from workers.broker.rabbitmq import amqp_connection, topology

__all__ = ["own_node", "rabbit_node"]


def connect(url: str) -> Any:
    """Return a connection that is not made yet."""
    make: Any = Connection
    return make(url, connect_timeout=5, heartbeat=15, transport_options={"confirm_publish": True})


@pytest.fixture
def wire() -> Iterator[None]:
    """Let connections be those of the fleet for one test."""
    transport: Any = pyamqp.Transport
    stock = transport.Connection, method_framing.Message
    amqp_connection.install()
    yield
    transport.Connection, method_framing.Message = stock


@pytest.fixture
def node(wire: None, rabbit_node: RabbitNode) -> RabbitNode:
    """Return a node whose queues are there and empty."""
    with connect(rabbit_node.url) as connection:
        topology.declare(connection)
        for queue in (topology.DEAD, *QUEUES):
            connection.channel().queue_purge(queue)
    return rabbit_node


@pytest.fixture
def untouched(wire: None, rabbit_node: RabbitNode) -> Iterator[Any]:
    """Yield a connection to a virtual host in which nothing was ever declared."""
    name = f"test-{uuid.uuid4()}"
    rabbit_node.ctl("add_vhost", name)
    rabbit_node.ctl("set_permissions", "-p", name, "purser", ".*", ".*", ".*")
    with connect(f"{rabbit_node.url.removesuffix('//')}/{name}") as made:
        yield made
    rabbit_node.ctl("delete_vhost", name)


@pytest.fixture
def connection(node: RabbitNode) -> Iterator[Any]:
    with connect(node.url) as made:
        yield made
