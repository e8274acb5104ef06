"""Processes of the fleet are killed, frozen and stopped."""

import contextlib
import os
import signal
import time
from functools import partial

from console.output import count
from devtools.chaos.environment import LEASE, WORKERS, ChaosEnvironment
from devtools.chaos.fault import FaultNotObserved, FaultRequirements, fault
from devtools.chaos.fault_context import FaultContext
from devtools.chaos.odoo_target import slowed

SHORT_LIMITS = FaultRequirements(
    environ=(
        ("PURSER_ODOO_TIMEOUT", "1.5"),
        ("PURSER_TASK_SOFT_TIME_LIMIT", "2"),
        ("PURSER_TASK_TIME_LIMIT", "4"),
    )
)


@fault("pool child killed", short=True, stock=True)
def child_killed(scene: FaultContext) -> str:
    """One process of a worker's pool is killed (-9) in the middle of its work, several times."""
    times, killed = 2 if scene.is_short else 6, 0
    with slowed(scene.stage.office, 0.3):
        for number in range(3 * times):
            victims = scene.stage.children(WORKERS[number % 2])
            with contextlib.suppress(ProcessLookupError, IndexError):  # it has just been replaced
                os.kill(scene.rng.choice(victims), signal.SIGKILL)
                killed += 1
            if killed == times:
                return f"{times} children killed"
            scene.pause(scene.rng.uniform(0.2, 0.8))
    raise FaultNotObserved(f"only {killed} children of {times} could be killed")


@fault("killed before acknowledging", short=True)
def child_killed_after_commit(scene: FaultContext) -> str:
    """A process dies (SIGKILL) when Odoo has committed its changes and nobody knows yet."""
    times = 2 if scene.is_short else 8
    ids = scene.load.trouble("killed", count=times, times=1)
    scene.await_bite(lambda: scene.load.troubles(ids) >= times, within=60, what=f"{times} processes dying")
    return f"{times} processes died between commit and acknowledgement"


@fault("poison", short=True, patience=120)
def poison(scene: FaultContext) -> str:
    """Messages that kill every process which begins them, in the middle of good ones."""
    times = 1 if scene.is_short else 3
    ids = scene.load.trouble("killed", count=times, times=10**6, dies=True)
    scene.await_bite(lambda: scene.load.troubles(ids) > times, within=60, what="a poison begun again")
    scene.load.finish()
    return count(times, "poison")


@fault("out of memory")
def out_of_memory(scene: FaultContext) -> str:
    """Tasks that find no memory (a limit on their process) in the middle of good ones: each is a dead letter."""
    times = 6
    ids = scene.load.trouble("out of memory", count=times, times=10**6, dies=True)
    scene.await_bite(lambda: scene.load.troubles(ids) >= times, within=60, what=f"{times} tasks without memory")
    return f"{times} tasks ran out of memory"


@fault("hard time limit", setup=SHORT_LIMITS)
def time_limit(scene: FaultContext) -> str:
    """Tasks that hear no soft limit run into the hard one and are killed: each is a dead letter."""
    times = 3
    ids = scene.load.trouble("too long", count=times, times=10**6, dies=True)
    scene.await_bite(lambda: scene.load.troubles(ids) >= times, within=60, what=f"{times} tasks begun")
    return f"{times} tasks killed by the limit of 4 s"


@fault("workers killed", weight=5, lasts=45, patience=120, short=True, stock=True)
def workers_killed(scene: FaultContext) -> str:
    """Whole workers are killed (-9) under load, one after the other, at instants drawn by lot."""
    times, at_work = 2 if scene.is_short else 12, 0
    with slowed(scene.stage.office, 0.1 if scene.is_short else 0.25):
        for number in range(times):
            name = WORKERS[number % 2]
            starts = scene.stage.starts(name)
            at_work += scene.stage.broker.waiting() > 0
            scene.stage.signal(name, signal.SIGKILL, group=True)
            scene.pause(scene.rng.uniform(0.3, 1.5))
            scene.stage.await_up(name, after=starts)
            scene.pause(scene.rng.uniform(0.0, 0.8))
    if at_work < times * 0.8:
        raise FaultNotObserved(f"only {at_work} of {times} workers were killed while there was work")
    return f"{times} workers killed, {at_work} of them under load"


@fault("warm stop", lasts=40, stock=True)
def warm_stop(scene: FaultContext) -> str:
    """A worker is told to stop (SIGTERM) under load: it ends what it has begun and hands the rest back."""
    times, longest = 4, 0.0
    with slowed(scene.stage.office, 0.5):
        for number in range(times):
            longest = max(longest, _stopped(scene, WORKERS[number % 2], signal.SIGTERM))
    return f"{times} workers stopped, within {longest:.1f} s"


@fault("cold stop", lasts=12, odoos=("twin",), stock=True)
def cold_stop(scene: FaultContext) -> str:
    """A worker whose tasks hang in Odoo is told to stop and then, once more, at once: its work goes back."""
    twin = scene.stage.office.twin
    if twin is None:
        raise FaultNotObserved("only the twin takes orders")
    name = WORKERS[0]
    twin.faults.delay(8, times=4, only="project.task/create" if scene.stage.plan.stock else "project.task/load")
    scene.await_bite(lambda: twin.faults.left == 0, within=20, what="tasks hanging in Odoo")
    scene.stage.signal(name, signal.SIGTERM)
    scene.pause(1.0)
    took = _stopped(scene, name, signal.SIGQUIT)
    if took > _COLD_WITHIN:
        raise FaultNotObserved(f"the worker took {took:.1f} s to stop at once")
    return f"stopped with hanging tasks, {took:.1f} s after the second signal"


_COLD_WITHIN = 12.0


def _stopped(scene: FaultContext, name: str, number: signal.Signals) -> float:
    """Signal a worker and wait until another process is in its place; give the seconds it took to end."""
    starts, began = scene.stage.starts(name), time.monotonic()
    pid = scene.stage.signal(name, number)
    scene.await_bite(lambda: scene.stage.pid(name) != pid, within=40, what=f"worker {name} ending")
    took = time.monotonic() - began
    scene.stage.await_up(name, after=starts)
    return took


@fault("frozen worker", lasts=16, stock=True)
def frozen(scene: FaultContext) -> str:
    """A worker with all its processes is frozen (SIGSTOP) until others have its work, and goes on (SIGCONT)."""
    times, stage = 2, scene.stage
    first, longest = stage.begun_again(), 0.0
    with slowed(stage.office, 0.3):
        for number in range(times):
            name, before, began = WORKERS[number % 2], stage.begun_again(), time.monotonic()
            stage.signal(name, signal.SIGSTOP, group=True)
            try:
                scene.pause(LEASE + 3.0)
                if not stage.plan.stock:  # its messages come back by the clock, and nobody says so
                    taken = partial(_have_more, stage, before)
                    scene.await_bite(taken, within=20, what="work of the frozen worker begun by the other one")
            finally:
                stage.signal(name, signal.SIGCONT, group=True)
            longest = max(longest, time.monotonic() - began)
            scene.pause(1.0)
    again = stage.begun_again() - first
    seen = "" if stage.plan.stock else f"; {count(again, 'message')} begun again"
    return f"{times} workers frozen for up to {longest:.0f} s{seen}"


def _have_more(stage: ChaosEnvironment, before: int) -> bool:
    return stage.begun_again() > before
