"""However a feed is cut up and killed, each fact is told, under one identity, and nothing is told twice for long."""

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from purser.errors import ConfigurationError, Permanent, Transient
from store import Ledger
from tests.unit.workers.feeding import START, Killed, Office, fleet_of
from workers.changes import backfill, detect, feed
from workers.changes.detect import OVERLAP, RECOGNIZED_WITHIN, feed_name
from workers.context import WorkerContext
from workers.doctor.checks import check_feeds
from workers.events import publish, react
from workers.messages import concerns

MINUTE = dt.timedelta(minutes=1)
DEALS = "opportunities"
FEED = "feed/opportunities"


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def ledger(redis_url: str, office: Office) -> Iterator[Ledger]:
    with redis.Redis.from_url(redis_url) as client:
        yield Ledger(client, now=office.now)


@pytest.fixture
def fleet(office: Office, ledger: Ledger) -> WorkerContext:
    return fleet_of(office, ledger)


def text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def win(office: Office, id_: int, **more: Any) -> str:
    """Win an opportunity now, and give the identity of the fact."""
    office.write(id_, type="opportunity", won_status="won", active=True, date_closed=text(office.moment), **more)
    return f"opportunity.won.v1/crm.lead/{id_}/{office.moment:%Y-%m-%dT%H:%M:%SZ}"


def run(fleet: WorkerContext, office: Office, *, after: dt.timedelta = 5 * MINUTE, **sizes: int) -> feed.FeedResult:
    """Let the next slot come, and run it to its end."""
    office.moment += after
    fed = feed.run_slot(fleet, DEALS, holder="a message", **sizes)
    for _ in range(200):
        if fed.is_done:
            return fed
        fed = feed.run_slot(fleet, DEALS, holder="the next message", **sizes)
    raise AssertionError(fed.reason)


def test_winning_a_lead_is_told_once_with_its_source_and_moment(fleet: WorkerContext, office: Office) -> None:
    run(fleet, office)
    identity = win(office, 7)
    assert run(fleet, office).told == 1
    ((_, kwargs, task_id),) = [one for one in office.sent if one[0] == "purser.accept"]
    event = kwargs["event"]
    assert (event["id"], event["source"], event["subject"]) == (identity, "/odoo/firm", "crm.lead/7")
    assert event["time"] == "2026-11-26T08:05:00Z"
    assert task_id == publish.message_id(publish.ACCEPT_TASK, "/odoo/firm", identity)
    react.accept(fleet, event, holder=task_id)
    assert run(fleet, office).told == 0, "it was written to within the overlap, and is recognised"


def test_a_first_run_begins_a_while_before_now_and_says_so(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    win(office, 1)
    office.moment += dt.timedelta(hours=1)
    office.write(1, name="edited after the watching began, won before")
    late = win(office, 2)
    fed = feed.run_slot(fleet, DEALS, holder="a message")
    assert "a backfill tells what was before 2026-11-26T08:45:00" in fed.reason
    assert office.identities() == [late]
    cursor = ledger.cursors.get(FEED)
    assert cursor is not None
    assert (cursor.started, cursor.done, cursor.looked) == (office.moment - OVERLAP, office.moment, 2)


def test_what_was_won_longer_ago_than_is_remembered_is_not_told_again(
    fleet: WorkerContext, office: Office, redis_url: str
) -> None:
    run(fleet, office)
    identity = win(office, 1)
    run(fleet, office)
    react.accept(fleet, office.sent[0][1]["event"], holder="x")
    run(fleet, office, after=RECOGNIZED_WITHIN)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*client.keys("purser:event:seen:*"))
    office.moment += dt.timedelta(days=2)
    run(fleet, office)
    office.write(1, name="edited, a month after it was won")
    run(fleet, office)
    assert office.identities() == [identity]


def test_a_write_that_came_to_sight_late_is_told(fleet: WorkerContext, office: Office) -> None:
    run(fleet, office)
    identity = win(office, 1, commits_in=12 * MINUTE)
    run(fleet, office)
    run(fleet, office)
    assert office.identities() == []
    run(fleet, office)
    assert office.identities() == [identity]


