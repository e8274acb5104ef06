"""`purser drill` proves on this machine that nothing is lost and nothing is doubled, whatever goes wrong."""

import dataclasses
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console import command_context
from console.output import FAILED, AsJson, as_json, count, exit_with, print_error, text
from devtools.chaos.fault import Against, OdooKind
from devtools.chaos.options import ChaosOptions
from purser.errors import ConfigurationError
from purser.naming import did_you_mean

if TYPE_CHECKING:
    from devtools.chaos.fault import Fault
    from devtools.chaos.report import ChaosReporter

LOAD, SHORT_LOAD = 240, 60
"""Messages for each fault."""

APPS = {"stock": "devtools.chaos.stock_celery:plain", "stock, careful": "devtools.chaos.stock_celery:careful"}
"""The apps to compare with."""


def drill(
    against: Annotated[Against, typer.Option(help="The broker.")] = "redis",
    odoo: Annotated[
        OdooKind, typer.Option(help="`real` is the Odoo of the settings. Give it a database you can throw away.")
    ] = "twin",
    restart_odoo: Annotated[
        str, typer.Option(help="The command that restarts the real Odoo, for the fault that needs it.")
    ] = "",
    fault: Annotated[
        list[str] | None, typer.Option("--fault", help="Only this fault; may be repeated. `list` names them.")
    ] = None,
    messages: Annotated[
        int | None, typer.Option(min=4, max=100_000, help="Messages for each fault; else 240, or 60 with --short.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="A few faults, in a minute or so.")] = False,
    stock: Annotated[
        bool,
        typer.Option("--stock", help="Do it to a stock Celery instead, twice: as it comes, and set up with care."),
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write the table to this page of the documentation.", dir_okay=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the logs, also if all went well.")] = False,
    seed: Annotated[int | None, typer.Option(help="Let chance fall as it did in another drill.")] = None,
    json: AsJson = False,
) -> None:
    """Break a fleet of its own in every way it is built to stand, and count what was lost and doubled.

    Ends with 0 only if nothing was lost, nothing was doubled, and exactly those messages are dead that had to die.
    Of a stock Celery nobody expects that: there it ends with 0 if every fault was seen to happen.
    """
    from devtools.chaos.faults import FAULTS  # they bring the twin and Celery along, which other commands do without
    from devtools.chaos.report import ChaosReporter

    if fault == ["list"]:
        for one in FAULTS:
            text(f"{one.name}: {one.what}")
        return
    if write is not None and (fault or short):
        raise ConfigurationError("a page tells of the whole drill: leave --fault and --short out")
    orders = ChaosOptions(
        faults=[one for one in FAULTS if one.name in names(fault, FAULTS) and (one.is_short or fault or not short)],
        messages=messages or (SHORT_LOAD if short else LOAD),
        against=against,
        odoo=odoo,
        settings=command_context.settings("odoo") if odoo == "real" else None,
        restart_odoo=restart_odoo,
        is_short=short,
        keep=keep,
        seed=random.randrange(10**6) if seed is None else seed,
    )
    teller = ChaosReporter(to_stderr=json)
    try:
        good = _compare(orders, teller, json, write) if stock else _drill(orders, teller, json, write)
    except KeyboardInterrupt:
        print_error("purser drill: interrupted; everything has ended")
        good = False
    if not good:
        exit_with(FAILED)


def names(asked: Sequence[str] | None, faults: "Sequence[Fault]") -> frozenset[str]:
    """Return the names of the faults that were asked for; ConfigurationError where there is no such fault."""
    known = [one.name for one in faults]
    for name in asked or ():
        if name not in known:
            raise ConfigurationError(f"no fault is named {name!r}.{did_you_mean(name, known)}")
    return frozenset(asked or known)


def _drill(orders: ChaosOptions, teller: "ChaosReporter", json: bool, write: Path | None) -> bool:
    from devtools.chaos.report import check_page, facts, page_block, write_block
    from devtools.chaos.runner import run_drill

    if write is not None:
        check_page(write, orders.against)
    teller.line(f"{count(len(orders.faults), 'fault')}, seed {orders.seed}")
    began = time.monotonic()
    results, skipped = run_drill(orders, teller)
    seconds = time.monotonic() - began
    teller.summary(results, skipped, seconds)
    if json:
        as_json(facts(results, skipped))
    if write is not None:
        write_block(write, orders.against, page_block(_command(orders), results, skipped, seconds))
    return all(one.is_good for one in results)


def _compare(orders: ChaosOptions, teller: "ChaosReporter", json: bool, write: Path | None) -> bool:
    from devtools.chaos.report import check_page, facts, stock_block, write_block
    from devtools.chaos.runner import run_drill

    if write is not None:
        check_page(write, "stock")
    if orders.against != "redis":
        raise ConfigurationError("--stock is measured on redis: leave --against out")
    runs = {}
    for name, app in APPS.items():
        teller.line(f"{name}: seed {orders.seed}")
        began = time.monotonic()
        runs[name], _ = run_drill(dataclasses.replace(orders, stock=app), teller)
        teller.summary(runs[name], (), time.monotonic() - began)
    if json:
        as_json({name: facts(results, ())["faults"] for name, results in runs.items()})
    if write is not None:
        write_block(write, "stock", stock_block(f"{_command(orders)} --stock", runs))
    return all(not one.problem for results in runs.values() for one in results)


def _command(orders: ChaosOptions) -> str:
    words = ["purser drill"]
    if orders.against != "redis":
        words.append(f"--against {orders.against}")
    if orders.odoo != "twin":
        words.append(f"--odoo {orders.odoo}")
    if orders.messages != LOAD:
        words.append(f"--messages {orders.messages}")
    return " ".join([*words, f"--seed {orders.seed}"])
