"""Anybody can tell the fleet an event: each documented producer does, on a real broker, and none counts twice."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from amqp.exceptions import PreconditionFailed
from kombu.connection import Connection
from kombu.entity import Queue

from devtools.local.rabbitmq_node import RabbitNode
from tests.conftest import service_is_missing
from tests.e2e.running import RunningFleet, running
from tests.rabbits import vhost
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PRODUCERS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "producers"
SAYS = "What nobody but Odoo may read"
PROGRAMS = {".py": sys.executable, ".mjs": "node", ".sh": "sh"}


def event(number: int) -> dict[str, Any]:
    """Return an event that no automation reacts to: it is accepted, and Odoo is not asked."""
    return {
        "specversion": "1.0",
        "id": f"told-{number}",
        "source": "/producers",
        "type": "staffing.requested.v1",
        "data": {"project_id": 7, "request": SAYS},
    }


def settings(**more: str) -> dict[str, str]:
    odoo = {"URL": "http://127.0.0.1:9", "DB": "none", "LOGIN": "bot", "API_KEY": "key"}
    return {**{f"PURSER_ODOO_{name}": value for name, value in odoo.items()}, **more}


def tell(name: str, *args: str, told: Mapping[str, Any], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a producer as its first line says, with an event on its stdin."""
    program = PROGRAMS[Path(name).suffix]
    for needed in (program, *(["redis-cli"] if "redis_cli" in name else [])):
        if shutil.which(needed) is None:
            service_is_missing(f"this test needs {needed} on the PATH")
    process = subprocess.Popen(
        [program, str(PRODUCERS / name), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environ},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(told, indent=2))
    process.stdin.close()
    return process


def each_counts_once(
    fleet: RunningFleet, producers: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]
) -> None:
    """Let each producer tell an event of its own."""
    worker = fleet.worker(queues="events")
    told = [
        (name, tell(name, *args, told=event(number), environ=environ))
        for number, (name, args) in enumerate(producers.items())
    ]
    for name, process in told:
        assert process.stdout is not None
        with process.stdout as says:
            assert process.wait(timeout=60) == 0, f"{name}: {says.read()}"
    ids = [f"told-{number}" for number in range(len(producers))]
    wait_until(lambda: all(fleet.ledger.events.seen("/producers", one) for one in ids), within=30, what="each event")
    assert sorted(re.findall(r"event accepted .*event_id=(\S+)", fleet.log("w"))) == ids
    assert fleet.ledger.letters.count() == 0
    assert worker.poll() is None
    assert SAYS not in fleet.log("w")


def test_every_producer_for_redis_is_understood(redis_url: str, tmp_path: Path) -> None:
    with running(settings(PURSER_BROKER_URL=redis_url), tmp_path) as fleet:
        each_counts_once(
            fleet,
            {
                "with_celery.py": (),
                "with_kombu.py": (),
                "with_node_redis.mjs": (),
                "with_redis_cli.sh": (redis_url,),
            },
            {"BROKER_URL": redis_url},
        )


def test_every_producer_for_rabbitmq_is_understood(rabbit_node: RabbitNode, redis_url: str, tmp_path: Path) -> None:
    parts = urlsplit(rabbit_node.url)
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {parts.username} password {parts.password}\n")
    netrc.chmod(0o600)
    with (
        vhost(rabbit_node) as url,
        running(settings(PURSER_BROKER_URL=url, PURSER_LEDGER_URL=redis_url), tmp_path) as fleet,
    ):
        name = urlsplit(url).path[1:]
        login = f"{parts.username}:{quote(str(parts.password))}"
        each_counts_once(
            fleet,
            {
                "with_celery.py": (),
                "with_kombu.py": (),
                "with_node_rabbitmq.mjs": (),
                "with_rabbitmq.sh": (rabbit_node.management, name),
            },
            {
                "BROKER_URL": url,
                "RABBITMQ_URL": rabbit_node.management.replace("//", f"//{login}@"),
                "RABBITMQ_VHOST": name,
                "HOME": str(tmp_path),
            },
        )
        connect: Any = Connection
        make: Any = Queue
        with connect(url) as connection, pytest.raises(PreconditionFailed):  # why a client must not declare by itself
            make("events")(connection.channel()).declare()
