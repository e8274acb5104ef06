"""Two messages may share an id although they carry different things: what they carry tells them apart."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from purser.formats.strict_json import read_json

RAW = "raw:"
"""Begins the digest of bytes that are no envelope of a message: nothing is known of the body in them."""

_COMPARED_AS_JSON = 65_536
"""Bytes up to which two bodies count as one whose JSON says the same; longer ones are compared byte by byte."""


def message_digest(body: bytes, headers: Mapping[str, Any]) -> str:
    """Return a short digest of what a message says: its body and, behind a slash, its task.

    Older releases stored the part before the slash alone: `same_content` in `store.message_locations` allows for it.
    """
    task = headers.get("task")
    named = f"/{hashlib.sha256(task.encode(errors='replace')).hexdigest()[:8]}" if isinstance(task, str) else ""
    return body_digest(body) + named


def body_digest(body: bytes) -> str:
    """Return a short digest of what a body says; spaces and the order of names do not matter."""
    return hashlib.sha256(_canonical(body)).hexdigest()[:24]


def payload_digest(payload: bytes) -> str:
    """Return the digest of the message within an envelope, as it lies on a queue."""
    try:
        envelope = read_json(payload, halves=True)
        body = envelope["body"]
        is_base64 = envelope["properties"].get("body_encoding") == "base64"
        content = base64.b64decode(body, validate=True) if is_base64 else body.encode()
        return message_digest(content, envelope.get("headers") or {})
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return RAW + body_digest(payload)


def other_id(message_id: str, digest: str) -> str:
    """Return the id under which a message is kept whose own id belongs to another one."""
    body, _, task = digest.removeprefix(RAW).partition("/")
    return f"{message_id}~{body[:12]}{task[:4]}"


def _canonical(body: bytes) -> bytes:
    if len(body) > _COMPARED_AS_JSON:
        return body
    try:
        told: Any = read_json(body, halves=True)
        return json.dumps(told, sort_keys=True).encode()
    except (ValueError, RecursionError):
        return body
