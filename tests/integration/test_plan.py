"""A plan of dead letters writes nothing, and says of each what its replay then does."""

import datetime as dt
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from purser.changes import Update
from purser.engine.predictions import FieldChange, PredictedOutcome
from purser.engine.reconcile import PlannedStep
from purser.findings import Ref
from store import DeadLetter
from tests.integration.calm import Calm
from tests.integration.test_control_loop import CONTROL, Desk
from tests.odoo.seeding_people import Firm
from workers.controls.run import dump_steps
from workers.dead_letters.letter_factory import letter
from workers.dead_letters.replay_preview import ReplayPreview, preview_replay

Open = Callable[[Path | None], Calm]


class Dead:
    """Keeps what a calm fleet would have carried out, as dead letters."""

    def __init__(self, calm: Calm) -> None:
        self.calm = calm
        self.letters: list[DeadLetter] = []

    def __call__(self, task: str, kwargs: dict[str, Any], *, label: str = "", **_: Any) -> None:
        stored = letter(
            queue="apply",
            body=json.dumps([[], kwargs, {}]).encode(),
            headers={"id": str(uuid.uuid4()), "task": task, "lang": "py"},
            properties=None,
            content_type="application/json",
            content_encoding="utf-8",
            reason="attempts spent",
            error="Transient",
            text="Odoo was away",
            traceback="",
            now=self.calm.moment,
        )
        self.calm.ledger.letters.store(stored)
        self.letters.append(stored)

    def replay(self) -> None:
        """Carry out what the letters ask for."""
        for one in self.letters:
            self.calm._carry_out(one.task, json.loads(one.body)[1], label="")


@pytest.fixture
def desk(firm: Firm) -> Desk:
    return Desk(firm)


@pytest.fixture
def fleet(calm: Open, desk: Desk, tmp_path: Path) -> Calm:
    path = tmp_path / "policies.yaml"
    ladder = [{"ask": "employee"}, {"ask": "manager", "after": 2}]
    path.write_text(yaml.safe_dump({"version": 1, "controls": {CONTROL: {"ladder": ladder}}}))
    return calm(path)


@pytest.fixture
def dead(fleet: Calm) -> Dead:
    return Dead(fleet)


def planned(fleet: Calm) -> ReplayPreview:
    page = fleet.ledger.letters.page(limit=200)
    return preview_replay(fleet.fleet, page.items)


def won(firm: Firm, desk: Desk) -> dict[str, Any]:
    values: dict[str, Any] = {"partner_name": firm.name("Client"), "user_id": desk.user, "type": "opportunity"}
    lead = firm.create("crm.lead", name=firm.name("Deal"), **values)
    stage = firm.find("crm.stage", ("is_won", "=", True))
    firm.call("crm.lead", "write", ids=[lead], vals={"stage_id": stage, "probability": 100, "won_status": "won"})
    fact = OpportunityWon(opportunity_id=lead)
    moment = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    return CloudEvent.wrap(fact, id=f"won-{lead}", source="/crm", time=moment).model_dump(mode="json")


def scan_into(dead: Dead) -> None:
    """Scan with every chunk dying on its way."""
    calm = dead.calm
    carry, calm.fleet.publish = calm.fleet.publish, dead
    calm.scan(CONTROL)
    calm.fleet.publish = carry


# ------------------------------------------------------------------------------- chunks of a scan --


def test_a_chunk_that_died_would_ask_its_people_and_once_replayed_is_done(
    fleet: Calm, dead: Dead, desk: Desk
) -> None:
    scan_into(dead)
    before = desk.activities()
    found = planned(fleet)
    assert desk.activities() == before == []
    assert PredictedOutcome.APPLY in found.counts
    assert set(found.counts) <= {PredictedOutcome.APPLY, PredictedOutcome.DONE}, (
        "cases of others in this Odoo may be there already"
    )
    mine = [
        (one, change)
        for one in found.letters
        for change in one.changes
        if change.key.startswith(f"{desk.key}/") and change.fate is PredictedOutcome.APPLY
    ]
    (whole, change) = mine[0]
    assert FieldChange("user_id", None, f"res.users/{desk.user}") in change.fields
    assert desk.user in whole.notified
    assert found.people[desk.user]
    assert found.hours >= 40
    dead.replay()
    assert len(desk.open()) == 1
    again = planned(fleet)
    assert set(again.counts) == {PredictedOutcome.DONE}
    assert not again.people
    assert again.hours == 0


def test_a_chunk_is_superseded_once_a_later_slot_is_reconciled(fleet: Calm, dead: Dead) -> None:
    scan_into(dead)
    slot = fleet.moment + dt.timedelta(seconds=5)
    fleet.ledger.slots.done(CONTROL, slot, holder="somebody")
    found = planned(fleet)
    assert set(found.counts) == {PredictedOutcome.SUPERSEDED}
    assert slot.isoformat() in found.letters[0].why


