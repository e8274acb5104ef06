"""Messages that nobody can read stand among good ones."""

import base64
import json
import uuid
from typing import Any

from console.drill.fault import fault
from console.drill.scene import Scene

_NO_MESSAGES = [
    b"\xff\xfe\x00garbage",
    b"hello world",
    b"[1,2]",
    b'{"a":1}',
    b"[" * 100_000,
    json.dumps({"body": "eA==", "properties": {"delivery_tag": "x", "delivery_info": {}}}).encode(),
]
_GOOD: list[Any] = [[], {}, {}]


@fault("garbage", short=True, stock=True)
def garbage(scene: Scene) -> str:
    """Bytes that are no message, and messages of every wrong shape, arrive on a queue in the middle of good ones."""
    raws = [*_NO_MESSAGES, *_malformed()]
    for raw in raws:
        scene.load.push("apply", [raw])
        scene.pause(0.05)
    return f"{len(raws)} kinds of garbage"


@fault("huge message")
def huge(scene: Scene) -> str:
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
