"""A proxy stands between a client and a TCP server and misbehaves where a test asks for it.

It carries bytes and knows no protocol: a trick is bound to bytes that pass.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass(eq=False)
class _Pair:
    """One client and its connection to the server."""

    client: socket.socket
    server: socket.socket

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass
class Trick:
    """Something to be done once when bytes pass. `played` is set when it was; `release` ends a delay."""

    pattern: re.Pattern[bytes]
    played: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def takes(self, data: bytes) -> bool:
        """Return whether this trick is to be played on these bytes, at most once."""
        if self.played.is_set() or not self.pattern.search(data):
            return False
        self.played.set()
        return True


class Proxy:
    """A server on a free port of its own that stands for another one."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self._lost: list[Trick] = []
        self._delayed: list[Trick] = []
        self._silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer(self, pattern: bytes) -> Trick:
        """Let the server answer; drop the first answer that has these bytes, and the connection with it."""
        trick = Trick(re.compile(pattern, re.DOTALL))
        self._lost.append(trick)
        return trick

    def delay_request(self, pattern: bytes) -> Trick:
        """Keep the first request that has these bytes until the trick is released, also when its client hangs up."""
        trick = Trick(re.compile(pattern, re.DOTALL))
        self._delayed.append(trick)
        return trick

    def cut(self) -> None:
        """Break every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            pair.close()

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Carry nothing and refuse nothing: what is asked meanwhile gets no answer, and is not asked later."""
        self._silent = True
        yield
        self.cut()
        self._silent = False

    def close(self) -> None:
        """Stop serving."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave who waits there waiting
        self._listener.close()
        for trick in self._delayed:
            trick.release.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                pair = _Pair(client, socket.create_connection(self._target))
            except OSError:
                if self._listener.fileno() < 0:
                    return
                continue  # the server is away: so are we
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._requests, args=(pair,), daemon=True).start()
            threading.Thread(target=self._answers, args=(pair,), daemon=True).start()

    def _requests(self, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            while data := pair.client.recv(_CHUNK):
                for trick in self._delayed:
                    if trick.takes(data):
                        trick.release.wait()
                if not self._silent:
                    pair.server.sendall(data)
        self._end(pair)

    def _answers(self, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            while data := pair.server.recv(_CHUNK):
                if any(trick.takes(data) for trick in self._lost):
                    break
                if not self._silent:
                    pair.client.sendall(data)
        self._end(pair)

    def _end(self, pair: _Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)
        pair.close()


@contextlib.contextmanager
def standing_before(port: int) -> Iterator[Proxy]:
    """Yield a proxy before a local server."""
    proxy = Proxy(port)
    yield proxy
    proxy.close()
