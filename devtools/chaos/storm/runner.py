"""Runs a storm: rounds of faults on a running fleet, with work flowing, and a count in Odoo at the end of each."""

import itertools
import random
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from console.output import count, print_error
from devtools.chaos.environment import (
    ChaosEnvironment,
    ChaosEnvironmentStopped,
    EnvironmentConfig,
    chaos_environment,
)
from devtools.chaos.fault import Against, Fault, FaultNotObserved, FaultRequirements, Mix
from devtools.chaos.odoo_target import opened
from devtools.chaos.report import ChaosReporter
from devtools.chaos.runner import ended_by_signals, settled
from devtools.chaos.storm.result import StormRound
from devtools.chaos.storm.schedule import ScheduledStrike, draw_schedule
from devtools.chaos.storm.storm_fault import StormStrike
from devtools.chaos.storm.storm_faults import FAULTS
from devtools.chaos.workload import Load
from purser.errors import PurserError

ROUND = 60
"""Faults in a round; after each the fleet may come to rest and what became of the messages is counted."""

ROUNDS_ON_A_STAGE = 4
"""Rounds on one fleet. Then a new one is started, with an empty Odoo."""

INJECTORS = 3
"""How many faults may be under way at the same time."""

SCAN_EVERY = 15
"""Seconds between scans: long enough for a busy machine to come to rest in between."""

MESSAGES_A_FAULT = 5
PEOPLE = 15
SETTLE_WITHIN = 240.0

_MISSED: tuple[type[Exception], ...] = (FaultNotObserved, redis.RedisError, OSError, PurserError)


@dataclass(frozen=True, kw_only=True, slots=True)
class StormPlan:
    """What was asked for on the command line."""

    faults: int
    against: Against
    seed: int
    keep: bool = False


