"""People of Odoo are shown by name once their names are known; a page never waits long for them."""

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late

from purser.errors import PurserError
from workers.context import WorkerContext

KNOWN_FOR = 3600.0
AGAIN_AFTER = 60.0
"""Seconds until Odoo is asked again after it did not answer."""
LOOKUP_TIMEOUT_SECONDS = 0.7
_AT_ONCE = 500


class UserNameCache:
    """The names of users, as far as Odoo told them within the last hour."""

    def __init__(self, fleet: WorkerContext) -> None:
        self._fleet = fleet
        self._lock = threading.Lock()
        self._known: dict[int, tuple[str, float]] = {}
        self._asked: Future[None] | None = None
        self._not_before = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="names")

    def of(self, users: Iterable[int | None]) -> Mapping[int, str]:
        """Return what is known by now of these users; asks for the rest, and waits a moment for the answer."""
        wanted = {user for user in users if user is not None}
        with self._lock:
            missing = [one for one in sorted(wanted) if time.monotonic() >= self._known.get(one, ("", 0.0))[1]]
            idle = self._asked is None or self._asked.done()
            if missing and idle and time.monotonic() >= self._not_before:
                self._asked = self._thread.submit(self._ask, missing[:_AT_ONCE])
            asked = self._asked
        if missing and asked is not None:
            with contextlib.suppress(Late):  # then the next look at the page knows more
                asked.result(timeout=LOOKUP_TIMEOUT_SECONDS)
        return {user: self._known[user][0] for user in wanted if self._known.get(user, ("", 0))[0]}

    def _ask(self, users: list[int]) -> None:
        if self._fleet.settings.odoo_url is None:
            self._not_before = float("inf")
            return
        try:
            told = self._fleet.audit.names("res.users", users)
        except PurserError:
            self._not_before = time.monotonic() + AGAIN_AFTER
            return
        until = time.monotonic() + KNOWN_FOR
        self._known.update({user: (told.get(user, ""), until) for user in users})
