"""A message that is parked again and again has been waiting since it was parked first."""

import base64
import datetime as dt
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from store import DelayedMessage, DelayKind
from tests.unit.workers.dead_letters.test_letter_edit import NOW, Desk
from workers.dead_letters.capture import schedule_retry

HEADERS = {"id": "m1", "task": "purser.scan", "kwargsrepr": "a control", "retries": 0}


def _delivered(headers: Mapping[str, Any], body: bytes = b'[[], {"control": "x"}, null]') -> Any:
    """Return a message as a broker delivers it that does not keep what it holds in Redis."""
    return SimpleNamespace(
        channel=None,
        delivery_tag="1",
        delivery_info={"queue": "scans"},
        headers=dict(headers),
        properties={},
        body=body,
        content_type="application/json",
        content_encoding="utf-8",
        errors=None,
        ack=lambda: None,
    )


def _sent_again(kept: DelayedMessage) -> Any:
    """Return a parked message as it is delivered once its time has come."""
    envelope = json.loads(kept.payload)
    return _delivered(envelope["headers"], base64.b64decode(envelope["body"]))


def test_waiting_counts_from_the_first_parking() -> None:
    desk, message = Desk(), _delivered(HEADERS)
    for hours in range(4):
        desk.moment = NOW + dt.timedelta(hours=hours)
        kind = DelayKind.RETRY if hours == 1 else DelayKind.SNOOZE
        schedule_retry(desk.fleet, message, kind=kind, after=60, why="breaker open")
        kept = desk.ledger.delayed.get("m1")
        assert kept is not None
        assert kept.parked_at == NOW
        assert kept.due == desk.moment + dt.timedelta(seconds=60)
        message = _sent_again(kept)


def test_a_moment_that_a_client_wrote_and_is_none_is_not_believed() -> None:
    desk = Desk()
    for wrong in ("yesterday", 7, None, "2026-11-16T08:00:00"):
        schedule_retry(
            desk.fleet,
            _delivered({**HEADERS, "purser-waiting-since": wrong}),
            kind=DelayKind.SNOOZE,
            after=60,
            why="w",
        )
        (kept,) = desk.ledger.delayed.page().items
        assert kept.parked_at == NOW
