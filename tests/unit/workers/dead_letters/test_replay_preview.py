"""Whatever a dead letter holds, its plan says so in words; the sums are those of what would be applied."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import fakeredis
import pytest

from config.policy.loader import load_policies
from config.settings import Settings
from devtools.fake_odoo import FakeOdoo
from purser.cases import CaseKey, CaseRecord, CaseState
from purser.changes import CloseActivity, Ensure, Key, RecordLink, Update, Values, activity
from purser.engine.predictions import FieldChange, PredictedOutcome
from purser.engine.reconcile import PlannedStep
from purser.findings import Money, Ref, Severity
from store import DeadLetter, Ledger
from tasks.discovery import load_registry
from workers.context import WorkerContext
from workers.controls.run import dump_steps
from workers.dead_letters.letter_factory import UNREADABLE, letter
from workers.dead_letters.replay_preview import BATCH_SIZE, LetterPreview, preview_replay

MOMENT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
CONTROL = "missing-timesheets"
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/crm",
    "type": "opportunity.won.v1",
    "data": {"opportunity_id": 4},
}


def no_queue(*_: object, **__: object) -> None:
    raise AssertionError("a plan wrote to a queue")


def fleet_at(url: str, key: str = "none") -> WorkerContext:
    settings = Settings.load(
        need={"odoo"},
        environ={
            "PURSER_ODOO_URL": url,
            "PURSER_ODOO_DB": "twin",
            "PURSER_ODOO_LOGIN": "admin",
            "PURSER_ODOO_API_KEY": key,
            "PURSER_ODOO_API": "json2",
        },
    )
    declared = load_registry()
    fleet = WorkerContext(settings, declared, load_policies(declared), no_queue, no_queue, now=lambda: MOMENT)
    fleet.__dict__["ledger"] = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), now=lambda: MOMENT)
    return fleet


@pytest.fixture
def twin() -> Iterator[FakeOdoo]:
    with FakeOdoo() as made:
        yield made


@pytest.fixture
def fleet(twin: FakeOdoo) -> Iterator[WorkerContext]:
    made = fleet_at(twin.url, twin.admin_key)
    yield made
    made.disconnect()


@pytest.fixture
def away() -> Iterator[WorkerContext]:
    """Yield a fleet whose Odoo nobody answers for."""
    made = fleet_at("http://127.0.0.1:9")
    yield made
    made.disconnect()


def dead(task: str, kwargs: Any = None, *, body: bytes | None = None, **more: Any) -> DeadLetter:
    told: dict[str, Any] = {
        "queue": "apply",
        "headers": {"id": str(uuid.uuid4()), "task": task},
        "properties": None,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "reason": "attempts spent",
        "error": "Transient",
        "text": "x",
        "traceback": "",
        "now": MOMENT,
    }
    return letter(body=json.dumps([[], kwargs or {}, {}]).encode() if body is None else body, **{**told, **more})


def chunk(*steps: PlannedStep, slot: dt.datetime = MOMENT) -> DeadLetter:
    kwargs = {"control": CONTROL, "slot": slot.isoformat(), "run": "r", "steps": dump_steps(steps)}
    return dead("purser.apply", kwargs)


def one(fleet: WorkerContext, of: DeadLetter) -> LetterPreview:
    (found,) = preview_replay(fleet, [of]).letters
    return found


# ---------------------------------------------------------------------------------- unreadable --


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (dead("", body=b"\xff\xfe garbage", headers=None, reason=UNREADABLE), "no task message"),
        (dead("purser.rebuild"), "`purser.rebuild` is not known to this release"),
        (dead("purser.scan", body=b"{"), "cannot be read"),
        (dead("purser.scan", body=b'"text"'), "cannot be read"),
        (dead("purser.scan", body=b"\xff" * 9), "cannot be read"),
        (dead("purser.scan", body=b"[" * 100_000), "cannot be read"),
        (dead("purser.scan", body=b"x", content_type="application/x-python-serialize"), "cannot be read"),
        (dead("purser.scan", {}), "`control` is missing"),
        (dead("purser.scan", {"control": CONTROL, "colour": 1}), "arguments do not fit"),
        (dead("purser.scan", body=b'[["a", false, 3], {}, {}]'), "arguments do not fit"),
        (dead("purser.apply", {"control": CONTROL, "slot": "x", "run": "r", "steps": []}), "slot is no moment"),
        (dead("purser.apply", {"control": CONTROL, "slot": MOMENT.isoformat(), "steps": [{}]}), "do not fit"),
        (dead("purser.apply", {"control": CONTROL, "slot": MOMENT.isoformat()}), "do not fit"),
        (dead("purser.react", {"automation": "open-project", "event": {}}), "not a CloudEvent"),
        (dead("purser.react", {"automation": "open-project", "event": {**EVENT, "type": "x.v1"}}), "unknown"),
        (dead("purser.accept", {"event": {**EVENT, "data": {}}}), "data does not fit"),
        (dead("purser.accept", {"event": "text"}), "not JSON"),
        (dead("purser.accept", {}), "not a CloudEvent"),
    ],
)
def test_what_no_task_of_this_release_can_read_is_called_so(away: WorkerContext, of: DeadLetter, words: str) -> None:
    found = one(away, of)
    assert found.fate is PredictedOutcome.UNREADABLE
    assert words in found.why
    assert found.changes == ()


def test_a_feed_and_a_look_read_again_and_tell_what_is_true_by_then(away: WorkerContext) -> None:
    feed = one(away, dead("purser.feed", {"watch": "opportunities"}))
    look = one(away, dead("purser.look", {"model": "crm.lead", "id": 7}))
    assert (feed.fate, look.fate) == (PredictedOutcome.APPLY, PredictedOutcome.APPLY)
    assert "opportunities" in look.why
    nobody = one(away, dead("purser.look", {"model": "res.country", "id": 7}))
    assert (nobody.fate, nobody.why) == (PredictedOutcome.UNKNOWN, "no watch looks at `res.country`")
    assert one(away, dead("purser.feed", {"watch": "gone"})).fate is PredictedOutcome.UNKNOWN


def test_arguments_by_place_are_read_as_by_name(away: WorkerContext) -> None:
    found = one(away, dead("purser.scan", body=json.dumps([[CONTROL], {}, {}]).encode()))
    assert found.fate is PredictedOutcome.APPLY


# --------------------------------------------------------------------------------- cannot tell --


def test_a_control_or_automation_that_is_gone_cannot_be_told(away: WorkerContext) -> None:
    scan, react = (
        dead("purser.scan", {"control": "gone"}),
        dead("purser.react", {"automation": "gone", "event": EVENT}),
    )
    found = preview_replay(away, [scan, react]).letters
    assert [one.fate for one in found] == [PredictedOutcome.UNKNOWN, PredictedOutcome.UNKNOWN]
    assert all("`gone` is unknown" in one.why for one in found)


def test_an_odoo_that_is_away_is_asked_once_and_named_in_every_plan_that_needs_it(away: WorkerContext) -> None:
    step = PlannedStep(Update(ref=Ref("res.partner", 1), expect={}, values={"name": "x"}), None)
    react = dead("purser.react", {"automation": "open-project", "event": EVENT})
    letters = [react, chunk(step), chunk(), dead("purser.nothing"), react]
    found = preview_replay(away, letters)
    fates = [
        PredictedOutcome.UNKNOWN,
        PredictedOutcome.UNKNOWN,
        PredictedOutcome.DONE,
        PredictedOutcome.UNREADABLE,
        PredictedOutcome.UNKNOWN,
    ]
    assert [one.fate for one in found.letters] == fates
    assert "cannot be reached" in found.letters[0].why == found.letters[1].why == found.letters[4].why
    assert found.counts == {PredictedOutcome.UNKNOWN: 3, PredictedOutcome.DONE: 1, PredictedOutcome.UNREADABLE: 1}


def test_an_automation_that_breaks_takes_no_other_letter_along(
    fleet: WorkerContext, twin: FakeOdoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a name that must not be told")

    monkeypatch.setattr("workers.dead_letters.replay_intent.decide", broken)
    react = dead("purser.react", {"automation": "open-project", "event": EVENT})
    first, second = preview_replay(fleet, [react, chunk()]).letters
    assert (first.fate, first.why) == (PredictedOutcome.UNKNOWN, "not foreseen: KeyError")
    assert second.fate is PredictedOutcome.DONE


def test_a_ledger_of_another_odoo_plans_no_chunk(fleet: WorkerContext) -> None:
    fleet.ledger.home.of("https://elsewhere (prod)")
    found = one(fleet, chunk(PlannedStep(CloseActivity(activity=1, feedback="x", key="x"), None)))
    assert found.fate is PredictedOutcome.UNKNOWN
    assert "elsewhere" in found.why


def test_a_plan_gives_a_ledger_no_home(fleet: WorkerContext) -> None:
    one(fleet, chunk())
    assert fleet.ledger.home.known() == ""


# ---------------------------------------------------------------------------------------- sums --


def asked(twin: FakeOdoo, *, user: int, amount: str, currency: str = "EUR") -> PlannedStep:
    partner = twin.seed("res.partner", {"name": "Somebody"})
    key = CaseKey(CONTROL, Ref("res.partner", partner))
    change = activity(
        key=key.rung(0, 0), on=key.subject, summary="Look", note="", user_id=user, deadline=MOMENT.date()
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
        money=Money(Decimal(amount), currency),
    )
    return PlannedStep(change, memory)


def test_only_what_would_be_applied_counts_each_currency_for_itself(fleet: WorkerContext, twin: FakeOdoo) -> None:
    user = twin.seed("res.users", {"name": "Ada", "login": "ada"})
    steps = [
        asked(twin, user=user, amount=one, currency=in_) for one, in_ in (("5", "EUR"), ("7", "CHF"), ("9", "EUR"))
    ]
    done = asked(twin, user=user, amount="1000")
    assert done.change is not None
    fleet.change.apply([done.change])
    found = preview_replay(fleet, [chunk(*steps), chunk(done)])
    assert (found.hours, found.money) == (Decimal(24), (Money(Decimal(7), "CHF"), Money(Decimal(14), "EUR")))
    assert found.people == {user: "Ada"}
    assert [one.notified for one in found.letters] == [(user,), ()]
    assert found.rpc_calls > 0


def test_who_is_handed_an_activity_is_notified_and_who_keeps_it_is_not(fleet: WorkerContext, twin: FakeOdoo) -> None:
    first, second = (twin.seed("res.users", {"name": name, "login": name}) for name in ("ada", "bob"))
    step = asked(twin, user=first, amount="1")
    assert step.change is not None
    (made,) = fleet.change.apply([step.change])
    assert made.ref is not None
    hand: Values = {"user_id": RecordLink(Ref("res.users", second))}
    keep: Values = {"user_id": RecordLink(Ref("res.users", first)), "summary": "Look again"}
    expect = {"summary": "Look"}
    moved, kept = (
        one(fleet, chunk(PlannedStep(Update(ref=made.ref, expect=expect, values=v), None))) for v in (hand, keep)
    )
    assert (moved.notified, kept.notified) == ((second,), ())
    assert kept.changes[0].fields == (FieldChange("summary", "Look", "Look again"),)


# ----------------------------------------------------------------------------------- the steps --


def test_what_must_come_after_something_is_planned_only_where_that_is_there(
    fleet: WorkerContext, twin: FakeOdoo
) -> None:
    user = twin.seed("res.users", {"name": "Ada", "login": "ada"})
    old = asked(twin, user=user, amount="1")
    assert old.change is not None
    (made,) = fleet.change.apply([old.change])
    assert made.ref is not None
    close = CloseActivity(activity=made.ref.id, feedback="passed on", key="old")
    nowhere = activity(
        key="next", on=Key("res.partner", "nobody"), summary="x", note="", user_id=user, deadline=MOMENT.date()
    )
    refused = one(fleet, chunk(PlannedStep(nowhere, None), PlannedStep(close, None, only_after="next")))
    assert [change.kind for change in refused.changes] == ["ensure"]
    assert refused.fate is PredictedOutcome.CONFLICT
    there = Ensure(model="res.partner", key="next", values={"name": "Next"})
    applied = one(fleet, chunk(PlannedStep(close, None, only_after="next"), PlannedStep(there, None)))
    assert [change.kind for change in applied.changes] == ["ensure", "close"]
    assert applied.fate is PredictedOutcome.APPLY


def test_progress_is_told_page_by_page(away: WorkerContext) -> None:
    heard: list[int] = []
    letters = [chunk() for _ in range(BATCH_SIZE)] + [chunk()]
    assert len(preview_replay(away, iter(letters), progress=heard.append).letters) == BATCH_SIZE + 1
    assert heard == [BATCH_SIZE, BATCH_SIZE + 1]
    assert preview_replay(away, []).letters == ()
