"""Whoever looks after a receiver sees how it does, tests it, switches it on again, and sends what it missed."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from config.observability.logging import redactor_of
from config.policy.subscriptions import Subscription
from console import command_context
from console.output import (
    FAILED,
    AsJson,
    as_json,
    confirm,
    count,
    exit_with,
    facts,
    nothing,
    print_error,
    table,
    text,
)
from purser.errors import ConfigurationError
from store import CircuitState, DeadLetterFilter, DeliveryAttempt, DeliveryResult
from workers.context import WorkerContext
from workers.dead_letters import replay_runner
from workers.dead_letters.replay_one import ReplayStatus
from workers.dead_letters.replay_one import replay as send_at_once
from workers.dead_letters.resend import ResendableEvent, ResendSource, ResendStatus, find_kept, send_kept
from workers.outbound.deliver import gate_of, send_trial, trial_event

group = typer.Typer(help="Events that go out to subscriptions, and how their receivers do.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A subscription of the policy, such as n8n-deals.", show_default=False)]
Note = Annotated[str, typer.Option(help="Why, for the audit trail.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

_JUDGED = 500
"""So many of the latest deliveries say how quick a receiver is."""


@group.command("list")
def list_(json: AsJson = False) -> None:
    """List the subscriptions: what waits, what arrived, since when one fails, its breaker, and how quick it is."""
    with command_context.store_context() as fleet:
        told = [_told(fleet, one) for one in fleet.policies.subscriptions.values()]
    if json:
        as_json(told)
        return
    table(_COLUMNS, ([_cell(one, column) for column in _COLUMNS] for one in told), right=_NUMBERS)


_COLUMNS = (
    "name",
    "to",
    "state",
    "pending",
    "pending since",
    "delivered",
    "failed attempts",
    "left out",
    "failing since",
    "breaker",
    "last",
    "p50 ms",
    "p95 ms",
)
_NUMBERS = frozenset({"pending", "delivered", "failed attempts", "left out", "p50 ms", "p95 ms"})


def _cell(told: dict[str, Any], column: str) -> Any:
    return told[column.replace(" ", "_")]


def _told(fleet: WorkerContext, one: Subscription) -> dict[str, Any]:
    ledger = fleet.ledger
    pending, since = ledger.outbound.pending(one.name)
    tally = ledger.sendings.tally(one.name)
    latest = ledger.sendings.latest(one.name, limit=_JUDGED)
    gate = gate_of(ledger, one.name).state()
    arrived = [sending for sending in latest if sending.outcome is DeliveryResult.DELIVERED and sending.attempt]
    median, slow = _quantiles([sending.seconds for sending in arrived])
    return {
        "name": one.name,
        "to": one.place,
        "events": one.events,
        "state": _state(fleet, one),
        "pending": pending,
        "pending_since": since,
        "delivered": tally.delivered,
        "failed_attempts": tally.failed,
        "left_out": tally.left_out,
        "failing_since": tally.failing_since,
        "breaker": gate.breaker,
        "breaker_until": gate.until,
        "last": tally.last_status or tally.last_why or None,
        "last_at": tally.last_at,
        "p50_ms": median,
        "p95_ms": slow,
        "log_lines_trimmed": tally.trimmed,
    }


def _state(fleet: WorkerContext, one: Subscription) -> str:
    off = fleet.ledger.outbound.switched_off().get(one.name)
    if off is not None:
        return f"switched off since {off.at:%Y-%m-%d %H:%M}Z: {off.why}"
    if not one.enabled:
        return "off in the policy"
    targets = ("all", "queue:outbound", f"subscription:{one.name}")
    return "paused" if fleet.is_held_back(targets) else "on"


def _quantiles(seconds: Sequence[float]) -> tuple[int | None, int | None]:
    """Return median and 95th percentile in milliseconds: of so many, the one at that place."""
    if not seconds:
        return None, None
    ordered = sorted(seconds)
    median, slow = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95))
    return round(median * 1000), round(slow * 1000)


@group.command()
def show(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many attempts, the newest first.")] = 20,
    json: AsJson = False,
) -> None:
    """Show one subscription and its latest attempts, without what was sent."""
    with command_context.store_context() as fleet:
        told = _told(fleet, fleet.policies.subscription(name))
        latest = fleet.ledger.sendings.latest(name, limit=limit)
        clean = redactor_of(fleet.settings)
    if json:
        as_json({**told, "attempts": latest})
        return
    facts(told.items())
    columns = ("at", "outcome", "status", "ms", "attempt", "type", "subject", "event", "why")
    table(columns, (_attempt(one, clean.text(one.why)) for one in latest), right={"status", "ms", "attempt"})
    if told["log_lines_trimmed"]:
        print_error(
            f"older lines of this log are gone: {told['log_lines_trimmed']} of them (30 days or 20,000 are kept)"
        )


def _attempt(one: DeliveryAttempt, why: str) -> tuple[Any, ...]:
    number = one.attempt or "test"
    milliseconds = round(one.seconds * 1000)
    return one.at, one.outcome, one.status, milliseconds, number, one.type, one.subject, one.event_id, why


@group.command("test")
def try_(
    name: Name,
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the event instead of sending it.")] = False,
    json: AsJson = False,
) -> None:
    """Send a signed `purser.test.v1` event at once and show the answer. Ends with 1 when it was not accepted."""
    with command_context.store_context() as fleet:
        subscription = fleet.policies.subscription(name)
        if dry_run:
            as_json(trial_event(name, fleet.now()))
            return
        fleet.ledger.audit.append(who=command_context.actor_name(), action="outbound.test", what=name, note=note)
        ending, seconds, answer = send_trial(fleet, subscription)
        shown = redactor_of(fleet.settings).text(answer)
    told = {
        "subscription": name,
        "to": subscription.place,
        "outcome": ending.sent,
        "status": ending.status,
        "ms": round(seconds * 1000),
        "why": ending.why,
        "answer": shown,
    }
    if json:
        as_json(told)
    else:
        facts((key, value if value != "" else None) for key, value in told.items())
    if ending.sent is not DeliveryResult.DELIVERED:
        exit_with(FAILED)


@group.command()
def enable(name: Name, note: Note, dry_run: DryRun = False, json: AsJson = False) -> None:
    """Switch a subscription on again whose receiver wanted no more (410), and close its breaker."""
    command_context.note_text(note)
    with command_context.store_context() as fleet:
        ledger, subscription = fleet.ledger, fleet.policies.subscription(name)
        if not subscription.enabled:
            raise ConfigurationError(f"subscription `{name}` is off in the policy: say `enabled: true` there")
        gate = gate_of(ledger, name)
        is_off, is_open = name in ledger.outbound.switched_off(), gate.state().breaker is not CircuitState.CLOSED
        if not (is_off or is_open):
            nothing(f"subscription `{name}` is on, and its breaker is closed")
        if not dry_run:
            ledger.outbound.enable(name, who=command_context.actor_name(), note=note)
            if is_open:
                gate.reset(who=command_context.actor_name(), note=note)
        left_out = ledger.sendings.tally(name).left_out
    if json:
        as_json({"enabled": name, "was_off": is_off, "breaker_was_open": is_open, "dry_run": dry_run})
    else:
        text(f"{'would enable' if dry_run else 'enabled'} {name}")
    if is_off and left_out:
        print_error(
            f"{count(left_out, 'event')} were left out: `purser outbound replay {name}` sends those still kept"
        )


@group.command()
def replay(
    name: Name,
    note: Note,
    events: Annotated[list[str] | None, typer.Argument(metavar="[EVENTS]...", help="Ids of events.")] = None,
    since: Annotated[str, typer.Option(help="Only since then: 30m, 24h, 7d or 2026-01-31T18:00Z.")] = "",
    delivered: Annotated[bool, typer.Option("--delivered", help="Also what has arrived, while it is kept.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask at the terminal.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Send again what a subscription did not get: its dead letters, and what was left out while it was off.

    Events named by id go again also where they have arrived. Events are kept for seven days.
    """
    command_context.note_text(note)
    if events and (since or delivered):
        raise ConfigurationError("say which events: ids, or --since and --delivered")
    moment = DeadLetterFilter.read({"since": since}).since if since else None
    with command_context.worker_context() as fleet:
        subscription = fleet.policies.subscription(name)
        found = find_kept(fleet, subscription, event_ids=events or (), since=moment, delivered=delivered)
        if not found:
            nothing(f"there is nothing to send again to `{name}`")
        if not dry_run:
            confirm(f"Send {count(len(found), 'event')} again?", unless=yes)
        rows = list(_replayed(fleet, subscription, found, note=note, careful=not events, dry_run=dry_run))
    if json:
        as_json(rows)
    else:
        table(("event", "type", "was", "now"), ([*row.values()] for row in rows))
    if all(row["now"] not in _WELL for row in rows):
        nothing("none of these can be sent again")
    if any(row["now"] not in _WELL for row in rows):
        exit_with(FAILED)


