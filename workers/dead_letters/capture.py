"""A message leaves the broker for the ledger: as a dead letter, or to wait there until it is due.

Where both are one Redis this is one step on the server. Elsewhere the ledger keeps it first and the broker is told
second, so that for a moment it is in both, under one id.
"""

import datetime as dt
import json
from base64 import b64decode
from collections.abc import Collection, Sequence
from typing import Any

import structlog

from purser.formats.strict_json import read_json
from store import DelayedMessage, DelayKind, Ledger
from workers.broker.kombu_envelope import write_envelope
from workers.broker.message import headers_of, queue_of, reservation_of, settled, values_of
from workers.broker.redis.channel import MessageSink
from workers.broker.redis.leases import Working, held_of
from workers.context import WorkerContext
from workers.dead_letters.letter_factory import (
    UNREADABLE,
    WAITING_SINCE,
    attempts_of,
    body_bytes,
    covers_of,
    letter,
    slot_of,
    subjects_of,
    waiting_since,
    with_attempt,
)
from workers.reaction import over, reaction_of

log = structlog.get_logger(__name__)

_REACTING = ("purser.react", "purser.deliver")
"""The tasks that an accepted event waits for."""


def to_dead_letters(
    fleet: WorkerContext, message: Any, *, reason: str, error: str, text: str, trace: str = ""
) -> None:
    """Keep a message as a dead letter and take it off the broker. Raises when the ledger cannot keep it."""
    store_letter(fleet, message, reason=reason, error=error, text=text, trace=trace)
    settled(message)


def store_letter(fleet: WorkerContext, message: Any, *, reason: str, error: str, text: str, trace: str = "") -> None:
    """Keep a message as a dead letter; on a shared Redis this takes it off the broker too."""
    queue = queue_of(message)
    headers = headers_of(message)
    task = str((headers or {}).get("task") or "")
    values = values_of(message)
    covers = covers_of(task, values)
    stored = letter(
        queue=queue,
        body=body_bytes(message.body),
        headers=headers,
        properties=message.properties,
        content_type=str(message.content_type or ""),
        content_encoding=str(message.content_encoding or ""),
        reason=reason,
        error=error,
        text=fleet.redactor.text(text),
        traceback=fleet.redactor.text(trace),
        now=fleet.now(),
        subjects=subjects_of(task, values),
        covers=covers,
        slot=slot_of(values) if covers else None,
    )
    held = reservation_of(message)
    kept = fleet.ledger.letters.keep(stored, settles=held, only_latest=covers.startswith(("scan/", "feed/")))
    if not kept:
        log.warning("no letter: the message went to somebody else meanwhile", id=stored.id)
        return
    log.error("dead letter", letter=kept, queue=queue, task=stored.task, reason=reason, error=error)
    if task in _REACTING:
        mark_handled(fleet.ledger, values)


def schedule_retry(fleet: WorkerContext, message: Any, *, kind: DelayKind, after: float, why: str) -> None:
    """Let a message wait in the ledger for `after` seconds. Raises when the ledger cannot keep it.

    One that cannot wait, because of what it holds or how long it would be, is a dead letter.
    """
    try:
        waiting = _waiting(fleet, message, kind=kind, after=after, why=why)
    except (ValueError, OverflowError) as error:
        text = f"it cannot wait: {error}"
        to_dead_letters(fleet, message, reason=UNREADABLE, error=type(error).__name__, text=text)
        return
    kept = fleet.ledger.delayed.park(waiting, settles=reservation_of(message))
    if not kept:
        log.warning("not parked: the message went to somebody else meanwhile", id=waiting.id)
    settled(message)
    if kept and waiting.task in _REACTING:
        _is_waiting(fleet, values_of(message), waiting.due)


def _waiting(fleet: WorkerContext, message: Any, *, kind: DelayKind, after: float, why: str) -> DelayedMessage:
    headers = headers_of(message) or {}
    spent = int(headers.get("retries") or 0) + (kind is DelayKind.RETRY)
    now = fleet.now()
    since = waiting_since(headers) or now
    headers |= {"retries": spent, "eta": None, WAITING_SINCE: since.isoformat()}
    if kind is DelayKind.RETRY:
        headers |= with_attempt(headers, at=now, error=fleet.redactor.text(why))
    queue, due = queue_of(message), now + dt.timedelta(seconds=after)
    return DelayedMessage(
        id=str(headers["id"]),
        queue=queue,
        task=str(headers["task"]),
        label=str(headers.get("kwargsrepr") or ""),
        kind=kind,
        why=fleet.redactor.text(why),
        due=due,
        attempt=len(attempts_of(headers)),
        payload=write_envelope(
            body=body_bytes(message.body),
            headers=headers,
            properties=message.properties or {},
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            queue=queue,
        ),
        parked_at=since,
    )


def mark_handled(ledger: Ledger, values: Any) -> None:
    """Let the ledger wait no longer for what one automation or subscription has to do with an event: it is in a
    person's hands."""
    if found := reaction_of(values):
        over(ledger, found)


def cancel(ledger: Ledger, ids: Sequence[str], *, who: str, note: str) -> tuple[str, ...]:
    """Take delayed messages off for good, audited; give the ids of those that waited. Their bytes stay as letters."""
    about = {id_: _values_in(entry.payload) for id_ in ids if (entry := ledger.delayed.get(id_)) is not None}
    cancelled = ledger.delayed.cancel(ids, who=who, note=note)
    for id_ in cancelled:
        mark_handled(ledger, about.get(id_, {}))
    return cancelled


def _values_in(payload: bytes) -> Any:
    """Return the keyword arguments of a message as it waits; nothing readable is nothing known."""
    try:
        values = read_json(b64decode(json.loads(payload)["body"]), halves=True)[1]
    except (ValueError, TypeError, LookupError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_waiting(fleet: WorkerContext, values: Any, due: dt.datetime) -> None:
    if found := reaction_of(values):
        fleet.ledger.inbox.progress(*found, quiet_until=due)
        if found.subscription:
            fleet.ledger.outbound.parked(found.message_id, until=due)


class WorkerMessageSink(MessageSink):
    """What the Redis channel asks of the fleet."""

    def __init__(self, fleet: WorkerContext, working: Working) -> None:
        self._fleet = fleet
        self._working = working

    def working(self, holder: str) -> Collection[str]:
        """Return the numbers of this holder's messages that are still worked on."""
        return self._working(holder)

    def keep_bytes(self, raw: bytes, *, queue: str, tag: str, shared: bool, problem: str) -> None:
        """Store what is no message as a letter."""
        fleet = self._fleet
        stored = letter(
            queue=queue,
            body=raw,
            headers=None,
            properties=None,
            content_type="application/octet-stream",
            content_encoding="binary",
            reason=UNREADABLE,
            error="NoMessage",
            text=problem,
            traceback="",
            now=fleet.now(),
        )
        kept = fleet.ledger.letters.keep(stored, settles=held_of(tag) if shared else None)
        if not kept:
            log.warning("no letter: the message went to somebody else meanwhile", id=stored.id)
            return
        log.error("dead letter", letter=kept, queue=queue, reason=UNREADABLE, error=problem)

    def keep(self, message: Any, *, reason: str, error: str, text: str) -> None:
        """Store a message as a letter."""
        store_letter(self._fleet, message, reason=reason, error=error, text=text)
