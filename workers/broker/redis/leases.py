"""A consumer owns what it took from Redis while its lease is renewed; what a dead one held goes back at once.

One thread in each consuming process renews the leases of its consumers, repeats what could not be settled while
Redis was away, and gives back what consumers held whose lease has ended. It is a thread and no timer, so that a busy
process does not lose what it works on; a process that is stopped or dead does.
"""

import os
import socket
import threading
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
import structlog

from store.reservation import MessageReservation
from workers.broker.redis import scripts

log = structlog.get_logger(__name__)

Working = Callable[[str], Collection[str]]
"""Gives the numbers of the messages of a holder that are still worked on."""


class LeaseLost(redis.ConnectionError):
    """This consumer's lease has ended: what it held belongs to others by now. It must begin anew."""


def is_fenced(error: Exception) -> bool:
    """Return whether a script refused because the lease has ended."""
    return str(error).startswith("FENCED")


def holder_of(tag: str) -> str:
    """Return the holder that a delivery tag names."""
    return tag.rpartition("/")[0]


def held_of(tag: str) -> MessageReservation:
    """Return the broker's record of a message in flight."""
    holder, _, number = tag.rpartition("/")
    return MessageReservation(f"{scripts.HELD}{holder}", number)


@dataclass(slots=True)
class _CancelledConsumer:
    """A consumer that is gone while some of its messages are still worked on here."""

    working: Working
    before: frozenset[str] = frozenset()


@dataclass(slots=True)
class _PendingSettlements:
    """What could not be told to Redis yet, by delivery tag: how it ended."""

    acks: set[str] = field(default_factory=set)
    returns: dict[str, str] = field(default_factory=dict)

    def forget(self, holder: str) -> None:
        """What this holder had is settled by others."""
        self.acks = {tag for tag in self.acks if holder_of(tag) != holder}
        self.returns = {tag: how for tag, how in self.returns.items() if holder_of(tag) != holder}


