"""A test waits for a condition, never for a duration."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, within: float = 10.0, what: str = "") -> T:
    """Return the first true answer of `condition`, or raise TimeoutError naming what never came."""
    pause = threading.Event()
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain for {what or condition}")
        pause.wait(0.02)
    return answer
