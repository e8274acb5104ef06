"""An edit is checked against what its task reads, against who asks, and against what is at stake."""

import dataclasses
import datetime as dt
import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from config.observability.redaction import Redactor
from config.policy.loader import parse_policies
from config.settings import Settings
from console.pages.dead_letter_edit import draft_of
from console.pages.presentation import payloads
from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from purser.cases import CaseKey, CaseRecord, CaseState
from purser.changes import CloseActivity
from purser.engine.reconcile import PlannedStep
from purser.findings import Money, Ref, Severity
from store import DeadLetter, DeadLetterFilter, DeadLetterState, Ledger
from store.content_digest import body_digest
from store.dead_letters.edits import patch
from tasks.discovery import load_registry
from workers.context import WorkerContext
from workers.controls.run import dump_steps
from workers.dead_letters import retention
from workers.dead_letters.amounts_at_risk import AmountAtRisk, amount_at_risk
from workers.dead_letters.letter_edit import EditResult, EditStatus, approve, body_with, check, edit, revert, text_of
from workers.dead_letters.letter_factory import subjects_in, values_in
from workers.messages import PARAMETERS

NOW = dt.datetime(2026, 11, 16, 8, 0, tzinfo=dt.UTC)
CATALOGUE = load_registry()
ADA = {"who": "ada", "note": "wrong id"}
POLICY = "version: 1\ndead_letters: {retention_days: 30, second_person_above: {EUR: 1000}}"
_numbers = itertools.count()


class Desk:
    """A fleet whose ledger holds letters, and a clock that a test moves."""

    def __init__(self, *, policy: str = POLICY, **environ: str) -> None:
        self.moment = NOW
        settings = Settings.load(
            need={"broker", "ledger", "odoo"},
            environ={
                "PURSER_BROKER_URL": "redis://localhost",
                "PURSER_ODOO_URL": "http://odoo.test",
                "PURSER_ODOO_DB": "firm",
                "PURSER_ODOO_LOGIN": "bot",
                "PURSER_ODOO_API_KEY": "key",
                "PURSER_EDITABLE": "purser.accept,purser.react,purser.apply,purser.scan,purser.old",
                **environ,
            },
        )
        policies = parse_policies(CATALOGUE, policy, source="policy")
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.ledger = Ledger(client, prefix=f"desk{next(_numbers)}", now=lambda: self.moment)
        self.fleet = WorkerContext(settings, CATALOGUE, policies, _publish, _resend, now=lambda: self.moment)
        self.fleet.__dict__["ledger"] = self.ledger

    def keep(self, task: str, values: dict[str, Any], **given: Any) -> DeadLetter:
        made = DeadLetter(
            **{
                "id": "m1",
                "queue": "events",
                "task": task,
                "body": json.dumps([[], values, {"callbacks": None}]).encode(),
                "headers": {"id": "m1", "task": task},
                "reason": "permanent failure",
                "fingerprint": "f",
                "first_at": NOW,
                "stored_at": NOW,
                **given,
            }
        )
        self.ledger.letters.store(made)
        return made

    def edit(self, letter: DeadLetter, values: dict[str, Any], **given: Any) -> EditResult:
        told = {"expects": len(letter.edits), **ADA, **given}
        return edit(self.fleet, letter.id, body_with(letter, json.dumps(values)), **told)


def _publish(*_: Any, **__: Any) -> None:
    raise AssertionError("an edit sends nothing")


def _resend(_: DeadLetter) -> None:
    raise AssertionError("an edit sends nothing")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def alone() -> Desk:
    """Return a fleet whose firm sets no limit, so that one person is enough."""
    return Desk(policy="version: 1")


def event(number: object = 42, **given: Any) -> dict[str, Any]:
    told = CloudEvent.wrap(OpportunityWon(opportunity_id=1, won_on=None), id="e1", source="crm", time=NOW)
    told_of = told.model_dump(mode="json", exclude_none=True, exclude={"subject"})  # its fact says what it is about
    return {**told_of, "data": {"opportunity_id": number}, **given}


def react(number: object = 42, **given: Any) -> dict[str, Any]:
    return {"automation": "open-project", "event": event(number, **given)}


