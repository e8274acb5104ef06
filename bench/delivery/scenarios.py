"""The measurements. Each starts what it needs, lets what is compared take turns, and gives a group of figures."""

import datetime as dt
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from types import MappingProxyType

from bench.delivery.apps.noop import QUEUES
from bench.delivery.results import Figure, MeasurementGroup
from bench.delivery.worker_process import (
    ROOT,
    BenchmarkEnvironment,
    Spec,
    Throughput,
    WorkerProcess,
    cpu_of,
    environ,
    forge,
)
from purser.engine.call_result import CallResult
from store import DelayedMessage, DelayKind, Ledger, LimiterPermit


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int
    messages: int
    """In each round."""
    pools: tuple[str, ...]
    publishes: int
    answers: int
    idle: float
    parked: int
    looks: int
    long_run: int
    """Messages that the worker goes through whose memory is watched."""

    @property
    def fewer(self) -> int:
        """Rounds of what needs less precision."""
        return (self.rounds + 1) // 2


FULL = Sizes(
    rounds=7,
    messages=2500,
    pools=("threads", "solo"),
    publishes=1500,
    answers=200,
    idle=20.0,
    parked=10_000,
    looks=2000,
    long_run=100_000,
)
QUICK = Sizes(
    rounds=1,
    messages=900,
    pools=(),
    publishes=300,
    answers=20,
    idle=2.0,
    parked=1000,
    looks=200,
    long_run=2000,
)


# ------------------------------------------------------------------------------- speed --