def test_pages_are_bounded_and_a_message_of_its_own_goes_on(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    run(fleet, office)
    wanted = [win(office, id_) for id_ in range(1, 8)]
    office.moment += 5 * MINUTE
    office.pages = 0
    fed = feed.run_slot(fleet, DEALS, holder="a message", page=2, pages=3)
    assert (fed.is_done, fed.looked, office.pages) == (False, 6, 3)
    assert office.sent[-1][:2] == ("purser.feed", {"watch": DEALS})
    cursor = ledger.cursors.get(FEED)
    assert cursor is not None
    assert (cursor.after, cursor.until) == (6, office.moment)
    assert feed.run_slot(fleet, DEALS, holder="the next message", page=2, pages=3).is_done
    assert office.identities() == wanted
    assert feed.run_slot(fleet, DEALS, holder="a third", page=2).reason == "done"


def test_two_that_walk_at_once_do_not_set_each_other_back(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    run(fleet, office)
    win(office, 1)
    office.moment += 5 * MINUTE
    before = ledger.cursors.get(FEED)
    policy = fleet.policies.watch(DEALS)
    other, look = Office(office.moment, office.records), office.look
    other_fleet = fleet_of(other, ledger)

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        feed.walk(other_fleet, policy)
        return look(*args, **kwargs)

    office.look = overtaken  # type: ignore[method-assign]
    assert "somebody else" in feed.walk(fleet, policy).reason
    after = ledger.cursors.get(FEED)
    assert after is not None
    assert before is not None
    assert (after.looked - before.looked, after.done) == (1, office.moment)
    assert office.identities() == other.identities(), "the same message, by its id"


def test_what_this_odoo_lacks_is_said_once_and_is_no_failure(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    office.lacks = "ClosedLead: this database has no model crm.lead"
    with capture_logs() as logs:
        assert run(fleet, office).reason.startswith("not applicable: ClosedLead")
        run(fleet, office)
    assert [one["event"] for one in logs if one["log_level"] == "warning"] == ["not applicable"]
    win(office, 1)
    office.moment += dt.timedelta(days=7)
    run(fleet, office)
    office.lacks = ""
    identity = win(office, 2)
    run(fleet, office)
    assert office.identities() == [identity], "the watching begins when it can"
    office.lacks = "the right was taken away"
    run(fleet, office)
    missed = win(office, 3)
    office.moment += dt.timedelta(days=2)
    run(fleet, office)
    office.lacks = ""
    run(fleet, office)
    assert office.identities()[-1] == missed, "and goes on where it stood"
    cursor = ledger.cursors.get(FEED)
    assert cursor is not None
    assert not cursor.lacks


def test_a_record_that_cannot_be_judged_is_a_message_of_its_own_and_holds_nobody_up(
    fleet: WorkerContext, office: Office
) -> None:
    run(fleet, office)
    win(office, 1)
    office.unfit = {1}
    identity = win(office, 2)
    with capture_logs():
        assert run(fleet, office).told == 1
    assert office.identities() == [identity]
    ((_, values, task_id),) = [one for one in office.sent if one[0] == "purser.look"]
    assert values == {"model": "crm.lead", "id": 1}
    assert task_id == publish.message_id(publish.LOOK_TASK, "/odoo/firm", "crm.lead/1")
    with pytest.raises(Permanent, match=r"watch `opportunities` cannot judge crm.lead/1: active"):
        detect.detect(fleet, **values)


def test_a_watch_that_is_switched_off_is_not_asked(office: Office, ledger: Ledger) -> None:
    fleet = fleet_of(office, ledger, "version: 1\nwatches:\n  opportunities: {enabled: false}\n")
    win(office, 1)
    assert "watches.opportunities.enabled" in feed.run_slot(fleet, DEALS, holder="x").reason
    assert detect.detect(fleet, "crm.lead", 1) == 0
    assert office.sent == []
    assert DEALS not in fleet.policies.feeds()


def test_a_feed_that_fails_is_tried_until_its_next_slot_and_is_held_back_by_the_name_of_its_watch(
    fleet: WorkerContext, office: Office
) -> None:
    left = fleet.seconds_left("purser.feed", {"watch": DEALS})
    assert left is not None
    assert 0 < left <= 300
    assert fleet.seconds_left("purser.feed", {"watch": "gone"}) is None
    assert concerns("scans", {"watch": DEALS}) == ("all", "queue:scans", "watch:opportunities")
    office.moment += 5 * MINUTE
    office.steps_left = 0
    with pytest.raises(Killed):
        feed.run_slot(fleet, DEALS, holder="a message")
    office.steps_left = None
    assert feed.run_slot(fleet, DEALS, holder="another").reason == "busy"
    assert feed.run_slot(fleet, DEALS, holder="a message").is_done, "its own message enters again"


# ---------------------------------------------------------------------------------- a look --


def test_a_look_tells_what_the_feed_tells_under_the_same_identity(fleet: WorkerContext, office: Office) -> None:
    run(fleet, office)
    identity = win(office, 7)
    assert detect.detect(fleet, "crm.lead", 7) == 1
    run(fleet, office)
    assert office.identities() == [identity, identity]
    first, second = (one for one in office.sent if one[0] == "purser.accept")
    assert first == second, "not accepted in between, it is the very same message"
    react.accept(fleet, first[1]["event"], holder="x")
    assert detect.detect(fleet, "crm.lead", 7) == 0


def test_a_look_at_what_is_gone_or_history_tells_nothing(fleet: WorkerContext, office: Office) -> None:
    win(office, 1)
    office.moment += dt.timedelta(days=3)
    assert detect.detect(fleet, "crm.lead", 1) == 0, "won before anybody watched"
    assert detect.detect(fleet, "crm.lead", 99) == 0
    office.lacks = "no rights"
    with capture_logs() as logs:
        assert detect.detect(fleet, "crm.lead", 1) == 0
    assert logs[0]["event"] == "not applicable"


@pytest.mark.parametrize(
    ("model", "id_", "said"),
    [("res.country", 1, "no watch looks at"), ("crm.lead", 0, "id"), ("crm.lead", "7", "id")],
)
def test_a_look_that_makes_no_sense_is_for_an_engineer(fleet: WorkerContext, model: str, id_: Any, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        detect.detect(fleet, model, id_)


# ------------------------------------------------------------------------------- by time --


def test_what_is_due_is_asked_for_as_a_whole_and_each_level_told_once(office: Office, ledger: Ledger) -> None:
    fleet = fleet_of(office, ledger)
    for id_ in (1, 2):
        office.write(id_, invoice_date_due="2026-11-20")
    name = "missed-payments"
    for days, told in ((0, 2), (3, 0), (6, 0), (9, 2), (35, 2), (80, 0)):
        office.moment = START + dt.timedelta(days=days)
        assert feed.run_slot(fleet, name, holder=f"{days}").told == told, days
        for task, kwargs, task_id in office.sent:
            if task == "purser.accept":
                react.accept(fleet, kwargs["event"], holder=task_id)
        office.sent.clear()


# ------------------------------------------------------------------------------ backfill --


def test_a_backfill_tells_a_range_resumes_where_it_was_killed_and_ends_without_a_trace(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    wanted = []
    for day in range(10):
        office.moment = START + dt.timedelta(days=day)
        wanted.append(win(office, 1 + day))
    office.moment += dt.timedelta(days=30)
    office.write(3, name="edited long after")
    policy = fleet.policies.watch(DEALS)
    since, until = START + dt.timedelta(days=2), START + dt.timedelta(days=8)
    fill = backfill.checked(policy, since=since, until=until, now=office.moment)
    dry = list(backfill.run(fleet, fill, dry_run=True, page=4))
    assert dry[-1].sent == {"opportunity.won.v1": 6}
    assert (office.sent, ledger.cursors.all()) == ([], ())
    office.steps_left = 7
    with pytest.raises(Killed):
        list(backfill.run(fleet, fill, page=2, pause=lambda _: None))
    office.steps_left = None
    pauses: list[float] = []
    *_, end = backfill.run(fleet, fill, page=2, rate=4.0, pause=pauses.append)
    assert end.resumed
    assert set(office.identities()) == set(wanted[2:8])
    assert max(pauses) <= 0.5
    assert ledger.cursors.all() == ()


def test_a_backfill_that_makes_no_sense_says_so(fleet: WorkerContext) -> None:
    watch = fleet.policies.watch
    with pytest.raises(ConfigurationError, match="asks for all that is due"):
        backfill.checked(watch("missed-payments"), since=START, until=None, now=START + MINUTE)
    with pytest.raises(ConfigurationError, match="must be before now"):
        backfill.checked(watch(DEALS), since=START, until=None, now=START)


def test_of_two_that_run_the_same_backfill_one_stops(fleet: WorkerContext, office: Office) -> None:
    for id_ in (1, 2, 3):
        win(office, id_)
    office.moment += MINUTE
    fill = backfill.checked(fleet.policies.watch(DEALS), since=START, until=None, now=office.moment)
    one = backfill.run(fleet, fill, page=1, pause=lambda _: None)
    next(one)
    list(backfill.run(fleet, fill, page=1, pause=lambda _: None))
    with pytest.raises(Transient, match="somebody else"):
        list(one)


# ------------------------------------------------------------------------- the property --


@dataclass(frozen=True)
class Stretch:
    """Some time in an office: deals are won and records edited, a feed runs and may be killed at any of its steps."""

    won: list[int]
    """After how many minutes the transaction of each commits."""
    edited: list[int]
    """Which of the deals before, counted back."""
    waits: int
    killed_at: int | None
    is_accepted: bool
    is_looked_at: bool


STRETCHES = st.builds(
    Stretch,
    won=st.lists(st.integers(0, 12), max_size=3),
    edited=st.lists(st.integers(1, 5), max_size=2),
    waits=st.sampled_from([5, 6, 9, 14, 40, 60 * 24]),
    killed_at=st.one_of(st.none(), st.integers(0, 9)),
    is_accepted=st.booleans(),
    is_looked_at=st.booleans(),
)


@given(history=st.lists(STRETCHES, min_size=5, max_size=9), page=st.integers(1, 3), pages=st.integers(1, 3))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_writes_are_cut_into_runs_with_kills_each_fact_is_told_and_accepted_once(
    redis_url: str, history: list[Stretch], page: int, pages: int
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        office = Office()
        ledger = Ledger(client, now=office.now)
        fleet = fleet_of(office, ledger)
        accepted: Counter[str] = Counter()
        won: list[str] = []

        def accept() -> None:
            for task, kwargs, task_id in [*office.sent]:
                if task == "purser.accept":
                    accepted[kwargs["event"]["id"]] += bool(react.accept(fleet, kwargs["event"], holder=task_id))

        feed.run_slot(fleet, DEALS, holder="the first")
        for stretch in history:
            for back in stretch.edited:
                if back <= len(won):
                    office.write(len(won) + 1 - back, name="edited")
            for late in stretch.won:
                won.append(win(office, len(won) + 1, commits_in=late * MINUTE))
            office.moment += stretch.waits * MINUTE
            if stretch.is_looked_at:
                detect.detect(fleet, "crm.lead", max(1, len(won)))
            office.steps_left = stretch.killed_at
            with contextlib.suppress(Killed):
                feed.run_slot(fleet, DEALS, holder="a message", page=page, pages=pages)
            office.steps_left = None
            if stretch.is_accepted:
                accept()
        for _ in range(2):
            run(fleet, office, after=OVERLAP, page=page, pages=pages)
        accept()
        assert set(office.identities()) == set(won)
        assert accepted == dict.fromkeys(won, 1)
        cursor = ledger.cursors.get(feed_name(DEALS))
        assert cursor is not None
        assert cursor.until is None


# -------------------------------------------------------------------------------- the sweep --

HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize("minutes", [14, 16, 45, 600])
def test_a_fact_of_a_transaction_of_any_length_is_told_once(
    fleet: WorkerContext, office: Office, minutes: int
) -> None:
    run(fleet, office)
    closed = text(office.moment)
    office.write(
        7, commits_in=minutes * MINUTE, type="opportunity", won_status="won", active=True, date_closed=closed
    )
    for _ in range(150):
        run(fleet, office, after=20 * MINUTE)
    assert len([one for one in office.identities() if "crm.lead/7" in one]) == 1


def test_an_overlap_of_the_policy_tells_a_long_transaction_in_time(office: Office, ledger: Ledger) -> None:
    fleet = fleet_of(office, ledger, "version: 1\nwatches: {opportunities: {overlap_minutes: 60}}\n")
    run(fleet, office)
    office.write(
        7, commits_in=45 * MINUTE, type="opportunity", won_status="won", active=True, date_closed=text(office.moment)
    )
    for _ in range(10):
        run(fleet, office)
    assert [one for one in office.identities() if "crm.lead/7" in one]


def test_a_sweep_is_cut_into_messages_and_reads_each_page_once(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    run(fleet, office)
    for number in range(1, 8):
        office.write(
            number,
            commits_in=2 * HOUR,
            type="opportunity",
            won_status="won",
            active=True,
            date_closed=text(office.moment),
        )
    run(fleet, office, after=HOUR)
    run(fleet, office, after=25 * HOUR, page=3, pages=1)
    assert len(office.identities()) == len(set(office.identities())) == 7
    cursor = ledger.cursors.get("sweep/opportunities")
    assert cursor is not None
    assert (cursor.looked, cursor.told, cursor.until) == (7, 7, None)
    before = office.pages
    run(fleet, office)
    assert office.pages == before + 1, "the next sweep comes a day later"


def test_doctor_names_the_watches_whose_overlap_is_too_small(
    fleet: WorkerContext, office: Office, ledger: Ledger
) -> None:
    run(fleet, office)
    office.write(
        7, commits_in=2 * HOUR, type="opportunity", won_status="won", active=True, date_closed=text(office.moment)
    )
    run(fleet, office, after=HOUR)
    run(fleet, office, after=25 * HOUR)
    found = list(check_feeds(fleet.policies, ledger.cursors.all(), office.moment))
    (warned,) = (one for one in found if one.name == "change feed overlap")
    assert "opportunities 1" in warned.found
    assert "overlap_minutes" in warned.what_to_do
