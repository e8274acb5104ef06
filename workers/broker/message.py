"""A message as the broker delivers it: where it came from, what it holds, and how it leaves the broker."""

from collections.abc import Mapping
from typing import Any

from store.reservation import MessageReservation
from workers.broker.redis.channel import ReliableChannelMixin
from workers.broker.redis.leases import held_of
from workers.broker.task_message import is_decodable
from workers.messages import by_name, own_name


def queue_of(message: Any) -> str:
    """Return the queue a message was taken from."""
    info = message.delivery_info or {}
    return str(info.get("queue") or info.get("routing_key") or "")


def reservation_of(message: Any) -> MessageReservation | None:
    """Return the record a ledger script can take off to settle this message; None where it lies elsewhere."""
    if _reserves(message) and ReliableChannelMixin.shares_ledger and "/" in str(message.delivery_tag):
        return held_of(message.delivery_tag)
    return None


def _reserves(message: Any) -> bool:
    return isinstance(message.channel, ReliableChannelMixin)


def settled(message: Any) -> None:
    """Let go of a message that is kept elsewhere by now, and acknowledge it where that is still to be done."""
    if reservation_of(message) is None:
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
    """Return the headers that belong to the body as it is now: kombu has decompressed it, and leaves the header."""
    if not isinstance(message.headers, dict):
        return None
    kept = {name: value for name, value in message.headers.items() if name != "compression" or message.errors}
    return kept | {"task": own_name(kept["task"])} if "task" in kept else kept


def values_of(message: Any) -> Mapping[str, Any]:
    """Return the values of a task message by name; nothing readable is nothing known."""
    try:
        if not is_decodable(message):
            return {}
        args, kwargs, _ = message.payload
        return by_name(str(message.headers["task"]), args, kwargs)
    except Exception:  # noqa: BLE001 - codecs raise anything
        return {}
