"""How long the gateway takes to answer under load, against a bare FastAPI route that answers 202."""

import argparse
import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from devtools.local.redis_server import serving
from events.signature import read_secret, sign
from store import Ledger

SECRET = f"whsec_{base64.b64encode(b'bench' * 6).decode()}"
TOKEN = "for-this-bench-only"  # noqa: S105 - opens nothing that lasts
TIMEOUT_SECONDS = 30.0
_BARE = """
import socket, fastapi, uvicorn
app = fastapi.FastAPI(openapi_url=None)

@app.post("/events", status_code=202)
async def events(request: fastapi.Request) -> dict[str, bool]:
    await request.body()
    return {"known": False}

with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    print(f'"address": "http://127.0.0.1:{listener.getsockname()[1]}"', flush=True)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, http="h11", ws="none")).run([listener])
"""

Request = Callable[[int], bytes]
LATE: list[int] = []
"""Hooks that the gateway gave up on after its tenth of a second."""

_FRESH = itertools.count(1_000_000, 1_000_000)
"""Numbers of events that nobody has told yet."""


def main() -> None:
    """Start a server, a gateway and a bare application, and ask each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="in each round, of each kind")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8], help="connections that ask at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, serving(Path(home) / "broker") as server:
        settings = {
            "PURSER_BROKER_URL": server.url,
            "PURSER_GATEWAY_SECRETS": f"/bench {SECRET}",
            "PURSER_GATEWAY_PORT": "0",
            "PURSER_GATEWAY_RATE": "1000000",
            "PURSER_LOG_FORMAT": "json",
        }
        ledger = Ledger.connect(server.url)
        ledger.hooks.add("bench", hashlib.sha256(TOKEN.encode()).hexdigest(), ["crm.lead"])
        ledger.close()
        gateway = process(["-m", "gateway"], settings, Path(home) / "gateway.log")
        bare = process(["-c", _BARE], {}, Path(home) / "bare.log")
        with gateway as ours, bare as theirs:
            for clients in options.clients:
                compare(ours, theirs, clients, options.rounds, options.requests)


def compare(ours: str, theirs: str, clients: int, rounds: int, count: int) -> None:
    """Print the figures of one number of clients; who is compared takes turns."""
    kinds = {
        "a bare route": (theirs, single),
        "POST /events, one event": (ours, single),
        "POST /events, batch of 100": (ours, batch),
        "POST /hooks/odoo": (ours, hook),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
    LATE.clear()
    for _ in range(rounds):
        for name, (url, request) in kinds.items():
            asked = max(1, count // 50) if request is batch else count
            first = next(_FRESH)
            found[name].append(figures(*asyncio.run(load(url, request, clients, asked, first))))
    print(f"{clients} at a time")  # the load of the machine shows in the bare route
    for name, rows in found.items():
        p50, p99, rate = (statistics.median(column) for column in zip(*rows, strict=True))
        against = found["a bare route"]
        ratios = [
            statistics.median(mine[n] / theirs_[n] for mine, theirs_ in zip(rows, against, strict=True))
            for n in (0, 1)
        ]
        worst = max(row[1] for row in rows)
        told = f"{rate:7,.0f}/s  {ratios[0]:5.1f}x and {ratios[1]:5.1f}x a bare route"
        told += f", {len(LATE)} answered with 503" if name.endswith("odoo") and LATE else ""
        print(f"  {name:<28} p50 {p50:7.2f} ms  p99 {p99:7.2f} ms (worst round {worst:.1f})  {told}", flush=True)


def figures(took: list[float], seconds: float) -> tuple[float, float, float]:
    """Return the median and the 99th of a hundred, in milliseconds, and requests a second."""
    cut = statistics.quantiles(took, n=100) if len(took) > 1 else [took[0]] * 99
    return cut[49] * 1000, cut[98] * 1000, len(took) / seconds


# -------------------------------------------------------------------------------- requests --


def event(number: int) -> dict[str, object]:
    """Return an event that no automation reacts to."""
    return {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/bench",
        "type": "ticket.resolved.v1",
        "time": "2026-11-22T09:30:00Z",
        "data": {"ticket_id": 1 + number % 2_000_000_000},
    }


def single(number: int) -> bytes:
    """Return a request with one event."""
    return _events(json.dumps(event(number)).encode(), "application/cloudevents+json")


def batch(number: int) -> bytes:
    """Return a request with a hundred events."""
    told = [event(number * 100 + n) for n in range(100)]
    return _events(json.dumps(told).encode(), "application/cloudevents-batch+json")


def hook(number: int) -> bytes:
    """Return what a rule in Odoo posts."""
    body = json.dumps({"_action": "won(#7)", "_id": number % 2_000_000_000 + 1, "_model": "crm.lead"}).encode()
    return _request(f"/hooks/odoo/{TOKEN}", body, {"content-type": "application/json"})


def _events(body: bytes, kind: str) -> bytes:
    signed = sign(read_secret(SECRET), id="bench", moment=dt.datetime.now(dt.UTC), body=body)
    return _request("/events", body, {"content-type": kind, **signed})


def _request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: gateway", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


# ------------------------------------------------------------------------------------ load --


async def load(url: str, request: Request, clients: int, count: int, first: int) -> tuple[list[float], float]:
    """Ask so often over some connections; give how long each answer took, and all of them together."""
    numbers = iter(range(first, first + count))
    took: list[float] = []
    await asyncio.gather(*(_client(url, request, iter(range(n, n + 5)), []) for n in range(first - 50, first, 5)))
    began = time.perf_counter()
    await asyncio.gather(*(_client(url, request, numbers, took) for _ in range(clients)))
    return took, time.perf_counter() - began


async def _client(url: str, request: Request, numbers: Iterator[int], took: list[float]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for number in numbers:
        sent = request(number)
        began = time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        took.append(time.perf_counter() - began)
        if head.startswith(b"HTTP/1.1 503") and request is hook:
            LATE.append(number)  # answered in time that it is late, which is what hooks are for
        elif not head.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"answered {head.decode()}{body.decode()}")
    writer.close()


@contextlib.contextmanager
def process(argv: list[str], environ: dict[str, str], log: Path) -> Iterator[str]:
    """Run a server as a process; give its address."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, *argv],
            env={**others, **environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=log.parent,
            stdout=out,
            stderr=out,
        )
    try:
        yield _address(log, started)
    finally:
        started.terminate()
        started.wait(timeout=20)


def _address(log: Path, started: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        found = re.search(r'"address": "([^"]+)"', log.read_text())
        if found:
            return found[1]
        time.sleep(0.1)
    raise SystemExit(f"it did not start:\n{log.read_text()}")


if __name__ == "__main__":
    main()
