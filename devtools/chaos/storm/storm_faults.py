"""Every fault of the storm. One more is one more function here, and its name in FAULTS."""

import contextlib
import os
import signal
from pathlib import Path

from devtools.chaos.brokers import ChaosRabbitMQ, ChaosRedis
from devtools.chaos.environment import LEASE
from devtools.chaos.fault import FaultNotObserved
from devtools.chaos.fault_proxy import FaultProxy
from devtools.chaos.odoo_target import FaultyFakeOdoo, slowed
from devtools.chaos.storm.storm_fault import StormFault, StormStrike, storm_fault

UP_WITHIN = 120.0
"""Seconds in which a worker that was killed must be up again, whatever else goes wrong meanwhile."""

BEAT = "beat1"
OFFSETS = (-86_400, -3_600, -30, 30, 3_600, 86_400)
"""Seconds by which a clock is moved: a machine that slept or was restored, a wrong zone, a wrong second."""

_WRITES = ("project.task/load", "mail.message/load", "res.partner/load", "project.project/load", "mail.activity/load")


# ------------------------------------------------------------------------------- workers --


@storm_fault("child killed", "worker", weight=4)
def child_killed(strike: StormStrike) -> None:
    """Kill (-9) one process of a worker's pool."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(strike.rng.choice(_pool(strike)), signal.SIGKILL)


@storm_fault("child frozen", "worker", weight=1)
def child_frozen(strike: StormStrike) -> None:
    """Freeze one process of a worker's pool for some seconds."""
    child = strike.rng.choice(_pool(strike))
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGSTOP)
    strike.last(0.5, 3.0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)


@storm_fault("worker killed", "worker", weight=3)
def worker_killed(strike: StormStrike) -> None:
    """Kill (-9) a worker with all its processes and wait until it is back."""
    _end(strike, signal.SIGKILL, group=True)


@storm_fault("main process killed", "worker", weight=2)
def main_killed(strike: StormStrike) -> None:
    """Kill (-9) only the main process of a worker and wait until it is back."""
    _end(strike, signal.SIGKILL)


@storm_fault("worker stopped", "worker", weight=1)
def worker_stopped(strike: StormStrike) -> None:
    """Stop a worker in good order (SIGTERM) and wait until it is back."""
    _end(strike, signal.SIGTERM)


@storm_fault("worker frozen", "worker", weight=1.5)
def worker_frozen(strike: StormStrike) -> None:
    """Freeze a worker with all its processes until its lease has ended."""
    _freeze(strike, LEASE + 0.5, LEASE + 3.0)


@storm_fault("worker held up", "worker", weight=2)
def worker_held_up(strike: StormStrike) -> None:
    """Freeze a worker with all its processes for less than its lease."""
    _freeze(strike, 0.3, LEASE - 1.0)


@storm_fault("clock moved", "worker", weight=2)
def clock_moved(strike: StormStrike) -> None:
    """Move the clock of a worker's machine by up to a day, either way, and back after a while."""
    strike.stage.shift_clock(strike.worker, strike.rng.choice(OFFSETS))
    try:
        strike.last(0.5, 4.0)
    finally:
        strike.stage.shift_clock(strike.worker, 0.0)


@storm_fault("beat killed", "beat", weight=1)
def beat_killed(strike: StormStrike) -> None:
    """Kill (-9) beat."""
    pid = strike.signal(BEAT, signal.SIGKILL)
    if not strike.stage.watch(lambda: strike.stage.pid(BEAT) not in (0, pid), within=UP_WITHIN):
        raise FaultNotObserved("beat was killed and did not come back")


def _pool(strike: StormStrike) -> list[int]:
    """Return the ids of a worker's pool processes; read from /proc, for the worker may be unable to answer."""
    main = strike.stage.pid(strike.worker)
    try:
        children = [int(word) for word in Path(f"/proc/{main}/task/{main}/children").read_text().split()]
    except OSError as error:
        raise FaultNotObserved(f"{strike.worker} does not run") from error
    if not children:
        raise FaultNotObserved(f"{strike.worker} has no pool yet")
    return children


