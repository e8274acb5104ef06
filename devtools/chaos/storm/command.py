"""`purser storm`: faults in an order drawn by lot, several at once, against a fleet of its own."""

import random
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from console.output import FAILED, AsJson, as_json, count, exit_with, print_error
from devtools.chaos.fault import Against

if TYPE_CHECKING:
    from devtools.chaos.report import ChaosReporter
    from devtools.chaos.storm.result import StormRound


def storm(
    faults: Annotated[int, typer.Option(min=1, max=100_000, help="How many faults to inject.")] = 120,
    against: Annotated[Against, typer.Option(help="The broker.")] = "redis",
    seed: Annotated[int | None, typer.Option(help="Repeat the schedule of an earlier storm.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the logs, also if all went well.")] = False,
    json: AsJson = False,
) -> None:
    """Strike a fleet of its own with faults drawn by lot while work flows, and count what was lost and doubled.

    Ends with 0 only if nothing was lost, nothing was doubled and no process ended that was not meant to.
    """
    from devtools.chaos.report import ChaosReporter  # these bring Celery and the test double along
    from devtools.chaos.storm.runner import StormPlan, run

    seed = random.randrange(10**6) if seed is None else seed
    plan = StormPlan(faults=faults, against=against, keep=keep, seed=seed)
    teller = ChaosReporter(to_stderr=json)
    teller.line(f"{faults} faults on {against}; `purser storm --seed {plan.seed}` repeats the schedule")
    try:
        rounds = run(plan, teller)
    except KeyboardInterrupt:
        print_error("purser storm: interrupted; everything has ended")
        exit_with(FAILED)
    _summary(rounds, teller, json)
    if not all(one.is_good for one in rounds):
        exit_with(FAILED)


def _summary(rounds: "list[StormRound]", teller: "ChaosReporter", json: bool) -> None:
    from devtools.chaos.storm.result import facts

    total = facts(rounds)
    if json:
        as_json(total)
    kinds: Counter[str] = Counter(total["by_fault"])
    teller.line(", ".join(f"{name} {times}" for name, times in kinds.most_common()))
    teller.line(
        f"{total['faults']} faults, {total['messages']:,} messages with {total['effects']:,} effects in Odoo: "
        f"{total['lost']} lost, {total['doubled']} doubled, {len(total['exits'])} exits without an order, "
        f"{total['restarts_in_place']} restarts in place, {sum(total['dead'].values())} dead letters kept, "
        f"{total['seconds']} s"
    )
    if problems := total["problems"]:
        teller.line(
            f"{count(len(problems), 'round')} of {len(rounds)} did not come to rest. What still waits there is "
            f"neither lost nor done, so this storm proves nothing about it. The first: {problems[0]}"
        )
