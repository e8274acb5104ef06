"""The envelope kombu puts around a message on a Redis list: the form in which a message waits, wherever it waits."""

import base64
import bz2
import json
import lzma
import math
import uuid
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from purser.formats.strict_json import InvalidJson, read_json

MAX_BYTES = 10 * 1024 * 1024
"""A message larger than this is none of ours: it is set aside before anybody decodes it."""


def read_envelope(raw: bytes) -> tuple[dict[str, Any], str]:
    """Return the envelope kombu puts around a message on Redis, and what is wrong with it ('' when nothing is)."""
    if len(raw) > MAX_BYTES:
        return {}, f"too large: {len(raw):,} bytes, and {MAX_BYTES:,} at most are read"
    try:
        envelope = read_json(raw, halves=True)
    except InvalidJson as error:
        return {}, f"not JSON: {error}"
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
    headers = envelope.get("headers")
    if not isinstance(headers, (dict, type(None))):
        return envelope, "no message: the headers are no object"
    if not all(isinstance(envelope.get(name), str) for name in ("content-type", "content-encoding")):
        return envelope, "no message: content-type or content-encoding is no text"
    problem = value_problem(envelope)
    if problem:
        return envelope, f"no message: {problem}"
    encoding = properties.get("body_encoding")
    if encoding not in (None, "base64", "utf-8"):
        return envelope, "the body encoding is unknown"
    try:
        body = base64.b64decode(envelope["body"], validate=True) if encoding == "base64" else b""
    except ValueError:
        return envelope, "the body is not the base64 it claims to be"
    return envelope, too_large_inside(body, (headers or {}).get("compression"))


def too_large_inside(body: bytes, compression: object) -> str:
    """Return what is wrong with a compressed body ('' when nothing is): a few bytes may hold gigabytes.

    What is no compression at all is for Celery to say.
    """
    if not isinstance(compression, str) or compression not in _INFLATERS:
        return f"compressed as {compression!r}, which is not read here" if compression in _UNBOUNDED else ""
    try:
        size = len(_INFLATERS[compression]().decompress(body, MAX_BYTES + 1))
    except (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        return f"the body cannot be decompressed: {type(error).__name__}"
    return f"too large: more than {MAX_BYTES:,} bytes when decompressed" if size > MAX_BYTES else ""


_INFLATERS: Mapping[str, Callable[[], Any]] = {
    **dict.fromkeys(("application/x-gzip", "gzip", "zlib"), zlib.decompressobj),
    **dict.fromkeys(("application/x-bz2", "bzip2", "bzip"), bz2.BZ2Decompressor),
    **dict.fromkeys(("application/x-lzma", "lzma", "xz"), lzma.LZMADecompressor),
}
"""The compressions of kombu whose result can be bounded."""

_UNBOUNDED = ("application/x-brotli", "brotli", "application/zstd", "zstd", "zstandard")


def value_problem(value: Any, deepest: int = 50) -> str | None:
    """Return what keeps a JSON value from being passed on (nesting, text or numbers), None when nothing does.

    Nesting that JSON reads may be too deep for pickle, by which a message reaches the processes of the pool. Half of
    a surrogate pair is no text that can be encoded, and NaN and infinity are no JSON.
    """
    level = [value]
    for _ in range(deepest):
        following: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                following.extend(one)
                following.extend(one.values())
            elif isinstance(one, (list, tuple)):
                following.extend(one)
            elif isinstance(one, str):
                if not one.isascii() and not _is_encodable(one):
                    return "a text holds half of a surrogate pair"
            elif isinstance(one, float) and not math.isfinite(one):
                return "a number is infinite or NaN"
        if not following:
            return None
        level = following
    return "nested too deeply"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_envelope(
    *,
    body: bytes,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    content_type: str,
    content_encoding: str,
    queue: str,
) -> bytes:
    """Return the bytes that put a message on a Redis list. ValueError when a header is nothing JSON can hold."""
    kept = {name: value for name, value in properties.items() if name in PROPERTIES and value is not None}
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


PROPERTIES = ("correlation_id", "reply_to", "message_id", "timestamp", "type", "user_id", "app_id", "expiration")
"""What a message may say besides its headers, and keeps when it is put on a queue again."""