def chunk(amount: int, **given: Any) -> dict[str, Any]:
    memory = CaseRecord(
        key=CaseKey("stale-drafts", Ref("sale.order", 7)),
        episode=0,
        rung=0,
        state=CaseState.OPEN,
        asked_on=NOW.date(),
        opened_on=NOW.date(),
        severity=Severity.LOW,
        hours=Decimal("1.5"),
        money=Money(Decimal(amount), "EUR"),
    )
    steps = [PlannedStep(CloseActivity(activity=n, feedback="x", key=f"case/{n}"), memory) for n in (1, 2)]
    return {
        "control": "stale-drafts",
        "slot": NOW.isoformat(),
        "run": "r1",
        "steps": dump_steps(steps),
        **given,
    }


def test_a_fit_edit_counts_at_once_and_the_letter_is_found_by_what_it_is_about_now(alone: Desk) -> None:
    letter = alone.keep("purser.react", react(0), subjects=())

    done = alone.edit(letter, react(42))

    assert (done.ending, done.problems) == (EditStatus.DONE, ())
    assert done.letter is not None
    assert done.letter.edits[0].patch[0].path == "/1/event/data/opportunity_id"
    assert json.loads(done.letter.body)[2] == {"callbacks": None}
    found = alone.ledger.letters.page(DeadLetterFilter(subject="crm.lead/42")).items
    assert [one.id for one in found] == ["m1"]
    assert subjects_in(done.letter) == ("crm.lead/42",)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (react(0), "event: `opportunity.won.v1`: data does not fit: opportunity_id"),
        (react("secret name"), "data does not fit: opportunity_id: Input should be a valid integer"),
        (react(type="opportunity.one.v1"), "Did you mean `opportunity.won.v1`"),
        ({"automation": "open-project"}, "event: Field required"),
        ({**react(), "extra": 1}, "extra: Extra inputs are not permitted"),
        ({**react(), "automation": "open-projekt"}, "Did you mean `open-project`"),
        (react(id="e2"), "`event.id` says which message it is"),
        (react(source="erp"), "`event.source` says which message it is"),
    ],
)
def test_what_its_automation_could_not_read_is_not_kept(desk: Desk, values: dict[str, Any], says: str) -> None:
    letter = desk.keep("purser.react", react(7))

    done = desk.edit(letter, values)

    assert done.ending is EditStatus.UNFIT
    assert says in "\n".join(done.problems)
    assert "secret name" not in "\n".join(done.problems)
    kept = desk.ledger.letters.get("m1")
    assert kept is not None
    assert kept.edits == ()


@pytest.mark.parametrize(
    ("task", "values", "edited", "says"),
    [
        ("purser.accept", {"event": event(0)}, {"event": event(0, subject="x")}, "opportunity_id"),
        ("purser.scan", {"control": "stale-drafts"}, {"control": "stale-draft"}, "Did you mean `stale-drafts`"),
        ("purser.scan", {"control": "stale-drafts"}, {"control": "unbilled-work"}, "`control` says which"),
        ("purser.apply", chunk(1), chunk(1, slot="noon"), "slot: "),
        ("purser.apply", chunk(1), chunk(1, steps=[{"change": 1}]), "steps: 0"),
        ("purser.apply", chunk(1), chunk(1, run="r2"), "`run` says which message it is"),
        ("purser.old", {"a": 1}, {"a": 2}, "`purser.old` is not known to this release"),
        ("purser.react", react(), react(), "nothing is changed"),
        (
            "purser.deliver",
            {"subscription": "n8n", "event": event(0)},
            {"subscription": "n8n"},
            "event: Field required",
        ),
        (
            "purser.deliver",
            {"subscription": "n8n", "event": event(0)},
            {"subscription": "n8m", "event": event()},
            "n8m",
        ),
    ],
)
def test_each_task_says_what_it_cannot_read(
    desk: Desk, task: str, values: dict[str, Any], edited: dict[str, Any], says: str
) -> None:
    letter = desk.keep(task, values)

    problems = check(desk.fleet, letter, body_with(letter, json.dumps(edited)))

    assert says in "\n".join(problems)


@pytest.mark.parametrize("task", sorted(PARAMETERS))
def test_every_task_of_this_release_has_a_check_for_its_edits(desk: Desk, task: str) -> None:
    letter = desk.keep(task, {"a": 1})
    problems = check(desk.fleet, letter, body_with(letter, '{"b": 2}'))
    assert "not known to this release" not in "\n".join(problems)
    assert any("Field required" in one for one in problems)


