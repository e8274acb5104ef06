"""How long the ledger takes to list and group 100,000 letters and hold 10,000 cases."""

import argparse
import datetime as dt
import json
import statistics
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import redis

from purser.cases import CaseKey, CaseRecord, CaseState
from purser.findings import Money, Ref, Severity
from store import Attempt, DeadLetter, DeadLetterFilter, Ledger, Page, fingerprint

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FAULTS = 50


def made(n: int) -> DeadLetter:
    """Return a letter of about two kilobytes, one of fifty faults."""
    fault = n % FAULTS
    task, message = f"task-{fault % 5}", f"the field field_{chr(97 + fault // 26)}{chr(97 + fault % 26)} is gone"
    at = START + dt.timedelta(seconds=n)
    steps = [{"change": {"kind": "ensure", "model": "mail.activity", "key": f"case/{n}/{i}"}} for i in range(18)]
    return DeadLetter(
        id=str(uuid.UUID(int=n)),
        queue="apply" if n % 3 else "events",
        task=task,
        body=json.dumps([[], {"control": task, "steps": steps, "order": f"S{n:06}"}, {}]).encode(),
        headers={"task": task},
        reason="permanent failure",
        error="Permanent",
        message=message,
        traceback="line\n" * 80,
        fingerprint=fingerprint(error="Permanent", message=message, task=task),
        attempts=(Attempt(at, message),),
        correlation_id=f"run-{n // 20}",
        subjects=(f"sale.order/{n // 4 + 1}",),
        first_at=at,
        stored_at=at,
    )


def case(n: int) -> CaseRecord:
    """Return an open case."""
    return CaseRecord(
        key=CaseKey("stale-drafts", Ref("sale.order", n)),
        state=CaseState.OPEN,
        severity=Severity.MEDIUM,
        episode=1,
        rung=0,
        activity=n,
        asked_on=START.date(),
        opened_on=START.date(),
        user_id=n % 40 + 1,
        text="Quotation S00042 has waited for 31 days",
        hours=Decimal("7.5"),
        money=Money(Decimal("1250.00"), "EUR"),
        subject_name="S00042",
    )


class Stopwatch:
    """Times what is asked of a ledger; CPU time, here and on the server, depends less on what else runs."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def __call__(self, what: str, act: Callable[[], object], times: int = 5) -> None:
        """Print the median and the worst of some runs."""
        took, cpu = [], []
        for _ in range(times):
            start, begun = time.perf_counter(), self._cpu()
            act()
            took.append((time.perf_counter() - start) * 1000)
            cpu.append((self._cpu() - begun) * 1000)
        middle, worst, used = statistics.median(took), max(took), statistics.median(cpu)
        print(f"{what:<58} {middle:8.1f} ms   worst {worst:8.1f} ms   CPU {used:8.1f} ms", flush=True)

    def _cpu(self) -> float:
        info = self._server.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"]) + time.process_time()


def middle(ledger: Ledger, count: int) -> str | None:
    """Return the cursor of a page half-way down."""
    page: Page[DeadLetter] | None = None
    for _ in range(max(1, count // 2 // 5000)):
        page = ledger.letters.page(limit=5000, after=page.next if page else None)
    return page.next if page else None


def main() -> None:
    """Fill a prefix of its own, measure, and empty it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="a Redis that may be filled for a while")
    parser.add_argument("--letters", type=int, default=100_000)
    options = parser.parse_args()
    prefix = f"bench-{uuid.uuid4().hex}"
    ledger = Ledger.connect(options.url, prefix=prefix)
    try:
        with redis.Redis.from_url(options.url) as server:
            measure(ledger, options.letters, Stopwatch(server))
    finally:
        forget_all(options.url, prefix)
        ledger.close()


def measure(ledger: Ledger, count: int, timed: Stopwatch) -> None:
    """Print what each question costs."""
    before = ledger.health().used_memory or 0
    start = time.perf_counter()
    for n in range(count):
        ledger.letters.store(made(n))
    took = time.perf_counter() - start
    used = (ledger.health().used_memory or 0) - before
    print(f"stored {count:,} letters, {count / took:,.0f}/s, one by one; {used / count:,.0f} bytes each in Redis")
    letters, one = ledger.letters, made(3)
    cursor = middle(ledger, count)
    timed("page of 50, newest", letters.page)
    timed("page of 50, half-way down", lambda: letters.page(after=cursor))
    timed(f"{FAULTS} groups", letters.groups)
    timed("count", letters.count)
    half = START + dt.timedelta(seconds=count // 2)
    filters = {
        "fingerprint": DeadLetterFilter(fingerprint=one.fingerprint),
        "task and reason": DeadLetterFilter(task=one.task, reason=one.reason),
        "queue": DeadLetterFilter(queue="events"),
        "queue and error": DeadLetterFilter(queue="apply", error="Permanent"),
        "correlation": DeadLetterFilter(correlation="run-7"),
        "subject": DeadLetterFilter(subject="sale.order/77"),
        "until": DeadLetterFilter(until=half),
        "no letter: fingerprint and another task": DeadLetterFilter(fingerprint=one.fingerprint, task="task-0"),
        "no letter: queue and the other one's order": DeadLetterFilter(queue="apply", subject="sale.order/999999999"),
        "text of many": DeadLetterFilter(text="MAIL.activity"),
        "text of one, newest half": DeadLetterFilter(text=f"s{count * 9 // 10:06}"),
        "text of none, in a group": DeadLetterFilter(text="nothing of the kind", fingerprint=one.fingerprint),
        "text of none": DeadLetterFilter(text="nothing of the kind"),
    }
    for name, wanted in filters.items():
        timed(f"page of 50, {name}", lambda wanted=wanted: letters.page(wanted))  # type: ignore[misc]
    for name, wanted in filters.items():
        times = 1 if wanted.text else 3
        timed(f"groups, {name}", lambda wanted=wanted: letters.groups(wanted), times)  # type: ignore[misc]
        timed(f"count, {name}", lambda wanted=wanted: letters.count(wanted), times)  # type: ignore[misc]
    timed("all ids", lambda: sum(1 for _ in letters.ids()), times=3)
    ids = [made(n).id for n in range(min(10_000, count))]
    cases = [case(n) for n in range(1, 10_001)]
    timed("put 10,000 open cases of one control", lambda: ledger.cases.put(cases))
    timed("read 10,000 open cases of one control", lambda: ledger.cases.of("stale-drafts", open_only=True))
    timed("page of 50 among 10,000 open cases", ledger.cases.page)
    timed(f"discard {len(ids):,}", lambda: letters.discard(ids, who="bench", note="bench"), times=1)


def forget_all(url: str, prefix: str) -> None:
    """Empty the prefix, a few keys at a time."""
    with redis.Redis.from_url(url) as client:
        batch = []
        for key in client.scan_iter(match=f"{prefix}:*", count=1000):
            batch.append(key)
            if len(batch) == 1000:
                client.unlink(*batch)
                batch = []
        if batch:
            client.unlink(*batch)


if __name__ == "__main__":
    main()
