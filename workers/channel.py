"""A Redis channel that no bytes can stop: what is no message becomes a letter, and a lost connection ends nothing."""

import base64
import json
import threading
from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis as kombu_redis

from workers.fleet import Fleet
from workers.letters import letter

log = structlog.get_logger(__name__)

BREATH = 2.0
"""Seconds before something that could not be kept is tried again."""


class SafeChannel(kombu_redis.Channel):
    """A Redis channel that keeps what is no message, instead of ending the worker.

    Stock kombu has popped the bytes before it finds that it cannot read them: an instant remains in which a killed
    worker loses such bytes.
    """

    fleet: Fleet | None = None
    """Set by `workers.app`; without it the channel behaves like the stock one."""

    class QoS(kombu_redis.QoS):
        """Survives a lost connection: what it held comes back by the visibility timeout."""

        def restore_unacked_once(self, stderr: Any = None) -> Any:
            """Give back what is held, unless the connection is gone: there stock code would end the worker."""
            if getattr(self.channel.connection, "client", None) is not None:
                return super().restore_unacked_once(stderr)  # type: ignore[no-untyped-call]
            return None

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                answer = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except self.connection_errors:
                self.client.connection.disconnect()  # the next turn connects again
                raise
            if not answer:
                raise Empty
            key, raw = answer
            queue = key.decode().rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            envelope, problem = read_envelope(raw)
            if problem and self.fleet is not None:
                self._keep_raw(self.fleet, raw, queue, problem)
            else:
                self.connection._deliver(envelope, queue)
            return True
        finally:
            self._in_poll: Any = None
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call]

    def _keep_raw(self, fleet: Fleet, raw: bytes, queue: str, problem: str) -> None:
        try:
            keep_raw(fleet, raw, queue=queue, problem=problem)
        except Exception as error:  # noqa: BLE001 - the ledger may be away: nothing may end the worker or be lost
            log.error("letter not stored, bytes go back", queue=queue, problem=str(error))
            with self.conn_or_acquire() as client:
                client.lpush(queue, raw)
            threading.Event().wait(BREATH)


def read_envelope(raw: bytes) -> tuple[dict[str, Any], str]:
    """Give the envelope kombu puts around a message on Redis, and what is wrong with it ('' when nothing is)."""
    try:
        envelope = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {type(error).__name__}"
    if not isinstance(envelope, dict):
        return {}, "no JSON object"
    properties = envelope.get("properties")
    if not isinstance(properties, dict) or not isinstance(envelope.get("body"), str):
        return envelope, "no message: body or properties are missing"
    info = properties.get("delivery_info")
    if not isinstance(info, dict) or not isinstance(properties.get("delivery_tag"), str):
        return envelope, "no message: properties lack delivery_info or delivery_tag"
    if not all(isinstance(info.get(name), str) for name in ("exchange", "routing_key")):
        return envelope, "no message: delivery_info lacks exchange or routing_key"
    if not isinstance(envelope.get("headers"), (dict, type(None))):
        return envelope, "no message: the headers are no object"
    if not all(isinstance(envelope.get(name), str) for name in ("content-type", "content-encoding")):
        return envelope, "no message: content-type or content-encoding is no text"
    if _too_deep(envelope):
        return envelope, "no message: nested too deeply"
    encoding = properties.get("body_encoding")
    try:
        if encoding == "base64":
            base64.b64decode(envelope["body"], validate=True)
    except ValueError:
        return envelope, "the body is not the base64 it claims to be"
    return envelope, "" if encoding in (None, "base64", "utf-8") else "the body encoding is unknown"


def _too_deep(value: Any, limit: int = 50) -> bool:
    """Say whether something is nested so deeply that passing it on would fail."""
    level = [value]
    for _ in range(limit):
        level = [child for one in level for child in _children(one)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def keep_raw(fleet: Fleet, raw: bytes, *, queue: str, problem: str) -> None:
    """Store bytes that are no message as a dead letter."""
    stored = letter(
        queue=queue,
        body=raw,
        headers=None,
        properties=None,
        content_type="application/octet-stream",
        content_encoding="binary",
        reason="unreadable",
        error="NoMessage",
        text=problem,
        traceback="",
        now=fleet.now(),
    )
    fleet.ledger.letters.store(stored)
    log.error("dead letter", letter=stored.id, queue=queue, reason="unreadable", error=problem)
