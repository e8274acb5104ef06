"""The envelope kombu puts around a message on a Redis list: the form in which a message waits, wherever it waits."""

import base64
import bz2
import json
import lzma
import uuid
import zlib
from collections.abc import Callable, Mapping
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
    if encoding not in (None, "base64", "utf-8"):
        return envelope, "the body encoding is unknown"
    try:
        body = base64.b64decode(envelope["body"], validate=True) if encoding == "base64" else b""
    except ValueError:
        return envelope, "the body is not the base64 it claims to be"
    return envelope, too_large_inside(body, (envelope["headers"] or {}).get("compression"))


def too_large_inside(body: bytes, compression: object) -> str:
    """Say what is wrong with a compressed body ('' when nothing is): a few bytes may hold gigabytes.

    What is no compression at all is for Celery to say.
    """
    if not isinstance(compression, str) or compression not in _INFLATERS:
        return f"compressed as {compression!r}, which is not read here" if compression in _UNBOUNDED else ""
    try:
        size = len(_INFLATERS[compression]().decompress(body, MOST_BYTES + 1))
    except (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        return f"the body cannot be decompressed: {type(error).__name__}"
    return f"too large: more than {MOST_BYTES:,} bytes when decompressed" if size > MOST_BYTES else ""


_INFLATERS: Mapping[str, Callable[[], Any]] = {
    **dict.fromkeys(("application/x-gzip", "gzip", "zlib"), zlib.decompressobj),
    **dict.fromkeys(("application/x-bz2", "bzip2", "bzip"), bz2.BZ2Decompressor),
    **dict.fromkeys(("application/x-lzma", "lzma", "xz"), lzma.LZMADecompressor),
}
"""The compressions of kombu whose result can be bounded."""

_UNBOUNDED = ("application/x-brotli", "brotli", "application/zstd", "zstd", "zstandard")


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
