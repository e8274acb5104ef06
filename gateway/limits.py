"""Nobody takes more than a share: of memory, of time, or of what a source may send."""

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.problem_details import RETRY_AFTER, Problem

MAX_EVENTS_IN_A_BATCH = 1000
"""Events in one batch: each is a message, and the sender waits for all of them."""

BURST = 10.0
"""Seconds for which a source may be ahead of its rate."""

FLOAT_TOLERANCE_SECONDS = 1e-9
"""Seconds that only sums of fractions make: who waited as long as was asked is not told to wait for these."""

MAX_CONCURRENT_REQUESTS = 100
"""Requests whose bodies are read at a time, and requests that are worked on at a time."""


START_SECONDS, SLOWEST_BYTES = 5.0, 20_000
"""Before its sender is known, a body has these seconds, and one more for each so many bytes that came."""


class LimitedBody:
    """The body of one request, while it is read and until its sender is known."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._ends: asyncio.Timeout | None = None
        self._given_up = False

    async def read(self, request: Request, *, most: int, within: float) -> bytes:
        """Read at most so many bytes. Raises Problem before more than these are read, or when the time is up."""
        told = request.headers.get("content-length", "")
        if told.isdecimal() and (len(told) > 15 or int(told) > most):
            raise _too_large(most)
        read = bytearray()
        begun = asyncio.get_running_loop().time()
        seconds = min(within, START_SECONDS)
        try:
            async with asyncio.timeout_at(begun + seconds) as self._ends:
                async for chunk in request.stream():
                    read += chunk
                    if len(read) > most:
                        raise _too_large(most)
                    if not self._given_up:
                        seconds = min(within, START_SECONDS + len(read) / SLOWEST_BYTES)
                        self._ends.reschedule(begun + seconds)
        except TimeoutError:
            if self._given_up:
                raise Problem(408, "the body was slower than others that wait: send it at once") from None
            raise Problem(408, f"the body was not there as a whole after {seconds:g} s: send it at once") from None
        except ClientDisconnect:
            raise Problem(400, "the connection ended before the body did") from None
        finally:
            self._ends = None
        return bytes(read)

    @property
    def is_waiting(self) -> bool:
        """Return whether bytes of it are still to come."""
        return self._ends is not None and not self._given_up

    def give_up(self) -> None:
        """Read no further: the request is answered with 408."""
        if self._ends is not None:
            self._given_up = True
            self._ends.reschedule(asyncio.get_running_loop().time())


class BodyMemoryLimit:
    """The bodies that are read at a time. When there are too many, the slowest of the busiest peer is given up.

    So a peer that sends many slow bodies loses these, and a body that is sent at once is read, whoever sends it.
    """

    def __init__(self, most: int = MAX_CONCURRENT_REQUESTS) -> None:
        self._most = most
        self._held: list[LimitedBody] = []  # the oldest first

    @contextmanager
    def held(self, peer: str) -> Iterator[LimitedBody]:
        """Hold a body of a peer for as long as the block lasts. Raises Problem when none can be given up for it."""
        if len(self._held) >= self._most:
            self._give_one_up()
        body = LimitedBody(peer)
        self._held.append(body)
        try:
            yield body
        finally:
            self._forget(body)

    def _give_one_up(self) -> None:
        waiting = [body for body in self._held if body.is_waiting]
        if not waiting:
            raise _too_many()
        counts = Counter(body.peer for body in waiting)
        slowest = max(waiting, key=lambda body: counts[body.peer])  # of equal ones the oldest
        slowest.give_up()
        self._forget(slowest)

    def _forget(self, body: LimitedBody) -> None:
        with suppress(ValueError):
            self._held.remove(body)


def _too_many() -> Problem:
    return Problem(503, "too many requests are being worked on", headers={"retry-after": str(RETRY_AFTER)})


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes: send ids, not documents, and more than one batch")


class ConcurrencyLimit:
    """How many requests are worked on at once; who finds no room is told so at once."""

    def __init__(self, most: int = MAX_CONCURRENT_REQUESTS) -> None:
        self._left = most

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place for as long as the block lasts."""
        if not self._left:
            raise _too_many()
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1


class SourceRateLimiter:
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
            if ahead > FLOAT_TOLERANCE_SECONDS:
                raise Problem(
                    429,
                    f"this source sends more than {self._rate:g} events a second: wait as Retry-After says",
                    headers={"retry-after": str(math.ceil(ahead))},
                )
            self._paid_until[source] = paid + count / self._rate
