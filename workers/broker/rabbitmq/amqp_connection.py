"""A RabbitMQ connection that never waits for ever, knows that what it sent was taken, and survives what it is sent.

Stock code waits without end for an answer of a broker that hangs, confirms its monitoring events one by one, takes
any confirmation for that of the last message, drops what no queue takes, and ends the worker at properties it cannot
read.
"""

import base64
import socket
import time
from contextlib import suppress
from typing import Any

import amqp
import structlog
from amqp import method_framing
from amqp.exceptions import MessageNacked, RecoverableConnectionError
from kombu.transport import pyamqp

from purser.errors import Permanent
from workers.broker.kombu_envelope import MAX_BYTES, too_large_inside, value_problem

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
"""Seconds to wait for any answer of the broker."""

DELIVERIES = "x-delivery-count"
"""The header in which a quorum queue says how often it has delivered a message before."""


_FRAME_OVERHEAD = 20
"""Bytes of a header frame beside the properties: frame header and end, class, weight, body size."""

_SHORT = "the broker takes no messages: it is short of memory or disk"
_ERRORS = (MessageNacked, *amqp.Connection.connection_errors, *amqp.Connection.channel_errors)


class UnreadableAmqpMessage(Exception):
    """What is wrong with a message that no worker should look into."""


class RawMessage(amqp.Message):
    """A message as it comes in. Properties that cannot be read are kept as bytes, and end nobody."""

    problem = ""
    properties: dict[str, Any]

    def _load_properties(self, class_id: int, buf: bytes, offset: int) -> int:
        try:
            end: int = super()._load_properties(class_id, buf, offset)
            problem = value_problem(self.properties)
            if problem is None:
                return end
            self.problem = f"the properties cannot be passed on: {problem}"
        except Exception as error:  # noqa: BLE001 - dates, texts, depths and types of anybody's making
            self.problem = f"the properties cannot be read: {type(error).__name__}: {error}"
        raw = base64.b64encode(bytes(buf[offset:])).decode()
        self.properties = {"application_headers": {"unread-properties": raw}}
        return offset


class DeliveredMessage(pyamqp.Message):
    """A message as workers see it: how often it was delivered before stands beside its headers, not among them."""

    def __init__(self, msg: Any, channel: Any = None, **kwargs: Any) -> None:
        problem = _problem_of(msg)
        if problem:
            errors: list[Any] = [(UnreadableAmqpMessage, UnreadableAmqpMessage(problem), None)]
            self.errors = errors  # known before, so that kombu takes nothing apart
        super().__init__(msg, channel=channel, **kwargs)  # type: ignore[no-untyped-call]
        self.sent_body = msg.body  # kombu takes a compressed one apart

    def requeue(self) -> None:
        """Put the message back at the end of its queue as if it had never been delivered.

        The broker counts what it takes back, whyever, and sets aside what came back too often. So this sends the
        message anew and acknowledges the old one; between the two it is there twice, under one id.
        """
        if self._is_gone():
            return
        try:
            self.channel.send_again(self)
        except _ERRORS as error:
            log.warning("message is given back and counted", problem=str(error))
            if not self._is_gone():
                super().requeue()  # type: ignore[no-untyped-call]
            return
        self.ack()
        self._state = "REQUEUED"

    def ack(self, multiple: bool = False) -> None:
        """Acknowledge the message. One whose connection is gone comes again, whatever is said now."""
        if not self._is_gone():
            super().ack(multiple=multiple)  # type: ignore[no-untyped-call]

    def reject(self, requeue: bool = False) -> None:
        """Refuse the message: the broker counts this delivery, and sets the message aside where told to."""
        if not self._is_gone():
            super().reject(requeue=requeue)  # type: ignore[no-untyped-call]

    def _is_gone(self) -> bool:
        if self.channel.connection is not None:
            return False
        log.warning("connection lost meanwhile: the message comes again", tag=self.delivery_tag)
        self._state = "ACK"
        return True


def _problem_of(raw: Any) -> str:
    if isinstance(raw, RawMessage) and raw.problem:
        return raw.problem
    if len(raw.body) > MAX_BYTES:
        return f"too large: {len(raw.body):,} bytes, and {MAX_BYTES:,} at most are read"
    return too_large_inside(raw.body, (raw.properties.get("application_headers") or {}).get("compression"))


