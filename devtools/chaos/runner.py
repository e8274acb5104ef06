"""The drill from start to end: for each fault the load flows, the fault is injected, and what is left is counted."""

import contextlib
import itertools
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis

from console.output import print_error
from devtools.chaos.environment import ChaosEnvironment, EnvironmentConfig, PendingCounts, chaos_environment
from devtools.chaos.fault import Fault
from devtools.chaos.fault_context import FaultContext
from devtools.chaos.odoo_target import opened
from devtools.chaos.options import ChaosOptions
from devtools.chaos.report import ChaosReporter
from devtools.chaos.verification import DeliveryCheck, FaultResult, SkippedFault
from devtools.chaos.workload import Load
from purser.errors import PurserError, Transient

SETTLED = 6.0
"""Seconds for which nothing may wait anywhere before what is missing counts as lost: longer than a lease."""

REAL_TAKES = 3
"""How much longer the fleet may take where Odoo is a real one: it is slower, and on the same machine."""

_LOOK_EVERY = 0.2
_LONG = 10.0
_AWAY = (redis.RedisError, OSError, Transient)
_IN_A_FAULT = (PurserError, redis.RedisError, OSError)


def run_drill(orders: ChaosOptions, teller: ChaosReporter) -> tuple[list[FaultResult], list[SkippedFault]]:
    """Run the drill. KeyboardInterrupt when it was interrupted; everything has ended then, too."""
    home = Path(tempfile.mkdtemp(prefix="purser-drill-")).resolve()
    results: list[FaultResult] = []
    faults, skipped = possible(orders)
    keep = True
    try:
        with ended_by_signals(), opened(orders.settings, random.Random(orders.seed)) as office:
            plan = EnvironmentConfig(
                home=home,
                office=office,
                against=orders.against,
                restart_odoo=orders.restart_odoo,
                stock=orders.stock,
                rng=random.Random(orders.seed),
                is_short=orders.is_short,
            )
            for number, (_, these) in enumerate(itertools.groupby(faults, key=lambda one: one.setup)):
                results += _stage_of(plan, list(these), home / f"{number}", orders.messages, teller)
        keep = orders.keep or not all(one.is_good for one in results)
        return results, skipped
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        teller.close()
        if keep:
            print_error(f"The logs of the processes are kept in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def possible(orders: ChaosOptions) -> tuple[list[Fault], list[SkippedFault]]:
    """Put faults of one set-up together, in the order of their first; leave out what cannot be injected here."""
    chosen, skipped = [], []
    for one in orders.faults:
        if orders.stock and not one.is_for_stock:
            continue
        if orders.against not in one.brokers:
            skipped.append(SkippedFault(name=one.name, reason=f"makes no sense on {orders.against}"))
        elif orders.odoo not in one.odoos:
            skipped.append(SkippedFault(name=one.name, reason="only the twin takes orders for this"))
        elif orders.odoo == "real" and one.restarts_odoo and not orders.restart_odoo:
            skipped.append(SkippedFault(name=one.name, reason="--restart-odoo does not say how"))
        else:
            chosen.append(one)
    setups = [one.setup for one in chosen]
    return sorted(chosen, key=lambda one: setups.index(one.setup)), skipped


def _stage_of(
    plan: EnvironmentConfig, faults: Sequence[Fault], home: Path, size: int, teller: ChaosReporter
) -> Iterator[FaultResult]:
    """Run the faults that share a stage. After one that leaves it in disorder the next gets a new stage."""
    todo = list(faults)
    for attempt in itertools.count(1):
        done: list[tuple[Load, FaultResult]] = []
        with chaos_environment(plan, todo[0].setup, home.with_name(f"{home.name}-{attempt}")) as stage:
            while todo:
                fault = todo.pop(0)
                teller.begins(fault)
                load = Load(stage, fault, size)
                result = _run(stage, fault, load, teller)
                done.append((load, result))
                teller.ended(result)
                if result.problem:
                    break
            # Counted once more at the end: what was begun twice may be done twice a while later.
            yield from (result.with_verdict(load.judged()) for load, result in done)
        if not todo:
            return


def _run(stage: ChaosEnvironment, fault: Fault, load: Load, teller: ChaosReporter) -> FaultResult:
    """Inject one fault. What goes wrong on the way is told in the row, and ends no drill."""
    scene = FaultContext(stage, load)
    did, problem, last = "", "", None
    ended, recovered, unfinished = 0.0, 0.0, 0
    exits_before = len(stage.exits)
    try:
        load.start()
        did = fault.inject(scene)
        ended = scene.ended or time.monotonic()
        load.finish()
    except _IN_A_FAULT as error:
        ended, problem = time.monotonic(), f"{type(error).__name__}: {error}"
        load.stop()
    try:
        verdict, recovered, last, is_quiet = settled(stage, fault, load, teller)
        if not is_quiet:
            unfinished = len(verdict.lost)
            patience = _patience(stage, fault)
            waits = f"{unfinished} messages are not done after {patience:g} s: {last or 'the broker is away'}"
            problem = problem or waits
    except _IN_A_FAULT as error:
        verdict, problem = load.judged(), problem or f"{type(error).__name__}: {error}"
    if not (fault.ends_processes or stage.plan.stock) and (exits := stage.exits[exits_before:]):
        problem = problem or ", ".join(f"{one.name} ended with {one.code}" for one in exits)
    took = max(0.0, recovered - ended)
    if verdict.lost and not unfinished:
        teller.line(f"    lost: {', '.join(verdict.lost[:5])}")
    if took > _LONG:
        teller.line(f"    waited for to the last: {last}")
    result = FaultResult(
        name=fault.name,
        did=did,
        verdict=verdict,
        recovery_seconds=round(took, 1),
        problem=problem,
        unfinished=unfinished,
    )
    return result.with_verdict(verdict)


def settled(
    stage: ChaosEnvironment, fault: Fault, load: Load, teller: ChaosReporter
) -> tuple[DeliveryCheck, float, PendingCounts | None, bool]:
    """Wait until all is done, or until nothing moves any more.

    Gives the count, the moment, what was waited for to the last, and whether nothing waits any more.
    """
    deadline = time.monotonic() + _patience(stage, fault)
    quiet_since, last = 0.0, None
    while True:
        stage.check_alive()
        waiting = _waiting(stage)
        now = time.monotonic()
        quiet_since = (quiet_since or now) if waiting is not None and not any(waiting) else 0.0
        if quiet_since:
            verdict = load.count()
            if verdict.is_good or now - quiet_since > SETTLED:
                return verdict, now if verdict.is_good else quiet_since, last, True
        elif now > deadline:
            return load.count(), now, waiting, False
        else:
            last = waiting or last
        teller.progress(f"{len(load.sent)} sent, {waiting or 'the broker is away'}")
        time.sleep(_LOOK_EVERY)


def _patience(stage: ChaosEnvironment, fault: Fault) -> float:
    return fault.patience * (REAL_TAKES if stage.office.twin is None else 1)


def _waiting(stage: ChaosEnvironment) -> PendingCounts | None:
    """Count what waits anywhere; None while nobody can tell."""
    try:
        return stage.waiting()
    except _AWAY:
        return None


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the drill as Ctrl-C does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGINT too: a shell lets what runs behind it ignore it
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
