"""The receivers that the documentation shows take what is sent, and nothing else."""

import datetime as dt
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.policy.subscriptions import Subscription
from events.signature import read_secret
from tests.receivers import OLD_SECRET, SECRET
from tests.waiting import wait_until
from workers.outbound.http import post

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
EVENT = {"specversion": "1.0", "id": "e", "source": "/x", "type": "invoice.posted.v1", "data": {"number": "Zürich/1"}}


@contextmanager
def running(program: str, example: str, port: int) -> Iterator["subprocess.Popen[str]"]:
    command = [program, str(EXAMPLES / example)]
    environ = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        wait_until(lambda: answers(port), what=f"{example} to listen")
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("example", ["receive_events.py", "receive_events.mjs"])
def test_a_documented_receiver_verifies_and_works_once(example: str) -> None:
    program = sys.executable if example.endswith(".py") else shutil.which("node")
    if program is None:
        pytest.skip("no node here")
    port, now = free_port(), dt.datetime.now(dt.UTC)
    to = Subscription(name="x", to=f"http://127.0.0.1:{port}/", events=("*",), secret="x", allow_private=True)

    def sends(id_: str, *secrets: str, at: dt.datetime = now) -> int:
        return post(to, id_, EVENT, [read_secret(one) for one in secrets], now=at).status

    with running(program, example, port) as process:
        assert sends("m-1", SECRET) == 204
        assert sends("m-1", SECRET) == 204
        assert sends("m-2", OLD_SECRET, SECRET) == 204, "while a secret is replaced there are two signatures"
        assert sends("m-3", OLD_SECRET) == 401
        assert sends("m-4", SECRET, at=now - dt.timedelta(minutes=6)) == 401
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        assert all(line.startswith("invoice.posted.v1") for line in lines)
        process.kill()
        assert process.stdout.read() == "", "each id was worked on once"
