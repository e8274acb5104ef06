"""What each worker does for the fleet beside its tasks: what is due is sent, what stalled is sent again, replays go
on, and the worker itself is watched.

One thread in the main process of each worker. All of it may be done by many workers at once: the ledger hands each
piece to one of them.
"""

import contextlib
import datetime as dt
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
from celery.worker import state

from purser.errors import Permanent, PurserError
from store import DelayedMessage, InboxEntry, LimiterPermit, WorkerReport
from workers.context import WorkerContext
from workers.dead_letters import replay_runner, retention
from workers.escaped_errors import ESCAPED
from workers.events import react
from workers.odoo_access import breaker_probe

log = structlog.get_logger(__name__)

EVERY = 0.5
"""Seconds between two looks at what is due."""
STALLED_EVERY = 15.0
REPORT_EVERY = 5.0
REPLAYS_EVERY = 0.4
PAUSES_EVERY = 1.0
BREAKER_EVERY = 1.0
LETTERS_EVERY = 3600.0
FROZEN_AFTER = 10.0
"""Seconds: who wakes so much later than asked was stopped, or is on a machine that stood still."""
BACKLOG_SENT_AGAIN_AFTER = dt.timedelta(days=1)
LENT_FOR = dt.timedelta(seconds=60)


@dataclass(slots=True)
class LoopActivity:
    """What the main loop of the worker shows of itself. Written there, read by the housekeeping thread."""

    last_tick: float = field(default_factory=time.monotonic)
    last_consumed: float = field(default_factory=time.monotonic)
    has_loop: bool = False

    def tick(self) -> None:
        """The main loop turns."""
        self.last_tick = time.monotonic()

    def consumed(self) -> None:
        """A message arrived."""
        self.last_consumed = time.monotonic()


@dataclass(slots=True)
class QueueAgeTracker:
    """How long something has been waiting on a queue without being taken, seen from outside of it."""

    depth: Callable[[str], tuple[int, bytes | None]]
    """Gives how many wait and, where the broker shows it, a mark of the next one."""
    _since: dict[str, tuple[bytes | None, float]] = field(default_factory=dict)

    def ages(self, queues: Iterable[str]) -> dict[str, float]:
        """Return for each queue that has something waiting how long its next message has been the same one."""
        now, ages = time.monotonic(), {}
        for queue in queues:
            waiting, mark = self.depth(queue)
            before = self._since.get(queue)
            if not waiting:
                self._since.pop(queue, None)
                continue
            if before is None or before[0] != mark:
                self._since[queue] = (mark, now)
            ages[queue] = now - self._since[queue][1]
        return ages