def _end(strike: StormStrike, number: signal.Signals, *, group: bool = False) -> None:
    starts = strike.stage.starts(strike.worker)
    strike.signal(strike.worker, number, group=group)
    strike.stage.await_up(strike.worker, after=starts, within=UP_WITHIN)


def _freeze(strike: StormStrike, shortest: float, longest: float) -> None:
    strike.signal(strike.worker, signal.SIGSTOP, group=True)
    try:
        strike.last(shortest, longest)
    finally:
        strike.signal(strike.worker, signal.SIGCONT, group=True)


# ------------------------------------------------------------------------- links and Redis --


@storm_fault("connections reset", "link", weight=4)
def connections_reset(strike: StormStrike) -> None:
    """Reset some or all of the connections between the workers and the broker."""
    _proxy(strike).reset(share=strike.rng.choice((0.2, 0.5, 1.0)))


@storm_fault("connections half-closed", "link", weight=3)
def connections_half_closed(strike: StormStrike) -> None:
    """End one direction of some of the connections."""
    _proxy(strike).half_close(share=strike.rng.choice((0.2, 0.5, 1.0)))


@storm_fault("link slow", "link", weight=2)
def link_slow(strike: StormStrike) -> None:
    """Hold back whatever is sent between the workers and the broker."""
    with _proxy(strike).slow(strike.rng.uniform(0.02, 0.4)):
        strike.last(0.5, 3.0)


@storm_fault("link silent", "link", weight=1)
def link_silent(strike: StormStrike) -> None:
    """Forward nothing for a while, with every connection open."""
    with _proxy(strike).silent():
        strike.last(0.5, LEASE + 2.0)


@storm_fault("answers lost", "link", weight=3)
def answers_lost(strike: StormStrike) -> None:
    """Drop answers of the broker together with their connections; it has carried the requests out."""
    _proxy(strike).drop_answers(strike.rng.randint(1, 4))


@storm_fault("broker killed", "broker", weight=1, brokers=("redis",))
def redis_killed(strike: StormStrike) -> None:
    """Kill (-9) Redis; it is started again on its data."""
    _crash(strike, _redis(strike))


@storm_fault("Redis frozen", "broker", weight=1, brokers=("redis",))
def redis_frozen(strike: StormStrike) -> None:
    """Freeze the process of Redis (SIGSTOP)."""
    with _redis(strike).frozen():
        strike.last(0.3, LEASE + 1.0)


@storm_fault("clients paused", "broker", weight=1, brokers=("redis",))
def clients_paused(strike: StormStrike) -> None:
    """Let all commands, or those that write, wait (CLIENT PAUSE)."""
    milliseconds = strike.rng.randint(200, 4_000)
    _redis(strike).pause_clients(milliseconds, writes_only=strike.rng.random() < 0.5)
    strike.last(0.2, milliseconds / 1000)


@storm_fault("Redis full", "broker", weight=1.5, brokers=("redis",))
def redis_full(strike: StormStrike) -> None:
    """Let Redis refuse whatever needs memory (OOM)."""
    with _redis(strike).full():
        strike.last(0.3, 3.0)


@storm_fault("Redis read only", "broker", weight=1.5, brokers=("redis",))
def redis_read_only(strike: StormStrike) -> None:
    """Let Redis refuse every write (READONLY)."""
    with _redis(strike).read_only():
        strike.last(0.3, 3.0)


@storm_fault("replicas lost", "broker", weight=1.5, brokers=("redis",))
def replicas_lost(strike: StormStrike) -> None:
    """Let Redis refuse every write (NOREPLICAS)."""
    with _redis(strike).without_replicas():
        strike.last(0.3, 3.0)


@storm_fault("Redis busy", "broker", weight=1, brokers=("redis",))
def redis_busy(strike: StormStrike) -> None:
    """Let Redis refuse every command (BUSY): a script does not end."""
    with _redis(strike).busy():
        strike.last(0.3, 2.0)


