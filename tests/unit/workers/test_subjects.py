"""A message names the records it is about; one that cannot be read names none, and is no error."""

import datetime as dt
from typing import Any

import pytest

from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from purser.cases import CaseKey, CaseRecord, CaseState
from purser.changes import Update
from purser.engine.reconcile import PlannedStep
from purser.findings import Ref, Severity
from workers.controls.run import dump_steps
from workers.dead_letters.letter_factory import covers_of, subjects_of

NOW = dt.datetime(2026, 11, 16, 8, 0, tzinfo=dt.UTC)
MEMORY = CaseRecord(
    key=CaseKey("stale-drafts", Ref("sale.order", 7)),
    episode=0,
    rung=0,
    state=CaseState.OPEN,
    asked_on=NOW.date(),
    opened_on=NOW.date(),
    severity=Severity.LOW,
)


def event(**given: Any) -> dict[str, Any]:
    told = CloudEvent.wrap(OpportunityWon(opportunity_id=42, won_on=None), id="e1", source="crm", time=NOW)
    return told.model_dump(mode="json", exclude_none=True) | given


def test_a_chunk_is_about_the_subjects_of_its_cases_and_the_records_it_changes() -> None:
    change = Update(ref=Ref("project.project", 9), expect={}, values={})
    steps = dump_steps([PlannedStep(None, MEMORY), PlannedStep(change, None), PlannedStep(change, MEMORY)])

    assert subjects_of("purser.apply", {"steps": steps}) == ("sale.order/7", "project.project/9")


@pytest.mark.parametrize("task", ["purser.accept", "purser.react"])
def test_an_event_is_about_its_subject_or_the_record_of_its_fact(task: str) -> None:
    assert subjects_of(task, {"event": event()}) == ("crm.lead/42",)
    assert subjects_of(task, {"event": event(subject="crm.lead/43")}) == ("crm.lead/43",)
    assert subjects_of(task, {"event": event(subject="the big deal")}) == ("crm.lead/42",)


def test_a_look_is_about_its_record_and_a_feed_does_what_the_next_one_does_again() -> None:
    assert subjects_of("purser.look", {"model": "crm.lead", "id": 42}) == ("crm.lead/42",)
    assert covers_of("purser.feed", {"watch": "opportunities"}) == "feed/opportunities"
    assert covers_of("purser.scan", {"control": "stale-drafts"}) == "scan/stale-drafts"
    assert covers_of("purser.look", {"model": "crm.lead", "id": 42}) == ""


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("purser.scan", {"control": "stale-drafts"}),
        ("purser.look", {"model": "crm.lead", "id": "42"}),
        ("purser.look", {"model": 7}),
        ("purser.apply", {"steps": "all of them"}),
        ("purser.apply", {"steps": [None, {"memory": {"key": {"subject": {"model": "?", "id": "x"}}}}]}),
        ("purser.react", {"event": "won"}),
        ("purser.react", {"event": {"subject": 7, "data": {}}}),
        ("unknown", {}),
    ],
)
def test_what_names_no_record_is_about_none(task: str, values: dict[str, Any]) -> None:
    assert subjects_of(task, values) == ()