class ConfirmingChannel(pyamqp.Channel):
    """A channel whose waits end, and which publishes a task message only when the broker confirms to have it."""

    Message = DeliveredMessage

    def __init__(
        self, connection: Any, channel_id: Any = None, auto_decode: bool = False, on_open: Any = None
    ) -> None:
        super().__init__(connection, channel_id, auto_decode=False, on_open=on_open)  # a body stays the bytes it is
        self._sent = 0
        self._awaited = 0
        self._confirm_selected = False
        self._verdict: bool | None = None
        self._nowhere = ""
        self._queues: dict[str, str] = {}

    def wait(
        self, method: Any, callback: Any = None, timeout: float | None = None, returns_tuple: bool = False
    ) -> Any:
        """Wait for an answer, but not for ever."""
        return super().wait(method, callback, timeout or TIMEOUT_SECONDS, returns_tuple)

    # ------------------------------------------------------------------------- publishing --

    def basic_publish_confirm(
        self, msg: Any, exchange: str = "", routing_key: str = "", mandatory: bool = False, **options: Any
    ) -> Any:
        """Publish. What goes straight to a queue is a task: it must arrive. The rest is news, and may be missed."""
        if exchange:
            return self._tell(msg, exchange, routing_key, mandatory)
        self._check_header_frame(msg)
        if self._is_blocked():
            raise RecoverableConnectionError(_SHORT)
        if not self._confirm_selected:
            self.confirm_select()
            self._confirm_selected = True
        self._sent += 1
        self._awaited, self._verdict, self._nowhere = self._sent, None, ""
        self._basic_publish(msg, "", routing_key, mandatory=True, timeout=TIMEOUT_SECONDS)
        taken = self._await_confirmation()
        if self._nowhere:
            raise RecoverableConnectionError(self._nowhere)  # whoever connects again declares the queue again
        if not taken:
            raise MessageNacked(f"the broker did not take a message for {routing_key}")
        return None

    def _check_header_frame(self, msg: Any) -> None:
        """Raise Permanent for headers that do not fit one frame: the broker answers them by closing the connection.

        Source: AMQP 0-9-1, section 2.3.5.2: only a body may be divided among frames.
        """
        if self.connection is None:
            raise RecoverableConnectionError("the connection closed before the message was sent")
        size, limit = len(msg._serialize_properties()) + _FRAME_OVERHEAD, self.connection.frame_max
        if limit and size > limit:
            raise Permanent(
                f"the headers of the message take {size:,} bytes, and RabbitMQ accepts {limit:,} at most "
                "(its setting frame_max): put what is large into the body"
            )

    def _tell(self, msg: Any, exchange: str, routing_key: str, mandatory: bool) -> Any:
        if self._is_blocked():
            return None  # a broker short of memory or disk takes nothing; waiting for it would stop the worker
        self._sent += self._confirm_selected
        return self._basic_publish(msg, exchange, routing_key, mandatory=mandatory, timeout=TIMEOUT_SECONDS)

    def _is_blocked(self) -> bool:
        connection = self.connection
        if connection is not None and connection.is_blocked:
            with suppress(socket.timeout):
                connection.drain_events(timeout=0)  # the broker may have said since that it takes messages again
        return connection is not None and bool(connection.is_blocked)

    def _await_confirmation(self) -> bool:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._verdict is None:
            left = deadline - time.monotonic()
            if self.connection is None:
                raise RecoverableConnectionError("the connection closed before the broker confirmed")
            if self.connection.is_blocked:
                raise RecoverableConnectionError(_SHORT)
            if left <= 0:
                raise RecoverableConnectionError(f"the broker did not confirm within {TIMEOUT_SECONDS:g} s")
            with suppress(socket.timeout):
                self.connection.drain_events(timeout=left)
        return self._verdict

    def _on_basic_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, True)

    def _on_basic_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, False)

    def _settle(self, delivery_tag: int, multiple: bool, verdict: bool) -> None:
        if delivery_tag == self._awaited or (multiple and delivery_tag > self._awaited):
            self._verdict = verdict

    def _on_basic_return(self, code: int, text: str, exchange: str, routing_key: str, message: Any) -> None:
        self._nowhere = f"the broker has no queue {routing_key}: {text} ({code})"

    def _do_revive(self) -> None:
        self._sent = 0
        super()._do_revive()

    def send_again(self, message: DeliveredMessage) -> None:
        """Send a delivered message once more, byte for byte, to the queue it came from."""
        again = amqp.Message(message.sent_body, **{**message.properties, "application_headers": message.headers})
        again.properties.pop("user_id", None)  # that of whoever sent it first
        self.basic_publish_confirm(again, "", message.delivery_info["queue"])

    # -------------------------------------------------------------------------- consuming --

    def basic_consume(self, queue: str = "", consumer_tag: str = "", *args: Any, **kwargs: Any) -> Any:
        """Consume, and remember from where: a message names the way it was sent, not the queue it lay in."""
        self._queues[consumer_tag] = queue
        return super().basic_consume(queue, consumer_tag, *args, **kwargs)

    def message_to_python(self, raw_message: Any) -> DeliveredMessage:
        """Return a delivered message, with what is wrong with it for whoever must not look into it."""
        message: DeliveredMessage = super().message_to_python(raw_message)  # type: ignore[no-untyped-call]
        headers = dict(message.headers)
        before = headers.pop(DELIVERIES, 0)
        message.headers = headers
        message.properties.pop("application_headers", None)
        info = message.delivery_info
        info["queue"] = self._queues.get(info.get("consumer_tag") or "") or info.get("routing_key")
        info["redelivered"] = bool(info.get("redelivered") or before)
        return message


class BoundedConnection(pyamqp.Connection):
    """A connection whose waits end, and which knows when the broker takes nothing."""

    Channel = ConfirmingChannel
    is_blocked = False

    def wait(
        self, method: Any, callback: Any = None, timeout: float | None = None, returns_tuple: bool = False
    ) -> Any:
        """Wait for an answer, but not for ever."""
        return super().wait(method, callback, timeout or TIMEOUT_SECONDS, returns_tuple)

    def drain_events(self, timeout: float | None = None) -> None:
        """Read until something has come. A sign of life is none, and does not begin the wait anew."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.blocking_read(timeout):
            if deadline is not None:
                timeout = max(0.0, deadline - time.monotonic())

    def _on_blocked(self) -> None:
        self.is_blocked = True
        log.warning(_SHORT)

    def _on_unblocked(self) -> None:
        self.is_blocked = False


def install() -> None:
    """Let every RabbitMQ connection of this process be one of these. The address of the broker stays `amqp://`."""
    pyamqp.Transport.Connection = BoundedConnection
    method_framing.Message = RawMessage
