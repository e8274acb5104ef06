"""Mutated messages either are task messages that pickle and JSON can hold, or become letters; nothing else happens.

FUZZ_MESSAGES says how many (1,000,000 by hand), FUZZ_SEED repeats a failure.
"""

import base64
import json
import os
import pickle
import random
import resource
from types import SimpleNamespace

from tests.mutations import chosen_seed, mutated
from tests.unit.workers.broker.test_task_message import NOW
from workers.broker.kombu_envelope import read_envelope
from workers.broker.task_message import UnreadableMessage, read_task_message, replace_content
from workers.dead_letters.letter_factory import letter

COUNT = int(os.environ.get("FUZZ_MESSAGES", "20000"))


def taken(raw: bytes) -> bool:
    """Take a message as a worker does; return whether it would run, and False when it became a letter."""
    envelope, problem = read_envelope(raw)
    headers, body = None, raw
    if not problem:
        encoding = envelope["properties"].get("body_encoding")
        body = base64.b64decode(envelope["body"]) if encoding == "base64" else envelope["body"].encode()
        message = SimpleNamespace(
            headers=envelope.get("headers") or {},
            body=body,
            content_type=envelope["content-type"],
            content_encoding=envelope["content-encoding"],
        )
        try:
            read = read_task_message(message)
        except UnreadableMessage as error:
            problem, headers = str(error), message.headers
        else:
            replace_content(message, read)
            pickle.dumps((message.headers, read.args, read.kwargs, read.embed, envelope["properties"]))
            json.dumps([message.headers, read.task, read.id], ensure_ascii=False).encode()
            assert read_task_message(message).headers == read.headers
            return True
    stored = letter(
        queue="events",
        body=body,
        headers=headers,
        properties=None,
        content_type="",
        content_encoding="",
        reason="unreadable",
        error="MalformedMessage",
        text=problem,
        traceback="",
        now=NOW,
    )
    assert stored.id.startswith("bytes-")
    json.dumps([stored.task, stored.headers], ensure_ascii=False).encode()
    return False


def test_every_mutated_message_would_run_or_is_a_letter_and_memory_stays_flat() -> None:
    seed = chosen_seed()
    rng = random.Random(seed)
    ran, before = 0, 0
    for number in range(COUNT):
        raw = mutated(rng)
        try:
            ran += taken(raw)
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={seed}, message {number}: {raw[:2000]!r}") from error
        if number == COUNT // 2:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 0 < ran < COUNT, f"FUZZ_SEED={seed}"
    assert after - before < 50_000, f"FUZZ_SEED={seed}"