def test_a_chunk_in_which_some_fare_otherwise_says_how_many(fleet: Calm, dead: Dead, desk: Desk) -> None:
    task = desk.firm.create("res.partner", name="As it was")
    gone = desk.firm.create("res.partner", name="Gone")
    desk.firm.call("res.partner", "unlink", ids=[gone])
    steps = [
        PlannedStep(Update(ref=Ref("res.partner", task), expect={"name": "As it was"}, values={"name": "New"}), None),
        PlannedStep(Update(ref=Ref("res.partner", task), expect={"name": "Older"}, values={"name": "Newer"}), None),
        PlannedStep(Update(ref=Ref("res.partner", gone), expect={}, values={"name": "New"}), None),
    ]
    kwargs = {"control": CONTROL, "slot": fleet.moment.isoformat(), "run": "r", "steps": dump_steps(steps)}
    dead("purser.apply", kwargs)
    (found,) = planned(fleet).letters
    # the bot of these tests may not write contacts; what it may not is told before anybody tries
    assert found.fate in (PredictedOutcome.APPLY, PredictedOutcome.CONFLICT)
    assert [one.fate for one in found.changes[1:]] == [PredictedOutcome.CONFLICT, PredictedOutcome.REFUSED]
    assert "1 conflict" in found.why


# -------------------------------------------------------------------------- events and automations --


def test_what_an_automation_would_do_is_planned_field_by_field(
    fleet: Calm, dead: Dead, firm: Firm, desk: Desk
) -> None:
    event = won(firm, desk)
    dead("purser.react", {"automation": "open-project", "event": event})
    (found,) = planned(fleet).letters
    assert found.fate is PredictedOutcome.APPLY
    assert [one.kind for one in found.changes] == ["ensure", "update", "ensure", "ensure", "ensure", "ensure"]
    assert found.notified == (desk.user,)
    base = f"opportunity/{event['data']['opportunity_id']}"
    assert FieldChange("partner_id", None, f"{base}/customer") in found.changes[1].fields
    dead.replay()
    (found,) = planned(fleet).letters
    assert found.fate is PredictedOutcome.DONE, found
    assert found.notified == ()


def test_an_event_seen_before_is_already_done(fleet: Calm, dead: Dead, firm: Firm, desk: Desk) -> None:
    event = won(firm, desk)
    dead("purser.accept", {"event": event})
    (found,) = planned(fleet).letters
    assert (found.fate, len(found.changes)) == (PredictedOutcome.APPLY, 6)
    assert "open-project" in found.why
    fleet.ledger.events.mark(event["source"], event["id"])
    (found,) = planned(fleet).letters
    assert found.fate is PredictedOutcome.DONE


def test_two_letters_about_one_deal_apply_once(fleet: Calm, dead: Dead, firm: Firm, desk: Desk) -> None:
    event = won(firm, desk)
    for _ in range(2):
        dead("purser.react", {"automation": "open-project", "event": event})
    assert planned(fleet).counts == {PredictedOutcome.APPLY: 1, PredictedOutcome.DONE: 1}


# ------------------------------------------------------------------------------------------ scans --


def test_a_scan_would_run_until_its_slot_is_done(fleet: Calm, dead: Dead) -> None:
    dead("purser.scan", {"control": CONTROL})
    (found,) = planned(fleet).letters
    assert found.fate is PredictedOutcome.APPLY
    assert "runs and decides anew" in found.why
    fleet.ledger.slots.done(CONTROL, fleet.moment, holder="somebody")
    (found,) = planned(fleet).letters
    assert found.fate is PredictedOutcome.SUPERSEDED


def test_one_letter_that_odoo_chokes_on_takes_no_other_along(fleet: Calm, dead: Dead, firm: Firm, desk: Desk) -> None:
    dead("purser.react", {"automation": "open-project", "event": won(firm, desk)})
    odd = PlannedStep(Update(ref=Ref("res.partner", 1), expect={}, values={"no_such_field": 1}), None)
    for steps in ([odd], []):
        kwargs = {"control": CONTROL, "slot": fleet.moment.isoformat(), "run": "r", "steps": dump_steps(steps)}
        dead("purser.apply", kwargs)
    found = {one.id: one for one in planned(fleet).letters}
    fates = [found[one.id].fate for one in dead.letters]
    assert fates == [PredictedOutcome.APPLY, PredictedOutcome.UNKNOWN, PredictedOutcome.DONE]
    assert found[dead.letters[2].id].why == "nothing is to be changed"
