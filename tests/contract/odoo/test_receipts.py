"""An operation and its receipt are one: done once however often it is asked, and its key names what it made."""

import datetime as dt
import itertools
import uuid
from collections.abc import Iterator

import pytest

from odoo_client import ChangeOutcome, ChangeStatus, OdooClient, connect, provisioning
from odoo_client.transport.request import Request
from purser import Ensure, Key, PostNote, RecordLink, Ref, RunOperation, activity
from purser.changes import Change
from purser.engine.predictions import PredictedOutcome
from purser.errors import NotApplicable, UnknownOutcome
from tests.contract.odoo.conftest import OdooServer, Open
from tests.contract.odoo.proxy import Proxy
from tests.contract.odoo.seeding import Seeder
from tests.unit.odoo_client.canned import Silence

_NUMBERS = itertools.count(1)
_RUN = uuid.uuid4().hex[:8]


def key(prefix: str) -> str:
    """Return a business key that no other test has."""
    return f"{prefix}/{_RUN}-{next(_NUMBERS)}/x"


@pytest.fixture(scope="module", autouse=True)
def set_up(odoo_server: OdooServer) -> Iterator[None]:
    """Set up the receipt action, and let the administrator run it: the plain user may not."""
    with connect(odoo_server.admin) as admin:
        dialect = provisioning.CurrentStateReader(admin).dialect(())
        provisioning.apply_plan(
            admin, provisioning.desired_records(dialect, bots=(), key_days=365, hooks={}, rules=())
        )
        group = next(one for one in provisioning.installed_records(admin) if one.name == provisioning.GROUP)
        me = admin.whoami().uid
        vals = {"group_ids": [[4, group.id]]}
        admin.send(Request(model="res.users", method="write", ids=(me,), arguments={"vals": vals}))
        yield


@pytest.fixture
def template(seed: Seeder) -> Ref:
    """Make a template with two tasks: one with a task below it, one with a milestone."""
    project = seed.create("project.project", name=seed.name("Template"), is_template=True, allow_milestones=True)
    milestone = seed.create("project.milestone", name="Accepted", project_id=project.id, deadline="2026-05-01")
    design = seed.task(project, name="Design", allocated_hours=8)
    seed.task(project, name="Build", milestone_id=milestone.id)
    seed.task(project, name="Sketch", parent_id=design.id)
    return project


def reach(milestone: Ref, named: str | None = None) -> RunOperation:
    return RunOperation(operation="milestone.reach", on=milestone, key=named or key("milestone"))


def from_template(template: Ref, named: str | None = None, **values: object) -> RunOperation:
    given = {"name": "Engagement", **values}
    return RunOperation(
        operation="project.from-template",
        on=template,
        key=named or key("opportunity"),
        arguments=given,  # type: ignore[arg-type]
    )


def milestone(seed: Seeder, **values: object) -> Ref:
    return seed.create("project.milestone", name="Go live", project_id=seed.project().id, **values)


def made(outcome: ChangeOutcome) -> Ref:
    assert outcome.status in {ChangeStatus.DONE, ChangeStatus.ALREADY}, outcome.reason
    assert outcome.ref is not None
    return outcome.ref


def tasks_of(seed: Seeder, project: Ref) -> list[tuple[str, float, bool, bool]]:
    fields = ("name", "allocated_hours", "parent_id", "milestone_id")
    rows = seed.find("project.task", [["project_id", "=", project.id]], *fields)
    told = ((row["name"], row["allocated_hours"], bool(row["parent_id"]), bool(row["milestone_id"])) for row in rows)
    return sorted(told)


# ------------------------------------------------------------------------- milestone.reach --


def test_a_milestone_is_reached_once_and_its_key_names_it(client: OdooClient, seed: Seeder) -> None:
    ref = milestone(seed)
    change = reach(ref)
    assert [one.status for one in client.perform(change)] == [ChangeStatus.DONE]
    row = seed.read(ref, "is_reached", "reached_date")
    assert (row["is_reached"], bool(row["reached_date"])) == (True, True)
    seed.write(ref, is_reached=False)  # a person takes it back
    assert [one.fate for one in client.preview([change])] == [PredictedOutcome.REFUSED]
    (again,) = client.perform(change)
    assert (again.status, "somebody has taken it back" in again.reason) == (ChangeStatus.REFUSED, True)
    assert seed.read(ref, "is_reached")["is_reached"] is False
    assert [one.status for one in client.perform(reach(ref))] == [ChangeStatus.DONE]


