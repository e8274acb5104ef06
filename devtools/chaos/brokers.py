"""The servers of the drill can be killed, filled up and looked into, whichever kind they are."""

import base64
import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import redis
from kombu.connection import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.queues import QUEUES, redis_lists
from devtools.chaos.fault import Against, FaultNotObserved
from devtools.local.rabbitmq_node import RabbitNode
from devtools.local.rabbitmq_node import serving as serving_rabbit
from devtools.local.redis_server import Server
from devtools.local.redis_server import claim as claim_redis
from devtools.local.supervisor import ProcessSpec
from workers.broker.kombu_envelope import read_envelope

HEARTBEAT = 2
"""Seconds between signs of life that the RabbitMQ of the drill asks for: shorter than ours, and the shorter wish
counts. Who is silent for two to three times as long is dead to it, about as soon as a lease ends on Redis."""

LARGEST = 128 * 2**20
"""Bytes of a message that it takes at most: its default before RabbitMQ 4."""

HELD = ("unacked", "purser:broker:held:*")
"""Hashes in which messages in flight stand: kombu's own, and those of our workers."""

_BACK_WITHIN = 30.0


class ChaosBroker(Protocol):
    """Where messages queue."""

    url: str

    def commands(self) -> Iterator[ProcessSpec]:
        """Return what the supervisor is to run for it."""

    def crash(self) -> None:
        """Kill it (-9), and come back when it answers again."""

    def waiting(self) -> int:
        """Count the messages that wait or are in flight. OSError or RedisError while it is away."""

    def push(self, queue: str, raw: bytes) -> None:
        """Put bytes on a queue, as anybody could."""


class ChaosRedis:
    """A private Redis under the supervisor, which starts it again when it dies."""

    def __init__(self, server: Server, name: str, pid: Callable[[str], int], faketime: Path | None = None) -> None:
        self.server, self.name, self.url = server, name, server.url
        self._faketime = faketime
        if faketime is not None:
            self.shift_clock(0)
        self._pid = pid
        self.client: Any = redis.Redis.from_url(server.url, socket_timeout=5, retry=Retry(NoBackoff(), 1))

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def commands(self) -> Iterator[ProcessSpec]:
        """Yield the server itself."""
        command = self.server.command(self.name)
        if self._faketime is not None:
            command = dataclasses.replace(command, env={**command.env, **self._faketime_environ(self._faketime)})
        yield command

    def _faketime_environ(self, library: Path) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @property
    def _clock_file(self) -> Path:
        return self.server.home / "clock"

    @property
    def has_moving_clock(self) -> bool:
        """Return whether `shift_clock` works: it needs libfaketime on this machine."""
        return self._faketime is not None

    def shift_clock(self, seconds: int) -> None:
        """Move the server's clock so far from the right time."""
        new = self._clock_file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n", encoding="utf-8")
        new.replace(self._clock_file)

    def crash(self) -> None:
        """Kill it (-9), and come back when it answers again."""
        pid = self._pid(self.name)
        os.killpg(pid, signal.SIGKILL)
        deadline = time.monotonic() + _BACK_WITHIN
        while self._pid(self.name) in (0, pid) or not self.server.answers():
            if time.monotonic() > deadline:
                raise FaultNotObserved(f"the {self.name} was killed and did not come back")
            time.sleep(0.05)

    def waiting(self) -> int:
        """Count what stands on the queues and what workers hold."""
        pipe = self.client.pipeline(transaction=True)
        for name in chain.from_iterable(map(redis_lists, QUEUES)):
            pipe.llen(name)
        for key in [key for pattern in HELD for key in self.client.scan_iter(match=pattern, count=1000)]:
            pipe.hlen(key)
        return sum(map(int, pipe.execute()))

    def push(self, queue: str, raw: bytes) -> None:
        """Put bytes on a queue as anybody with a Redis client could."""
        self.client.lpush(queue, raw)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Refuse whatever needs memory."""
        self.client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self.client.config_set("maxmemory", 0)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Answer every write with READONLY, as a demoted primary does: it follows one that does not exist."""
        self.client.replicaof("127.0.0.1", 1)
        try:
            yield
        finally:
            self.client.replicaof("NO", "ONE")

    @contextlib.contextmanager
    def without_replicas(self) -> Iterator[None]:
        """Answer every write with NOREPLICAS, as a primary that has lost the replica it must have."""
        self.client.config_set("min-replicas-to-write", 1)
        try:
            yield
        finally:
            self.client.config_set("min-replicas-to-write", 0)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Answer every command with BUSY: a script runs without end, and is killed when the block ends."""
        self.client.config_set("lua-time-limit", 50)
        endless = threading.Thread(target=self._run_endless_script, name="endless script", daemon=True)
        endless.start()
        try:
            yield
        finally:
            with contextlib.suppress(redis.RedisError):
                self.client.script_kill()
            endless.join()

    def _run_endless_script(self) -> None:
        with (
            redis.Redis.from_url(self.url, socket_timeout=60, retry=Retry(NoBackoff(), 0)) as own,
            contextlib.suppress(redis.RedisError),
        ):
            own.eval("while true do end", 0)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server's process (SIGSTOP): connections stay open and nothing is answered."""
        pid = self._pid(self.name)
        if not pid:
            raise FaultNotObserved(f"the {self.name} does not run")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def pause_clients(self, milliseconds: int, *, writes_only: bool) -> None:
        """Let commands, or only those that write, wait so long for their answer."""
        self.client.client_pause(milliseconds, all=not writes_only)

    def forget_scripts(self) -> None:
        """Forget every Lua script, as a restart or a SCRIPT FLUSH does."""
        self.client.script_flush()

    def disconnect_clients(self) -> None:
        """Close every connection but our own."""
        self.client.client_kill_filter(_type="normal", skipme=True)

    def refused(self) -> int:
        """Count the commands that were refused for want of memory so far."""
        stats = self.client.info("errorstats").get("errorstat_OOM", {})
        return int(stats.get("count", 0))

    def forget(self) -> None:
        """Lose everything, as with a disk."""
        self.client.flushall()


