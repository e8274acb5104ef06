"""A fleet whose beat was away for a day catches up once; nothing held back on purpose counts as a failure."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from purser.errors import Snooze
from schedules.slots import latest_slot, stagger
from store import DeadLetter, DeadLetterFilter, DeadLetterState, RunStatus
from tests.integration.calm import Calm
from tests.odoo.seeding_people import Firm
from workers.controls import run as scan

CONTROL = "stale-drafts"


@pytest.fixture
def fleet(calm: Callable[[Path | None], Calm], firm: Firm) -> Calm:
    firm.company()
    return calm(None)


def slot_of(fleet: Calm) -> dt.datetime:
    every = fleet.fleet.policies.control(CONTROL).every
    return latest_slot(every, fleet.moment, fleet.fleet.policies.timezone, stagger(CONTROL, every))


def run(fleet: Calm, holder: str) -> scan.ControlRunReport:
    return scan.run_slot(fleet.fleet, CONTROL, holder=holder)


def test_what_was_missed_in_a_week_is_caught_up_once_and_says_so(fleet: Calm) -> None:
    # In the past, for the ledger has its server's clock and believes no slot of the future; far from a due moment.
    fleet.moment = fleet.moment.replace(hour=12) - dt.timedelta(days=9)
    first = run(fleet, "a")
    assert (first.missed, first.outcome) == (0, RunStatus.COMPLETED)
    fleet.moment += dt.timedelta(days=7, hours=3)
    assert run(fleet, "b").missed > 0
    (record,) = fleet.ledger.runs.page(CONTROL, limit=1).items
    assert record.missed == run_count(fleet, first.slot) - 1
    assert record.late == pytest.approx((fleet.moment - slot_of(fleet) - offset(fleet)).total_seconds(), abs=1)
    assert run(fleet, "c").outcome is None  # two beats: the slot is done


def run_count(fleet: Calm, since: dt.datetime) -> int:
    """Count the slots from `since` to now, the last one included."""
    count, moment = 0, slot_of(fleet)
    every = fleet.fleet.policies.control(CONTROL).every
    while moment > since:
        count += 1
        moment = latest_slot(every, moment - dt.timedelta(seconds=1), fleet.fleet.policies.timezone)
    return count


def offset(fleet: Calm) -> dt.timedelta:
    return stagger(CONTROL, fleet.fleet.policies.control(CONTROL).every)


def test_a_scan_that_is_held_back_is_no_failed_run_and_gives_its_slot_back(
    fleet: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise Snooze("breaker open", after=5)

    with monkeypatch.context() as patched:
        patched.setattr(scan, "see_cases", closed)
        with pytest.raises(Snooze):
            run(fleet, "a")
    assert fleet.ledger.runs.page(CONTROL).items == ()
    assert run(fleet, "b").outcome is RunStatus.COMPLETED


def letter(covers: str, slot: dt.datetime | None, stored: dt.datetime) -> DeadLetter:
    return DeadLetter(
        id=f"{covers}-{slot}",
        queue="scans",
        task="purser.scan",
        body=b"{}",
        reason="attempts spent",
        fingerprint="f",
        first_at=stored,
        stored_at=stored,
        covers=covers,
        slot=slot,
    )


def test_a_scan_that_is_done_settles_the_letters_of_those_before_it(fleet: Calm) -> None:
    letters, earlier = fleet.ledger.letters, fleet.moment - dt.timedelta(days=2)
    letters.store(letter(f"scan/{CONTROL}", None, earlier))
    letters.store(letter(f"apply/{CONTROL}", earlier, earlier))
    letters.store(letter("scan/another", None, earlier))
    newer = letter(f"apply/{CONTROL}", slot_of(fleet), fleet.moment)
    letters.store(newer)
    run(fleet, "a")
    assert letters.count(DeadLetterFilter(state=DeadLetterState.SUPERSEDED)) == 2
    assert {one.id for one in letters.page().items} == {"scan/another-None", newer.id}


FREEZE = """
version: 1
timezone: Europe/Berlin
freezes:
  month-end: {days_before: 1, days_after: 2, what: [queue:apply]}
"""


def test_a_freeze_of_the_policy_holds_back_what_it_names_until_it_ends(
    calm: Callable[[Path | None], Calm], firm: Firm, tmp_path: Path
) -> None:
    firm.company()
    (tmp_path / "p.yaml").write_text(FREEZE)
    fleet = calm(tmp_path / "p.yaml")
    fleet.moment = dt.datetime(2026, 3, 31, 21, 30, tzinfo=dt.UTC)  # half past eleven in Berlin
    fleet.fleet.may_begin(("all", "queue:events", "automation:open-project"))
    with pytest.raises(Snooze, match="frozen: month-end") as caught:
        fleet.fleet.may_begin(("all", "queue:apply", f"control:{CONTROL}"))
    until = fleet.moment + dt.timedelta(seconds=caught.value.after)
    assert until == dt.datetime(2026, 4, 2, 22, 0, tzinfo=dt.UTC)
    fleet.moment = until
    fleet.fleet.may_begin(("all", "queue:apply", f"control:{CONTROL}"))


def test_a_pause_holds_back_what_it_names_until_it_is_resumed(fleet: Calm) -> None:
    target = f"control:{CONTROL}"
    fleet.ledger.pauses.pause(target, who="test", note="a look")
    with pytest.raises(Snooze, match=f"paused: {target}"):
        fleet.fleet.may_begin(("all", "queue:scans", target))
    fleet.fleet.may_begin(("all", "queue:scans", "control:unbilled-work"))
