"""Send mutated messages through a running worker, and account for every one of them."""

import json
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import redis

from store import Ledger
from tests.e2e.running import RunningFleet, running, write_policies
from tests.mutations import chosen_seed, mutated, originals
from tests.waiting import wait_until
from workers.broker.kombu_envelope import write_envelope

APP = "tests.e2e.counting"
"""The app of the worker; its task counts the messages that were carried out."""
TASK = "test.count"
COUNTER = "test:counted"
QUEUE = "apply"
BATCH = 200
"""Messages that are on the queue at a time."""
MOST_GROWTH = 30 * 2**20
"""Bytes by which the main process may grow between the half and the end."""
SIGNS_OF_TROUBLE = (
    "error outside of a task",
    "places of the pool were lost",
    "held and not worked on",
    "a callback of the event loop failed",
)


def fuzz(pool: str, count: int, settings: Mapping[str, str], home: Path) -> None:
    """Check that a worker of this pool outlives mutated messages, that each is done or kept, and memory stays flat.

    FUZZ_MESSAGES says how many instead of `count`, FUZZ_SEED repeats a failure.
    """
    seed, count = chosen_seed(), int(os.environ.get("FUZZ_MESSAGES", count))
    say = f"FUZZ_SEED={seed} FUZZ_MESSAGES={count}"
    odoo = {"URL": "http://127.0.0.1:9", "DB": "none", "LOGIN": "none", "API_KEY": "none"}
    policies = write_policies(home / "p.yaml", every="every 1 hour")
    environ = {**settings, "PURSER_POLICIES": str(policies), **{f"PURSER_ODOO_{name}": odoo[name] for name in odoo}}
    with running(environ, home) as fleet, redis.Redis.from_url(fleet.settings.ledger) as client:
        options = ("worker", "-Q", QUEUE, "-n", "w@test", "--pool", pool, "-c", "2")
        worker = fleet.start("w", *options, ready="w@test ready.", app=APP)

        def has_taken_all() -> bool:
            assert worker.poll() is None, f"{say}: the worker ended:\n{fleet.log('w')[-3000:]}"
            return not fleet.depth(QUEUE) and not fleet.held()

        def counted() -> int:
            return int(client.get(COUNTER) or 0)

        processes, sent, half = _children(worker.pid), 0, 0
        for batch in _batches(random.Random(seed), count):
            client.lpush(QUEUE, *batch)
            sent += len(batch)
            wait_until(has_taken_all, within=60, what=f"{sent} messages to be taken ({say})")
            ends = counted(), kept_as_letters(fleet.ledger), fleet.ledger.delayed.count()
            assert sum(ends) == sent, f"{say}: done, dead letters and waiting after {sent} messages: {ends}"
            half = half or (_memory(worker.pid) if sent >= count // 2 else 0)
        assert 0 < counted() < sent, say
        assert _memory(worker.pid) - half < MOST_GROWTH, say
        assert _children(worker.pid) == processes, f"{say}: a process of the pool ended"
        before = counted()
        client.lpush(QUEUE, *(good(number) for number in range(count, count + 8)))
        wait_until(lambda: counted() == before + 8, within=20, what=f"good messages at the end ({say})")
        assert _signs_of_trouble(fleet) == [], say


def kept_as_letters(ledger: Ledger) -> int:
    """Return how many messages became dead letters. Those of the same content are one, with an attempt for each."""
    found = [ledger.letters.get(id_) for id_ in ledger.letters.ids()]
    return sum(len(one.attempts) for one in found if one is not None)


def good(number: int) -> bytes:
    """Return a message that can be carried out."""
    parts = originals(TASK, number)[0]
    return write_envelope(
        body=json.dumps(parts["body"]).encode(),
        headers=parts["headers"],
        properties={},
        content_type="application/json",
        content_encoding="utf-8",
        queue=QUEUE,
    )


def _batches(rng: random.Random, count: int) -> Iterator[list[bytes]]:
    """Yield mutated messages."""
    for start in range(0, count, BATCH):
        yield [mutated(rng, TASK, number) for number in range(start, min(start + BATCH, count))]


def _signs_of_trouble(fleet: RunningFleet) -> list[str]:
    log = fleet.log("w")
    return [sign for sign in SIGNS_OF_TROUBLE if sign in log]


def _children(pid: int) -> set[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for path in lists for child in path.read_text().split()}


def _memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
