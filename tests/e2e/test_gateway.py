"""What the gateway has answered for is accepted once, whatever becomes of the broker meanwhile."""

import base64
import contextlib
import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from structlog.testing import capture_logs

from devtools.local.redis_server import serving
from events.signature import read_secret, sign
from tests.e2e.gateways import ROOT, Gateway, listening
from tests.e2e.running import RunningFleet, running
from tests.waiting import wait_until
from workers.events import react

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SECRET = f"whsec_{base64.b64encode(b'crm' * 10).decode()}"
SINGLES, BATCHES, SIZE = 500, 95, 100
EVENTS = SINGLES + BATCHES * SIZE
GUIDE = ROOT / "docs" / "how-to" / "http.md"


def environment(broker_url: str) -> dict[str, str]:
    """An Odoo that is not there: of these events the fleet has nothing to do but accept them."""
    return {
        "PURSER_BROKER_URL": broker_url,
        "PURSER_ODOO_URL": "http://127.0.0.1:9",
        "PURSER_ODOO_DB": "nowhere",
        "PURSER_ODOO_LOGIN": "nobody",
        "PURSER_ODOO_API_KEY": "opens nothing",
        "PURSER_GATEWAY_SECRETS": f"/crm {SECRET}",
        "PURSER_GATEWAY_PORT": "0",
        "PURSER_GATEWAY_RATE": "100000",
        "PURSER_LEASE": "3",
        "PURSER_HEARTBEAT": "0.5",
    }


def event(number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/crm",
        "type": "ticket.resolved.v1",
        "time": "2026-11-22T09:30:00Z",
        "data": {"ticket_id": number + 1},
    }


def requests() -> list[tuple[str, bytes]]:
    """Return every event, alone or in a batch."""
    alone = [("application/cloudevents+json", json.dumps(event(n)).encode()) for n in range(SINGLES)]
    batches = [
        (
            "application/cloudevents-batch+json",
            json.dumps([event(n) for n in range(start, start + SIZE)]).encode(),
        )
        for start in range(SINGLES, EVENTS, SIZE)
    ]
    return [*alone[::2], *batches, *alone[1::2]]


class Sender:
    """Sends as a careful service would: the same again until it is answered for."""

    def __init__(self, client: httpx.Client) -> None:
        self.refused: dict[int, int] = {}
        self.answered = 0
        self._client = client
        self._pause = threading.Event()

    def send(self, numbered: tuple[int, tuple[str, bytes]]) -> None:
        number, (kind, body) = numbered
        key = read_secret(SECRET)
        while True:
            headers = sign(key, id=f"msg-{number}", moment=dt.datetime.now(dt.UTC), body=body)
            answer = self._client.post("/events", content=body, headers={"content-type": kind, **headers})
            if answer.status_code == 202:
                self.answered += 1
                return
            self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1
            assert answer.status_code == 503, answer.text
            self._pause.wait(0.3)


def test_ten_thousand_events_with_the_broker_restarted_are_each_accepted_once(tmp_path: Path) -> None:
    home = tmp_path / "broker"
    with contextlib.ExitStack() as everything, contextlib.ExitStack() as server:
        url = server.enter_context(serving(home)).url
        fleet = everything.enter_context(running(environment(url), tmp_path))
        gateway = everything.enter_context(listening(environment(url), tmp_path))
        client = everything.enter_context(httpx.Client(base_url=gateway.url, timeout=30))
        sender = Sender(client)
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(sender.send, one) for one in enumerate(requests())]
            wait_until(lambda: sender.answered > len(sent) // 2, within=60, what="half of the answers")
            server.close()
            wait_until(lambda: sender.refused, what="an answer that the broker is away")
            ready = client.get("/health/ready")
            assert (ready.status_code, ready.json()["detail"]) == (
                503,
                "the ledger and the broker cannot be reached",
            )
            everything.enter_context(serving(home))
            for one in sent:
                one.result()

        assert accept_all(fleet) == {f"e-{number}": 1 for number in range(EVENTS)}
        assert client.get("/health/ready").status_code == 200
        known = client.post("/events", **again(requests()[0]))
        assert (known.status_code, known.json()["known"]) == (202, True)
        assert fleet.depth("events") == 0
        assert gateway.stop() == 0
        assert "e-1" not in gateway.log.read_text()
        fleet.stop()


def accept_all(fleet: RunningFleet) -> Counter[str]:
    """Accept every message on the queue as a worker does; count what that makes of each event."""
    with redis.Redis.from_url(fleet.settings.broker) as client, capture_logs() as said:
        for raw in client.lrange("events", 0, -1):
            message = json.loads(raw)
            _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
            react.accept(fleet.fleet, kwargs["event"], holder=message["headers"]["id"])
        client.delete("events")
    return Counter(entry["event_id"] for entry in said if entry["event"] == "event accepted")


def again(request: tuple[str, bytes]) -> dict[str, Any]:
    kind, body = request
    signed = sign(read_secret(SECRET), id="again", moment=dt.datetime.now(dt.UTC), body=body)
    return {"content": body, "headers": {"content-type": kind, **signed}}


def test_every_language_of_the_guide_is_let_in_and_a_stop_answers_what_was_begun(
    redis_url: str, tmp_path: Path
) -> None:
    with listening(environment(redis_url), tmp_path) as gateway:
        told = [run_example(gateway.url, language) for language in ("sh", "python", "js")]
        assert [(one["source"], one["id"], one["known"]) for one in told] == [
            ("/crm", "deal-4711-won", False),
            ("/crm", "e-1", False),
            ("/crm", "e-2", False),
        ]
        with redis.Redis.from_url(redis_url) as client:
            assert client.llen("events") == 3
        stop_in_mid_request(gateway)
        assert gateway.process.wait(timeout=20) == 0


def run_example(url: str, language: str) -> dict[str, Any]:
    """Send an event as the guide shows it for a language; give the answer."""
    (shown,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    command = {
        "sh": ["/bin/sh", "-c", shown],
        "python": [sys.executable, "-c", f"{shown}\nprint(json.dumps(send({event(1)!r})))"],
        "js": [
            *("node", "--input-type=module", "-e"),
            f"{shown}\nconsole.log(JSON.stringify(await send({json.dumps(event(2))})))",
        ],
    }[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on the PATH")
    env = {"PATH": os.environ["PATH"], "SECRET": SECRET, "GATEWAY": url}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def stop_in_mid_request(gateway: Gateway) -> None:
    """Tell a gateway to stop while half of a request is there, and send the other half once nobody new is let in."""
    body = json.dumps(event(3)).encode()
    headers = {
        **sign(read_secret(SECRET), id="m", moment=dt.datetime.now(dt.UTC), body=body),
        "content-type": "application/cloudevents+json",
    }
    half_sent, goes_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        half_sent.set()
        assert goes_on.wait(20)
        yield body[10:]

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{gateway.url}/events", content=slowly(), headers=headers, timeout=30)
        assert half_sent.wait(20)
        os.kill(gateway.process.pid, signal.SIGTERM)
        wait_until(lambda: refuses(gateway.url), what="nobody new to be let in")
        goes_on.set()
        assert answer.result().status_code == 202


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/health/live", timeout=5)
    except httpx.TransportError:
        return True
    return False