class ChaosRabbitMQ:
    """A private RabbitMQ node."""

    def __init__(self, node: RabbitNode) -> None:
        self.node, self.url = node, node.url

    def commands(self) -> Iterator[ProcessSpec]:
        """Yield nothing: the node is started apart."""
        yield from ()

    def crash(self) -> None:
        """Kill it (-9) and start it again on the same data."""
        self.node.kill()
        self.node.start()

    def waiting(self) -> int:
        """Count what stands on the queues; only where that is nothing, ask the node what workers hold, too."""
        return self._ready() or self._held()

    def _ready(self) -> int:
        make: Any = Connection
        found = 0
        with make(self.url) as connection:
            for queue in QUEUES:
                with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                    found += channel.queue_declare(queue, passive=True).message_count
        return found

    def _held(self) -> int:
        lines = self.node.ctl("list_queues", "name", "messages", "--no-table-headers").splitlines()
        depths = dict(line.split("\t") for line in lines if "\t" in line)
        return sum(int(depth) for name, depth in depths.items() if name in (*QUEUES, "purser.dead"))

    def push(self, queue: str, raw: bytes) -> None:
        """Put bytes on a queue as anybody with an AMQP client could; an envelope is sent as the message in it."""
        envelope, problem = read_envelope(raw)
        make: Any = Connection
        with make(self.url, transport_options={"confirm_publish": True}) as connection:
            if problem:
                channel = connection.default_channel
                told = channel.prepare_message(raw, properties={"delivery_mode": 2})
                channel.basic_publish(told, exchange="", routing_key=queue)
                return
            connection.Producer().publish(
                base64.b64decode(envelope["body"]),
                routing_key=queue,
                content_type=envelope["content-type"],
                content_encoding=envelope["content-encoding"],
                headers=envelope["headers"],
                delivery_mode=2,
            )


def find_faketime() -> Path | None:
    """Return the library that gives a process a wrong clock, or None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@contextlib.contextmanager
def claimed(
    against: Against, home: Path, pid: Callable[[str], int], *, moving_clock: bool = False
) -> Iterator["ChaosRedis | ChaosRabbitMQ"]:
    """Yield the broker of a directory. Redis runs under the supervisor, RabbitMQ is started here."""
    if against == "rabbitmq":
        told = {"heartbeat": str(HEARTBEAT), "max_message_size": str(LARGEST)}
        with serving_rabbit(home / "broker", told) as node:
            yield ChaosRabbitMQ(node)
        return
    with claimed_redis(home / "broker", "broker", pid, moving_clock=moving_clock) as node:
        yield node


@contextlib.contextmanager
def claimed_redis(
    home: Path, name: str, pid: Callable[[str], int], *, moving_clock: bool = False
) -> Iterator[ChaosRedis]:
    """Yield a Redis of a directory, to be run by the supervisor.

    One whose clock can be moved is the embedded server: Debian's Redis, built with jemalloc, does not start under
    libfaketime.
    """
    faketime = find_faketime() if moving_clock else None
    with claim_redis(home, "embedded" if faketime else "") as server:
        node = ChaosRedis(server, name, pid, faketime)
        try:
            yield node
        finally:
            node.close()
