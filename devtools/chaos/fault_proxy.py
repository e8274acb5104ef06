"""A TCP proxy that breaks connections on order.

It resets or half-closes them, passes a request on and drops the answer, forwards slowly, or forwards nothing for a
while.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Self

_CHUNK = 65536


class FaultProxy:
    """Stands in front of one port of the loopback address. Thread safe."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._target = ("127.0.0.1", port)
        self._rng = rng
        self._lock = threading.Lock()
        self._open: set[tuple[socket.socket, socket.socket]] = set()
        self._to_drop = 0
        self.dropped = 0
        """How many answers were dropped."""
        self.cut = 0
        """How many connections were reset."""
        self.delay_seconds = 0.0
        """How long each piece of data is held back before it is forwarded."""
        self._forwards = threading.Event()
        self._forwards.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._forwards.set()
        self.reset(share=1.0)

    def reset(self, share: float) -> int:
        """Reset a share of the connections that are open now; give how many."""
        with self._lock:
            chosen = [pair for pair in self._open if self._rng.random() < share]
        for pair in chosen:
            self._break(pair)
        with self._lock:
            self.cut += len(chosen)
        return len(chosen)

    def half_close(self, share: float) -> int:
        """End one direction of a share of the connections, as a peer that sends no more; return how many."""
        with self._lock:
            chosen = [pair for pair in self._open if self._rng.random() < share]
            sides = [self._rng.choice(pair) for pair in chosen]
        for one in sides:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_WR)
        return len(chosen)

    @contextlib.contextmanager
    def slow(self, delay_seconds: float) -> Iterator[None]:
        """Hold each piece of data back for so long while the block lasts."""
        self.delay_seconds = delay_seconds
        try:
            yield
        finally:
            self.delay_seconds = 0.0

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Forward nothing while the block lasts; connections stay open."""
        self._forwards.clear()
        try:
            yield
        finally:
            self._forwards.set()

    def drop_answers(self, count: int) -> None:
        """Pass requests on, and drop the next so many answers together with their connections."""
        with self._lock:
            self._to_drop += count

    @property
    def left(self) -> int:
        """Return how many answers are still to be dropped."""
        return self._to_drop

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self._lock:
                self._open.add(pair)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(pair, source, sink), daemon=True).start()

    def _pass_on(self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if source is pair[1] and self._is_to_drop():
                    break
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                self._forwards.wait()
                sink.sendall(data)
        self._break(pair)

    def _is_to_drop(self) -> bool:
        """Draw whether this answer is dropped. Not each one in a row: that would hit the same connection only."""
        with self._lock:
            drops = self._to_drop > 0 and self._rng.random() < 0.2
            self._to_drop -= drops
            self.dropped += drops
            return drops

    def _break(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._open.discard(pair)
        for one in pair:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a reset
                one.shutdown(socket.SHUT_RD)  # wakes whoever reads, and says nothing to the other side
            one.close()
