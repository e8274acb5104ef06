"""A private RabbitMQ node keeps its messages when it is killed, and leaves nothing running when it is stopped."""

import shutil
from pathlib import Path

import pytest

from devtools.local import rabbitmq_node as rabbit_node_module
from devtools.local.rabbitmq_node import claim, serving
from purser.errors import ConfigurationError
from tests.contract.broker.conftest import connect
from tests.rabbits import need_rabbitmq
from tests.waiting import wait_until
from workers.broker.rabbitmq import topology

pytestmark = pytest.mark.slow


def processes_of(home: Path) -> list[str]:
    """List the processes whose environment names a directory."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            told = (one / "environ").read_bytes()
            name = (one / "comm").read_text().strip()
        except OSError:
            continue
        if f"HOME={home}\0".encode() in told:
            found.append(name)
    return found


def test_a_killed_node_comes_back_with_its_messages_and_a_stopped_one_leaves_nothing(
    wire: None, tmp_path: Path
) -> None:
    need_rabbitmq()
    home = (tmp_path / "node").resolve()
    with serving(home) as node:
        with connect(node.url) as connection:
            topology.declare(connection)
            connection.Producer().publish({"a": 1}, routing_key="apply")
        assert {"beam.smp", "epmd"} <= set(processes_of(home))
        url = node.url
        node.kill()
        assert not node.answers()
        node.start()
        assert node.url == url
        with connect(node.url) as connection:
            wait_until(lambda: topology.depth(connection, "apply") == 1, what="the queue to be read again")
        assert "purser.dead" in node.ctl("list_queues", "name")
        with pytest.raises(ConfigurationError, match="in use by another RabbitMQ node"), claim(home):
            pass
    assert processes_of(home) == []
    assert (home.stat().st_mode & 0o777) == 0o700


def test_without_rabbitmq_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rabbit_node_module, "_PLACES", ())
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ConfigurationError, match="install the package rabbitmq-server"), serving(tmp_path):
        pass