_WOULD, _DONE = "would be sent again", "sent again"
_WELL = (_WOULD, _DONE)


def _replayed(
    fleet: WorkerContext,
    subscription: Subscription,
    found: Sequence[ResendableEvent],
    *,
    note: str,
    careful: bool,
    dry_run: bool,
) -> Iterator[dict[str, Any]]:
    """Send what can be sent, and say what became of each."""
    letters = [one.letter for one in found if one.way is ResendSource.LETTER]
    sent: set[str] = set()
    if not dry_run:
        fleet.ledger.audit.append(
            who=command_context.actor_name(),
            action="outbound.replay",
            what=subscription.name,
            note=note,
            facts={"letters": len(letters), "events": len(found)},
        )
        sent = _letters(fleet, subscription, letters, note=note, careful=careful)
    for one in found:
        if one.again is not ResendStatus.SENDS:
            now: str = one.again
        elif dry_run:
            now = _WOULD
        elif one.way is ResendSource.LETTER:
            now = _DONE if one.letter in sent else "left as it is"
        else:
            now = _DONE if send_kept(fleet, subscription, one) else ResendStatus.NOT_KEPT
        yield {"event": one.event_id, "type": one.type or None, "was": one.way, "now": now}


def _letters(
    fleet: WorkerContext, subscription: Subscription, letters: Sequence[str], *, note: str, careful: bool
) -> set[str]:
    """Replay letters: those named by id at once, more of them by the workers, one first."""
    if not letters:
        return set()
    if not careful:
        done = send_at_once(fleet, letters, who=command_context.actor_name(), note=note)
        for why in {one.why for one in done if one.why}:
            print_error(f"{why}. Start a worker that reads the queue (-Q)")
        return {one.id for one in done if one.status is ReplayStatus.REPLAYED}
    what = f"subscription {subscription.name}"
    begun = replay_runner.start(fleet, letters, who=command_context.actor_name(), note=note, what=what)
    print_error(
        f"{count(begun.total, 'letter')} go back one first, then the rest: `purser dead replays show {begun.id}`"
    )
    return set(letters)
