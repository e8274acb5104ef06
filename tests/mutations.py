"""Task messages as anybody could put them on a queue: real ones of protocol 1 and 2, mutated by chance."""

import base64
import json
import os
import random
from typing import Any

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


def originals(task: str, number: int) -> list[dict[str, Any]]:
    """Return the parts of real messages: protocol 2 and 1."""
    values = {"model": "res.partner", "id": number}
    headers: dict[str, Any] = {
        "lang": "py",
        "task": task,
        "id": f"m{number}",
        "eta": None,
        "expires": None,
        "group": None,
    }
    headers |= {"retries": 0, "timelimit": [None, None], "root_id": f"m{number}", "parent_id": None, "argsrepr": ""}
    callbacks = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    old: dict[str, Any] = {
        "task": task,
        "id": f"m{number}",
        "args": [],
        "kwargs": values,
        "retries": 0,
        "eta": None,
        **callbacks,
    }
    old |= {"expires": None, "utc": True, "timelimit": [None, None], "taskset": None}
    return [{"headers": headers, "body": [[], values, callbacks]}, {"headers": {}, "body": old}]


def mutated(rng: random.Random, task: str = "purser.look", number: int = 1) -> bytes:
    """Return the bytes of a message on a Redis list with up to four things wrong; the number tells it apart."""
    parts = json.loads(json.dumps(rng.choice(originals(task, number))))
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
    """Remove up to 20 bytes at some place, and put up to three others there."""
    at = rng.randrange(len(raw))
    return raw[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(4))) + raw[at + rng.randrange(20) :]


def chosen_seed() -> int:
    """Return FUZZ_SEED, or any other number."""
    return int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
