"""What a preview foretells is what applying then does, and foretelling changes nothing."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odoo_client import ChangeStatus, OdooClient, OdooConnection, Preview, connect
from odoo_client.transport.request import Request
from purser import CallMethod, CloseActivity, Ensure, Key, PostNote, RecordLink, Ref, Update, XmlId, activity
from purser.changes import Change, change_key
from purser.engine.predictions import FieldChange, PredictedOutcome
from tests.contract.odoo.conftest import OdooServer
from tests.contract.odoo.seeding import Seeder

DEADLINE = dt.date(2026, 3, 9)
READS = {
    "check_object_reference",
    "context_get",
    "fields_get",
    "get_external_id",
    "get_metadata",
    "has_access",
    "read",
    "search",
    "search_read",
}
NOWHERE = 99_999_999


def todo(key: str, on: Ref | Key, user_id: int | None = None) -> Ensure:
    return activity(key=key, on=on, summary="Look", note="<p>why</p>", user_id=user_id, deadline=DEADLINE)


def fates(previews: tuple[Preview, ...]) -> list[PredictedOutcome]:
    return [one.fate for one in previews]


def as_applied(preview: Preview) -> set[ChangeStatus]:
    """Return the outcomes that bear a preview out: an ensured record that was there already counts as done too."""
    match preview.fate:
        case PredictedOutcome.APPLY:
            return {ChangeStatus.DONE}
        case PredictedOutcome.DONE:
            return {ChangeStatus.ALREADY} | (
                {ChangeStatus.DONE} if isinstance(preview.change, (Ensure, PostNote)) else set()
            )
        case PredictedOutcome.CONFLICT:
            return {ChangeStatus.CONFLICT}
        case PredictedOutcome.REFUSED:
            return {ChangeStatus.REFUSED}
        case _:
            return {ChangeStatus.DONE, ChangeStatus.REFUSED}


class Watching(OdooClient):
    """A client that remembers what it sent."""

    def __init__(self, door: OdooConnection) -> None:
        super().__init__(door)
        self.sent: list[Request] = []

    def send(self, request: Request) -> Any:
        self.sent.append(request)
        return super().send(request)


@pytest.fixture
def watching(odoo_server: OdooServer, api: Any) -> Iterator[Watching]:
    with Watching(dataclasses.replace(odoo_server.admin, api=api)) as client:
        yield client


# --------------------------------------------------------------------------- it never writes --


def one_of_each(client: OdooClient, seed: Seeder) -> tuple[list[Change], Ref]:
    """Return changes that would all be applied, and the task they are about."""
    task, partner = seed.task(allocated_hours=1), seed.partner()
    (open_,) = client.ensure(todo(seed.key("open"), task))
    assert open_.ref is not None
    changes: list[Change] = [
        Ensure(model="res.partner", key=seed.key("new"), values={"name": "New"}),
        todo(seed.key("ask"), task, client.whoami().uid),
        PostNote(on=task, key=seed.key("note"), body="Seen"),
        Update(
            ref=task,
            expect={"allocated_hours": 1},
            values={"allocated_hours": Decimal("2.5"), "partner_id": Key("res.partner", seed.key("new"))},
        ),
        CloseActivity(activity=open_.ref.id, feedback="done", key=seed.key("open")),
        CallMethod(ref=partner, method="action_archive", guard={"active": True}),
    ]
    return changes, task


def test_a_preview_sends_only_reads_and_leaves_everything_as_it_was(watching: Watching, seed: Seeder) -> None:
    changes, task = one_of_each(watching, seed)
    counted = ("res.partner", "project.task", "mail.activity", "mail.message")
    before = [seed.call(model, "search_count", domain=[]) for model in counted]
    stamp = seed.read(task, "write_date", "allocated_hours")
    watching.sent.clear()
    previews = watching.preview(changes)
    assert set(fates(previews)) == {PredictedOutcome.APPLY}
    assert all(request.reads for request in watching.sent)
    assert {request.method for request in watching.sent} <= READS
    assert [seed.call(model, "search_count", domain=[]) for model in counted] == before
    assert seed.read(task, "write_date", "allocated_hours") == stamp
    assert {one.status for one in watching.apply(changes)} == {ChangeStatus.DONE}


# ------------------------------------------------------------------- it says what would change --


def test_fields_are_told_now_and_then(client: OdooClient, seed: Seeder) -> None:
    changes, task = one_of_each(client, seed)
    new, ask, note, update, close, call = client.preview(changes)
    assert new.fields == (FieldChange("name", None, "New"),)
    assert FieldChange("user_id", None, f"res.users/{client.whoami().uid}") in ask.fields
    assert note.fields == (FieldChange("body", None, "Seen"),)
    assert (update.ref, update.fields) == (
        task,
        (FieldChange("allocated_hours", 1.0, 2.5), FieldChange("partner_id", None, seed.key("new"))),
    )
    assert close.fields == (FieldChange("active", True, False), FieldChange("feedback", None, "done"))
    assert "action_archive" in call.why
    assert (new.ref, ask.ref, note.ref) == (None, None, None)


def test_a_link_is_told_by_record_now_and_then(client: OdooClient, seed: Seeder) -> None:
    old, new = seed.partner(), seed.partner()
    task = seed.task(partner_id=old.id)
    change = Update(
        ref=task, expect={"partner_id": RecordLink(old)}, values={"partner_id": RecordLink(new), "sequence": 10}
    )
    (found,) = client.preview([change])
    assert FieldChange("partner_id", str(old), str(new)) in found.fields


def test_what_was_applied_is_already_done(client: OdooClient, seed: Seeder) -> None:
    changes, _ = one_of_each(client, seed)
    outcomes = client.apply(changes)
    previews = client.preview(changes)
    assert set(fates(previews)) == {PredictedOutcome.DONE}
    assert [one.ref for one in previews] == [one.ref for one in outcomes]
    assert all(one.fields == () for one in previews)


def test_each_change_is_foreseen_on_what_those_before_it_leave(client: OdooClient, seed: Seeder) -> None:
    task, key = seed.task(allocated_hours=1), seed.key("twice")
    steps: list[Change] = [
        Update(ref=task, expect={"allocated_hours": 1}, values={"allocated_hours": 2}),
        Update(ref=task, expect={"allocated_hours": 2}, values={"allocated_hours": 3}),
        Update(ref=task, expect={"allocated_hours": 1}, values={"allocated_hours": 4}),
        todo(key, task),
        todo(key, task),
    ]
    assert fates(client.preview(steps)) == [
        PredictedOutcome.APPLY,
        PredictedOutcome.APPLY,
        PredictedOutcome.CONFLICT,
        PredictedOutcome.APPLY,
        PredictedOutcome.DONE,
    ]


def test_a_field_that_this_odoo_does_not_have_cannot_be_told(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    previews = client.preview(
        [
            Ensure(model="res.partner", key=seed.key("x"), values={"name": "X", "no_such_field": "1"}),
            Update(ref=task, expect={"no_such_field": 1}, values={"name": "Y"}),
            Ensure(model="no.such.model", key=seed.key("y"), values={"name": "Y"}),
            Update(ref=task, expect={}, values={"allocated_hours": 7}),
        ]
    )
    assert fates(previews) == [
        PredictedOutcome.UNKNOWN,
        PredictedOutcome.UNKNOWN,
        PredictedOutcome.UNKNOWN,
        PredictedOutcome.APPLY,
    ]
    assert "no_such_field" in previews[0].why
    assert "no.such.model" in previews[2].why


# ------------------------------------------------------------------------------- what it costs --


def test_many_activities_on_as_many_documents_cost_a_handful_of_calls(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    rows = [{"name": f"T{n}", "project_id": project.id} for n in range(200)]
    tasks = [Ref("project.task", id_) for id_ in seed.call("project.task", "create", vals_list=rows)]
    changes = [todo(seed.key(f"many{n}"), task, client.whoami().uid) for n, task in enumerate(tasks)]
    client.apply(changes[:50])
    before = client.calls
    previews = client.preview(changes)
    assert fates(previews) == [PredictedOutcome.DONE] * 50 + [PredictedOutcome.APPLY] * 150
    assert client.calls - before <= 12


def test_an_activity_made_for_another_document_is_found_by_its_key(client: OdooClient, seed: Seeder) -> None:
    first, second, key = seed.task(), seed.task(), seed.key("elsewhere")
    (made,) = client.apply([todo(key, first)])
    (found,) = client.preview([todo(key, second)])
    assert (found.fate, found.ref) == (PredictedOutcome.DONE, made.ref)


# ----------------------------------------------------------------------- the limits of a right --


def test_what_a_user_may_not_do_would_be_refused(
    odoo_server: OdooServer, client: OdooClient, limited: OdooClient, seed: Seeder
) -> None:
    public, private, partner = seed.task(), seed.task(seed.project(private=True)), seed.partner()
    (hidden, own) = client.apply([todo(seed.key("hidden"), private), todo(seed.key("seen"), public)])
    assert hidden.ref is not None
    assert own.ref is not None
    me, admin = limited.whoami().uid, client.whoami().uid
    changes: list[Change] = [
        todo(seed.key("hidden"), private),
        todo(seed.key("d0"), private),
        todo(seed.key("d1"), public),
        todo(seed.key("d2"), public, me),
        todo(seed.key("d3"), public, admin),
        todo(seed.key("d4"), partner, me),
        PostNote(on=public, key=seed.key("n0"), body="x"),
        PostNote(on=private, key=seed.key("n1"), body="x"),
        PostNote(on=partner, key=seed.key("n2"), body="x"),
        Ensure(model="res.partner", key=seed.key("p0"), values={"name": "X"}),
        Update(ref=private, expect={}, values={"name": "X"}),
        Update(ref=public, expect={}, values={"name": "X"}),
        CloseActivity(activity=hidden.ref.id, feedback="x", key="x"),
    ]
    previews = limited.preview(changes)
    outcomes = limited.apply(changes)
    for preview, outcome in zip(previews, outcomes, strict=True):
        assert outcome.status in as_applied(preview), (preview, outcome)
    assert PredictedOutcome.UNKNOWN not in fates(previews)
    assert fates(previews).count(PredictedOutcome.REFUSED) >= 7


# ------------------------------------------------------------------------------- the property --


class Stage:
    """Records that generated changes are about, made once for each example."""

    def __init__(self, seed: Seeder, client: OdooClient, project: Ref) -> None:
        self.seed, self.project = Seeder(seed._client), project
        tasks = [{"name": self.seed.name("T"), "project_id": project.id, "allocated_hours": n} for n in range(3)]
        *self.tasks, self.lost = self._made("project.task", tasks)
        self.partners = self._made("res.partner", [{"name": "In use"}, {"name": "Archived", "active": False}])
        there = client.apply([todo(self.seed.key(f"k{n}"), self.tasks[0]) for n in range(2)])
        self.seed.unlink(self.lost)
        self.activities = [one.ref.id for one in there if one.ref is not None]
        client.complete(CloseActivity(activity=self.activities[1], feedback="by hand", key="x"))

    def _made(self, model: str, rows: list[dict[str, Any]]) -> list[Ref]:
        return [Ref(model, id_) for id_ in self.seed.call(model, "create", vals_list=rows)]

    def changes(self, plan: list[tuple[Any, ...]]) -> list[Change]:
        return [getattr(self, name)(*args) for name, *args in plan]

    def _task(self, n: int) -> Ref:
        return [*self.tasks, self.lost][n]

    def ask(self, key: int, task: int) -> Change:
        return todo(self.seed.key(f"k{key}"), self._task(task))

    def ask_under(self, key: int, parent: int) -> Change:
        return todo(self.seed.key(f"u{key}"), Key("project.task", self.seed.key(f"t{parent}")))

    def child(self, key: int, parent: int) -> Change:
        above = Key("project.task", self.seed.key(f"t{parent}")) if parent != key else None
        values: dict[str, Any] = {"name": "T", "project_id": RecordLink(self.project), "parent_id": above}
        return Ensure(model="project.task", key=self.seed.key(f"t{key}"), values=values)

    def stray(self, key: int, lost: int) -> Change:
        link = RecordLink(Ref("res.partner", NOWHERE)) if lost else XmlId("base.no_such_record")
        return Ensure(
            model="res.partner",
            key=self.seed.key(f"p{key}"),
            values={"name": "X", "parent_id" if lost else "country_id": link},
        )

    def partner(self, key: int) -> Change:
        return Ensure(model="res.partner", key=self.seed.key(f"p{key}"), values={"name": "X"})

    def note(self, key: int, task: int) -> Change:
        return PostNote(on=self._task(task), key=self.seed.key(f"n{key}"), body="Seen")

    def update(self, task: int, was: int, then: int) -> Change:
        return Update(ref=self._task(task), expect={"allocated_hours": was}, values={"allocated_hours": then})

    def link(self, task: int, key: int) -> Change:
        customer = Key("res.partner", self.seed.key(f"p{key}"))
        return Update(ref=self._task(task), expect={"partner_id": None}, values={"partner_id": customer})

    def close(self, n: int) -> Change:
        return CloseActivity(activity=[*self.activities, NOWHERE][n], feedback="done", key="x")

    def archive(self, n: int) -> Change:
        ref = [*self.partners, Ref("res.partner", NOWHERE)][n]
        return CallMethod(ref=ref, method="action_archive", guard={"active": True})


two, three = st.integers(0, 1), st.integers(0, 2)
plans = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), three, three),
        st.tuples(st.just("ask_under"), two, two),
        st.tuples(st.just("child"), two, two),
        st.tuples(st.just("stray"), two, two),
        st.tuples(st.just("partner"), two),
        st.tuples(st.just("note"), two, three),
        st.tuples(st.just("update"), three, three, three),
        st.tuples(st.just("link"), three, two),
        st.tuples(st.just("close"), three),
        st.tuples(st.just("archive"), three),
    ),
    max_size=14,
)


@pytest.fixture
def project(seed: Seeder) -> Ref:
    return seed.project()


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans)
def test_what_is_foretold_of_any_list_of_changes_is_what_applying_it_does(
    client: OdooClient, seed: Seeder, project: Ref, plan: list[tuple[Any, ...]]
) -> None:
    changes = Stage(seed, client, project).changes(plan)
    previews = client.preview(changes)
    outcomes = client.apply(changes)
    for preview, outcome in zip(previews, outcomes, strict=True):
        assert outcome.status in as_applied(preview), (preview, outcome)
    assert PredictedOutcome.UNKNOWN not in fates(previews)
    done = {PredictedOutcome.DONE, PredictedOutcome.REFUSED, PredictedOutcome.CONFLICT}
    applied = [one.change for one in previews if one.fate is PredictedOutcome.APPLY]
    moved = [one.ref for one in applied if isinstance(one, Update)]
    # There and back again: what a record was moved from twice may be moved from once more.
    once = [one for one in applied if not isinstance(one, Update) or moved.count(one.ref) == 1]
    assert set(fates(client.preview(once))) <= done


def test_of_two_closes_of_one_activity_the_second_finds_it_closed(
    client: OdooClient, seed: Seeder, project: Ref
) -> None:
    changes = Stage(seed, client, project).changes([("close", 0), ("close", 0)])
    assert fates(client.preview(changes)) == [PredictedOutcome.APPLY, PredictedOutcome.DONE]
    assert [one.status for one in client.apply(changes)] == [ChangeStatus.DONE, ChangeStatus.ALREADY]


def test_an_ensured_record_that_is_there_is_done_although_its_values_would_be_refused(
    client: OdooClient, seed: Seeder, project: Ref
) -> None:
    changes = Stage(seed, client, project).changes([("partner", 0), ("stray", 0, 0), ("stray", 0, 1)])
    assert fates(client.preview(changes)) == [PredictedOutcome.APPLY, PredictedOutcome.DONE, PredictedOutcome.DONE]
    assert [one.status for one in client.apply(changes)] == [
        ChangeStatus.DONE,
        ChangeStatus.ALREADY,
        ChangeStatus.ALREADY,
    ]


def test_an_update_is_held_back_where_a_change_that_it_needs_failed(client: OdooClient, seed: Seeder) -> None:
    first, second, last = (seed.task(allocated_hours=1) for _ in range(3))

    def moved(task: Ref, expected: int, *needs: Update) -> Update:
        after = tuple(change_key(one) for one in needs)
        return Update(ref=task, expect={"allocated_hours": expected}, values={"allocated_hours": 2}, after=after)

    works, fails = moved(first, 1), moved(second, 7)
    changes = [works, fails, moved(last, 1, works, fails)]
    foretold = [one.fate for one in client.preview(changes)]
    outcomes = client.apply(changes)
    assert foretold == [PredictedOutcome.APPLY, PredictedOutcome.CONFLICT, PredictedOutcome.CONFLICT]
    assert [one.status for one in outcomes] == [ChangeStatus.DONE, ChangeStatus.CONFLICT, ChangeStatus.CONFLICT]
    assert outcomes[-1].reason == f"{change_key(fails)} was not carried out"
    assert [one.status for one in client.apply([works, moved(last, 1, works)])] == [
        ChangeStatus.ALREADY,
        ChangeStatus.DONE,
    ]


def test_a_refused_note_is_not_done_by_a_later_one_of_its_key(client: OdooClient, seed: Seeder, project: Ref) -> None:
    changes = Stage(seed, client, project).changes([("note", 0, 2), ("note", 0, 0), ("note", 0, 2)])
    assert fates(client.preview(changes)) == [PredictedOutcome.REFUSED, PredictedOutcome.APPLY, PredictedOutcome.DONE]
    assert [one.status for one in client.apply(changes)] == [
        ChangeStatus.REFUSED,
        ChangeStatus.DONE,
        ChangeStatus.DONE,
    ]


def test_a_preview_of_nothing_asks_nothing(odoo_server: OdooServer) -> None:
    with connect(odoo_server.admin) as client:
        assert client.preview([]) == ()
        assert client.calls == 0
