"""A gateway on an imitated ledger, before a broker that notes what it takes."""

import asyncio
import base64
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import fakeredis
import httpx

from config.policy.loader import load_policies
from config.settings import Settings
from events.signature import read_secret, sign
from gateway.app import include_routers
from gateway.limits import SourceRateLimiter
from purser.errors import Transient
from store import Ledger
from tasks.discovery import load_registry
from workers.context import WorkerContext

NOW = dt.datetime(2026, 11, 22, 9, 30, tzinfo=dt.UTC)


def secret(letter: str) -> str:
    return f"whsec_{base64.b64encode(letter.encode() * 32).decode()}"


CRM, OLD, SHOP = secret("c"), secret("o"), secret("s")
HOUSE = load_registry()
POLICIES = load_policies(HOUSE, None)
ENVELOPE, BATCH, PLAIN = (
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json",
)


def event(**changed: Any) -> dict[str, Any]:
    told = {
        "specversion": "1.0",
        "id": "deal-42",
        "source": "/crm",
        "type": "opportunity.won.v1",
        "time": "2026-11-22T09:30:00Z",
        "data": {"opportunity_id": 42},
    }
    return {name: value for name, value in {**told, **changed}.items() if value is not None}


def signed(
    body: bytes,
    *,
    by: str = CRM,
    id: str = "msg-1",  # noqa: A002
    moment: dt.datetime = NOW,
    **headers: str,
) -> dict[str, str]:
    """Return the headers of a request from whoever has this secret."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"content-type": ENVELOPE, **sign(read_secret(by), id=id, moment=moment, body=body), **named}


class Desk:
    """The gateway, its ledger and what the broker got."""

    def __init__(self, *, steady: Callable[[], float] = lambda: 0.0, **environ: str) -> None:
        told = {
            "PURSER_LEDGER_URL": "redis://nowhere",
            "PURSER_GATEWAY_SECRETS": f"/crm {CRM} {OLD}; /shop {SHOP}",
            **environ,
        }
        self.settings = Settings.load(environ=told)
        self.moment = NOW
        self.sent: list[tuple[str, dict[str, Any], str, Mapping[str, Any]]] = []
        """Task, values, label and options of each message."""
        self.broker_takes = 10**9
        """How many messages more until the broker goes away."""
        self.redis = fakeredis.FakeServer()
        self.fleet = WorkerContext(
            self.settings, HOUSE, POLICIES, self._publish, self._resend, now=lambda: self.moment
        )
        self.ledger = Ledger(fakeredis.FakeRedis(server=self.redis), now=lambda: self.moment)
        self.fleet.__dict__["ledger"] = self.ledger
        pace = SourceRateLimiter(self.settings.gateway_rate, steady=steady)
        self.app = include_routers(self.fleet, ask_broker=self._ask, hook_within=30, pace=pace)

    @property
    def told(self) -> list[Any]:
        """The events that the broker got."""
        return [kwargs["event"] for task, kwargs, _, _ in self.sent if task == "purser.accept"]

    def send(self, told: Any, **headers: Any) -> httpx.Response:
        """Send what is told as JSON, signed."""
        body = json.dumps(told).encode()
        return self.post("/events", body, signed(body, **headers))

    def post(self, path: str, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str] = {}) -> httpx.Response:
        named = {name: value.encode() for name, value in headers.items()}
        return self.ask("POST", path, content=body, headers=named)

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(method, path, **given)

        return asyncio.run(once())

    def _publish(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        if not self.broker_takes:
            raise Transient(f"the broker did not take `{task}`")
        self.broker_takes -= 1
        self.sent.append((task, kwargs, label, options))

    def _resend(self, *_: Any) -> None:
        raise AssertionError("the gateway sends no letters")

    def _ask(self) -> None:
        if not self.broker_takes:
            raise Transient("the broker does not answer")
