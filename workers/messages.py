"""A message as the broker delivers it: what is wrong with it, where it came from, and how it leaves the broker."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from ledger.held import Held
from workers.broker.keeper import held_of
from workers.broker.redis_queue import Reserving
from workers.calls import by_name, own_name


def queue_of(message: Any) -> str:
    """Give the queue a message was taken from."""
    info = message.delivery_info or {}
    return str(info.get("queue") or info.get("routing_key") or "")


def hold_on(message: Any) -> Held | None:
    """Give the record a ledger script can take off to settle this message; None where it lies elsewhere."""
    if _reserves(message) and Reserving.shares_ledger and "/" in str(message.delivery_tag):
        return held_of(message.delivery_tag)
    return None


def _reserves(message: Any) -> bool:
    return isinstance(message.channel, Reserving)


def settled(message: Any) -> None:
    """Let go of a message that is kept elsewhere by now, and acknowledge it where that is still to be done."""
    if hold_on(message) is None:
        message.ack()
    else:
        message.channel.qos.settled(message.delivery_tag)
        message._state = "ACK"


def give_back(message: Any) -> None:
    """Put a message back on its queue; this delivery was not its fault."""
    if _reserves(message):
        message.channel.qos.give_back(message.delivery_tag)
        message._state = "REQUEUED"
    else:
        message.requeue()


def headers_of(message: Any) -> dict[str, Any] | None:
    """Give the headers that belong to the body as it is now: kombu has decompressed it, and leaves the header."""
    if not isinstance(message.headers, dict):
        return None
    kept = {name: value for name, value in message.headers.items() if name != "compression" or message.errors}
    return kept | {"task": own_name(kept["task"])} if "task" in kept else kept


def take_own_name(message: Any) -> None:
    """Let a message go by the own name of its task from here on, whatever its sender called it."""
    if isinstance(message.headers, dict) and "task" in message.headers:
        message.headers["task"] = own_name(message.headers["task"])


def values_of(message: Any) -> Mapping[str, Any]:
    """Give the values of a task message by name; nothing readable is nothing known."""
    try:
        args, kwargs, _ = message.payload
        return by_name(str(message.headers["task"]), args, kwargs)
    except Exception:  # noqa: BLE001 - codecs raise anything
        return {}


def due_of(message: Any, now: dt.datetime) -> float | None:
    """Give in how many seconds a message asks to be begun (Celery's `countdown` and `eta`), None when at once."""
    eta = (message.headers or {}).get("eta")
    if not isinstance(eta, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(eta)
    except ValueError:
        return None  # Celery says what is wrong with it
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    left = (moment - now).total_seconds()
    return left if left > 0 else None


def malformed(message: Any) -> str:
    """Say what is wrong with a message that claims to be a task; '' when nothing is."""
    headers = message.headers
    if not isinstance(headers, dict) or not isinstance(headers.get("task"), str):
        return ""  # none of Celery's: its consumer says so
    if not isinstance(headers.get("id"), str) or not headers["id"]:
        return "the header `id` is missing, empty or no string"
    for name, kinds in _HEADER_TYPES.items():
        if headers.get(name) is not None and not isinstance(headers[name], kinds):
            return f"the header `{name}` has the wrong type"
    limits = headers.get("timelimit") or ()
    if len(limits) not in (0, 2) or not all(limit is None or isinstance(limit, (int, float)) for limit in limits):
        return "the header `timelimit` holds something else than two numbers"
    if not all(isinstance(stamp, str) for stamp in headers.get("stamped_headers") or ()):
        return "the header `stamped_headers` holds something else than names"
    if message.content_type != "application/json":
        return ""  # refused by kombu with a clear error of its own
    try:
        body = message.payload
    except Exception as error:  # noqa: BLE001 - deep nesting raises RecursionError, codecs raise anything
        return f"the body cannot be decoded: {type(error).__name__}"
    if not (isinstance(body, (list, tuple)) and len(body) == 3):
        return "the body is not [args, kwargs, embed]"
    args, kwargs, embed = body
    if (
        not isinstance(args, (list, tuple))
        or not isinstance(kwargs, dict)
        or not isinstance(embed, (dict, type(None)))
    ):
        return "the body is not [list, object, object]"
    return ""


_HEADER_TYPES: dict[str, tuple[type, ...]] = {
    "stamped_headers": (list,),
    "stamps": (dict,),
    "timelimit": (list, tuple),
    "retries": (int,),
    "eta": (str,),
    "expires": (str, int, float),
    "group": (str,),
    "root_id": (str,),
    "parent_id": (str,),
}
