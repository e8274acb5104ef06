"""Changes are made once, however often they are applied, and people's edits survive them."""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable
from decimal import Decimal

import pytest

from odoo_client import ChangeOutcome, ChangeStatus, OdooClient, OdooConnection, connect
from purser import CallMethod, CloseActivity, Ensure, Key, PostNote, RecordLink, Ref, Update, XmlId, activity
from purser.changes import Change
from purser.errors import Permanent, Transient
from tests.contract.odoo.conftest import OdooServer
from tests.contract.odoo.seeding import Seeder

DEADLINE = dt.date(2026, 3, 9)


def todo(key: str, on: Ref | Key, user_id: int | None = None, summary: str = "Look") -> Ensure:
    return activity(key=key, on=on, summary=summary, note="<p>why</p>", user_id=user_id, deadline=DEADLINE)


def made(outcome: ChangeOutcome) -> Ref:
    assert outcome.status is ChangeStatus.DONE, outcome.reason
    assert outcome.ref is not None
    return outcome.ref


def statuses(outcomes: tuple[ChangeOutcome, ...]) -> list[ChangeStatus]:
    return [outcome.status for outcome in outcomes]


# ------------------------------------------------------------------------------ ensure --


def test_an_ensured_record_holds_the_values_by_their_types(client: OdooClient, seed: Seeder) -> None:
    project, partner = seed.project(), seed.partner()
    (outcome,) = client.ensure(
        Ensure(
            model="project.task",
            key=seed.key("typed"),
            values={
                "name": 'A, "quoted" name; 1/2',
                "project_id": RecordLink(project),
                "partner_id": RecordLink(partner),
                "allocated_hours": Decimal("12.25"),
                "date_deadline": dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=5))),
                "sequence": 7,
                "active": False,
                "parent_id": None,
            },
        )
    )
    fields = (
        "name",
        "project_id",
        "partner_id",
        "allocated_hours",
        "date_deadline",
        "sequence",
        "active",
        "parent_id",
    )
    assert seed.read(made(outcome), *fields) == {
        "id": made(outcome).id,
        "name": 'A, "quoted" name; 1/2',
        "project_id": project.id,
        "partner_id": partner.id,
        "allocated_hours": 12.25,
        "date_deadline": "2026-03-01 18:30:00",
        "sequence": 7,
        "active": False,
        "parent_id": False,
    }