@storm_fault("clock of Redis moved", "broker", weight=1, brokers=("redis",))
def redis_clock_moved(strike: StormStrike) -> None:
    """Move the clock of Redis by up to a day, either way, and back after a while."""
    _move_clock(strike, _redis(strike))


@storm_fault("scripts flushed", "broker", weight=2, brokers=("redis",))
def scripts_flushed(strike: StormStrike) -> None:
    """Let Redis forget all scripts."""
    _redis(strike).forget_scripts()


@storm_fault("clients disconnected", "broker", weight=1.5, brokers=("redis",))
def clients_disconnected(strike: StormStrike) -> None:
    """Let Redis close every connection."""
    _redis(strike).disconnect_clients()


# --------------------------------------------------------- RabbitMQ and its ledger on Redis --


@storm_fault("RabbitMQ killed", "broker", weight=0.5, brokers=("rabbitmq",))
def rabbit_killed(strike: StormStrike) -> None:
    """Kill (-9) RabbitMQ and start it again on its data."""
    strike.stage.broker.crash()


@storm_fault("RabbitMQ frozen", "broker", weight=1.5, brokers=("rabbitmq",))
def rabbit_frozen(strike: StormStrike) -> None:
    """Freeze the process of RabbitMQ (SIGSTOP)."""
    pid = _rabbit(strike).node.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        strike.last(0.3, 5.0)
    finally:
        os.kill(pid, signal.SIGCONT)


@storm_fault("RabbitMQ out of memory", "broker", weight=0.7, brokers=("rabbitmq",))
def rabbit_blocks(strike: StormStrike) -> None:
    """Let RabbitMQ block whoever publishes (memory alarm)."""
    node = _rabbit(strike).node
    node.ctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        strike.last(0.5, 3.0)
    finally:
        node.ctl("set_vm_memory_high_watermark", "0.6")


@storm_fault("RabbitMQ closes connections", "broker", weight=1, brokers=("rabbitmq",))
def rabbit_disconnects(strike: StormStrike) -> None:
    """Let RabbitMQ close every connection."""
    _rabbit(strike).node.ctl("close_all_connections", "storm")


@storm_fault("ledger killed", "ledger", weight=1)
def ledger_killed(strike: StormStrike) -> None:
    """Kill (-9) the ledger's Redis; it is started again on its data."""
    _crash(strike, _ledger(strike))


@storm_fault("ledger refuses writes", "ledger", weight=1.5)
def ledger_refuses(strike: StormStrike) -> None:
    """Let the ledger's Redis refuse every write, for one of several reasons."""
    ledger = _ledger(strike)
    with strike.rng.choice((ledger.full, ledger.read_only, ledger.without_replicas))():
        strike.last(0.3, 3.0)


@storm_fault("ledger frozen", "ledger", weight=1)
def ledger_frozen(strike: StormStrike) -> None:
    """Freeze the process of the ledger's Redis (SIGSTOP)."""
    with _ledger(strike).frozen():
        strike.last(0.3, LEASE + 1.0)


@storm_fault("clock of the ledger moved", "ledger", weight=1)
def ledger_clock_moved(strike: StormStrike) -> None:
    """Move the clock of the ledger's Redis by up to a day, either way, and back after a while."""
    _move_clock(strike, _ledger(strike))


def _move_clock(strike: StormStrike, node: ChaosRedis) -> None:
    if not node.has_moving_clock:
        raise FaultNotObserved("libfaketime is not installed")
    node.shift_clock(strike.rng.choice(OFFSETS))
    try:
        strike.last(0.5, 4.0)
    finally:
        node.shift_clock(0)


def _proxy(strike: StormStrike) -> FaultProxy:
    if strike.stage.proxy is None:
        raise FaultNotObserved("the workers do not go through the proxy")
    return strike.stage.proxy