@pytest.mark.parametrize(
    ("sent", "edited", "paths"),
    [
        ([[event(0)], {}, {}], {"event": event(42)}, ["/1/event/data/opportunity_id"]),
        ([["open-project", event(0)], {}, {}], react(42), ["/1/event/data/opportunity_id"]),
        ([["open-project"], {"event": event(0)}, {}], react(42), ["/1/event/data/opportunity_id"]),
        ([[event(0)], {}, {}], {"event": event(0, subject="crm.lead/2")}, ["/1/event/subject"]),
    ],
)
def test_an_edit_of_values_sent_by_place_shows_the_field_that_changed(
    desk: Desk, sent: list[Any], edited: dict[str, Any], paths: list[str]
) -> None:
    task = "purser.react" if "automation" in edited else "purser.accept"
    letter = desk.keep(task, {}, body=json.dumps(sent).encode())

    after = body_with(letter, json.dumps(edited))

    assert [one.path for one in patch(letter.body, after)] == paths


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\xff", b"[[], {}]", b"[[1, 2, 3], {}, null]", b"[7, {}, 0]", b"[" * 5000]
)
def test_a_body_is_a_body_of_a_task(desk: Desk, body: bytes) -> None:
    letter = desk.keep("purser.react", react())

    assert "it is no body of a task" in check(desk.fleet, letter, body)[0]


def test_bytes_that_are_no_message_are_not_edited(desk: Desk) -> None:
    letter = desk.keep("", {}, reason="unreadable", body=b"\xff\x00", headers={})

    assert text_of(letter) == ""
    assert "no task message" in check(desk.fleet, letter, b"[[], {}, null]")[0]


def test_what_is_edited_as_text_is_the_values_by_name(desk: Desk) -> None:
    letter = desk.keep("purser.react", react(name="Müller"))

    assert json.loads(text_of(letter)) == react(name="Müller")
    assert "Müller" in text_of(letter)
    assert json.loads(body_with(letter, text_of(letter))) == json.loads(letter.body)
    for wrong in ("[]", "{", "7"):
        with pytest.raises(ValueError, match=r".+"):
            body_with(letter, wrong)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"automation": "a", "automation": "b"}', "it says `automation` twice"),
        ('{"automation": NaN}', "NaN is not JSON"),
        ('{"automation": 1e999}', "a number is too large"),
        ("{", "line 1 column 2"),
    ],
)
def test_what_is_typed_is_json_with_one_meaning(desk: Desk, text: str, problem: str) -> None:
    letter = desk.keep("purser.react", react())

    with pytest.raises(ValueError, match=problem):
        body_with(letter, text)
    draft = draft_of(desk.fleet, letter, text, Redactor.of([]))
    assert draft.problems[0].startswith("this is not JSON: ")
    assert problem in draft.problems[0]
    assert (draft.body, draft.text) == (b"", text)


def test_a_body_with_two_meanings_is_not_read_as_one_of_them(desk: Desk) -> None:
    body = b'[[], {"automation": "a", "automation": "b"}, null]'
    letter = desk.keep("purser.react", {}, body=body)

    assert text_of(letter) == ""
    assert values_in(letter) == {}
    assert payloads.read(body) is None
    assert payloads.payload_view(body, Redactor.of([])).text == body.decode()
    assert body_digest(body) != body_digest(b'[[], {"automation": "b"}, null]')
    assert patch(body, b'[[], {"automation": "c"}, null]') == ()


def test_who_may_not_changes_nothing(tmp_path: Path) -> None:
    desk = Desk(PURSER_EDITABLE="purser.accept")
    letter = desk.keep("purser.react", react(0))

    done = desk.edit(letter, react())

    assert done.ending is EditStatus.FORBIDDEN
    assert "PURSER_EDITABLE" in done.problems[0]


def test_who_has_not_seen_the_last_edit_or_comes_too_late_looks_again(alone: Desk) -> None:
    letter = alone.keep("purser.react", react(0))
    alone.edit(letter, react(42))

    late = alone.edit(letter, react(43))
    alone.ledger.letters.discard(["m1"], **ADA)
    later = alone.edit(dataclasses.replace(letter, state=DeadLetterState.DEAD), react(44), expects=1)

    assert (late.ending, later.ending) == (EditStatus.MOVED, EditStatus.MOVED)
    assert "look again" in late.problems[0]
    assert "discarded, not dead" in later.problems[0]
    assert edit(alone.fleet, "unknown", b"", expects=0, **ADA).ending is EditStatus.MOVED


