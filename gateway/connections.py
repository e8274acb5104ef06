"""Limits on connections: how long the head of a request may take, and how many sockets may be open.

uvicorn limits none of these before the first request of a connection is there as a whole.
"""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from config.security.trusted_proxies import PeerResolver, peer_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """Seconds and counts for the sockets of one gateway."""

    sockets: int = 1000
    head_seconds: float = 10.0
    """From the opening of a socket, or the first byte of a further request, to the end of the request's head."""
    write_seconds: float = 30.0
    """For a peer that does not read its answers."""
    rest_seconds: float = 2.0
    """For the rest of a body that was answered before it was there as a whole. It is not read for longer."""


class Connections:
    """The open sockets of a gateway. When there are too many, one that has no request on it is closed.

    It is one of the peer that has most sockets, and of these the one that waits for the longest. So a peer that opens
    many sockets closes its own, and somebody who sends a request at once is let in.
    """

    def __init__(self, limits: ConnectionLimits = ConnectionLimits(), peers: PeerResolver | None = None) -> None:
        self.limits = limits
        self._peers = peers or PeerResolver()
        self._open: dict[LimitedProtocol, str] = {}
        self._counts: Counter[str] = Counter()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, one: "LimitedProtocol", address: str) -> None:
        """Note a socket that was opened; close another one when there are too many."""
        if len(self._open) >= self.limits.sockets:
            self._close_one()
        peer = peer_of(address)
        self._open[one] = "" if self._peers.is_proxy(address) else peer
        self._counts[self._open[one]] += 1
        self.waits(one)

    def remove(self, one: "LimitedProtocol") -> None:
        """Forget a socket that is closed."""
        peer = self._open.pop(one, None)
        if peer is not None:
            self._counts[peer] -= 1
            if not self._counts[peer]:
                del self._counts[peer]

    def waits(self, one: "LimitedProtocol") -> None:
        """Note that a socket has no request from now on."""
        one.waits_since = next(self._numbers)

    def _close_one(self) -> None:
        """Close a socket without a request. Those of trusted proxies come last: many peers share them."""
        idle = [one for one in self._open if one.is_idle]
        if not idle:
            return
        victim = min(idle, key=lambda one: (not self._open[one], -self._counts[self._open[one]], one.waits_since))
        victim.end()
        self.remove(victim)
        log.warning("a socket without a request is closed: there are too many", sockets=self.limits.sockets)


class LimitedProtocol(H11Protocol):
    """One socket of the gateway."""

    def __init__(self, *given: Any, connections: Connections, **named: Any) -> None:
        super().__init__(*given, **named)
        self._shared = connections
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self.waits_since = 0

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being answered on this socket."""
        cycle = getattr(self, "cycle", None)  # uvicorn types it as always there
        return cycle is None or bool(cycle.response_complete)

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._shared.add(self, self.client[0] if self.client else "")
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all waiting."""
        self._shared.remove(self)
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on. The first bytes of a further request begin the time of its head."""
        super().data_received(data)
        timers = (self._head_timer, self._rest_timer, self.timeout_keep_alive_task)
        if self.is_idle and not any(timers) and not self.transport.is_closing():
            self._await_head()

    def handle_events(self) -> None:
        """Handle what was read; with a whole head its time ends, and with a whole body that of its rest."""
        super().handle_events()
        if not self.is_idle:
            _cancel(self._head_timer)
            self._head_timer = None
        if self.conn.their_state is not h11.SEND_BODY:
            _cancel(self._rest_timer)
            self._rest_timer = None

    def pause_writing(self) -> None:
        """Wait for a peer that does not read its answers, and not for ever."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._shared.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the peer reads."""
        super().resume_writing()
        _cancel(self._write_timer)
        self._write_timer = None

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one, which is thrown away."""
        self._shared.waits(self)
        if self.transport.is_closing():
            self.end()
        elif self.conn.their_state is h11.SEND_BODY:
            self._rest_timer = self.loop.call_later(self._shared.limits.rest_seconds, self.end)
        super().on_response_complete()

    def end(self) -> None:
        """Close this socket; what the peer has not read of its answers by the end of the time is thrown away."""
        self._stop_timers()
        self._unset_keepalive_if_required()
        self.transport.close()
        self._write_timer = self.loop.call_later(self._shared.limits.write_seconds, self.transport.abort)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._shared.limits.head_seconds, self.end)

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._rest_timer, self._write_timer):
            _cancel(timer)
        self._head_timer = self._rest_timer = self._write_timer = None


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
