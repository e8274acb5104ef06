"""How long it takes to plan a replay of many dead letters, against planning them one by one.

Each letter is a chunk of one change on a document of its own, which is the worst a scan can leave behind. A bot with
the documented rights plans, on a twin in this process and a ledger on the server named by --ledger.
"""

import argparse
import datetime as dt
import json
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal

from config.policy.loader import load_policies
from config.settings import Settings
from devtools.fake_odoo import FakeOdoo
from purser.cases import CaseKey, CaseRecord, CaseState
from purser.changes import activity
from purser.engine.reconcile import PlannedStep
from purser.findings import Money, Ref, Severity
from store import DeadLetter
from tasks.discovery import load_registry
from workers.context import WorkerContext
from workers.controls.run import dump_steps
from workers.dead_letters.letter_factory import letter
from workers.dead_letters.replay_preview import ReplayPreview, preview_replay

CONTROL = "missing-timesheets"
GROUPS = ("base.group_user", "hr.group_hr_user", "project.group_project_manager")
MOMENT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
SAMPLE = 200
"""Letters planned one by one; the whole is extrapolated from them."""


def main() -> None:
    """Make letters, half of which were carried out, and print seconds, calls and the ratio of this one run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--letters", type=int, default=10_000)
    options.add_argument("--ledger", required=True, help="a Redis that nobody needs")
    given = options.parse_args()
    with FakeOdoo() as twin:
        measure(twin, given.ledger, given.letters)


def measure(twin: FakeOdoo, ledger: str, count: int) -> None:
    """Plan all at once, then some one by one."""
    fleet = fleet_of(twin, ledger)
    letters = dead(twin, fleet, count)
    began, worked = time.perf_counter(), time.process_time()
    found = preview_replay(fleet, letters)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    tell(found)
    print(f"{count} letters of one change each: {took:.2f} s, {found.rpc_calls} calls")
    print(f"of it {worked:.2f} s of a processor, the twin's share included; the rest is waiting for one")
    sample = letters[:: max(1, count // SAMPLE)][:SAMPLE]
    began = time.perf_counter()
    calls = sum(preview_replay(fleet, [one]).rpc_calls for one in sample)
    each = (time.perf_counter() - began) / len(sample)
    print(f"one by one: {each * 1000:.1f} ms and {calls / len(sample):.1f} calls each, {each * count:.0f} s for all")
    print(f"together is {each * count / took:.0f} times as fast")
    fleet.disconnect()


def tell(found: ReplayPreview) -> None:
    """Print what the plan says in sum."""
    told = ", ".join(f"{number} {fate}" for fate, number in found.counts.items())
    money = ", ".join(f"{one.amount} {one.currency}" for one in found.money)
    print(f"{told}; {len(found.people)} people, {found.hours} hours, {money}")


def fleet_of(twin: FakeOdoo, ledger: str) -> WorkerContext:
    """Return a fleet whose bot has the documented rights."""
    twin.add_user("bot", "bench", GROUPS)
    settings = Settings.load(
        need={"broker", "ledger", "odoo"},
        environ={
            "PURSER_BROKER_URL": ledger,
            "PURSER_ODOO_URL": twin.url,
            "PURSER_ODOO_DB": twin.db,
            "PURSER_ODOO_LOGIN": "bot",
            "PURSER_ODOO_API_KEY": "bench",
        },
    )
    declared = load_registry()
    return WorkerContext(settings, declared, load_policies(declared), publish=nobody, resend=nobody)


def nobody(*_: object, **__: object) -> None:
    """Stand for a queue: a plan needs none."""
    raise SystemExit("a plan wrote to a queue")


def dead(twin: FakeOdoo, fleet: WorkerContext, count: int) -> list[DeadLetter]:
    """Return letters about as many employees; half of what they ask for is there."""
    people = [twin.seed("res.users", {"name": f"U{n}", "login": f"u{n}"}) for n in range(20)]
    employees = [twin.seed("hr.employee", {"name": f"E{n}"}) for n in range(count)]
    steps = [step_of(employee, people[n % len(people)]) for n, employee in enumerate(employees)]
    half = [step.change for step in steps[::2] if step.change is not None]
    for start in range(0, len(half), 1000):
        fleet.change.apply(half[start : start + 1000])
    return list(letters_of(steps))


def step_of(employee: int, user: int) -> PlannedStep:
    """Ask somebody about an employee."""
    key = CaseKey(CONTROL, Ref("hr.employee", employee))
    change = activity(
        key=key.rung(0, 0), on=key.subject, summary="Hours are missing", note="", user_id=user, deadline=MOMENT.date()
    )
    memory = CaseRecord(
        key=key,
        episode=0,
        rung=0,
        state=CaseState.OPEN,
        asked_on=MOMENT.date(),
        opened_on=MOMENT.date(),
        severity=Severity.HIGH,
        hours=Decimal(8),
        money=Money(Decimal(960), "EUR"),
    )
    return PlannedStep(change, memory)


def letters_of(steps: Sequence[PlannedStep]) -> Iterator[DeadLetter]:
    """Write each step as a message that died."""
    for number, step in enumerate(steps):
        kwargs = {"control": CONTROL, "slot": MOMENT.isoformat(), "run": "bench", "steps": dump_steps([step])}
        yield letter(
            queue="apply",
            body=json.dumps([[], kwargs, {}]).encode(),
            headers={"id": f"bench-{number}", "task": "purser.apply"},
            properties=None,
            content_type="application/json",
            content_encoding="utf-8",
            reason="attempts spent",
            error="Transient",
            text="",
            traceback="",
            now=MOMENT,
        )


if __name__ == "__main__":
    main()