def test_a_milestone_that_a_person_reached_gets_its_receipt(client: OdooClient, seed: Seeder) -> None:
    ref = milestone(seed, is_reached=True)
    change = reach(ref)
    assert [(one.status, one.ref) for one in client.perform(change)] == [(ChangeStatus.ALREADY, ref)]
    seed.write(ref, is_reached=False)
    assert [one.status for one in client.perform(change)] == [ChangeStatus.REFUSED]


def test_several_go_in_one_call_and_one_that_is_refused_takes_none_along(client: OdooClient, seed: Seeder) -> None:
    good = [milestone(seed) for _ in range(2)]
    gone = milestone(seed)
    seed.unlink(gone)
    client.receipts.check()
    before = client.calls
    outcomes = client.perform(reach(good[0]), reach(gone), reach(good[1]))
    assert client.calls - before == 1
    assert [one.status for one in outcomes] == [ChangeStatus.DONE, ChangeStatus.REFUSED, ChangeStatus.DONE]
    assert "does not exist any more" in outcomes[1].reason


# ------------------------------------------------------------------- project.from-template --


def test_a_project_comes_from_its_template_once_with_tasks_and_milestones(
    client: OdooClient, seed: Seeder, template: Ref
) -> None:
    partner = seed.partner()
    change = from_template(template, name="Engagement 7", partner_id=RecordLink(partner))
    (first,) = client.perform(change)
    project = made(first)
    assert project != template
    row = seed.read(project, "name", "partner_id", "is_template", "allow_milestones")
    assert row == {
        "id": project.id,
        "name": "Engagement 7",
        "partner_id": partner.id,
        "is_template": False,
        "allow_milestones": True,
    }
    tasks = [("Build", 0.0, False, True), ("Design", 8.0, False, False), ("Sketch", 0.0, True, False)]
    assert tasks_of(seed, project) == tasks
    found = seed.find("project.milestone", [["project_id", "=", project.id]], "name", "is_reached", "deadline")
    assert [(one["name"], one["is_reached"], one["deadline"]) for one in found] == [("Accepted", False, False)]
    (again,) = client.perform(change)
    assert (again.status, again.ref) == (ChangeStatus.ALREADY, project)
    assert tasks_of(seed, project) == tasks
    assert tasks_of(seed, template) == tasks


def test_a_project_in_the_archive_is_told_and_a_deleted_one_is_made_again(
    client: OdooClient, seed: Seeder, template: Ref
) -> None:
    change = from_template(template)
    project = made(client.perform(change)[0])
    seed.write(project, active=False)
    assert [one.fate for one in client.preview([change])] == [PredictedOutcome.REFUSED]
    (archived,) = client.perform(change)
    assert (archived.status, "is archived" in archived.reason) == (ChangeStatus.REFUSED, True)
    seed.unlink(project)
    assert [one.fate for one in client.preview([change])] == [PredictedOutcome.APPLY]
    assert made(client.perform(change)[0]) != project


def test_a_note_tells_of_an_operation_only_where_it_was_carried_out(client: OdooClient, seed: Seeder) -> None:
    ref, task = milestone(seed, is_reached=True), seed.task()
    refused, done = reach(ref), reach(milestone(seed))
    client.perform(refused)
    seed.write(ref, is_reached=False)
    changes: list[Change] = [
        refused,
        PostNote(on=task, key=key("milestone"), body="Reached", after=refused.key),
        done,
        PostNote(on=task, key=key("milestone"), body="Reached too", after=done.key),
    ]
    fates = [PredictedOutcome.REFUSED, PredictedOutcome.CONFLICT, PredictedOutcome.APPLY, PredictedOutcome.APPLY]
    assert [one.fate for one in client.preview(changes)] == fates
    statuses = [ChangeStatus.REFUSED, ChangeStatus.CONFLICT, ChangeStatus.DONE, ChangeStatus.DONE]
    assert [one.status for one in client.apply(changes)] == statuses
    assert len(seed.notes_on(task)) == 1


def test_its_key_names_the_project_in_what_follows(client: OdooClient, seed: Seeder, template: Ref) -> None:
    customer, project = key("opportunity"), key("opportunity")
    changes: list[Change] = [
        Ensure(model="res.partner", key=customer, values={"name": seed.name("Customer")}),
        from_template(template, project, partner_id=Key("res.partner", customer)),
        activity(
            key=key("opportunity"),
            on=Key("project.project", project),
            summary="Kick off",
            note="",
            user_id=None,
            deadline=dt.date(2026, 3, 9),
        ),
    ]
    first = client.apply(changes)
    assert [one.status for one in first] == [ChangeStatus.DONE] * 3
    assert len(seed.activities_on(made(first[1]))) == 1
    assert seed.read(made(first[1]), "partner_id")["partner_id"] == made(first[0]).id
    assert [one.ref for one in client.apply(changes)] == [one.ref for one in first]


