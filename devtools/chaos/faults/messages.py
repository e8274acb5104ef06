"""Messages that nobody can read stand among good ones."""

import base64
import json
import uuid
from typing import Any

from devtools.chaos.fault import fault
from devtools.chaos.fault_context import FaultContext

_NO_MESSAGES = [
    b"\xff\xfe\x00garbage",
    b"hello world",
    b"[1,2]",
    b'{"a":1}',
    b"[" * 100_000,
    json.dumps({"body": "eA==", "properties": {"delivery_tag": "x", "delivery_info": {}}}).encode(),
]
_GOOD: list[Any] = [[], {}, {}]


@fault("garbage", ends_processes=False, short=True, stock=True)
def garbage(scene: FaultContext) -> str:
    """Bytes that are no message, and messages of every wrong shape, arrive on a queue in the middle of good ones."""
    raws = [*_NO_MESSAGES, *_malformed()]
    for raw in raws:
        scene.load.push("apply", [raw])
        scene.pause(0.05)
    return f"{len(raws)} kinds of garbage"


@fault("hostile messages", ends_processes=False)
def hostile(scene: FaultContext) -> str:
    """Messages that once ended workers: no headers, nested too deep, names of 1 MB, protocol 1 with wrong limits."""
    raws, accepted = _hostile(), 0
    for raw in raws:
        accepted += scene.load.push("events", [raw])
        scene.pause(0.05)
    refused = f"; {len(raws) - accepted} refused by the broker" if accepted < len(raws) else ""
    return f"{accepted} hostile messages{refused}"


@fault("huge message", ends_processes=False)
def huge(scene: FaultContext) -> str:
    """A message of 50 MB that means nothing arrives in the middle of good ones."""
    scene.load.push("apply", [_message("purser.apply", [[], {"control": "x" * 50 * 2**20}, {}])])
    return "50 MB"


def _malformed() -> list[bytes]:
    return [
        _message("purser.nothing", _GOOD),
        _message(None, _GOOD),
        _message("purser.scan", {"x": 1}),
        _message("purser.scan", [1, 2]),
        _message("purser.scan", _GOOD, {"id": 7}),
        _message("purser.scan", _GOOD, {"id": None}),
        _message("purser.scan", _GOOD, {"id": ""}),
        json.dumps({**json.loads(_message("purser.scan", _GOOD)), "headers": None}).encode(),
        _message("purser.scan", _GOOD, {"stamped_headers": 7}),
        _message("purser.scan", _GOOD, {"timelimit": ["a", "b"]}),
        _message("purser.scan", _GOOD, None, **{"content-type": "application/x-python-serialize"}),
        _message("purser.scan", _GOOD, {"eta": "tomorrow"}),
        _message("purser.scan", _GOOD, {"compression": "nonsense"}),
        _message("purser.apply", [[], {"control": "x", "slot": "y", "run": "z", "steps": 5}, {}]),
        _message("purser.scan", _GOOD, {"deep": json.loads("[" * 900 + "]" * 900)}),
    ]


def _hostile() -> list[bytes]:
    """Return messages that end as dead letters: bodies and headers of wrong types, sizes and depths."""
    deep = "[" * 900 + "]" * 900
    deep_body = json.loads(_message("purser.accept", _GOOD))
    deep_body["body"] = base64.b64encode(f'[[], {{"event": {deep}}}, {{}}]'.encode()).decode()
    return [
        json.dumps(deep_body).encode(),
        _message("purser.accept", _GOOD, {"deep": json.loads(deep)}),
        _message("x" * 2**20, _GOOD),
        _message("mail_" * 200_000, _GOOD),
        _message("purser.accept", _GOOD, {"argsrepr": "a@" + "a." * 60_000}),
        *(_message("purser.accept", _GOOD, {"timelimit": limit}) for limit in _WRONG_LIMITS),
        *(_protocol_1(limit) for limit in _WRONG_LIMITS),
    ]


_WRONG_LIMITS: list[Any] = [["a", "b"], 7, {"a": 1}, [1], "ab", [None], [{}, []]]


def _protocol_1(limit: Any) -> bytes:
    """Return a message of Celery's protocol 1, which has its headers in the body."""
    one = {
        "task": "purser.accept",
        "id": str(uuid.uuid4()),
        "args": [],
        "kwargs": {},
        "retries": 0,
        "timelimit": limit,
    }
    return _message(None, one, {"id": None, "lang": None})


def _message(task: str | None, body: Any, headers: dict[str, Any] | None = None, **changed: Any) -> bytes:
    """Build a message as a careless producer would put it on Redis; a header that is None is left out."""
    head = {"task": task, "id": str(uuid.uuid4()), "lang": "py", **(headers or {})}
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {k: v for k, v in head.items() if v is not None},
            "properties": {
                "delivery_tag": str(uuid.uuid4()),
                "delivery_info": {"exchange": "", "routing_key": "apply"},
                "body_encoding": "base64",
                "delivery_mode": 2,
                "priority": 0,
            },
            **changed,
        }
    ).encode()