def run(asked: StormPlan, teller: ChaosReporter) -> list[StormRound]:
    """Run the storm and return its rounds. KeyboardInterrupt when it was interrupted; everything has ended then."""
    home = Path(tempfile.mkdtemp(prefix="purser-storm-")).resolve()
    rounds: list[StormRound] = []
    keep = True
    try:
        with ended_by_signals():
            rounds += _rounds(asked, home, teller)
        keep = asked.keep or not all(one.is_good for one in rounds)
        return rounds
    except KeyboardInterrupt:
        keep = asked.keep
        raise
    finally:
        teller.close()
        if keep:
            print_error(f"The logs of the processes are kept in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def _rounds(asked: StormPlan, home: Path, teller: ChaosReporter) -> Iterator[StormRound]:
    rng = random.Random(asked.seed)
    left, pace = asked.faults, 1.0
    for number in itertools.count(1):
        if left <= 0:
            return
        with opened(None, random.Random(rng.random())) as office:
            plan = EnvironmentConfig(home=home, office=office, against=asked.against, rng=random.Random(rng.random()))
            apart = asked.against == "redis" and number % 2 == 0  # every second ledger has a server of its own
            setup = FaultRequirements(
                proxied=True, own_ledger=apart, beats=1, scan_every=SCAN_EVERY, moving_clocks=True
            )
            with chaos_environment(plan, setup, home / f"{number}") as stage:
                done: list[tuple[Load, StormRound]] = []
                for _ in range(ROUNDS_ON_A_STAGE):
                    size = min(ROUND, left)
                    load, result = _round(stage, size, rng.randrange(2**32), pace, teller)
                    pace = result.seconds / max(1, size)
                    left -= sum(result.faults.values())
                    done.append((load, result))
                    _describe(result, teller)
                    if left <= 0 or result.problem:
                        break
                # Counted once more at the end: what was begun twice may be done twice a while later.
                for load, result in done:
                    last = _recounted(load, result)
                    if (last.lost, last.doubled) != (result.lost, result.doubled):
                        _describe(last, teller)
                    yield last


def _recounted(load: Load, result: StormRound) -> StormRound:
    verdict = load.judged()
    return replace(result, lost=verdict.lost if not result.problem else result.lost, doubled=verdict.doubled)


def _round(
    stage: ChaosEnvironment, size: int, seed: int, pace: float, teller: ChaosReporter
) -> tuple[Load, StormRound]:
    schedule = draw_schedule(
        FAULTS, size, against=stage.plan.against, own_ledger=stage.own_ledger is not None, seed=seed
    )
    workload = Fault(
        name=f"storm {seed}",
        what=f"{count(size, 'fault')}, seed {seed}",
        inject=lambda _: "",
        mix=Mix(people=PEOPLE),
        lasts=max(10.0, pace * size),
        patience=SETTLE_WITHIN,
    )
    teller.begins(workload)
    load = Load(stage, workload, MESSAGES_A_FAULT * size)
    exits_before, letters_before, starts_before = len(stage.exits), set(stage.letters()), _starts(stage)
    began = time.monotonic()
    injectors = Injectors(stage, schedule, teller.progress)
    problem = ""
    load.start()
    try:
        injectors.run()
        load.finish()
    except _MISSED as error:
        load.stop()
        problem = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    verdict, _, waiting, is_quiet = settled(stage, workload, load, teller)
    if not is_quiet:
        problem = problem or f"not at rest after {SETTLE_WITHIN:g} s: {waiting or 'the broker is away'}"
    exits = tuple(one for one in stage.exits[exits_before:] if one.pid not in injectors.ordered)
    ended = Counter(one.name for one in stage.exits[exits_before:])
    restarts = sum(now - starts_before[name] - ended[name] for name, now in _starts(stage).items())
    return load, StormRound(
        seed=seed,
        faults=injectors.injected,
        not_injected=injectors.missed,
        messages=verdict.messages,
        effects=verdict.effects,
        lost=verdict.lost if is_quiet else (),
        doubled=verdict.doubled,
        dead=_dead(stage, letters_before),
        exits=exits,
        restarts_in_place=max(0, restarts),
        seconds=seconds,
        problem=problem or injectors.problem,
    )


def _starts(stage: ChaosEnvironment) -> dict[str, int]:
    return {name: stage.starts(name) for name in ("a", "b")}


def _dead(stage: ChaosEnvironment, before: set[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for id_ in stage.letters():
        letter = stage.ledger.letters.get(id_) if id_ not in before else None
        if letter is not None:
            found[f"{letter.reason}: {letter.task or 'no task'}"] += 1
    return found


class Injectors:
    """A few threads that work a schedule off. Two faults never strike the same process or server at once."""

    def __init__(
        self, stage: ChaosEnvironment, schedule: Sequence[ScheduledStrike], progress: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._left = iter(schedule)
        self._progress = progress
        self._lock = threading.Lock()
        self._resources: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._stopped = threading.Event()
        self.ordered: set[int] = set()
        """The ids of processes whose end was ordered."""
        self.injected: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.problem = ""

    def run(self) -> None:
        """Work the schedule off; return when every fault is over."""
        threads = [threading.Thread(target=self._work, name=f"injector {number}") for number in range(INJECTORS)]
        for one in threads:
            one.start()
        try:
            for one in threads:
                one.join()
        finally:
            self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.is_set() and (entry := self._next()) is not None:
            with self._resource(entry.resource):
                self._inject(entry)
            self._stopped.wait(entry.pause_seconds)

    def _next(self) -> ScheduledStrike | None:
        with self._lock:
            return next(self._left, None)

    def _resource(self, name: str) -> threading.Lock:
        with self._lock:
            return self._resources[name]

    def _inject(self, entry: ScheduledStrike) -> None:
        try:
            entry.fault.inject(StormStrike(self._stage, entry.worker, entry.seed, self.ordered))
        except ChaosEnvironmentStopped as error:
            self.problem = f"{entry.fault.name} on {entry.worker}: {error}"
            self._stopped.set()
        except _MISSED:
            with self._lock:
                self.missed[entry.fault.name] += 1
        else:
            with self._lock:
                self.injected[entry.fault.name] += 1
                self._progress(f"{sum(self.injected.values())} faults")


def _describe(result: StormRound, teller: ChaosReporter) -> None:
    teller.close()
    mark, style = ("ok", "green") if result.is_good else ("FAILED", "bold red")
    dead = ", ".join(f"{times} {reason}" for reason, times in result.dead.items()) or "no dead letters"
    teller.line(
        f"{mark} round {result.seed}: {count(sum(result.faults.values()), 'fault')}, "
        f"{count(result.messages, 'message')}, {len(result.lost)} lost, {len(result.doubled)} doubled, "
        f"{count(len(result.exits), 'exit')} without an order, {result.restarts_in_place} restarts in place, "
        f"{dead}, {result.seconds:.0f} s",
        style,
    )
    for one in result.exits:
        teller.line(f"    {one.name} (process {one.pid}) ended with {one.code}", "red")
    if result.problem:
        teller.line(f"    {result.problem}", "red")