class MaintenanceThread:
    """The thread, and what it looks after. `stop` ends it."""

    def __init__(
        self,
        fleet: WorkerContext,
        *,
        name: str,
        consumer: Any,
        seen: LoopActivity,
        send: Callable[[DelayedMessage], None],
        watch: QueueAgeTracker,
        settle: Callable[[], bool] = lambda: True,
    ) -> None:
        self._fleet, self._name, self._consumer, self._seen = fleet, name, consumer, seen
        self._holder = f"{name} {uuid.uuid4().hex[:8]}"
        self._send, self._watch, self._settle = send, watch, settle
        self._excused = time.monotonic()
        self.failures = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._next: dict[str, float] = {}
        self._ages: dict[str, float] = {}
        self._born: dt.datetime | None = None
        self._is_away = False
        self._probing: threading.Thread | None = None
        self._has_probed = False

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def revive(self) -> None:
        """Begin again when the thread has ended although it was not told to. The main loop calls this."""
        if self._thread is not None and not self._thread.is_alive() and not self._stop.is_set():
            log.error("housekeeping had ended, and begins again", failures=self.failures)
            self.start()

    def stop(self) -> None:
        """End, and say so to the crew."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        with contextlib.suppress(PurserError):
            self._fleet.ledger.crew.leave(self._name)
            for replay_id in self._fleet.ledger.replaying.running():
                self._fleet.ledger.replaying.release(replay_id, self._holder)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(EVERY):
            if time.monotonic() - before > FROZEN_AFTER:  # the whole process stood still, not its main loop alone
                self._excuse()
            try:
                self.look()
            except PurserError as error:
                if not self._is_away:
                    log.warning("housekeeping waits for the ledger", problem=str(error))
                self._is_away = True
                self._excuse()
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, this thread goes on
                self._failed(error)
            else:
                self._is_away = False
            try:
                self._watch_myself()
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, this thread goes on
                self._failed(error)
            before = time.monotonic()

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        log.error("housekeeping failed, and goes on", failures=self.failures, exc_info=error)

    def _excuse(self) -> None:
        """Begin to count anew for how long this worker has done nothing: it could not help it."""
        self._excused = time.monotonic()

    def look(self) -> None:
        """Do once what is due by now. What fails keeps nothing else from being done; its error is raised last."""
        problems = [
            problem
            for what, every, act in (
                ("due", 0.0, self.send_due),
                ("breaker", BREAKER_EVERY, self.probe_odoo),
                ("pauses", PAUSES_EVERY, self.follow_pauses),
                ("stalled", STALLED_EVERY, self.send_stalled),
                ("report", REPORT_EVERY, self.report),
                ("replays", REPLAYS_EVERY, self.advance_replays),
                ("letters", LETTERS_EVERY, partial(retention.apply_retention, self._fleet)),
            )
            if (problem := self._each(what, every, act)) is not None
        ]
        if problems:
            raise problems[0]

    def _each(self, what: str, every: float, act: Callable[[], None]) -> Exception | None:
        now = time.monotonic()
        if now < self._next.get(what, 0.0):
            return None
        self._next[what] = now + every
        try:
            act()
        except Exception as problem:  # noqa: BLE001 - told once by whoever asked for this look
            return problem
        return None

    # ------------------------------------------------------------------------- messages --

    def send_due(self) -> None:
        """Put on their queues the delayed messages whose time has come."""
        delayed = self._fleet.ledger.delayed
        if self._fleet.settings.one_redis:
            while delayed.move_due() and not self._stop.is_set():
                pass
            return
        problem: PurserError | None = None
        for entry in delayed.lend_due(lease=LENT_FOR):
            try:
                self._send(entry)
            except PurserError as error:  # its queue may be full or gone: the others go on
                problem = error
            else:
                delayed.sent(entry)
        if problem is not None:
            raise problem

    def send_stalled(self) -> None:
        """Send events again of which an automation or a subscription shows no progress, unless they only wait."""
        inbox, queues = self._fleet.ledger.inbox, _Queues(self._fleet, self._watch.depth)
        for entry in inbox.lend_stalled(knows_queues=True):
            if "type" not in entry.event:  # changed by hand: it spoils no other
                log.error("event cannot be sent again: it has no type", event_id=entry.id)
                continue
            lost = [name for name in entry.pending if not queues.may_hold(entry, name)]
            if not lost:
                log.info("event waits on its queue", event_id=entry.id, reactions=entry.pending)
                inbox.held_back(entry.source, entry.id)
            for reaction in lost:
                log.warning("event sent again", event_id=entry.id, reaction=reaction, times=entry.emitted)
                react.enqueue_reaction(self._fleet, reaction, entry.event)

    def advance_replays(self) -> None:
        """Take replays further. One that cannot be read holds up no other."""
        for replay_id in self._fleet.ledger.replaying.running():
            if self._stop.is_set():
                return
            try:
                replay_runner.advance(self._fleet, replay_id, self._holder)
            except Permanent as problem:
                log.warning("replay not advanced", replay=replay_id, problem=str(problem))

    def probe_odoo(self) -> None:
        """Probe Odoo when its breaker is due for it. A thread of its own asks, for the answer may take long."""
        if self._probing is not None and self._probing.is_alive():
            return
        ticket = self._fleet.gate.probe(at_once=not self._has_probed)  # a new process may have better settings
        self._has_probed = True
        if isinstance(ticket, LimiterPermit):
            self._probing = threading.Thread(target=self._probe, args=(ticket,), name="breaker probe", daemon=True)
            self._probing.start()

    def _probe(self, ticket: LimiterPermit) -> None:
        try:
            breaker_probe.run_probe(self._fleet, ticket)
        except PurserError as problem:  # the ledger is away: the ticket lapses, and others probe
            log.warning("probe of Odoo not finished", problem=str(problem))
        except Exception:
            log.exception("probe of Odoo has failed")

    # -------------------------------------------------------------------------- pauses --

    def follow_pauses(self) -> None:
        """Stop taking from queues that are paused, and begin again when they are not."""
        queues = self._consumer.known_queues
        paused = {queue for queue in queues if self._fleet.is_held_back(("all", f"queue:{queue}"))}
        if paused != self._consumer.paused_queues:
            self._consumer.call_soon(partial(self._consumer.pause_queues, frozenset(paused)))

    # ---------------------------------------------------------------------- the worker --

    def report(self, word: str = "") -> None:
        """Tell the ledger that this worker lives, and what it sees."""
        now = self._fleet.now()
        self._born = self._born or now
        self._ages = {}
        self._ages = self._watch.ages(self._consumer.known_queues - self._consumer.paused_queues)
        if max(self._ages.values(), default=0.0) > REPORT_EVERY and not self._settle():
            self._excuse()  # the broker takes no writes, so there is nothing to take
        self._fleet.ledger.crew.report(
            WorkerReport(
                name=self._name,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=tuple(sorted(self._consumer.known_queues)),
                started=self._born,
                at=now,
                last_consumed=now - dt.timedelta(seconds=time.monotonic() - self._seen.last_consumed),
                active=len(state.active_requests),
                capacity=self._consumer.pool.num_processes,
                oldest=self._ages,
                stuck=self._consumer.leaks.stuck,
                mended=self._consumer.leaks.mended,
                errors=ESCAPED.count,
                version=version("odoo-purser"),
                state=word or ("paused" if self._consumer.paused_queues else "working"),
            )
        )

    def is_ghost(self) -> str:
        """Return why this worker is up and yet does no work; '' when it is all right."""
        limit, now = self._fleet.settings.ghost_after, time.monotonic()
        if self._seen.has_loop and now - max(self._seen.last_tick, self._excused) > limit:
            return f"its main loop has not turned for {now - self._seen.last_tick:.0f} s"
        idle = now - self._seen.last_consumed
        oldest = max(self._ages.values(), default=0.0)
        if now - self._excused <= limit:
            return ""
        has_room = len(state.active_requests) < self._consumer.pool.num_processes
        if has_room and idle > limit and oldest > limit:
            return f"it has taken nothing for {idle:.0f} s while messages wait for {oldest:.0f} s"
        return ""

    def _watch_myself(self) -> None:
        if state.should_stop is not None or state.should_terminate is not None:
            return
        why = self.is_ghost()
        if why and not self._settle():
            log.warning("not started anew: the broker takes no writes, so there is nothing to take", why=why)
            self._excuse()
        elif why:
            log.error("ghost worker: it starts anew", worker=self._name, why=why)
            with contextlib.suppress(PurserError):
                self.report("ghost")
            restart_process(self._consumer.pool)


class _Queues:
    """Whether the message of an accepted event may still wait on its queue. Each queue is asked about once."""

    def __init__(self, fleet: WorkerContext, depth: Callable[[str], tuple[int, bytes | None]]) -> None:
        self._fleet, self._depth = fleet, depth
        self._waiting: dict[str, int] = {}

    def may_hold(self, entry: InboxEntry, reaction: str) -> bool:
        """Return whether what a reaction waits for is held back, or may be among what waits on its queue.

        Behind a backlog that lasts for days the message is sent again once a day: its queue may have lost it.
        """
        queue = react.queue_of(reaction, entry.event)
        if self._fleet.is_held_back(react.targets_of(reaction, queue)):
            return True
        if queue not in self._waiting:
            self._waiting[queue] = self._depth(queue)[0]
        age = self._fleet.now() - entry.accepted_at
        return self._waiting[queue] > 0 and age < entry.emitted * BACKLOG_SENT_AGAIN_AFTER


def restart_process(pool: Any) -> None:
    """Become a fresh process with the same command line; what this one held lapses, and others take it.

    A main loop that hangs would not hear a signal, so nothing is asked of it.
    """
    for process in getattr(getattr(pool, "_pool", None), "_pool", ()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is the point