def test_ensuring_again_adds_nothing_and_gives_the_same_record(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    changes = [todo(seed.key(f"again{n}"), task) for n in range(3)]
    first, second = client.apply(changes), client.apply(changes)
    assert [made(one) for one in first] == [made(one) for one in second]
    assert len(seed.activities_on(task)) == 3


def test_a_persons_later_edit_survives(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    change = todo(seed.key("edited"), task)
    ref = made(client.ensure(change)[0])
    seed.write(ref, summary="I will do it on Monday", date_deadline="2026-03-30")
    assert made(client.ensure(change)[0]) == ref
    assert seed.read(ref, "summary")["summary"] == "I will do it on Monday"


def test_a_record_deleted_since_is_made_anew(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    change = todo(seed.key("deleted"), task)
    ref = made(client.ensure(change)[0])
    seed.unlink(ref)
    assert made(client.ensure(change)[0]) != ref
    assert len(seed.activities_on(task)) == 1


def test_a_hundred_activities_cost_one_call(client: OdooClient, seed: Seeder) -> None:
    task, me = seed.task(), client.whoami().uid
    before = client.calls
    outcomes = client.apply([todo(seed.key(f"many{n}"), task, me if n % 2 else None) for n in range(100)])
    assert client.calls - before == 1
    assert set(statuses(outcomes)) == {ChangeStatus.DONE}
    found = seed.activities_on(task)
    assert len(found) == 100
    assert sorted({row["user_id"] for row in found}) == [False, me]


def test_an_assignee_other_than_the_bot_gets_the_activity(
    client: OdooClient, limited: OdooClient, seed: Seeder
) -> None:
    task, person = seed.task(), limited.whoami().uid
    client.ensure(todo(seed.key("assigned"), task, person))
    (row,) = seed.activities_on(task)
    assert (row["user_id"], row["active"], row["date_deadline"]) == (person, True, "2026-03-09")


def test_an_assignee_is_not_written_a_mail_for_each_activity(
    client: OdooClient, limited: OdooClient, seed: Seeder
) -> None:
    task, person = seed.task(), limited.whoami().uid
    client.apply([todo(seed.key(f"quiet{n}"), task, person) for n in range(3)])
    assert len(seed.activities_on(task)) == 3
    mails = [["model", "=", task.model], ["res_id", "=", task.id], ["message_type", "=", "user_notification"]]
    assert seed.find("mail.message", mails, "body") == []


def test_a_failing_row_is_refused_and_its_99_neighbours_land(client: OdooClient, seed: Seeder) -> None:
    task, lost = seed.task(), seed.task()
    seed.unlink(lost)
    changes = [todo(seed.key(f"near{n}"), lost if n == 57 else task) for n in range(100)]
    outcomes = client.apply(changes)
    assert [n for n, one in enumerate(outcomes) if one.status is not ChangeStatus.DONE] == [57]
    assert outcomes[57].status is ChangeStatus.REFUSED
    assert outcomes[57].reason
    assert outcomes[57].ref is None
    assert len(seed.activities_on(task)) == 99


def test_the_first_and_the_last_row_may_fail_too(client: OdooClient, seed: Seeder) -> None:
    outcomes = client.apply(
        [
            Ensure(
                model="res.partner", key=seed.key(f"edge{n}"), values={"name": "" if n in {0, 2, 4} else "Somebody"}
            )
            for n in range(5)
        ]
    )
    assert statuses(outcomes) == [
        ChangeStatus.REFUSED,
        ChangeStatus.DONE,
        ChangeStatus.REFUSED,
        ChangeStatus.DONE,
        ChangeStatus.REFUSED,
    ]


def test_a_row_under_a_good_one_lands_though_a_bad_one_stands_between(client: OdooClient, seed: Seeder) -> None:
    parent, project = seed.key("parent"), seed.project()
    outcomes = client.apply(
        [
            Ensure(
                model="project.task",
                key=seed.key(what) if what != "parent" else parent,
                values={"name": name, "project_id": RecordLink(project), "parent_id": above},
            )
            for what, name, above in (
                ("parent", "Parent", None),
                ("bad", "", None),
                ("child", "Child", Key("project.task", parent)),
            )
        ]
    )
    assert statuses(outcomes) == [ChangeStatus.DONE, ChangeStatus.REFUSED, ChangeStatus.DONE]
    assert seed.read(made(outcomes[2]), "parent_id")["parent_id"] == made(outcomes[0]).id


def test_a_row_linked_to_what_is_not_there_is_refused(client: OdooClient, seed: Seeder) -> None:
    nowhere = RecordLink(Ref("project.project", 99_999_999))
    (outcome,) = client.ensure(
        Ensure(model="project.task", key=seed.key("orphan"), values={"name": "Orphan", "project_id": nowhere})
    )
    assert outcome.status is ChangeStatus.REFUSED
    assert "99999999" in outcome.reason


def test_records_of_one_apply_may_name_each_other_by_key(client: OdooClient, seed: Seeder) -> None:
    project, parent, child = seed.key("project"), seed.key("parent"), seed.key("child")
    changes: list[Change] = [
        Ensure(model="project.project", key=project, values={"name": seed.name("Kick-off")}),
        Ensure(
            model="project.task",
            key=parent,
            values={"name": "Parent", "project_id": Key("project.project", project), "parent_id": None},
        ),
        Ensure(
            model="project.task",
            key=child,
            values={
                "name": "Child",
                "project_id": Key("project.project", project),
                "parent_id": Key("project.task", parent),
            },
        ),
        todo(seed.key("todo"), Key("project.task", child)),
    ]
    first = [made(one) for one in client.apply(changes)]
    assert seed.read(first[2], "project_id", "parent_id") == {
        "id": first[2].id,
        "project_id": first[0].id,
        "parent_id": first[1].id,
    }
    assert [row["id"] for row in seed.activities_on(first[2])] == [first[3].id]
    assert [made(one) for one in client.apply(changes)] == first


def test_a_key_of_an_earlier_apply_is_found(client: OdooClient, seed: Seeder) -> None:
    key = seed.key("earlier")
    task = made(client.ensure(Ensure(model="project.task", key=key, values={"name": "Earlier", "active": False}))[0])
    made(client.ensure(todo(seed.key("later"), Key("project.task", key)))[0])
    assert len(seed.activities_on(task)) == 1


def test_a_key_nobody_has_ensured_is_a_conflict_and_takes_no_neighbour_along(
    client: OdooClient, seed: Seeder
) -> None:
    task, nobody = seed.task(), seed.key("nobody")
    outcomes = client.apply(
        [
            todo(seed.key("before"), task),
            todo(seed.key("dangling"), Key("project.task", nobody)),
            todo(seed.key("after"), task),
            Ensure(
                model="project.task",
                key=seed.key("child"),
                values={"name": "Child", "parent_id": Key("project.task", nobody)},
            ),
        ]
    )
    assert statuses(outcomes) == [ChangeStatus.DONE, ChangeStatus.CONFLICT, ChangeStatus.DONE, ChangeStatus.CONFLICT]
    assert nobody in outcomes[1].reason


def test_shipped_records_are_named_by_external_id(client: OdooClient, seed: Seeder) -> None:
    (outcome,) = client.ensure(
        Ensure(
            model="res.partner",
            key=seed.key("abroad"),
            values={"name": seed.name("Abroad"), "country_id": XmlId("base.be")},
        )
    )
    assert seed.read(made(outcome), "country_id")["country_id"]


def test_what_a_user_may_not_create_is_refused_without_an_error(limited: OdooClient, seed: Seeder) -> None:
    task = seed.task(seed.project(private=True))
    outcomes = limited.apply([todo(seed.key(f"denied{n}"), task) for n in range(3)])
    assert statuses(outcomes) == [ChangeStatus.REFUSED] * 3
    assert all("Traceback" not in one.reason and len(one.reason) <= 300 for one in outcomes)
    assert seed.activities_on(task) == []


def test_an_unknown_column_is_an_engineers_matter(client: OdooClient, seed: Seeder) -> None:
    with pytest.raises(Permanent, match="no_such_field"):
        client.ensure(Ensure(model="res.partner", key=seed.key("x"), values={"name": "X", "no_such_field": "1"}))


def test_of_two_at_the_same_time_the_loser_gets_the_winners_records(
    odoo_server: OdooServer, api: str, seed: Seeder
) -> None:
    task = seed.task()
    changes = [todo(seed.key(f"race{n}"), task) for n in range(20)]
    got = _together(odoo_server.admin, api, 4, lambda client: client.apply(changes))
    assert len(got) == 4
    assert all([one.ref for one in outcomes] == [one.ref for one in got[0]] for outcomes in got)
    assert len(seed.activities_on(task)) == 20


def _together(
    door: OdooConnection, api: str, count: int, work: Callable[[OdooClient], tuple[ChangeOutcome, ...]]
) -> list[tuple[ChangeOutcome, ...]]:
    """Do the same work in several threads that start at one moment; who is told to try again does."""
    gate = threading.Barrier(count)
    results: list[tuple[ChangeOutcome, ...]] = []

    def one() -> None:
        with connect(dataclasses.replace(door, api=api)) as client:  # type: ignore[arg-type]
            client.whoami()
            gate.wait(30)
            for _ in range(10):
                try:
                    results.append(work(client))
                except Transient:
                    continue
                return

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# -------------------------------------------------------------------------------- note --


def test_a_note_stands_once_and_its_text_is_text(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    note = PostNote(on=task, key=seed.key("note"), body="2 < 3 & <b>not bold</b>\nsecond line")
    before = len(seed.notes_on(task))
    first, second = made(client.note(note)[0]), made(client.note(note)[0])
    assert first == second
    found = seed.notes_on(task)
    assert len(found) == before + 1
    body = next(row["body"] for row in found if row["id"] == first.id)
    assert "2 &lt; 3 &amp; &lt;b&gt;not bold&lt;/b&gt;" in body
    assert "<br" in body


def test_notes_on_many_records_cost_one_call(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    notes = [PostNote(on=seed.task(project), key=seed.key(f"note{n}"), body="Seen") for n in range(5)]
    before = client.calls
    assert set(statuses(client.note(*notes))) == {ChangeStatus.DONE}
    assert client.calls - before == 1


def test_a_note_on_a_deleted_record_is_refused_and_its_neighbour_lands(client: OdooClient, seed: Seeder) -> None:
    task, lost = seed.task(), seed.task()
    seed.unlink(lost)
    outcomes = client.note(
        PostNote(on=lost, key=seed.key("lost"), body="Hello?"), PostNote(on=task, key=seed.key("there"), body="Hello")
    )
    assert statuses(outcomes) == [ChangeStatus.REFUSED, ChangeStatus.DONE]


# ------------------------------------------------------------------------------- close --


def test_closing_twice_posts_once(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    ref = made(client.ensure(todo(seed.key("close"), task))[0])
    close = CloseActivity(activity=ref.id, feedback="The hours are there now <ok>", key="close")
    assert statuses(client.complete(close)) == [ChangeStatus.DONE]
    posted = len(seed.notes_on(task))
    assert statuses(client.complete(close)) == [ChangeStatus.ALREADY]
    assert len(seed.notes_on(task)) == posted
    assert seed.read(ref, "active", "feedback") == {
        "id": ref.id,
        "active": False,
        "feedback": "The hours are there now <ok>",
    }


def test_many_are_closed_with_one_read_and_one_call_for_each_feedback(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    refs = [made(one) for one in client.apply([todo(seed.key(f"bulk{n}"), task) for n in range(6)])]
    cancelled, done = refs[4], refs[5]
    seed.unlink(cancelled)
    seed.call("mail.activity", "action_feedback", [done.id], feedback="by hand")
    closes = [
        CloseActivity(activity=ref.id, feedback="odd" if n % 2 else "even", key="x") for n, ref in enumerate(refs)
    ]
    before = client.calls
    outcomes = client.complete(*closes, closes[0])
    assert client.calls - before == 3
    assert statuses(outcomes) == [ChangeStatus.DONE] * 4 + [ChangeStatus.ALREADY] * 3
    assert seed.read(done, "feedback")["feedback"] == "by hand"


def test_an_activity_this_user_may_not_see_is_refused_not_taken_for_done(
    client: OdooClient, limited: OdooClient, seed: Seeder
) -> None:
    hidden = made(client.ensure(todo(seed.key("hidden"), seed.task(seed.project(private=True))))[0])
    (outcome,) = limited.complete(CloseActivity(activity=hidden.id, feedback="?", key="hidden"))
    assert outcome.status is ChangeStatus.REFUSED
    assert seed.read(hidden, "active")["active"] is True


def test_ensuring_a_closed_activity_does_not_open_it_again(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    change = todo(seed.key("closed"), task)
    ref = made(client.ensure(change)[0])
    client.complete(CloseActivity(activity=ref.id, feedback="done", key="closed"))
    assert made(client.ensure(change)[0]) == ref
    assert [row["active"] for row in seed.activities_on(task)] == [False]


# ------------------------------------------------------------------------------ update --


def test_an_update_happens_once(client: OdooClient, seed: Seeder) -> None:
    task = seed.task(allocated_hours=1.5)
    change = Update(
        ref=task,
        expect={"allocated_hours": Decimal("1.50"), "parent_id": None},
        values={"allocated_hours": Decimal("2.25"), "name": "Renamed"},
    )
    assert statuses(client.update(change)) == [ChangeStatus.DONE]
    assert statuses(client.update(change)) == [ChangeStatus.ALREADY]
    assert seed.read(task, "name", "allocated_hours") == {"id": task.id, "name": "Renamed", "allocated_hours": 2.25}


def test_what_is_neither_as_expected_nor_as_wanted_is_a_conflict_and_stays(client: OdooClient, seed: Seeder) -> None:
    task = seed.task(allocated_hours=9)
    change = Update(ref=task, expect={"allocated_hours": Decimal(1)}, values={"allocated_hours": Decimal(2)})
    (outcome,) = client.update(change)
    assert outcome.status is ChangeStatus.CONFLICT
    assert "allocated_hours" in outcome.reason
    assert seed.read(task, "allocated_hours")["allocated_hours"] == 9


def test_equal_updates_share_a_write(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    tasks = [seed.task(project, allocated_hours=1) for _ in range(4)]
    changes = [
        Update(ref=task, expect={"allocated_hours": 1}, values={"allocated_hours": 5 if n else 6})
        for n, task in enumerate(tasks)
    ]
    before = client.calls
    assert set(statuses(client.update(*changes))) == {ChangeStatus.DONE}
    assert client.calls - before == 3
    assert [seed.read(task, "allocated_hours")["allocated_hours"] for task in tasks] == [6, 5, 5, 5]


def test_a_record_may_be_updated_twice_in_one_list(client: OdooClient, seed: Seeder) -> None:
    task = seed.task(allocated_hours=1)
    steps = [Update(ref=task, expect={"allocated_hours": n}, values={"allocated_hours": n + 1}) for n in (1, 2)]
    assert statuses(client.update(*steps)) == [ChangeStatus.DONE, ChangeStatus.DONE]


def test_references_are_compared_by_what_they_point_at(client: OdooClient, seed: Seeder) -> None:
    project, key = seed.project(), seed.key("target")
    target = made(client.ensure(Ensure(model="project.project", key=key, values={"name": seed.name("Target")}))[0])
    task = seed.task(project)
    change = Update(
        ref=task, expect={"project_id": RecordLink(project)}, values={"project_id": Key("project.project", key)}
    )
    assert statuses(client.update(change)) == [ChangeStatus.DONE]
    assert statuses(client.update(change)) == [ChangeStatus.ALREADY]
    assert seed.read(task, "project_id")["project_id"] == target.id


def test_updates_of_missing_and_hidden_records_are_refused_with_different_reasons(
    limited: OdooClient, seed: Seeder
) -> None:
    hidden, lost = seed.task(seed.project(private=True)), seed.task()
    seed.unlink(lost)
    changes = [Update(ref=ref, expect={"name": "a"}, values={"name": "b"}) for ref in (hidden, lost)]
    outcomes = limited.update(*changes)
    assert statuses(outcomes) == [ChangeStatus.REFUSED, ChangeStatus.REFUSED]
    assert "not see" in outcomes[0].reason
    assert "not exist" in outcomes[1].reason


def test_a_write_odoo_refuses_takes_no_neighbour_along(client: OdooClient, seed: Seeder) -> None:
    child, other = seed.task(), seed.task()
    parent = seed.task(None, parent_id=child.id)
    changes = [
        Update(ref=ref, expect={"parent_id": None}, values={"parent_id": RecordLink(parent)})
        for ref in (child, other)
    ]
    outcomes = client.update(*changes)
    assert statuses(outcomes) == [ChangeStatus.REFUSED, ChangeStatus.DONE]


# -------------------------------------------------------------------------------- call --


def test_a_method_runs_once_while_its_guard_holds(client: OdooClient, seed: Seeder) -> None:
    partner = seed.partner()
    change = CallMethod(ref=partner, method="action_archive", guard={"active": True})
    assert statuses(client.call(change)) == [ChangeStatus.DONE]
    assert statuses(client.call(change)) == [ChangeStatus.ALREADY]
    assert seed.read(partner, "active")["active"] is False


def test_a_method_that_leaves_its_guard_true_is_a_conflict(client: OdooClient, seed: Seeder) -> None:
    partner = seed.partner()
    (outcome,) = client.call(CallMethod(ref=partner, method="action_unarchive", guard={"active": True}))
    assert outcome.status is ChangeStatus.CONFLICT
    assert "active" in outcome.reason


def test_a_call_on_a_deleted_record_is_refused(client: OdooClient, seed: Seeder) -> None:
    partner = seed.partner()
    seed.unlink(partner)
    (outcome,) = client.call(CallMethod(ref=partner, method="action_archive", guard={"active": True}))
    assert outcome.status is ChangeStatus.REFUSED


# ------------------------------------------------------------------------------- apply --


def test_outcomes_come_in_the_order_of_the_changes(client: OdooClient, seed: Seeder) -> None:
    task, partner = seed.task(allocated_hours=1), seed.partner()
    changes: list[Change] = [
        PostNote(on=task, key=seed.key("n1"), body="one"),
        todo(seed.key("a1"), task),
        Update(ref=task, expect={"allocated_hours": 1}, values={"allocated_hours": 2}),
        PostNote(on=partner, key=seed.key("n2"), body="two"),
        todo(seed.key("a2"), partner),
        CallMethod(ref=partner, method="action_archive", guard={"active": True}),
    ]
    first = client.apply(changes)
    assert [one.change for one in first] == changes
    assert set(statuses(first)) == {ChangeStatus.DONE}
    again = client.apply(changes)
    assert [one.ref for one in again] == [one.ref for one in first]
    assert client.apply([]) == ()