def test_a_project_that_an_ensure_made_before_is_not_made_twice(
    client: OdooClient, seed: Seeder, template: Ref
) -> None:
    named = key("opportunity")
    (old,) = client.ensure(Ensure(model="project.project", key=named, values={"name": seed.name("Old")}))
    (outcome,) = client.perform(from_template(template, named))
    assert (outcome.status, outcome.ref) == (ChangeStatus.ALREADY, old.ref)


def test_what_makes_no_sense_is_refused_with_its_reason(client: OdooClient, seed: Seeder, template: Ref) -> None:
    taken = key("opportunity")
    client.ensure(Ensure(model="res.partner", key=taken, values={"name": "X"}))
    outcomes = client.perform(
        from_template(seed.project()),
        from_template(template, date_start=dt.date(2026, 1, 1)),
        from_template(template, taken),
    )
    assert [one.status for one in outcomes] == [ChangeStatus.REFUSED] * 3
    reasons = ("is no template", "both date_start and date", "names a record of res.partner")
    assert [said in one.reason for said, one in zip(reasons, outcomes, strict=True)] == [True] * 3


def test_a_name_that_nobody_made_yet_is_a_conflict(client: OdooClient, template: Ref) -> None:
    (outcome,) = client.perform(from_template(template, partner_id=Key("res.partner", key("opportunity"))))
    assert outcome.status is ChangeStatus.CONFLICT


def test_of_a_lost_answer_the_action_is_asked_again(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder, template: Ref
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    change = from_template(template, name=seed.name("Once"))
    proxy.at("run", proxy.afterwards(Silence.DROP))
    with pytest.raises(UnknownOutcome):
        client.perform(change)
    (outcome,) = client.perform(change)
    assert outcome.status is ChangeStatus.ALREADY
    assert [one["id"] for one in seed.find("project.project", [["name", "=", change.arguments["name"]]], "name")] == [
        made(outcome).id
    ]


# ----------------------------------------------------------------------- who may, and what next --


def test_who_is_not_in_the_group_is_told_what_to_do(limited: OdooClient, seed: Seeder) -> None:
    with pytest.raises(NotApplicable, match="purser odoo setup"):
        limited.perform(reach(milestone(seed)))


def test_a_preview_tells_what_performing_then_does(
    client: OdooClient, limited: OdooClient, seed: Seeder, template: Ref
) -> None:
    ref, gone = milestone(seed), milestone(seed)
    seed.unlink(gone)
    named = key("opportunity")
    changes: list[Change] = [
        reach(ref),
        reach(gone),
        from_template(template, named),
        from_template(template, named),
        activity(
            key=key("opportunity"),
            on=Key("project.project", named),
            summary="Kick off",
            note="",
            user_id=None,
            deadline=dt.date(2026, 3, 9),
        ),
        from_template(template, partner_id=Key("res.partner", key("opportunity"))),
    ]
    foreseen = client.preview(changes)
    fates = [
        PredictedOutcome.APPLY,
        PredictedOutcome.REFUSED,
        PredictedOutcome.APPLY,
        PredictedOutcome.DONE,
        PredictedOutcome.APPLY,
        PredictedOutcome.CONFLICT,
    ]
    assert [one.fate for one in foreseen] == fates
    assert foreseen[2].fields[0].then == "Engagement"
    assert seed.read(ref, "is_reached")["is_reached"] is False
    ended = {
        PredictedOutcome.APPLY: {ChangeStatus.DONE},
        PredictedOutcome.DONE: {ChangeStatus.ALREADY},
        PredictedOutcome.REFUSED: {ChangeStatus.REFUSED},
    }
    ended[PredictedOutcome.CONFLICT] = {ChangeStatus.CONFLICT}
    outcomes = client.apply(changes)
    assert [one.status in ended[fate] for one, fate in zip(outcomes, fates, strict=True)] == [True] * 6
    assert [one.fate for one in client.preview(changes[:3])] == [
        PredictedOutcome.DONE,
        PredictedOutcome.REFUSED,
        PredictedOutcome.DONE,
    ]
    (unknown,) = limited.preview([reach(milestone(seed))])
    assert (unknown.fate, "not in the group" in unknown.why) == (PredictedOutcome.UNKNOWN, True)