def _redis(strike: StormStrike) -> ChaosRedis:
    if not isinstance(strike.stage.broker, ChaosRedis):
        raise FaultNotObserved("the broker is not Redis")
    return strike.stage.broker


def _rabbit(strike: StormStrike) -> ChaosRabbitMQ:
    if not isinstance(strike.stage.broker, ChaosRabbitMQ):
        raise FaultNotObserved("the broker is not RabbitMQ")
    return strike.stage.broker


def _ledger(strike: StormStrike) -> ChaosRedis:
    if strike.stage.own_ledger is None:
        raise FaultNotObserved("the ledger has no server of its own")
    return strike.stage.own_ledger


def _crash(strike: StormStrike, node: ChaosRedis) -> None:
    strike.expect_exit(node.name)
    node.crash()


# ---------------------------------------------------------------------------------- Odoo --


@storm_fault("Odoo away", "odoo", weight=1)
def odoo_away(strike: StormStrike) -> None:
    """Stop Odoo, which refuses connections until it is back at the same address."""
    twin = _twin(strike)
    port = int(twin.url.rpartition(":")[2])
    twin.faults.drop(times=10_000)  # connections that are kept open are cut, too
    twin.stop()
    try:
        strike.last(0.5, 3.0)
    finally:
        twin.faults.clear()
        twin.start(port)


@storm_fault("bad gateway", "odoo", weight=3)
def bad_gateway(strike: StormStrike) -> None:
    """Let a proxy in front of Odoo answer with its own status, before or after Odoo has committed."""
    faults = _twin(strike).faults
    for _ in range(strike.rng.randint(1, 6)):
        status = strike.rng.choice((408, 425, 429, 500, 502, 503, 504))
        faults.answer(status, after_commit=strike.rng.random() < 0.6, only=strike.rng.choice(_WRITES))
    strike.last(0.2, 2.0)
    faults.clear()


@storm_fault("answer of Odoo lost", "odoo", weight=3)
def odoo_answers_lost(strike: StormStrike) -> None:
    """Cut connections to Odoo, before or after it has committed."""
    faults = _twin(strike).faults
    for _ in range(strike.rng.randint(1, 6)):
        faults.drop(after_commit=strike.rng.random() < 0.6, only=strike.rng.choice(_WRITES))
    strike.last(0.2, 2.0)
    faults.clear()


@storm_fault("serialization failures", "odoo", weight=2)
def races_lost(strike: StormStrike) -> None:
    """Let Odoo give up transactions that meet others."""
    _twin(strike).lose_races(strike.rng.randint(1, 8))


@storm_fault("Odoo slow", "odoo", weight=2)
def odoo_slow(strike: StormStrike) -> None:
    """Let Odoo take its time."""
    with slowed(strike.stage.office, strike.rng.uniform(0.3, 1.5)):
        strike.last(0.5, 3.0)


def _twin(strike: StormStrike) -> FaultyFakeOdoo:
    if strike.stage.office.twin is None:
        raise FaultNotObserved("only the test double of Odoo can be disturbed")
    return strike.stage.office.twin


FAULTS: tuple[StormFault, ...] = (
    child_killed,
    child_frozen,
    worker_killed,
    main_killed,
    worker_stopped,
    worker_frozen,
    worker_held_up,
    clock_moved,
    beat_killed,
    connections_reset,
    connections_half_closed,
    link_slow,
    link_silent,
    answers_lost,
    redis_killed,
    redis_frozen,
    clients_paused,
    redis_full,
    redis_read_only,
    replicas_lost,
    redis_busy,
    redis_clock_moved,
    scripts_flushed,
    clients_disconnected,
    rabbit_killed,
    rabbit_frozen,
    rabbit_blocks,
    rabbit_disconnects,
    ledger_killed,
    ledger_refuses,
    ledger_frozen,
    ledger_clock_moved,
    odoo_away,
    bad_gateway,
    odoo_answers_lost,
    races_lost,
    odoo_slow,
)