def transport(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """Our transport against stock Celery."""
    paces = take_turns(
        floor, sizes, {"stock_celery": Spec(app="stock_celery"), "purser_transport": Spec(app="purser_transport")}
    )
    stock, ours = rate("stock Celery", paces["stock_celery"]), paces["purser_transport"]
    stock_cpu = main_cpu("stock Celery", paces["stock_celery"])
    return MeasurementGroup(
        name="transport",
        title="Our transport and stock Celery",
        text=(
            "A task that does nothing; prefork with two processes, late acknowledgement, what a lost worker had "
            "goes back, prefetch 1, no task events, no logging of tasks. Stock Celery keeps its visibility timeout."
        ),
        figures=[
            stock,
            rate("our transport", ours, against=stock, least=1.5),
            stock_cpu,
            main_cpu("our transport", ours, against=stock_cpu),
        ],
    )


def runner(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """Our task, request and consumer against those of Celery, everything else being equal."""
    figures = []
    for events in (False, True):
        specs = {app: Spec(app=app, events=events) for app in ("bare", "purser_fleet")}
        paces = take_turns(floor, sizes, specs, rounds=sizes.fewer if events else sizes.rounds)
        suffix = ", with task events" if events else ""
        bare = span(f"a bare task{suffix}", paces["bare"])
        cpu = main_cpu(f"a bare task{suffix}", paces["bare"])
        pool = pool_cpu(f"a bare task{suffix}", paces["bare"])
        figures += [
            bare,
            span(f"our runner{suffix}", paces["purser_fleet"], against=bare, most=1.15),
            cpu,
            main_cpu(f"our runner{suffix}", paces["purser_fleet"], against=cpu),
            pool,
            pool_cpu(f"our runner{suffix}", paces["purser_fleet"], against=pool),
        ]
    return MeasurementGroup(
        name="runner",
        title="Our runner around a task that does nothing",
        text=(
            "The fleet's application with its ledger, against the same application with Celery's own task, request "
            "and consumer: transport, settings (time limits among them) and queue are the same. Time per message in "
            "steady state. A real task calls Odoo and takes tens of milliseconds, beside which all of this is small."
        ),
        figures=figures,
    )


def fleet(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """A worker as `purser up` starts it against stock Celery that tells as much."""
    specs = {app: Spec(app=app, events=True, log_level="info") for app in ("stock_celery", "purser_fleet")}
    paces = take_turns(floor, sizes, specs, rounds=sizes.fewer)
    stock = rate("stock Celery", paces["stock_celery"])
    return MeasurementGroup(
        name="fleet",
        title="A worker of the fleet as it runs in production",
        text=(
            "All of it at once: transport, runner, time limits, housekeeping, task events, and two lines of log for "
            "each message (JSON and cleaned of secrets; stock Celery writes plain lines). Stock Celery sends task "
            "events and logs as well."
        ),
        figures=[stock, rate("the fleet", paces["purser_fleet"], against=stock)],
    )


def pools(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """What other pools consume."""
    figures = []
    for pool in sizes.pools:
        specs = {app: Spec(app=app, pool=pool) for app in ("stock_celery", "purser_transport", "purser_fleet")}
        paces = take_turns(floor, sizes, specs, rounds=sizes.fewer)
        stock = rate(f"stock Celery, {pool}", paces["stock_celery"])
        others = {"our transport": paces["purser_transport"], "the fleet": paces["purser_fleet"]}
        figures += [stock, *(rate(f"{name}, {pool}", pace, against=stock) for name, pace in others.items())]
    return MeasurementGroup(
        name="pools",
        title="Other pools",
        text="As above, without task events. The fleet is meant for prefork: only there a task can be killed.",
        figures=figures,
    )


def publishing(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """How fast one process publishes."""
    ways = {
        "stock Celery, `apply_async`": ("stock_celery", False),
        "the fleet's publisher": ("purser_fleet", False),
        "the fleet's publisher, with task-sent events": ("purser_fleet", True),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    with ExitStack() as stack:
        publishers = {name: stack.enter_context(publisher(floor, *way)) for name, way in ways.items()}
        for publish in publishers.values():
            publish(sizes.publishes // 10)
        for _ in range(sizes.fewer):
            for name, publish in publishers.items():
                took[name].append(sizes.publishes / publish(sizes.publishes))
    floor.client.flushall()
    figures: list[Figure] = []
    for name, rates in took.items():
        base = figures[0] if figures else None
        figures.append(Figure(name=name, values=tuple(rates), unit="messages/s", against=base))
    return MeasurementGroup(
        name="publishing",
        title="Publishing",
        text="One process, one message after the other.",
        figures=figures,
    )


@contextmanager
def publisher(floor: BenchmarkEnvironment, app: str, events: bool) -> Iterator[Callable[[int], float]]:
    """Run a process that publishes; what is given publishes so many messages and tells how long it took."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.delivery.publishing", app],
        env=environ(floor.url(), events=events),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:

        def publish(count: int) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield publish


# -------------------------------------------------------------------------------- idle --

_QUIET: Mapping[str, Spec] = MappingProxyType(
    {
        f"{name}, {len(queues)} queue{'s' if len(queues) > 1 else ''}": Spec(app=app, queues=queues)
        for queues in (QUEUES[:1], QUEUES)
        for name, app in (
            ("stock Celery", "stock_celery"),
            ("our transport", "purser_transport"),
            ("the fleet", "purser_fleet"),
        )
    }
)


def idle(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """What a worker takes that has nothing to do, and how long one message takes then."""
    took: dict[str, list[float]] = {name: [] for name in _QUIET}
    rng = random.Random(7)
    with floor.workers(*_QUIET.values()) as workers:
        spent = idle_cpu(workers, sizes.idle)
        for _ in range(sizes.answers):
            for name, worker in zip(_QUIET, workers, strict=True):
                time.sleep(rng.uniform(0.005, 0.03))
                took[name].append(worker.await_answer(rng.choice(worker.spec.queues)) * 1000)
    p50 = [Figure(name=f"{name}: p50", values=(statistics.median(took[name]),), unit="ms") for name in took]
    p99 = [Figure(name=f"{name}: p99", values=(percentile(took[name], 99),), unit="ms") for name in took]
    cpu = [
        Figure(name=f"{name}: CPU", values=(percent,), unit="% of a core")
        for name, percent in zip(_QUIET, spent, strict=True)
    ]
    return MeasurementGroup(
        name="idle",
        title="A worker that has nothing to do, and one message",
        text=(
            f"A message takes from the push on the queue to the answer that its task has written to Redis; there are "
            f"{sizes.answers} for each, at random moments. A worker of ours waits in Redis, at all its queues at "
            f"once. CPU is that of the main process over {sizes.idle:g} s before."
        ),
        figures=[*against_stock(p50), *against_stock(p99), *cpu],
    )


def idle_cpu(workers: Sequence[WorkerProcess], seconds: float) -> list[float]:
    """Return how much of a core each main process takes, in percent."""
    before, began = [cpu_of(worker.process.pid) for worker in workers], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return [(cpu_of(one.process.pid) - then) / took * 100 for one, then in zip(workers, before, strict=True)]


# ------------------------------------------------------------------------------ ledger --

MOVERS = 4


def delayed(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """What waiting costs: parking, sending what is due, and looking in vain."""
    payload, count = forge(floor.url())("bench.noop", "later"), sizes.parked
    parked, moved, by_four, per_entry, empty, waiting = [], [], [], [], [], []
    with ledger_of(floor.url()) as ledger, movers(floor.url()) as move_all:
        for _ in range(sizes.fewer):
            floor.client.flushall()
            empty.append(each(sizes.looks, ledger.delayed.move_due))
            used = memory_of(floor)
            parked.append(count / timed(lambda: park(ledger, payload, count)))
            per_entry.append((memory_of(floor) - used) / count)
            moved.append(count / timed(lambda: move(ledger, count)))
            park(ledger, payload, count)
            by_four.append(count / move_all(count))
            park(ledger, payload, 100, due=dt.timedelta(hours=1))
            waiting.append(each(sizes.looks, ledger.delayed.move_due))
    one = Figure(name="sent when due, one mover", values=tuple(moved), unit="messages/s")
    return MeasurementGroup(
        name="delayed",
        title="The delayed set",
        text=(
            f"{count:,} messages of {len(payload):,} bytes are parked one by one by one process, and sent when they "
            "are due by the housekeeping of one worker, or of four at once (the server is one process: it is the "
            "limit). Each worker looks twice a second."
        ),
        figures=[
            Figure(name="parked", values=tuple(parked), unit="messages/s"),
            one,
            Figure(name=f"sent when due, {MOVERS} movers", values=tuple(by_four), unit="messages/s", against=one),
            Figure(name="memory of the server for each", values=tuple(per_entry), unit="bytes"),
            Figure(name="a look when nothing waits", values=tuple(empty), unit="µs"),
            Figure(name="a look when nothing is due", values=tuple(waiting), unit="µs"),
        ],
    )


def park(ledger: Ledger, payload: bytes, count: int, due: dt.timedelta = dt.timedelta(0)) -> None:
    """Park messages."""
    now = ledger.now()
    for number in range(count):
        entry = DelayedMessage(
            id=f"bench-{number}",
            queue="later",
            task="bench.noop",
            label="no-op",
            kind=DelayKind.RETRY,
            why="attempt 1 of 8: Transient: Odoo answered 503",
            due=now + due,
            attempt=1,
            payload=payload,
            parked_at=now,
        )
        assert ledger.delayed.park(entry)


def move(ledger: Ledger, count: int) -> None:
    """Send what is due, as one housekeeping does."""
    done = 0
    while found := ledger.delayed.move_due():
        done += found
    assert done == count, f"{done} of {count} were sent"


@contextmanager
def movers(url: str) -> Iterator[Callable[[int], float]]:
    """Keep several processes that send; what is given lets them and tells how long it took."""
    with ProcessPoolExecutor(MOVERS, mp_context=get_context("spawn")) as processes:

        def move_all(count: int) -> float:
            at = time.monotonic() + 0.3
            told = list(processes.map(moved_from, [url] * MOVERS, [at] * MOVERS))
            assert sum(done for done, _ in told) == count, "each is sent once"
            return max(ended for _, ended in told) - at

        list(processes.map(moved_from, [url] * MOVERS, [time.monotonic() + 1.0] * MOVERS))  # all are up
        yield move_all


def moved_from(url: str, at: float) -> tuple[int, float]:
    """Send what is due from a given moment on; give how many, and when nothing was left."""
    with ledger_of(url) as ledger:
        ledger.delayed.next_due()
        time.sleep(max(0.0, at - time.monotonic()))
        done = 0
        while found := ledger.delayed.move_due():
            done += found
        return done, time.monotonic()


def gate(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """What the gate before Odoo adds to a call."""
    with ledger_of(floor.url()) as ledger:
        passed = ledger.gate("bench")

        def call() -> None:
            ticket = passed.enter("res.partner/read")
            assert isinstance(ticket, LimiterPermit)
            passed.leave(ticket, CallResult.ANSWERED, 0.02)

        took = [timed(call) * 1e6 for _ in range(sizes.looks)]
        ping = each(sizes.looks, floor.client.ping)
    bare = Figure(name="two `PING`s, for comparison", values=(2 * ping,), unit="µs")
    return MeasurementGroup(
        name="gate",
        title="The gate before Odoo",
        text="What breaker and throttle add to each call of Odoo: asked before it, told after it.",
        figures=[
            bare,
            Figure(name="enter and leave, p50", values=(statistics.median(took),), unit="µs", against=bare),
            Figure(name="enter and leave, p99", values=(percentile(took, 99),), unit="µs", against=bare),
        ],
    )


# ------------------------------------------------------------------------------ memory --

STEPS = 10


def memory(floor: BenchmarkEnvironment, sizes: Sizes) -> MeasurementGroup:
    """Return whether a worker grows with the messages it has gone through."""
    step, main, children = sizes.long_run // STEPS, [], []
    with floor.workers(Spec(app="purser_fleet", time_limit=SHORT_LIMIT), Spec(app="purser_fleet")) as (worker, usual):
        for _ in range(STEPS):
            own, pool = after(worker, step)
            main.append(own)
            children.append(max(pool))
        first, _ = after(usual, step)
        second, _ = after(usual, step)
    late = STEPS // 5
    figures = []
    for name, values in (("main process", main), ("largest process of the pool", children)):
        growth = statistics.linear_regression(range(late, STEPS), values[late:]).slope * 10_000 / step * 1000
        figures += [
            Figure(name=f"{name}, every {step:,} messages", values=tuple(values), unit="MB"),
            Figure(name=f"{name}, growth per 10,000 messages", values=(growth,), unit="kB"),
        ]
    kept = Figure(
        name="kept for a message until its time limit", values=((second - first) / step * 1e6,), unit="bytes"
    )
    return MeasurementGroup(
        name="memory",
        title="Memory of a worker",
        text=(
            f"A worker of the fleet goes through {sizes.long_run:,} messages. Growth is the slope after the first "
            f"{step * late:,}. Celery forgets the time limit of a task that has ended only when it would have "
            f"passed, so a worker with limits keeps a little for each message of the last minutes. Here the limit is "
            f"{SHORT_LIMIT} s, which shows whether anything else stays; the last row is with the usual one."
        ),
        figures=[*figures, kept],
    )


SHORT_LIMIT = 4
"""Seconds."""


def after(worker: WorkerProcess, messages: int) -> tuple[float, list[float]]:
    """Return the memory of a worker after some more messages."""
    worker.feed(messages)
    worker.settle()
    return worker.memory()


# ----------------------------------------------------------------------------- helpers --


def take_turns(
    floor: BenchmarkEnvironment, sizes: Sizes, specs: Mapping[str, Spec], rounds: int | None = None
) -> dict[str, list[Throughput]]:
    """Let workers go through messages in turn, so that a busy moment of the machine hits all of them."""
    paces: dict[str, list[Throughput]] = {name: [] for name in specs}
    warm = sizes.messages // 5
    with floor.workers(*specs.values()) as workers:
        turns = list(zip(specs, workers, strict=True))
        for _ in range(rounds or sizes.rounds):
            for name, worker in turns:
                paces[name].append(worker.pace(sizes.messages, warm))
            turns.reverse()
    return paces


def rate(
    name: str, paces: Sequence[Throughput], *, against: Figure | None = None, least: float | None = None
) -> Figure:
    """Return messages a second."""
    values = tuple(pace.rate for pace in paces)
    return Figure(name=name, values=values, unit="messages/s", against=against, least=least)


def span(
    name: str, paces: Sequence[Throughput], *, against: Figure | None = None, most: float | None = None
) -> Figure:
    """Return the time from one message to the next."""
    values = tuple(1e6 / pace.rate for pace in paces)
    return Figure(name=f"{name}: time", values=values, unit="µs a message", against=against, most=most)


def main_cpu(name: str, paces: Sequence[Throughput], *, against: Figure | None = None) -> Figure:
    """Return the CPU of the main process."""
    values = tuple(pace.main for pace in paces)
    return Figure(name=f"{name}: CPU of the main process", values=values, unit="µs a message", against=against)


def pool_cpu(name: str, paces: Sequence[Throughput], *, against: Figure | None = None) -> Figure:
    """Return the CPU of the processes of the pool."""
    values = tuple(pace.children for pace in paces)
    return Figure(name=f"{name}: CPU of the pool", values=values, unit="µs a message", against=against)


def against_stock(figures: Sequence[Figure]) -> list[Figure]:
    """Compare each figure with that of stock Celery under the same circumstances."""
    stock = {one.name.partition(",")[2]: one for one in figures if one.name.startswith("stock Celery")}
    return [
        one if one in stock.values() else replace(one, against=stock[one.name.partition(",")[2]]) for one in figures
    ]


@contextmanager
def ledger_of(url: str) -> Iterator[Ledger]:
    """Open a ledger for a while."""
    ledger = Ledger.connect(url)
    try:
        yield ledger
    finally:
        ledger.close()


def memory_of(floor: BenchmarkEnvironment) -> int:
    """Return the bytes the server uses."""
    return int(floor.client.info("memory")["used_memory"])


def timed(act: Callable[[], object]) -> float:
    """Return the seconds something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def each(times: int, act: Callable[[], object]) -> float:
    """Return the microseconds something takes, of many times the middle one."""
    return statistics.median(timed(act) for _ in range(times)) * 1e6


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which so many percent lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
