"""A fleet without processes that sends events out: what is published lies on a list until it is worked on."""

import datetime as dt
import itertools
from functools import cache
from typing import Any

import fakeredis

from config.policy.loader import parse_policies
from config.settings import Settings
from events.billing import InvoicePosted
from events.cloudevent import CloudEvent
from purser.registry import Registry
from store import DeliveryResult, Ledger, PauseCache
from tests.receivers import SECRET
from workers.context import WorkerContext
from workers.events import react
from workers.outbound import deliver as outbound

WANTS = "allow_private: true, events: [invoice.*, payment.missed.v1]"
_CATALOGUE = Registry.of(())
_SETTINGS = Settings.load(
    environ={
        "PURSER_LEDGER_URL": "redis://localhost",
        "PURSER_OUTBOUND_SECRETS": f"n8n {SECRET}",
    }
)
_numbers = itertools.count()
_CLIENT = fakeredis.FakeRedis(server=fakeredis.FakeServer())


@cache
def start() -> dt.datetime:
    """Return the moment of the first test here: the official package verifies by the clock of this machine."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


class Desk:
    """A fleet without processes: what is published lies on a list until it is worked on."""

    def __init__(self, subscriptions: str) -> None:
        self.moment = start()
        self.queue: list[tuple[str, dict[str, Any], str]] = []
        policies = parse_policies(_CATALOGUE, f"version: 1\nsubscriptions:\n{subscriptions}", source="x")
        self.fleet = WorkerContext(_SETTINGS, _CATALOGUE, policies, self._publish, lambda _: None, now=self.now)
        self.ledger = Ledger(_CLIENT, prefix=f"desk{next(_numbers)}", now=self.now)
        self.fleet.__dict__["ledger"] = self.ledger
        self.fleet.__dict__["pauses"] = PauseCache(self.ledger.pauses, max_age=0.0)

    def now(self) -> dt.datetime:
        return self.moment

    def _publish(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        self.queue.append((task, kwargs, options["task_id"]))

    def accept(self, event: dict[str, Any]) -> tuple[str, ...]:
        self.moment += dt.timedelta(milliseconds=1)
        return react.accept(self.fleet, event, holder="m")

    def deliver(self, event: dict[str, Any], name: str = "n8n", *, attempt: int = 1) -> DeliveryResult:
        self.moment += dt.timedelta(milliseconds=1)
        return outbound.deliver(self.fleet, name, event, attempt=attempt)

    def last(self, name: str = "n8n") -> tuple[Any, ...]:
        one = self.ledger.sendings.latest(name, limit=1)[0]
        return one.outcome, one.status, one.attempt


def posted(number: int = 1, *, invoice: int = 7, minute: int = 0) -> dict[str, Any]:
    fact = InvoicePosted(invoice_id=invoice, number=f"INV/{number}")
    envelope = CloudEvent.wrap(fact, source="/odoo", time=start() + dt.timedelta(minutes=minute))
    return envelope.model_dump(mode="json", exclude_none=True)
