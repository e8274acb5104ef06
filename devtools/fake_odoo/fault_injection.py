"""Trouble on order: the next requests are refused, delayed or cut off, before or after the work is done."""

import threading
from typing import NamedTuple

from devtools.fake_odoo.odoo_errors import OdooError


class InjectedFault(NamedTuple):
    """What shall go wrong with one request: a status, a delay, or else the connection is cut off."""

    only: str
    """`model/method`; any request where empty."""
    is_done_first: bool
    """The work is committed, and only the answer suffers."""
    status: int = 0
    retry_after: str = ""
    seconds: float = 0.0
    error: OdooError | None = None
    """What Odoo itself says, as its error object."""


class FaultQueue:
    """A queue of faults; each spoils one request. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: list[InjectedFault] = []

    def answer(
        self, status: int, *, times: int = 1, after_commit: bool = False, retry_after: str = "", only: str = ""
    ) -> None:
        """Answer like a proxy: `status` with a page of HTML."""
        self._add(times, InjectedFault(only, after_commit, status, retry_after))

    def delay(self, seconds: float, *, times: int = 1, after_commit: bool = False, only: str = "") -> None:
        """Let the caller wait for the answer."""
        self._add(times, InjectedFault(only, after_commit, seconds=seconds))

    def refuse(self, error: OdooError, *, times: int = 1, only: str = "") -> None:
        """Answer with Odoo's error object."""
        self._add(times, InjectedFault(only, False, error=error))

    def drop(self, *, times: int = 1, after_commit: bool = False, only: str = "") -> None:
        """Close the connection without an answer."""
        self._add(times, InjectedFault(only, after_commit))

    def clear(self) -> None:
        """Let all be well again."""
        with self._lock:
            self._next.clear()

    @property
    def left(self) -> int:
        """Return how many faults wait for a request."""
        return len(self._next)

    def take(self, call: str) -> InjectedFault | None:
        """Draw the fault for this request, if one waits for it."""
        with self._lock:
            found = next((fault for fault in self._next if fault.only in {"", call}), None)
            if found is not None:
                self._next.remove(found)
            return found

    def _add(self, times: int, fault: InjectedFault) -> None:
        with self._lock:
            self._next += [fault] * times
