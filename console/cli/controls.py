"""Controls are listed, explained and run by hand: `run` reads, `apply` opens and closes cases."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any

import typer

from config.policy.loader import ControlPolicy
from console import command_context
from console.cli.type_names import type_name
from console.output import (
    FOUND,
    AsJson,
    as_json,
    count,
    exit_with,
    facts,
    money,
    nothing,
    plain,
    print_error,
    table,
    text,
)
from purser.cases import CaseKey
from purser.errors import ConfigurationError
from purser.findings import Finding
from store import ControlRun, RunStatus
from workers.controls import run as scan

CENT = Decimal("0.01")
LATE = 60.0
"""Seconds after its due moment from which a run is called late."""
group = typer.Typer(help="What should hold, and what breaks it now.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A control, such as unbilled-work.", show_default=False)]


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the controls and how this firm runs them."""
    policies = command_context.policies()
    known = [_summary(policy) for policy in policies.controls.values()]
    if json:
        as_json(known)
    else:
        columns = ("name", "title", "every", "severity", "owner", "enabled", "source")
        table(columns, ([one[column] for column in columns] for one in known))


@group.command()
def show(name: Name, json: AsJson = False) -> None:
    """Explain a control: its rule, what it reads, whom it asks, and every value a policy may set."""
    policies = command_context.policies()
    policy = policies.control(name)
    control = policy.control
    told = {
        **_summary(policy),
        "rule": control.rule,
        "reads": sorted({read.model for read in control.reads}),
        "ladder": [{"ask": rung.ask, "after": rung.after} for rung in policy.ladder],
        "tunables": {
            tunable: {"value": policy.tunables[tunable], "default": known.default, "type": type_name(known.type)}
            for tunable, known in control.tunables.items()
        },
        "policy": policies.source,
    }
    if json:
        as_json(told)
        return
    ladder = ", then ".join(f"{r.ask} after {r.after} working days" if r.after else r.ask for r in policy.ladder)
    facts((key, ladder if key == "ladder" else value) for key, value in told.items() if key != "tunables")
    table(
        ("tunable", "value", "default", "type"),
        ((n, t["value"], t["default"], t["type"]) for n, t in told["tunables"].items()),
    )


@group.command()
def run(
    name: Name,
    as_of: Annotated[
        str, typer.Option(help="Judge as of this day (its noon) or moment, in the policy's zone. Never writes.")
    ] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Former name of `controls apply`.", hidden=True)] = False,
    release_hold: Annotated[bool, typer.Option("--release-hold", hidden=True)] = False,
    note: Annotated[str, typer.Option(hidden=True)] = "",
    json: AsJson = False,
) -> None:
    """Run a control now and only read. Ends with 4 when it finds something."""
    if apply and as_of:
        raise ConfigurationError(
            "leave out --apply or --as-of: a past as-of moves the clock, not Odoo's data, and never writes"
        )
    if release_hold and not apply:
        raise ConfigurationError("--release-hold needs --apply: a run that only reads ends no case")
    command_context.policies().control(name)  # a misspelt name is told before a missing setting
    if apply:
        print_error("`controls run --apply` is called `controls apply` now; the old form goes with the next release")
        _apply(name, release_hold=release_hold, note=note, json=json)
    else:
        _judge(name, as_of, json=json)


@group.command("apply")
def apply_(
    name: Name,
    release_hold: Annotated[
        bool, typer.Option("--release-hold", help="Close cases even if that is most of them.")
    ] = False,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    json: AsJson = False,
) -> None:
    """Run a control now; open, escalate and close its cases as a scheduled run does. Ends with 4 when it is held."""
    command_context.policies().control(name)  # a misspelt name is told before a missing setting
    _apply(name, release_hold=release_hold, note=note, json=json, dry_run=dry_run)


