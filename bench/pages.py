"""How long Flower's pages of dead letters take among 100,000 letters, and how much memory their process keeps."""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import redis

from bench.store import FAULTS, made
from store import Ledger

TIMEOUT_SECONDS = 60.0
PASSWORD = "for this bench only"  # noqa: S105 - opens nothing that lasts


def main() -> None:
    """Fill an empty database, measure, and empty it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="an empty database of a Redis")
    parser.add_argument("--letters", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=30, help="how often each page is asked for")
    options = parser.parse_args()
    with redis.Redis.from_url(options.url) as server:
        if server.dbsize():
            raise SystemExit(f"{options.url} is not empty, and this bench empties what it has filled")
        try:
            measure(options.url, options.letters, options.rounds)
        finally:
            server.flushdb()


def measure(url: str, count: int, rounds: int) -> None:
    """Print what each page costs."""
    ledger = Ledger.connect(url)
    for n in range(count):
        ledger.letters.store(made(n))
    ledger.close()
    print(f"{count:,} letters of {FAULTS} faults", flush=True)
    one = made(count // 2)
    pages = {
        "groups": ("/dead", {}),
        "list": ("/dead/letters", {}),
        "list of one fault": ("/dead/letters", {"fingerprint": one.fingerprint}),
        "list of a task and a reason": ("/dead/letters", {"task": one.task, "reason": one.reason}),
        "list about a record": ("/dead/letters", {"subject": one.subjects[0]}),
        "list with a common text": ("/dead/letters", {"text": "mail.activity"}),
        "list with a rare text": ("/dead/letters", {"text": f"s{count // 2:06}"}),
        "one letter": ("/dead/letter", {"id": one.id}),
    }
    with flower(url) as (address, pid), httpx.Client(base_url=address, auth=("purser", PASSWORD)) as client:
        for name, (path, words) in pages.items():
            took = [_ask(client, f"{path}?{urlencode(words)}") for _ in range(rounds)]
            told = f"{statistics.median(took):8.1f} ms   worst {max(took):8.1f} ms"
            print(f"{name:<30} {told}   process {_resident(pid):6.1f} MB", flush=True)


def _ask(client: httpx.Client, address: str) -> float:
    began = time.perf_counter()
    answer = client.get(address, timeout=TIMEOUT_SECONDS)
    took = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    return took


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


@contextlib.contextmanager
def flower(url: str) -> Iterator[tuple[str, int]]:
    """Run `purser flower` for this ledger; give its address and process."""
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "flower.log"
        others = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
        told = {"PURSER_BROKER_URL": url, "PURSER_FLOWER_PASSWORD": PASSWORD, "PURSER_ENVIRONMENT": "bench"}
        command = (sys.executable, "-c", "from console.cli.main import main; main()", "flower", "--port", "0")
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env={**others, **told, "PYTHONPATH": str(Path(__file__).parents[1])},
                cwd=home,
                stdout=out,
                stderr=out,
            )
        try:
            yield _address(log, process), process.pid
        finally:
            process.terminate()
            process.wait(timeout=20)


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("Flower: http"):
                parts = urlsplit(line.split()[1])
                return f"{parts.scheme}://{parts.netloc}"
        time.sleep(0.1)
    raise SystemExit(f"Flower did not start:\n{log.read_text()}")


if __name__ == "__main__":
    main()
