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
from typing import Any

from tests.unit.workers.test_task_message import NOW
from workers.broker.envelope import read_envelope
from workers.letters import letter
from workers.task_message import UnreadableMessage, read_task_message, replace_content

COUNT = int(os.environ.get("FUZZ_MESSAGES", "20000"))
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    2**70,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x",
    "x" * 5000,
    "\ud800",
    "\x00",
    "2026-12-01T12:00:00",
    "9999-12-31T23:59:59-14:00",
    [],
    [[]],
    [None, None],
    ["a", "b"],
    {},
    {"a": 1},
    {"__type__": "uuid", "__value__": "x"},
    json.loads("[" * 60 + "]" * 60),
    json.loads("[" * 300 + "]" * 300),
]

TEXTS = [json.dumps(one) for one in ODD]


def originals() -> list[dict[str, Any]]:
    """Return the parts of real messages: protocol 2 and 1."""
    values = {"model": "res.partner", "id": 1}
    headers: dict[str, Any] = {
        "lang": "py",
        "task": "purser.look",
        "id": "m1",
        "eta": None,
        "expires": None,
        "group": None,
    }
    headers |= {"retries": 0, "timelimit": [None, None], "root_id": "m1", "parent_id": None, "argsrepr": ""}
    callbacks = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    old: dict[str, Any] = {
        "task": "purser.look",
        "id": "m1",
        "args": [],
        "kwargs": values,
        "retries": 0,
        "eta": None,
        **callbacks,
    }
    old |= {"expires": None, "utc": True, "timelimit": [None, None], "taskset": None}
    return [{"headers": headers, "body": [[], values, callbacks]}, {"headers": {}, "body": old}]


def mutated(rng: random.Random) -> bytes:
    parts = json.loads(json.dumps(rng.choice(originals())))
    envelope: dict[str, Any] = {
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "properties": {"delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "q"}, "priority": 0},
    }
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        change(rng, parts)
    body = json.dumps(parts["body"]).encode()
    if rng.random() < 0.1:
        body = cut(rng, body)
    envelope |= {"headers": parts.get("headers"), "body": base64.b64encode(body).decode()}
    envelope["properties"]["body_encoding"] = "base64"
    if rng.random() < 0.2:
        change(rng, envelope)
    raw = json.dumps(envelope).encode()
    return cut(rng, raw) if rng.random() < 0.1 else raw


def change(rng: random.Random, inside: Any) -> None:
    """Replace, add or remove something at some depth."""
    while isinstance(inside, (dict, list)) and inside:
        key: Any = rng.choice(list(inside)) if isinstance(inside, dict) else rng.randrange(len(inside))
        if isinstance(inside[key], (dict, list)) and inside[key] and rng.random() < 0.7:
            inside = inside[key]
        elif rng.random() < 0.2 and isinstance(inside, dict) and key != "body":
            inside.pop(key)
            return
        else:
            inside[key] = json.loads(rng.choice(TEXTS))
            return


def cut(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(4))) + raw[at + rng.randrange(20) :]


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
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
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