@group.command()
def runs(
    name: Annotated[str | None, typer.Argument(help="Only this control.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    json: AsJson = False,
) -> None:
    """List what the latest runs saw and did."""
    if name is not None:
        command_context.policies().control(name)
    with command_context.ledger() as ledger:
        found = ledger.runs.page(name, limit=limit).items
    if json:
        as_json(found)
    else:
        columns = ("started", "control", "outcome", "examined", "findings", "opened", "closed", "rpc_calls")
        table(
            (*columns, "late", "reason"),
            ([*(getattr(one, column) for column in columns), _late(one), one.reason] for one in found),
        )
    if name is not None and not found:
        nothing(f"{name} has not run yet")


def _late(run: ControlRun) -> str:
    """Return how late a run was, and for how many slots it stands beside its own; '' when it was on time."""
    if run.late < LATE and not run.missed:
        return ""
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if run.late >= 2 * seconds or unit == "s":
            return f"{run.late / seconds:.0f} {unit}" + (f", {run.missed} missed" if run.missed else "")
    return ""


def _judge(name: str, as_of: str, *, json: bool) -> None:
    with command_context.read_only_context() as fleet:
        policy = fleet.policies.control(name)
        moment = fleet.local(_moment(as_of, fleet.policies.timezone)) if as_of else fleet.local_now()
        judged = scan.evaluate_control(fleet.audit, policy, as_of=moment)
    if json:
        as_json(report(policy, judged))
    else:
        _print(policy, judged)
    if judged.not_applicable:
        print_error(f"{name} is not applicable here: {judged.not_applicable}")
    for unknown in judged.unknown_names:
        print_error(f"{name}: Odoo knows no such name, so it has no effect: {unknown}. Correct the policy")
    if judged.unseen_companies:
        print_error(
            f"{name}: the reading bot is not in {judged.unseen_companies} of the companies: hours logged there look "
            "like missing hours. `purser odoo check` says which companies they are"
        )
    if judged.judged_without:
        print_error(f"{name}: {scan.without(judged)}. `purser doctor` says which group the bot lacks")
    exit_with(FOUND if judged.findings else 0)


def _apply(name: str, *, release_hold: bool, note: str, json: bool, dry_run: bool = False) -> None:
    run_id = "" if dry_run else str(uuid.uuid4())
    if dry_run:
        with command_context.read_only_context("ledger") as fleet:
            policy = fleet.policies.control(name)
            done = scan.decide_run(fleet, policy, slot=fleet.now(), release_hold=release_hold)
    else:
        policy, done = _run_now(name, run_id, release_hold=release_hold, note=note)
    sent = {
        part: len(getattr(done.plan, part))
        for part in ("opened", "escalated", "refreshed", "closed", "withdrawn", "unverified")
    }
    if json:
        told = {} if done.judged is None else report(policy, done.judged)
        as_json({**told, "run": {"id": run_id, "outcome": done.outcome, "reason": done.reason, **sent}})
    else:
        if done.judged is not None:
            _print(policy, done.judged)
        would = f"would be {done.outcome}" if dry_run else f"run {run_id}: {done.outcome}"
        text(f"{would}; " + ", ".join(f"{count} {part}" for part, count in sent.items()))
    if done.reason:
        print_error(f"{name}: {done.reason}")
    exit_with(FOUND if done.outcome is RunStatus.HELD else 0)


def _run_now(name: str, run_id: str, *, release_hold: bool, note: str) -> tuple[ControlPolicy, scan.ControlRunReport]:
    with command_context.worker_context("odoo") as fleet:
        policy, who = fleet.policies.control(name), command_context.actor_name()
        fleet.ledger.audit.append(
            who=who, action="controls.run", what=name, note=note, facts={"run": run_id, "release_hold": release_hold}
        )
        done = scan.run_now(
            fleet, policy, slot=fleet.now(), run_id=run_id, trigger=f"by hand, {who}", release_hold=release_hold
        )
    return policy, done


def report(policy: ControlPolicy, judged: scan.ControlResult) -> dict[str, Any]:
    """Return a run's facts in the form that programs are promised."""
    told = {
        "control": policy.control.name,
        "as_of": judged.as_of,
        "applicable": not judged.not_applicable,
        "examined": len(judged.verdicts),
        "rpc_calls": judged.rpc_calls,
        "seconds": round(judged.seconds, 3),
        "findings": [_finding(policy, one) for one in judged.findings],
    }
    if judged.unseen_companies:
        told["unseen_companies"] = judged.unseen_companies
    if judged.unknown_names:
        told["unknown_names"] = judged.unknown_names
    if judged.judged_without:
        told["judged_without"] = list(judged.judged_without)
    return told | ({"reason": judged.not_applicable} if judged.not_applicable else {})


def _finding(policy: ControlPolicy, finding: Finding) -> dict[str, Any]:
    period, risk = finding.period, finding.money_at_risk
    return {
        "key": str(CaseKey(policy.control.name, finding.subject, period)),
        "subject": {"model": finding.subject.model, "id": finding.subject.id, "name": finding.subject_name},
        "period": None if period is None else {"from": period.first, "to": period.last},
        "summary": finding.summary,
        "owner": finding.owner,
        "since": finding.since,
        "severity": finding.severity or policy.severity,
        "hours_at_risk": finding.hours_at_risk.quantize(CENT),
        "money_at_risk": None if risk is None else {"amount": risk.amount, "currency": risk.currency},
    }


def _print(policy: ControlPolicy, judged: scan.ControlResult) -> None:
    if judged.findings:
        table(
            ("subject", "name", "summary", "since", "severity", "hours", "money"),
            (_row(policy, finding) for finding in judged.findings),
            right={"hours", "money"},
        )
    text(
        f"{policy.control.name}: {count(len(judged.findings), 'finding')}, {len(judged.verdicts)} examined, "
        f"{count(judged.rpc_calls, 'call')}, {judged.seconds:.2f} s, as of {plain(judged.as_of)}"
    )


def _row(policy: ControlPolicy, finding: Finding) -> tuple[Any, ...]:
    return (
        finding.subject,
        finding.subject_name,
        finding.summary,
        finding.since,
        finding.severity or policy.severity,
        finding.hours_at_risk.quantize(CENT),
        money(finding.money_at_risk),
    )


def _summary(policy: ControlPolicy) -> dict[str, Any]:
    control = policy.control
    return {
        "name": control.name,
        "title": control.title,
        "every": str(policy.every),
        "severity": policy.severity,
        "owner": control.owner,
        "enabled": policy.enabled,
        "source": control.source,
    }


def _moment(given: str, zone: dt.tzinfo) -> dt.datetime:
    """Read a day as its noon: the one moment of it that is that day nearly everywhere."""
    try:
        if len(given) == len("2026-01-31"):
            return dt.datetime.combine(dt.date.fromisoformat(given), dt.time(12), zone)
        moment = dt.datetime.fromisoformat(given.upper())
    except ValueError:
        raise ConfigurationError(f"--as-of {given!r} is no moment: write 2026-01-31 or 2026-01-31T18:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
