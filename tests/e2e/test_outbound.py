"""Events go out through real workers: killed, receivers gone and back, and every subject in its order."""

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from events.billing import InvoicePosted
from events.cloudevent import CloudEvent
from store import DeadLetterFilter, DeadLetterState
from tasks.discovery import load_registry
from tests.e2e.running import RunningFleet, running
from tests.receivers import SECRET, Receiver, answer, receiving
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SUBJECTS = 4


def posted(number: int, *, invoice: int, at: dt.datetime) -> dict[str, Any]:
    fact = InvoicePosted(invoice_id=invoice, number=f"INV/{number:03}")
    return CloudEvent.wrap(fact, source="/odoo", time=at).model_dump(mode="json", exclude_none=True)


def numbers(receiver: Receiver) -> list[tuple[int, str]]:
    return [(event["data"]["invoice_id"], event["data"]["number"]) for event in receiver.events()]


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Any]:
    """Set up a fleet with subscriptions, and an Odoo that nobody asks."""
    stack = []

    def begin(**to: str) -> RunningFleet:
        entries = {
            name: {"to": url, "events": ["invoice.*"], "secret": "n8n", "allow_private": True}
            for name, url in to.items()
        }
        # The first attempts of a day, and as many of them as a test has time for.
        retries = {"deliver": {"attempts": 30, "base": "1 s", "cap": "1 s"}}
        policies = tmp_path / "firm.yaml"
        silent = {name: {"enabled": False} for name in load_registry().automations}
        told = {"version": 1, "subscriptions": entries, "retries": retries, "automations": silent}
        policies.write_text(yaml.safe_dump(told))
        settings = {
            "PURSER_BROKER_URL": redis_url,
            "PURSER_ODOO_URL": "http://127.0.0.1:1",
            "PURSER_ODOO_DB": "none",
            "PURSER_ODOO_LOGIN": "none",
            "PURSER_ODOO_API_KEY": "none",
            "PURSER_POLICIES": str(policies),
            "PURSER_OUTBOUND_SECRETS": f"n8n {SECRET}",
            "PURSER_LEASE": "3",
            "PURSER_HEARTBEAT": "0.5",
        }
        fleet = running(settings, tmp_path)
        stack.append(fleet)
        return fleet.__enter__()

    yield begin
    for fleet in stack:
        fleet.__exit__(None, None, None)


def test_receiver_and_worker_killed_and_back_lose_nothing_and_keep_the_order(start: Any) -> None:
    now = dt.datetime.now(dt.UTC)
    with receiving() as first, receiving() as gone:
        fleet: RunningFleet = start(n8n=first.url, bi=gone.url)
        port = first.port
        gone.give = answer(410)
        worker = fleet.worker()
        made = itertools.count()

        def emit(count: int) -> None:
            for _ in range(count):
                number = next(made)
                event = posted(number, invoice=1 + number % SUBJECTS, at=now + dt.timedelta(seconds=number))
                fleet.fleet.publish("purser.accept", {"event": event}, label=f"invoice {number}")

        emit(8)
        wait_until(lambda: len(first.heard) >= 4, within=20, what="the first events to arrive")
    emit(8)  # and nobody listens
    wait_until(lambda: fleet.ledger.sendings.tally("n8n").failing_since, within=20, what="a failed attempt")
    # The order is that of the events which were accepted: one that a killed worker had not begun comes when it can.
    wait_until(lambda: fleet.log("w").count("event accepted") >= 16, within=20, what="all events to be accepted")
    fleet.kill(worker)
    emit(4)
    with receiving(port) as second:
        fleet.worker("w2")
        wait_until(lambda: fleet.quiet() and not fleet.ledger.inbox.count(), within=60, what="all to be done with")

        arrived = numbers(first) + numbers(second)
        expected = {(1 + n % SUBJECTS, f"INV/{n:03}") for n in range(20)}
        dead = fleet.ledger.letters.count(DeadLetterFilter(state=DeadLetterState.DEAD))
        assert set(arrived) == expected, f"lost: {expected - set(arrived)}, {dead} dead letters"
        firsts = list(dict.fromkeys(arrived))
        for subject in range(1, SUBJECTS + 1):
            of_subject = [number for invoice, number in firsts if invoice == subject]
            assert of_subject == sorted(of_subject), "a later event came first"
        ids = [one.id for one in (*first.heard, *second.heard)]
        assert len(set(ids)) == 20, "whoever gets an event twice can tell by its id"
        assert len(ids) - 20 <= 2, f"{len(ids) - 20} doubles: only what was under way at a kill may come twice"

    logged = fleet.log("w") + fleet.log("w2")
    assert "event accepted" in logged
    assert not any(secret in logged for secret in ("key=token", SECRET, 'INV/001"')), "a log told a secret or a body"

    # The other receiver wanted no more: asked once or twice, then left alone, and a person is told.
    assert 1 <= len(gone.heard) <= 2
    assert fleet.ledger.refusals.count() == len(gone.heard)
    assert fleet.ledger.sendings.tally("bi").left_out >= 18 - len(gone.heard)
    assert "bi" in fleet.ledger.outbound.switched_off()
