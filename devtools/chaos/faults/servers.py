"""The broker, the ledger, and the ways to them."""

from console.output import count
from devtools.chaos.brokers import ChaosRedis
from devtools.chaos.fault import FaultNotObserved, FaultRequirements, Mix, fault
from devtools.chaos.fault_context import FaultContext
from devtools.chaos.odoo_target import slowed

PROXIED = FaultRequirements(proxied=True)
APART = FaultRequirements(own_ledger=True)


@fault("broker killed", short=True, stock=True)
def broker_killed(scene: FaultContext) -> str:
    """The broker is killed (-9) under load and started again on its data."""
    times = 1 if scene.is_short else 3
    for _ in range(times):
        scene.stage.broker.crash()
        scene.pause(1.0)
    return count(times, "kill")


@fault("broker out of memory", brokers=("redis",), stock=True)
def broker_full(scene: FaultContext) -> str:
    """The broker refuses whatever needs memory, for some seconds; the ledger is on the same server."""
    broker = scene.stage.broker
    if not isinstance(broker, ChaosRedis):
        raise FaultNotObserved("only Redis can be filled up")
    before = broker.refused()
    with broker.full():
        scene.pause(4.0)
    refused = broker.refused() - before
    if not refused:
        raise FaultNotObserved("no command was refused")
    return f"full for 4 s; {refused} commands refused"


@fault("writes refused", ends_processes=False, brokers=("redis",), patience=120)
def writes_refused(scene: FaultContext) -> str:
    """Redis refuses every write, first as a demoted primary (READONLY), then for want of a replica (NOREPLICAS)."""
    broker, seconds = _redis(scene), 6.0
    for refuse in (broker.read_only, broker.without_replicas):
        with refuse():
            scene.pause(seconds)
        scene.pause(1.0)
    return f"twice for {seconds:g} s"


@fault("Redis busy", ends_processes=False, brokers=("redis",))
def redis_busy(scene: FaultContext) -> str:
    """A script does not end and Redis answers BUSY; then Redis forgets every script, several times."""
    broker, times = _redis(scene), 5
    with broker.busy():
        scene.pause(3.0)
    for _ in range(times):
        broker.forget_scripts()
        scene.pause(0.3)
    return f"busy for 3 s, scripts forgotten {times} times"


def _redis(scene: FaultContext) -> ChaosRedis:
    if not isinstance(scene.stage.broker, ChaosRedis):
        raise FaultNotObserved("the broker is not Redis")
    return scene.stage.broker


@fault("connections half-closed", ends_processes=False, lasts=8, setup=PROXIED)
def connections_half_closed(scene: FaultContext) -> str:
    """One direction of connections between workers and broker ends, again and again; then nothing is forwarded."""
    proxy, rounds, closed = scene.stage.proxy, 12, 0
    if proxy is None:
        raise FaultNotObserved("the workers do not go through the proxy")
    for _ in range(rounds):
        closed += proxy.half_close(share=0.5)
        scene.pause(scene.rng.uniform(0.1, 0.6))
    with proxy.silent():
        scene.pause(4.0)
    if closed < rounds:
        raise FaultNotObserved(f"only {closed} connections were there to be half-closed")
    return f"{closed} connections half-closed, nothing forwarded for 4 s"


@fault("connections reset", lasts=8, setup=PROXIED, short=True, stock=True)
def connections_reset(scene: FaultContext) -> str:
    """Connections between workers and broker are reset, again and again, some of them or all."""
    proxy = scene.stage.proxy
    if proxy is None:
        raise FaultNotObserved("the workers do not go through the proxy")
    before, rounds = proxy.cut, 4 if scene.is_short else 20
    for number in range(rounds):
        proxy.reset(share=1.0 if number % 4 == 3 else 0.4)
        scene.pause(scene.rng.uniform(0.1, 0.6))
    if proxy.cut - before < rounds:
        raise FaultNotObserved(f"only {proxy.cut - before} connections were there to be reset")
    return f"{proxy.cut - before} connections reset"


@fault("answers lost", lasts=8, setup=PROXIED, stock=True)
def answers_lost(scene: FaultContext) -> str:
    """The broker carries a request out, and its answer is dropped together with the connection."""
    proxy, times = scene.stage.proxy, 30
    if proxy is None:
        raise FaultNotObserved("the workers do not go through the proxy")
    before = proxy.dropped
    for _ in range(times):
        proxy.drop_answers(1)
        scene.pause(scene.rng.uniform(0.05, 0.4))
    scene.load.finish()
    scene.await_bite(lambda: proxy.left == 0, within=30, what="every answer dropped")
    return f"{proxy.dropped - before} answers lost"


@fault("ledger killed", setup=APART, short=True)
def ledger_killed(scene: FaultContext) -> str:
    """The ledger, on a server of its own, is killed (-9) under load and started again on its data."""
    ledger = scene.stage.own_ledger
    if ledger is None:
        raise FaultNotObserved("the ledger has no server of its own")
    times = 1 if scene.is_short else 3
    for _ in range(times):
        ledger.crash()
        scene.pause(1.0)
    return count(times, "kill")


@fault("broker lost its disk", setup=APART, brokers=("redis",), mix=Mix(changes=0, events=1), patience=180)
def disk_lost(scene: FaultContext) -> str:
    """The broker forgets every message, when all events had been accepted and little was done of them."""
    broker, stage = scene.stage.broker, scene.stage
    if not isinstance(broker, ChaosRedis):
        raise FaultNotObserved("only Redis can be emptied")
    with slowed(stage.office, 1.0):
        scene.load.finish()
        accepted = [one.id for one in scene.load.sent]
        scene.await_bite(
            lambda: all(stage.ledger.events.seen("drill", id_) for id_ in accepted), within=60, what="all accepted"
        )
        waiting = broker.waiting()
        broker.forget()
    if not waiting:
        raise FaultNotObserved("nothing was waiting")
    return f"{waiting} messages forgotten of {len(accepted)} accepted events"
