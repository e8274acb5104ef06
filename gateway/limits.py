"""Nobody takes more than a share: of memory, of time, or of what a source may send."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.problems import RETRY_AFTER, Problem

MOST_EVENTS = 1000
"""Events in one batch: each is a message, and the sender waits for all of them."""

BURST = 10.0
"""Seconds for which a source may be ahead of its rate."""

ROUNDING = 1e-9
"""Seconds that only sums of fractions make: who waited as long as was asked is not told to wait for these."""

MOST_AT_ONCE = 100
"""Requests whose bodies are kept in memory at a time."""


async def read_body(request: Request, *, most: int, within: float) -> bytes:
    """Read a body of at most so many bytes. Problem before more than these are read, or when the time is up."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and (len(told) > 15 or int(told) > most):
        raise _too_large(most)
    read = bytearray()
    try:
        async with asyncio.timeout(within):
            async for chunk in request.stream():
                read += chunk
                if len(read) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise Problem(408, f"the body was not there as a whole after {within:g} s: send it at once") from None
    except ClientDisconnect:
        raise Problem(400, "the connection ended before the body did") from None
    return bytes(read)


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes: send ids, not documents, and more than one batch")


class Room:
    """How many requests are worked on at once; who finds no room is told so at once."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._left = most

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place for as long as the block lasts."""
        if not self._left:
            raise Problem(503, "too many requests are being worked on", headers={"retry-after": str(RETRY_AFTER)})
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1


class Pace:
    """What each source may send: so many events a second, and a burst of ten seconds' worth before that counts.

    A batch that is larger than what is left still passes, and its source then waits for longer: a limit that some
    batch could never pass would be a wall.
    """

    def __init__(self, rate: float, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._steady = rate, steady
        self._paid_until: dict[str, float] = {}
        self._lock = threading.Lock()

    def spend(self, source: str, count: int) -> None:
        """Let a source send so many events, or raise a Problem that says when it may."""
        with self._lock:
            now = self._steady()
            paid = max(self._paid_until.get(source, now), now)
            ahead = paid - now - BURST
            if ahead > ROUNDING:
                raise Problem(
                    429,
                    f"this source sends more than {self._rate:g} events a second: wait as Retry-After says",
                    headers={"retry-after": str(math.ceil(ahead))},
                )
            self._paid_until[source] = paid + count / self._rate
