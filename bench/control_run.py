"""What one scan of missing timesheets costs, against asking Odoo once per employee.

The scan is measured whole: people, calendars, absences and hours are read, and every week is judged. The loop it is
compared with is the cheapest there could be: one call per employee for the hours of four weeks, nothing else read and
nothing judged. Both have warm caches.
"""

import argparse
import datetime as dt
import statistics
import time
import uuid
from typing import Any

from config.policy.loader import load_policies
from odoo_client import OdooClient, OdooConnection, connect
from odoo_client.transport.request import Request
from purser.findings import Period
from tasks.discovery import load_registry
from workers.controls.run import evaluate_control

SAMPLE = 100
"""Employees asked one by one; the whole is extrapolated from them."""
BATCH = 250
SCANS = 5
WEEKS = 4


def main() -> None:
    """Seed a disposable database until it holds so many employees, and print calls, seconds and the ratio."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("url", "db", "login", "key"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--employees", type=int, default=10_000)
    given = options.parse_args()
    door = OdooConnection(
        url=given.url, db=given.db, login=given.login, api_key=given.key, api="json2", read_timeout=300
    )
    with connect(door) as client:
        employees = seed(client, given.employees)
        measure(client, employees)


def call(client: OdooClient, model: str, method: str, *ids: int, **arguments: Any) -> Any:
    """Make one call."""
    return client.send(Request(model=model, method=method, ids=ids or None, arguments=arguments))


def seed(client: OdooClient, wanted: int) -> list[int]:
    """Hire until there are enough, and log four weeks for all but every tenth employee."""
    known: list[int] = call(client, "hr.employee", "search", domain=[])
    if len(known) >= wanted:
        return known
    (project,) = call(client, "project.project", "create", vals_list=[{"name": f"Bench {uuid.uuid4().hex[:6]}"}])
    weeks = [first_monday() + dt.timedelta(weeks=n) for n in range(WEEKS)]
    while len(known) < wanted:
        count = min(BATCH, wanted - len(known))
        rows = [{"name": f"E{uuid.uuid4().hex[:8]}", "date_version": "2025-01-01"} for _ in range(count)]
        hired: list[int] = call(client, "hr.employee", "create", vals_list=rows)
        lines = [
            {"employee_id": one, "project_id": project, "date": str(week), "unit_amount": 40, "name": "work"}
            for number, one in enumerate(hired)
            if number % 10
            for week in weeks
        ]
        for start in range(0, len(lines), 2 * BATCH):
            call(client, "account.analytic.line", "create", vals_list=lines[start : start + 2 * BATCH])
        known += hired
        print(f"\r{len(known)} of {wanted} employees", end="", flush=True)
    print()
    return known


def first_monday() -> dt.date:
    """Return the day the oldest week in view began."""
    return Period.week_of(dt.datetime.now(dt.UTC).date()).first - dt.timedelta(weeks=WEEKS)


def measure(client: OdooClient, employees: list[int]) -> None:
    """Run the control (once before, to fill the caches), then a loop over some employees."""
    policy = load_policies(load_registry()).control("missing-timesheets")
    judged = evaluate_control(client, policy, as_of=dt.datetime.now(dt.UTC))
    seconds: list[float] = []
    for _ in range(SCANS):
        judged = evaluate_control(client, policy, as_of=dt.datetime.now(dt.UTC))
        seconds.append(judged.seconds)
    took = statistics.median(seconds)
    print(
        f"{judged.rpc_calls} calls ({judged.pages} of them further pages), {took:.2f} s (median of {SCANS}), "
        f"{len(judged.verdicts)} examined, {len(judged.findings)} findings"
    )
    step = max(1, len(employees) // SAMPLE)
    sampled = employees[::step][:SAMPLE]
    each = statistics.median(ask_for(client, one) for one in sampled)
    whole = each * len(employees)
    print(
        f"one call per employee: {each * 1000:.1f} ms each, {whole:.0f} s for all (median of {len(sampled)} of them)"
    )
    print(f"the scan, judging included, is {whole / took:.0f} times as fast as that loop, which judges nothing")


def ask_for(client: OdooClient, employee: int) -> float:
    """Ask for the hours of one employee by week; give the seconds it took."""
    started = time.perf_counter()
    call(
        client,
        "account.analytic.line",
        "formatted_read_group",
        domain=[
            ["employee_id", "=", employee],
            ["project_id", "!=", False],
            ["date", ">=", str(first_monday())],
        ],
        groupby=["date:iso_week_number"],
        aggregates=["unit_amount:sum"],
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
