"""A storm's schedule is decided by its seed, its faults strike what they name, and its result is judged strictly."""

import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli.main import app
from devtools.chaos.environment import ProcessExit
from devtools.chaos.fault import Against
from devtools.chaos.fault_proxy import FaultProxy
from devtools.chaos.skewed_clock import read_offset, write_offset
from devtools.chaos.storm.result import StormRound, facts
from devtools.chaos.storm.schedule import draw_schedule
from devtools.chaos.storm.storm_faults import FAULTS

GOOD = StormRound(
    seed=1,
    faults=Counter({"child killed": 2}),
    messages=10,
    effects=30,
    lost=(),
    doubled=(),
    dead=Counter(),
    exits=(),
    restarts_in_place=0,
    seconds=1.0,
)


def test_a_schedule_is_the_same_for_the_same_seed() -> None:
    first, again, other = (
        draw_schedule(FAULTS, 200, against="redis", own_ledger=False, seed=seed) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("against", "own_ledger", "never"),
    [
        ("redis", False, {"RabbitMQ killed", "ledger killed"}),
        ("redis", True, {"RabbitMQ killed"}),
        ("rabbitmq", True, {"Redis frozen", "broker killed"}),
    ],
)
def test_a_schedule_holds_only_faults_that_can_strike(against: Against, own_ledger: bool, never: set[str]) -> None:
    drawn = {
        entry.fault.name for entry in draw_schedule(FAULTS, 3000, against=against, own_ledger=own_ledger, seed=3)
    }
    assert drawn == {one.name for one in FAULTS if against in one.brokers and (own_ledger or one.target != "ledger")}
    assert not drawn & never


def test_a_fault_of_a_worker_occupies_that_worker_and_any_other_its_server() -> None:
    resources = {
        (entry.fault.target, entry.worker): entry.resource
        for entry in draw_schedule(FAULTS, 500, against="redis", own_ledger=True, seed=4)
    }
    assert resources["worker", "a"] == "worker a"
    assert resources["worker", "b"] == "worker b"
    assert resources["broker", "a"] == resources["broker", "b"] == "broker"


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, lost=("m1",)),
        replace(GOOD, doubled=("m1",)),
        replace(GOOD, exits=(ProcessExit("a", 4711, 1),)),
        replace(GOOD, problem="not at rest"),
        replace(GOOD, dead=Counter({"permanent failure: purser.apply": 1})),
    ],
)
def test_a_round_with_any_loss_doubling_exit_or_unjust_letter_is_not_good(bad: StormRound) -> None:
    assert GOOD.is_good
    assert not bad.is_good


def test_a_letter_of_a_message_whose_process_was_killed_each_time_is_just() -> None:
    assert replace(GOOD, dead=Counter({"too many deliveries: purser.apply": 1})).is_good


def test_the_rounds_are_added_up() -> None:
    total = facts([GOOD, replace(GOOD, faults=Counter({"link slow": 1}), doubled=("m2",))])
    assert (total["faults"], total["messages"], total["doubled"]) == (3, 20, 1)
    assert total["by_fault"] == {"child killed": 2, "link slow": 1}


def test_storm_says_which_rounds_prove_nothing_because_work_still_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restless = replace(GOOD, problem="round 2 was not at rest after 90 s: 3 messages wait on apply")
    monkeypatch.setattr("devtools.chaos.storm.runner.run", lambda *_: [GOOD, restless])
    done = CliRunner().invoke(app(), ["storm", "--faults", "2"])
    assert done.exit_code == 1
    words = " ".join(done.output.split())
    assert "1 round of 2 did not come to rest" in words
    assert "3 messages wait on apply" in words


# --------------------------------------------------------------------------------- proxy --


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Return a listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


def _pair(server: socket.socket, proxy: FaultProxy) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    accepted, _ = server.accept()
    accepted.settimeout(5)
    return client, accepted


def test_a_half_closed_connection_ends_for_one_of_its_readers(server: socket.socket) -> None:
    with FaultProxy(server.getsockname()[1], random.Random(1)) as proxy:
        client, accepted = _pair(server, proxy)
        with client, accepted:
            client.sendall(b"before")
            assert accepted.recv(10) == b"before"
            assert proxy.half_close(share=1.0) == 1
            client.setblocking(False)
            accepted.setblocking(False)
            ended: list[bytes] = []
            deadline = time.monotonic() + 5
            while not ended and time.monotonic() < deadline:
                for one in (client, accepted):
                    try:
                        ended.append(one.recv(10))
                    except BlockingIOError:
                        continue
            assert ended == [b""]


def test_a_silent_proxy_forwards_what_was_sent_when_it_speaks_again(server: socket.socket) -> None:
    with FaultProxy(server.getsockname()[1], random.Random(1)) as proxy:
        client, accepted = _pair(server, proxy)
        with client, accepted:
            with proxy.silent():
                client.sendall(b"waits")
                accepted.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    accepted.recv(10)
            accepted.settimeout(5)
            assert accepted.recv(10) == b"waits"


# --------------------------------------------------------------------------------- clock --


def test_a_process_follows_the_clock_offset_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    write_offset(file, 3600.0)
    offset = read_offset(f"@{file}")
    assert offset() == 3600.0
    write_offset(file, -30.0)
    assert offset() == -30.0
    assert read_offset("60")() == 60.0


def test_the_wrong_clock_is_what_a_program_sees(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    write_offset(file, 86_400.0)
    (tmp_path / "tells.py").write_text(
        "import time, datetime\nprint(time.time(), datetime.datetime.now().timestamp())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "devtools.chaos.skewed_clock", f"@{file}", "--", "tells"],
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).resolve().parents[3]}"},
        capture_output=True,
        text=True,
        check=True,
    )
    for seen in done.stdout.splitlines()[-1].split():
        assert 86_000 < float(seen) - time.time() < 87_000
