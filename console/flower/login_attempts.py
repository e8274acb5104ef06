"""How often a password may be guessed: a few times at once, then ever more slowly, by login and by origin."""

import time
from collections.abc import Callable

FREE_ATTEMPTS = 5
"""Wrong passwords that cost no waiting."""
MAX_WAIT_SECONDS = 30.0
"""Seconds: short, so that nobody keeps the owner of a login out for long by guessing wrongly."""
FORGOTTEN_AFTER = 900.0
A_SECOND = 10.0
"""Guesses a second from one machine for all logins together, after `BURST` at once."""
BURST = 30.0
_MOST_KEPT = 10_000


class LoginAttempts:
    """Counts wrong passwords. An attempt counts from its beginning, so that many at a time gain nothing."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: dict[tuple[str, str], tuple[int, float]] = {}
        self._spent: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, origin: str, machine: str) -> float:
        """Return for how many seconds this login may not be tried from there; 0 when it may be tried now."""
        now = self._now()
        count, last = self._wrong.get((name, origin), (0, now))
        pause = min(MAX_WAIT_SECONDS, 2.0 ** min(count - FREE_ATTEMPTS, 10)) if count >= FREE_ATTEMPTS else 0.0
        return max(0.0, last + pause - now, (self._level(machine, now) + 1 - BURST) / A_SECOND)

    def begin(self, name: str, origin: str, machine: str) -> None:
        """Count an attempt as wrong until `succeed` says otherwise."""
        now = self._now()
        count, last = self._wrong.get((name, origin), (0, now))
        self._wrong[name, origin] = (1 if now - last > FORGOTTEN_AFTER else count + 1, now)
        self._spent[machine] = (self._level(machine, now) + 1, now)
        for kept in (self._wrong, self._spent):
            if len(kept) > _MOST_KEPT:
                kept.pop(next(iter(kept)))  # type: ignore[call-overload]

    def succeed(self, name: str, origin: str, machine: str) -> None:
        """Forget what was wrong before."""
        self._wrong.pop((name, origin), None)
        self._spent.pop(machine, None)

    def _level(self, machine: str, now: float) -> float:
        level, last = self._spent.get(machine, (0.0, now))
        return max(0.0, level - (now - last) * A_SECOND)
