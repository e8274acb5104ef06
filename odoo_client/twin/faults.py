"""Trouble on order: the next requests are refused, delayed or cut off, before or after the work is done."""

import threading
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What shall go wrong with one request."""

    kind: Literal["status", "delay", "drop"]
    status: int = 502
    seconds: float = 0.0
    retry_after: str = ""
    is_done_first: bool = False
    """The work is committed, and only the answer is lost."""
    only: str = ""
    """`model/method`; any request where empty."""


class Faults:
    """A queue of faults; each spoils one request. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: list[Fault] = []

    def answer(
        self, status: int, *, times: int = 1, after_commit: bool = False, retry_after: str = "", only: str = ""
    ) -> None:
        """Answer like a proxy: `status` with a page of HTML."""
        fault = Fault(kind="status", status=status, is_done_first=after_commit, retry_after=retry_after, only=only)
        self._add(fault, times)

    def delay(self, seconds: float, *, times: int = 1, after_commit: bool = False, only: str = "") -> None:
        """Let the caller wait for the answer."""
        self._add(Fault(kind="delay", seconds=seconds, is_done_first=after_commit, only=only), times)

    def drop(self, *, times: int = 1, after_commit: bool = False, only: str = "") -> None:
        """Close the connection without an answer."""
        self._add(Fault(kind="drop", is_done_first=after_commit, only=only), times)

    def clear(self) -> None:
        """Let all be well again."""
        with self._lock:
            self._next.clear()

    @property
    def left(self) -> int:
        """How many faults wait for a request."""
        with self._lock:
            return len(self._next)

    def take(self, call: str) -> Fault | None:
        """Draw the fault for this request, if one waits for it."""
        with self._lock:
            for place, fault in enumerate(self._next):
                if fault.only in {"", call}:
                    return self._next.pop(place)
        return None

    def _add(self, fault: Fault, times: int) -> None:
        with self._lock:
            self._next += [fault] * times