class LeaseManager:
    """The leases of one process on one Redis. Safe to use from several threads."""

    def __init__(self, client: redis.Redis, *, lease: float, heartbeat: float) -> None:
        self._client: Any = client
        self.lease, self.heartbeat = lease, heartbeat
        self._lock = threading.RLock()
        self._holders: set[str] = set()
        self._retiring: dict[str, _CancelledConsumer] = {}
        self._unsettled = _PendingSettlements()
        self._well = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reserve = client.register_script(scripts.RESERVE)
        self._settle = client.register_script(scripts.SETTLE)
        self._release = client.register_script(scripts.RELEASE)
        self._enlist = client.register_script(scripts.REGISTER)
        self._beat = client.register_script(scripts.RENEW)

    # ------------------------------------------------------------------------- a lease --

    def enlist(self) -> str:
        """Begin a lease; give the name of its holder, which is never used again."""
        holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._enlist(keys=[scripts.LEASES], args=[holder, self._milliseconds])
        with self._lock:
            self._holders.add(holder)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        return holder

    def retire(self, holder: str, working: Working | None = None) -> None:
        """End a lease and give back what it holds, uncounted; what is still worked on is kept until it ends."""
        with self._lock:
            if holder not in self._holders:
                return
            self._holders.discard(holder)
            self._retiring[holder] = _CancelledConsumer(working or (lambda _: ()))
        self._let_go(holder)

    # ----------------------------------------------------------------------- a message --

    @property
    def question(self) -> str:
        """The name under which Redis knows the script that reserves."""
        return str(self._reserve.sha)

    def prepare(self) -> None:
        """Tell Redis the script that reserves; a new or restarted server does not know it."""
        self._client.script_load(scripts.RESERVE)

    def reserve(self, tag: str, queues: Sequence[str]) -> bytes | None:
        """Take the next message of the first queue that has one. The tag is the caller's and names this question.

        LeaseLost when the holder's lease has ended. Nothing is held when this raises.
        """
        held = held_of(tag)
        try:
            record = self._reserve(keys=[scripts.LEASES, held.key, *queues], args=[holder_of(tag), held.field])
        except redis.RedisError as error:
            self.withdraw(tag)
            if is_fenced(error):
                raise LeaseLost(str(error)) from error
            raise
        return None if record is None else bytes(record)

    def ack(self, tag: str) -> bool:
        """Take a message off: it is done. False: it was no longer ours. Never raises; Redis away is told later."""
        held = held_of(tag)
        try:
            taken = bool(self._client.hdel(held.key, held.field))
        except redis.RedisError as error:
            log.warning("acknowledgement is told again later", tag=tag, problem=str(error))
            with self._lock:
                self._unsettled.acks.add(tag)
            return True
        if not taken:
            log.warning("acknowledgement refused: the message went to somebody else meanwhile", tag=tag)
        return taken

    def give_back(self, tag: str, *, counted: bool) -> None:
        """Put a message back as the next one out of its queue. Never raises; Redis away is told later."""
        self._return(tag, "counted" if counted else "uncounted")

    def withdraw(self, tag: str) -> None:
        """Give back what a question has taken, uncounted; where it arrives only later, it takes nothing any more.

        Never raises; Redis away is told later.
        """
        self._return(tag, "withdrawn")

    def _return(self, tag: str, how: str) -> None:
        try:
            self._tell(tag, how)
        except redis.RedisError as error:
            log.warning("message is given back later", tag=tag, problem=str(error))
            with self._lock:
                self._unsettled.returns[tag] = how

    def _tell(self, tag: str, how: str) -> None:
        held = held_of(tag)
        self._settle(keys=[held.key], args=[held.field, how, holder_of(tag)])

    # ---------------------------------------------------------------------- the thread --

    def stop(self) -> None:
        """End the thread; leases that were not retired lapse."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=self.heartbeat + 1)
        self._client.close()

    def _run(self) -> None:
        while not self._stop.wait(self.heartbeat):
            try:
                self.beat()
                self._well = True
            except redis.RedisError as error:
                if self._well:
                    log.warning("leases not renewed", problem=str(error))
                self._well = False
            except Exception:
                log.exception("housekeeping of the leases has failed")

    def beat(self) -> None:
        """Renew, settle what is left, look after the dead. Raises redis.RedisError while Redis is away."""
        with self._lock:
            own = [*self._holders, *self._retiring]
        lost, taken = self._beat(
            keys=[scripts.LEASES, scripts.NOTIFICATIONS], args=[self._milliseconds, scripts.HELD, *own]
        )
        for name in lost:
            self._forget(name.decode())
        for name, count in zip(taken[::2], taken[1::2], strict=True):
            log.warning("took back what a dead consumer held", consumer=name.decode(), messages=int(count))
        self._settle_the_rest()
        for holder in tuple(self._retiring):
            self._let_go(holder)

    @property
    def owes(self) -> int:
        """Return how many ends of messages Redis has yet to be told."""
        with self._lock:
            return len(self._unsettled.acks) + len(self._unsettled.returns)

    def _forget(self, holder: str) -> None:
        with self._lock:
            known = holder in self._holders or holder in self._retiring
            self._holders.discard(holder)
            self._retiring.pop(holder, None)
            self._unsettled.forget(holder)
        if known:
            log.warning("lease lost: this process did not answer for too long", consumer=holder)

    def _settle_the_rest(self) -> None:
        with self._lock:
            acks, returns = tuple(self._unsettled.acks), dict(self._unsettled.returns)
        for tag in acks:
            held = held_of(tag)
            self._client.hdel(held.key, held.field)
            with self._lock:
                self._unsettled.acks.discard(tag)
        for tag, how in returns.items():
            try:
                self._tell(tag, how)
            except redis.ResponseError as error:
                log.error("message cannot be given back, its consumer keeps it", tag=tag, problem=str(error))
                continue
            with self._lock:
                self._unsettled.returns.pop(tag, None)

    def _let_go(self, holder: str) -> None:
        """Give back what a retiring holder no longer works on. What ended in the last beat may not be told yet."""
        with self._lock:
            one = self._retiring.get(holder)
            if one is None:
                return
            working = frozenset(one.working(holder))
            told_later = {held_of(tag).field for tag in self._unsettled.acks if holder_of(tag) == holder}
            keep = working | one.before | told_later
            one.before = working
        try:
            ended = self._release(keys=[scripts.LEASES, f"{scripts.HELD}{holder}"], args=[holder, *keep])
        except redis.RedisError as error:
            log.warning("messages are given back later", consumer=holder, problem=str(error))
            return  # the next beat tries again
        if ended:
            with self._lock:
                self._retiring.pop(holder, None)

    def disown(self) -> None:
        """Forget all leases without ending them: after a fork they are the parent's."""
        self._lock = threading.RLock()
        self._holders, self._retiring, self._unsettled = set(), {}, _PendingSettlements()
        self._thread = None

    @property
    def _milliseconds(self) -> int:
        return int(self.lease * 1000)


_keepers: dict[str, LeaseManager] = {}
_making = threading.Lock()


def lease_manager_for(name: str, make: Callable[[], LeaseManager]) -> LeaseManager:
    """Return the keeper of this process for one Redis, made with the first use."""
    with _making:
        if name not in _keepers:
            _keepers[name] = make()
        return _keepers[name]


def settle_all() -> bool:
    """Tell Redis now what it is still owed. Return whether all leases were renewed and nothing is owed any more."""
    for keeper in tuple(_keepers.values()):
        try:
            keeper.beat()
        except redis.RedisError:
            return False
        if keeper.owes:
            return False
    return True


def _after_fork() -> None:
    """A child of the pool consumes nothing: the leases are its parent's."""
    global _making
    for keeper in _keepers.values():
        keeper.disown()
    _keepers.clear()
    _making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
