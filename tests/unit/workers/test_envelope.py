"""What claims to be a message is measured before anybody takes it apart."""

import base64
import bz2
import json
import lzma
import zlib
from collections.abc import Callable

import pytest

from workers.broker.kombu_envelope import MAX_BYTES, read_envelope, too_large_inside, write_envelope

BOMB = bytes(MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("compression", "press"),
    [
        ("gzip", zlib.compress),
        ("application/x-gzip", zlib.compress),
        ("bzip2", bz2.compress),
        ("application/x-lzma", lzma.compress),
    ],
)
def test_a_few_bytes_that_hold_too_many_are_refused(compression: str, press: Callable[[bytes], bytes]) -> None:
    assert len(press(BOMB)) < 20_000
    assert "too large" in too_large_inside(press(BOMB), compression)
    assert too_large_inside(press(bytes(1000)), compression) == ""


def test_what_cannot_be_measured_is_not_read() -> None:
    assert "not read here" in too_large_inside(b"x", "zstd")
    assert "cannot be decompressed" in too_large_inside(b"no gzip", "gzip")


@pytest.mark.parametrize("compression", [None, "nonsense", 7])
def test_what_is_no_compression_is_for_celery_to_say(compression: object) -> None:
    assert too_large_inside(BOMB, compression) == ""


def test_a_message_of_ours_is_read_as_it_was_written() -> None:
    raw = write_envelope(
        body=b"{}", headers={"id": "1"}, properties={}, content_type="a", content_encoding="b", queue="q"
    )
    envelope, problem = read_envelope(raw)
    assert problem == ""
    assert base64.b64decode(envelope["body"]) == b"{}"


def test_a_compressed_message_is_measured_where_it_waits() -> None:
    raw = json.loads(
        write_envelope(
            body=zlib.compress(BOMB),
            headers={"compression": "application/x-gzip"},
            properties={},
            content_type="a",
            content_encoding="b",
            queue="q",
        )
    )
    assert "too large" in read_envelope(json.dumps(raw).encode())[1]
    assert "too large" in read_envelope(json.dumps({**raw, "headers": {"compression": "gzip"}}).encode())[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"headers": {"id": "1", "id": "2"}}', "not JSON: it says `id` twice: say it once"),
        ('{"headers": {"n": NaN}}', "not JSON: NaN is not JSON: write a number, or null"),
        ('{"headers": {"n": 1e999}}', "not JSON: a number is too large"),
    ],
)
def test_an_envelope_with_more_than_one_meaning_is_refused(text: str, problem: str) -> None:
    assert read_envelope(text.encode()) == ({}, problem)