def test_an_edit_is_undone_though_what_was_received_does_not_fit(alone: Desk) -> None:
    letter = alone.keep("purser.react", react(0))
    alone.edit(letter, react(42))

    done = revert(alone.fleet, "m1", expects=1, **ADA)

    assert done.ending is EditStatus.DONE
    assert done.letter is not None
    assert (done.letter.body, len(done.letter.edits)) == (letter.body, 2)
    assert revert(alone.fleet, "m1", expects=1, **ADA).ending is EditStatus.MOVED


# --------------------------------------------------------------------------------- at stake --


def test_a_case_counts_once_however_many_steps_it_has(desk: Desk) -> None:
    letter = desk.keep("purser.apply", chunk(900))

    assert amount_at_risk(letter) == AmountAtRisk(Decimal("1.5"), (Money(Decimal(900), "EUR"),))
    assert amount_at_risk(desk.keep("purser.apply", {"steps": "?"}, id="m2")) is None
    assert amount_at_risk(desk.keep("purser.react", react(), id="m3")) is None


@pytest.mark.parametrize(("before", "after"), [(1001, 1), (1, 1001)])
def test_an_edit_above_the_limit_waits_for_a_second_person(desk: Desk, before: int, after: int) -> None:
    letter = desk.keep("purser.apply", chunk(before))

    done = desk.edit(letter, chunk(after))

    assert done.stake is not None
    assert (done.ending, done.stake.money) == (EditStatus.PROPOSED, (Money(Decimal(1001), "EUR"),))
    assert done.letter is not None
    assert done.letter.body == letter.body
    assert desk.edit(letter, chunk(2)).ending is EditStatus.MOVED
    own = approve(desk.fleet, "m1", who="ada", note="fine")
    assert own.ending is EditStatus.FORBIDDEN
    assert "a second person" in own.problems[0]
    approved = approve(desk.fleet, "m1", who="bob", note="checked", seen=done.letter.proposal)
    assert approved.ending is EditStatus.DONE
    assert approved.letter is not None
    stake = amount_at_risk(approved.letter)
    assert stake is not None
    assert stake.money == (Money(Decimal(after), "EUR"),)
    assert approve(desk.fleet, "m1", who="bob", note="again").ending is EditStatus.MOVED


def test_an_edit_below_the_limit_takes_one_person(desk: Desk) -> None:
    letter = desk.keep("purser.apply", chunk(999))

    assert desk.edit(letter, chunk(1000)).ending is EditStatus.DONE


# -------------------------------------------------------------------------------- retention --


def test_letters_are_buried_when_the_policy_says_so(desk: Desk) -> None:
    for name in ("old", "new", "dead"):
        desk.keep("purser.react", react(), id=name)
    desk.ledger.letters.discard(["old"], **ADA)
    desk.moment += dt.timedelta(days=2)
    desk.ledger.letters.discard(["new"], **ADA)
    desk.moment += dt.timedelta(days=29)

    retention.apply_retention(desk.fleet)

    assert [desk.ledger.letters.get(name) is None for name in ("old", "new", "dead")] == [True, False, False]
    assert [grave.count for grave in desk.ledger.letters.graves()] == [1]


@pytest.mark.parametrize(
    ("task", "before", "after"),
    [
        ("purser.react", react(0), react(42)),
        ("purser.accept", {"event": event(0)}, {"event": event(42)}),
        ("purser.scan", {"control": "stale-drafts"}, {"control": "stale-drafts", "release_hold": True}),
    ],
)
def test_an_edit_whose_stake_is_unknown_waits_for_a_second_person(
    desk: Desk, alone: Desk, task: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    waits = desk.edit(desk.keep(task, before), after)
    assert (waits.ending, waits.stake) == (EditStatus.PROPOSED, None)
    refused = approve(desk.fleet, "m1", who="ada", note="mine")
    assert refused.ending is EditStatus.FORBIDDEN
    assert approve(desk.fleet, "m1", who="bert", note="seen").ending is EditStatus.DONE
    assert alone.edit(alone.keep(task, before), after).ending is EditStatus.DONE


def test_an_edit_of_a_step_without_a_case_waits_for_a_second_person(desk: Desk) -> None:
    steps = dump_steps([PlannedStep(CloseActivity(activity=1, feedback="x", key="case/1"), None)])
    letter = desk.keep("purser.apply", chunk(1, steps=steps))
    assert amount_at_risk(letter) is None
    assert desk.edit(letter, chunk(2)).ending is EditStatus.PROPOSED
