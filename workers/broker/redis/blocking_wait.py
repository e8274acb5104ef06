"""Who waits for a message has a bell at each list on Redis: it rings when there is something to look at.

Redis can wait on several lists at once only by taking from them. On one list it can wait and take nothing:
`BLMOVE k k RIGHT RIGHT` moves the last item to where it is, and is answered as soon as there is one. So each list has
a connection of its own that waits. A bell says "look" and never what is there; it is set only after a look at all
lists has found nothing, and is answered at once when something came meanwhile: nothing is overlooked.
"""

import math
import time
from collections.abc import Callable, Collection
from queue import Empty
from typing import Any

import redis

_KIND = "BELL"


class ListWaiter:
    """One connection that waits at one list. To kombu's poller it is a channel of its own, whose credit never ends:
    a bell is heard also by who can take nothing now. It is with the poller only while it is set, so that those who
    are busy have nothing to do with it."""

    def __init__(self, key: str, connection: Any, cycle: Any, rung: Callable[[Exception | None], None]) -> None:
        self.connection = connection
        self.handlers = {_KIND: self._hear}
        self._key, self._cycle, self._rung = key, cycle, rung
        self._waits_on: Any = None
        self._since = 0.0

    def set(self, timeout: float, patience: float) -> None:
        """Wait, unless this bell does. It rings after the timeout at the latest; one that does not is broken."""
        if self.is_set and time.monotonic() - self._since <= patience:
            return
        if self.is_set or self._is_stale():
            self.take_down()
        self._cycle._register(*self._ident)
        question = self.connection.pack_command("BLMOVE", self._key, self._key, "RIGHT", "RIGHT", timeout)
        self.connection.send_packed_command(question, check_health=False)
        self._waits_on, self._since = self.connection._sock, time.monotonic()

    @property
    def is_set(self) -> bool:
        """Return whether Redis has yet to answer, on this very connection."""
        return self._waits_on is not None and self._waits_on is self.connection._sock

    def take_down(self) -> None:
        """End the connection; setting the bell again makes another one."""
        self._leave()
        self.connection.disconnect()

    def _is_stale(self) -> bool:
        """Return whether the server has hung up since this bell was heard: then there is something to read."""
        try:
            return self.connection._sock is not None and bool(self.connection.can_read())
        except redis.ConnectionError:
            return True

    def _hear(self) -> None:
        self._leave()
        problem = None
        try:
            self.connection.read_response(disconnect_on_error=False)
        except redis.RedisError as error:
            self.connection.disconnect()
            problem = error
        self._rung(problem)
        raise Empty

    def _leave(self) -> None:
        """Leave the poller, before the connection ends: a child that was forked may have it open, too."""
        sock, self._waits_on = self._cycle._chan_to_sock.pop(self._ident, None), None
        if sock is not None and sock.fileno() >= 0:
            self._cycle._unregister_from_poll(sock.fileno())
            self._cycle._fd_to_chan.pop(sock.fileno(), None)

    # ----------------------------------------------------------- what the poller asks of it --

    @property
    def _ident(self) -> tuple["ListWaiter", "ListWaiter", str]:
        return self, self, _KIND

    @property
    def qos(self) -> "ListWaiter":
        """Return who knows whether there is credit."""
        return self

    def can_consume(self) -> bool:
        """There is."""
        return True

    def _poll_error(self, _kind: str) -> None:
        self._hear()


class ListWaiters:
    """The bells of one channel. Their connections come on top of what its pool may have."""

    def __init__(self, channel: Any, rung: Callable[[Exception | None], None]) -> None:
        self._channel, self._rung = channel, rung
        self._bells: dict[str, ListWaiter] = {}

    def wait(self, keys: Collection[str]) -> None:
        """Let these lists ring, and no others. Raises redis.ConnectionError where a bell cannot be had."""
        self._take_down(self._bells.keys() - set(keys))
        timeout = self._channel.brpop_timeout
        patience = timeout + (self._channel.health_check_interval or math.inf)
        for key in keys:
            if key not in self._bells:
                self._bells[key] = ListWaiter(key, self._connection(), self._channel.connection.cycle, self._rung)
            self._bells[key].set(timeout, patience)

    def close(self) -> None:
        """Take all bells down."""
        self._take_down(tuple(self._bells))

    def _take_down(self, keys: Collection[str]) -> None:
        for key in keys:
            self._bells.pop(key).take_down()

    def _connection(self) -> Any:
        pool = self._channel.client.connection_pool
        return pool.connection_class(**pool.connection_kwargs)
