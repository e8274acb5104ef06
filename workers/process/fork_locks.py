"""A pool process that is forked while other threads of the main process hold locks can take them all the same.

The main process forks a new pool process whenever one ends, and has threads beside its main loop: housekeeping,
leases, probes. A lock that such a thread holds at that instant is copied locked, and nobody in the new process
releases it: whoever needs it there waits for ever. So the new process starts with every lock released that another
thread held.
"""

import contextlib
import gc
import importlib
import logging
import os
import sys
import threading
from typing import Any

_LOCK = type(threading.Lock())
_RLOCK = type(threading.RLock())

HANDLER_SECONDS = 1.0
"""How long a fork waits for a thread that is writing a log line."""

_is_installed = False
_held: list[Any] = []
_known: list[Any] = []


def install() -> None:
    """Let each process that is forked from here on start with free locks. For a main process; twice is once."""
    global _is_installed
    if not _is_installed:
        _is_installed = True
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def _before() -> None:
    """Find the locks here, for in the new process that would copy all memory; wait until no thread writes a log line.

    The buffer of a stream has a lock of its own that nobody can reset.
    """
    _known[:] = every_lock()
    handlers: Any = vars(logging)["_handlerList"]
    for reference in list(handlers):
        lock = getattr(reference(), "lock", None)
        if lock is not None and lock.acquire(timeout=HANDLER_SECONDS):
            _held.append(lock)


def _in_parent() -> None:
    while _held:
        _held.pop().release()
    _known.clear()


def _in_child() -> None:
    """Release the locks that threads of the parent held, and forget the modules that they were importing."""
    own = getattr(threading.current_thread(), "_tstate_lock", None)  # held for as long as the thread lives
    for lock in _known:
        if lock is not own:
            lock._at_fork_reinit()
    _held.clear()
    _known.clear()
    _forget_imports()


def every_lock() -> list[Any]:
    """Return every lock that an object of this process refers to."""
    found = gc.get_referents(*gc.get_objects())
    return list({id(one): one for one in found if type(one) is _LOCK or type(one) is _RLOCK}.values())


def _forget_imports() -> None:
    """Let this process import anew what another thread had half imported."""
    bootstrap: Any = importlib._bootstrap
    bootstrap._module_locks.clear()
    bootstrap._blocking_on.clear()
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if getattr(spec, "_initializing", False) and not _is_being_imported_here(spec):
            with contextlib.suppress(KeyError):
                del sys.modules[name]


def _is_being_imported_here(spec: Any) -> bool:
    """Return whether this very thread is importing a module: then it goes on with that after the fork."""
    frame: Any = sys._getframe()
    while frame is not None and frame.f_globals.get("__spec__") is not spec:
        frame = frame.f_back
    return frame is not None
