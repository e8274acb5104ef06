"""The envelope kombu puts around a message on a Redis list: the form in which a message waits, wherever it waits."""

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 10 * 1024 * 1024
"""A message larger than this is none of ours: it is set aside before anybody decodes it."""


def read_envelope(raw: bytes) -> tuple[dict[str, Any], str]:
    """Give the envelope kombu puts around a message on Redis, and what is wrong with it ('' when nothing is)."""
    if len(raw) > MOST_BYTES:
        return {}, f"too large: {len(raw):,} bytes, and {MOST_BYTES:,} at most are read"
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
    if too_deep(envelope):
        return envelope, "no message: nested too deeply"
    encoding = properties.get("body_encoding")
    try:
        if encoding == "base64":
            base64.b64decode(envelope["body"], validate=True)
    except ValueError:
        return envelope, "the body is not the base64 it claims to be"
    return envelope, "" if encoding in (None, "base64", "utf-8") else "the body encoding is unknown"


def too_deep(value: Any, limit: int = 50) -> bool:
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


def write_envelope(
    *,
    body: bytes,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    content_type: str,
    content_encoding: str,
    queue: str,
) -> bytes:
    """Give the bytes that put a message on a Redis list. ValueError when a header is nothing JSON can hold."""
    kept = {name: value for name, value in properties.items() if name in _PROPERTIES and value is not None}
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": content_encoding,
        "content-type": content_type,
        "headers": dict(headers),
        "properties": {
            **kept,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    try:
        return json.dumps(envelope).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a header cannot travel: {error}") from None


_PROPERTIES = ("correlation_id", "reply_to", "message_id", "timestamp", "type", "user_id", "app_id", "expiration")
