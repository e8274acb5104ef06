"""A ledger with something of everything in it, for pages to show."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

from purser.cases import CaseKey, CaseRecord, CaseState
from purser.findings import Money, Period, Ref, Severity
from store import (
    Attempt,
    ControlRun,
    DeadLetter,
    DelayedMessage,
    DelayKind,
    Ledger,
    RefusalRecord,
    RunStatus,
    fingerprint,
)

HOSTILE = "<img src=x onerror=alert(1)><script>document.title='owned'</script>"
"""What must never become more than text."""
SECRET = "hunter2-do-not-show"
"""Stands under `api_key` in a payload."""

Moment = dt.datetime
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def seed(ledger: Ledger, now: Moment) -> None:
    """Put something of everything into a ledger."""
    ledger.cases.put(cases(now.date()))
    for record in runs(now):
        ledger.runs.record(record)
    for refused in refusals(now):
        ledger.refusals.add(refused)
    for waiting in delayed(now):
        ledger.delayed.park(waiting)
    for letter in letters(now):
        ledger.letters.store(letter)


# ---------------------------------------------------------------------- cases and runs --


def cases(today: dt.date) -> list[CaseRecord]:
    """Sixty employees without timesheets, some orders not billed, some drafts."""
    week = Period.week_of(today - 7 * DAY)
    missing = [
        case(
            CaseKey("missing-timesheets", Ref("hr.employee", n), week),
            opened_on=today - dt.timedelta(days=n % 23),
            text=f"{8 + n % 32} of 40 h logged in week {week.first.isocalendar().week}",
            subject_name=f"Employee {n}",
            hours=Decimal(n % 32),
            rung=n % 3,
            user_id=None if n == 13 else 5 + n % 4,
        )
        for n in range(1, 61)
    ]
    unbilled = [
        case(
            CaseKey("unbilled-work", Ref("sale.order", n)),
            opened_on=today - dt.timedelta(days=3 * n),
            text=f"{n * 7} h approved and not invoiced",
            subject_name=f"S{n:05} {HOSTILE if n == 3 else 'Northwind audit'}",
            hours=Decimal(n * 7),
            money=Money(Decimal(n) * 840, "EUR" if n % 4 else "USD"),
            severity=Severity.CRITICAL if n > 9 else Severity.HIGH,
        )
        for n in range(1, 12)
    ]
    return [*missing, *unbilled]


def case(key: CaseKey, **given: Any) -> CaseRecord:
    told: dict[str, Any] = {
        "episode": 0,
        "rung": 0,
        "state": CaseState.OPEN,
        "asked_on": given["opened_on"],
        "severity": Severity.MEDIUM,
        "activity": 90,
        "user_id": 5,
    }
    return CaseRecord(key=key, **{**told, **given})


def runs(now: Moment) -> list[ControlRun]:
    """Two days of runs, with a gap, one held and one not applicable."""
    start = now.replace(minute=0, second=0, microsecond=0)
    hourly = [
        run(
            "unbilled-work",
            start - n * 6 * HOUR,
            findings=11 - n % 3,
            closed=n % 2,
            missed=3 if n == 4 else 0,
            late=4000.0 if n == 4 else 12.0,
            outcome=RunStatus.HELD if n == 2 else RunStatus.COMPLETED,
            reason="it would end 40 of 50 open cases at once" if n == 2 else "",
        )
        for n in range(9)
    ]
    drafts = run(
        "stale-drafts", start - 20 * HOUR, outcome=RunStatus.NOT_APPLICABLE, reason="Odoo has no app account"
    )
    return [*hourly, drafts, run("missing-timesheets", start - 26 * HOUR, examined=400, findings=60, opened=4)]


def run(control: str, slot: Moment, **given: Any) -> ControlRun:
    told: dict[str, Any] = {
        "id": f"run-{control}-{slot:%m%d%H}",
        "as_of": slot,
        "started": slot + dt.timedelta(seconds=12),
        "seconds": 1.42,
        "trigger": "schedule",
        "outcome": RunStatus.COMPLETED,
        "examined": 120,
        "findings": 11,
        "rpc_calls": 6,
        "policy_hash": "9f8e7d6c5b4a",
        "code_version": "0.1.0",
    }
    return ControlRun(control=control, slot=slot, **{**told, **given})


# ------------------------------------------------------------------- refusals and waiting --


def refusals(now: Moment) -> list[RefusalRecord]:
    """Two that wait for a person."""
    key = "case/unbilled-work/sale.order/7/-/e0/r1"
    return [
        RefusalRecord(
            id=key,
            task="control unbilled-work",
            what=key,
            why="You are not allowed to create 'Activity' (mail.activity) records.",
            change={"kind": "ensure", "model": "mail.activity", "key": key, "values": {"summary": "bill it"}},
            first_at=now - 2 * DAY,
            last_at=now - 2 * DAY,
        ),
        RefusalRecord(
            id="opportunity/42/project",
            task="automation open-project",
            what="opportunity/42/project",
            why=f"Missing required value for the field Company {HOSTILE}",
            change={"kind": "update", "ref": {"model": "crm.lead", "id": 42}, "values": {"api_key": SECRET}},
            first_at=now - HOUR,
            last_at=now - HOUR,
        ),
    ]


def delayed(now: Moment) -> list[DelayedMessage]:
    """Retries and snoozes."""
    return [
        DelayedMessage(
            id=f"wait-{n}",
            queue="apply" if n % 2 else "events",
            task="purser.apply" if n % 2 else "purser.react",
            label=f"unbilled-work, chunk {n}",
            kind=DelayKind.RETRY if n % 3 else DelayKind.SNOOZE,
            why=f"attempt {n % 12 + 1} of 12: Transient: Odoo did not answer" if n % 3 else "paused: queue:apply",
            due=now + dt.timedelta(seconds=90 * n + 600),
            attempt=n % 12,
            payload=b"{}",
            parked_at=now - dt.timedelta(minutes=n),
        )
        for n in range(1, 8)
    ]


# ---------------------------------------------------------------------------- dead letters --


def letters(now: Moment) -> list[DeadLetter]:
    """Two faults that many met, and bytes nobody can read."""
    many = [
        letter(
            f"won-{n}",
            now - dt.timedelta(minutes=31 * n),
            task="purser.accept",
            queue="events",
            body=event(n),
            error="ValueError",
            message=f"opportunity {n} has no company",
            subjects=(f"crm.lead/{n}",),
        )
        for n in range(1, 41)
    ]
    chunks = [
        letter(
            f"chunk-{n}",
            now - dt.timedelta(hours=2, minutes=n),
            body=json.dumps([[], {"control": "unbilled-work", "slot": "x", "run": "r", "steps": []}, {}]).encode(),
            error="Transient",
            message=f"Odoo did not answer within {n} s",
            reason="attempts spent",
        )
        for n in range(1, 8)
    ]
    garbage = letter("bytes-1", now - 3 * DAY, task="", body=b"\x00\xff\xfe<b>not a message", reason="unreadable")
    large = letter("large-1", now - DAY, task="purser.gone", body=b'{"x": "' + b"<i>y</i>" * 130_000 + b'"}')
    return [*many, *chunks, garbage, large]


def event(n: int) -> bytes:
    """Return the body of a message that tells of a won opportunity."""
    told = {
        "specversion": "1.0",
        "id": f"w-{n}",
        "source": "odoo/example",
        "type": "opportunity.won.v1",
        "subject": f"crm.lead/{n}",
        "time": "2026-11-01T10:00:00Z",
        "datacontenttype": "application/json",
        "data": {"opportunity_id": n, "title": HOSTILE, "api_key": SECRET},
    }
    return json.dumps([[], {"event": told}, {"callbacks": None}]).encode()


def letter(name: str, at: Moment, **given: Any) -> DeadLetter:
    told: dict[str, Any] = {
        "queue": "apply",
        "task": "purser.apply",
        "body": b"[]",
        "reason": "failed",
        "error": "KeyError",
        "message": "'partner_id'",
        "traceback": 'Traceback (most recent call last):\n  File "apply.py", line 7, in apply\nKeyError: partner_id',
        "properties": {"delivery_info": {"routing_key": "apply"}},
        "correlation_id": f"root-{name}",
        "causation_id": "",
        "first_at": at - HOUR,
        "attempts": tuple(Attempt(at - n * 20 * MINUTE, "Transient: Odoo did not answer") for n in (2, 1, 0)),
        "stored_at": at,
        **given,
    }
    told["headers"] = {"lang": "py", "task": told["task"], "id": name, "root_id": f"root-{name}", "retries": 1}
    told["fingerprint"] = fingerprint(error=told["error"], message=told["message"], task=told["task"])
    return DeadLetter(id=name, **told)
