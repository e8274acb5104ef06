"""A snapshot is what the user may see, typed, in one call a read; what cannot be read is said, never guessed."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field

from odoo_client import OdooClient
from odoo_client.read import snapshot as reading
from odoo_client.transport.request import Request, Version
from purser import (
    OPTIONAL_FIELD,
    Aggregate,
    Ensure,
    GroupDate,
    GroupId,
    Many2One,
    Moment,
    QueryContext,
    Ref,
    Row,
    aggregate,
    group_by,
)
from purser.errors import NotApplicable, Permanent
from tests.contract.odoo.seeding import Seeder

AS_OF = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


class Task(Row, model="project.task", active_test=False):
    name: str
    project_id: Many2One | None = None
    milestone: int | None = Field(None, alias="milestone_id")
    allocated_hours: Decimal = Decimal(0)
    date_deadline: Moment | None = None
    active: bool

    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any]:
        return [["project_id", "=", scope.tunables["project"]]]


class OpenTask(Row, model="project.task"):
    name: str

    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any]:
        return [["project_id", "=", scope.tunables["project"]]]


class Project(Row, model="project.project"):
    name: str

    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any] | None:
        ids = sorted({task.project_id.id for task in scope.snapshot.rows(Task) if task.project_id})
        return [["id", "in", ids]] if ids else None


class Hours(Aggregate, model="account.analytic.line"):
    project_id: GroupId = group_by("project_id")
    task_id: GroupId | None = group_by("task_id", None)
    month: GroupDate = group_by("date:month")
    hours: Decimal = aggregate("unit_amount:sum")
    longest: Decimal = aggregate("unit_amount:max")
    lines: int = aggregate("__count")

    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any]:
        return [["project_id", "=", scope.tunables["project"]], ["date", ">=", dt.date(2026, 1, 1)]]


def test_rows_arrive_typed_and_only_the_named_field_carries_its_name(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    task = seed.task(project, allocated_hours=7.25, date_deadline="2026-03-01 16:30:00")
    snapshot = client.snapshot([Task], as_of=AS_OF, tunables={"project": project.id})
    (row,) = snapshot.rows(Task)
    assert row.ref == task
    assert row.project_id == Many2One(project.id, seed.read(project, "name")["name"])
    assert (row.milestone, row.allocated_hours, row.active) == (None, Decimal("7.25"), True)
    assert row.date_deadline == dt.datetime(2026, 3, 1, 16, 30, tzinfo=dt.UTC)


def test_a_read_may_build_on_the_rows_before_it_and_costs_one_call_each(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    seed.task(project)
    seed.task(project)
    before = client.calls
    snapshot = client.snapshot([Task, Project], as_of=AS_OF, tunables={"project": project.id})
    assert len(snapshot.rows(Task)) == 2
    assert [row.id for row in snapshot.rows(Project)] == [project.id]
    assert client.calls - before == 2


def test_a_read_without_a_domain_costs_no_call(client: OdooClient, seed: Seeder) -> None:
    empty = seed.project()
    before = client.calls
    snapshot = client.snapshot([Task, Project], as_of=AS_OF, tunables={"project": empty.id})
    assert snapshot.rows(Project) == ()
    assert snapshot.knows(Project)
    assert client.calls - before == 1


def test_archived_rows_are_read_only_where_the_read_asks_for_them(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    archived = seed.task(project, active=False)
    snapshot = client.snapshot([Task, OpenTask], as_of=AS_OF, tunables={"project": project.id})
    assert [(row.id, row.active) for row in snapshot.rows(Task)] == [(archived.id, False)]
    assert snapshot.rows(OpenTask) == ()


def test_pages_join_without_a_gap_or_a_repeat(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    tasks = [seed.task(project).id for _ in range(7)]
    domain = [["project_id", "=", project.id]]
    got = list(reading.pages(client, "project.task", domain, {"fields": ["name"], "load": ""}, {}, size=3))
    assert [[row["id"] for row in page] for page in got] == [tasks[:3], tasks[3:6], tasks[6:]]
    assert client.pages == 2


def test_a_row_that_appears_between_pages_moves_no_other(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    tasks = [seed.task(project) for _ in range(4)]
    domain = [["project_id", "=", project.id]]
    pages = reading.pages(client, "project.task", domain, {"fields": ["name"], "load": ""}, {}, size=2)
    seen = [row["id"] for row in next(pages)]
    seed.unlink(tasks[0])
    seen += [row["id"] for page in pages for row in page]
    assert seen == [task.id for task in tasks]


def test_sums_are_made_by_the_server_in_one_call(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    task = seed.task(project)
    employee = seed.create("hr.employee", name=seed.name("Employee"))
    for day, hours, on in (("2026-01-05", 2, task.id), ("2026-01-06", 3.5, task.id), ("2026-02-01", 1, False)):
        seed.create(
            "account.analytic.line",
            name="/",
            date=day,
            unit_amount=hours,
            employee_id=employee.id,
            project_id=project.id,
            task_id=on,
        )
    before = client.calls
    found = client.snapshot([Hours], as_of=AS_OF, tunables={"project": project.id}).rows(Hours)
    assert client.calls - before == 1
    assert {(row.task_id, row.month): (row.hours, row.longest, row.lines) for row in found} == {
        (task.id, dt.date(2026, 1, 1)): (Decimal("5.5"), Decimal("3.5"), 2),
        (None, dt.date(2026, 2, 1)): (Decimal(1), Decimal(1), 1),
    }


class AsIfOlder(OdooClient):
    """Speaks to a server as if it were an Odoo 14, in words that Odoo 19 still understands."""

    def version(self) -> Version:
        return (14, 0)


def test_rows_are_the_same_in_the_words_of_older_servers(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    seed.task(project, allocated_hours=1)
    scope = {"project": project.id}
    with AsIfOlder(client.door) as older:
        now, then = (one.snapshot([Task, OpenTask], as_of=AS_OF, tunables=scope) for one in (client, older))
    assert now.rows(Task) == then.rows(Task) != ()
    assert now.rows(OpenTask) == then.rows(OpenTask) != ()


def test_sums_are_the_same_in_the_words_of_older_servers(client: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    task = seed.task(project)
    employee = seed.create("hr.employee", name=seed.name("Employee"))
    for day, hours, on in (("2026-01-05", 2, task.id), ("2026-01-06", 3.5, task.id), ("2026-02-01", 1, False)):
        seed.create(
            "account.analytic.line",
            name="/",
            date=day,
            unit_amount=hours,
            employee_id=employee.id,
            project_id=project.id,
            task_id=on,
        )
    scope = {"project": project.id}
    with AsIfOlder(client.door) as older:
        assert client.snapshot([Hours], as_of=AS_OF, tunables=scope).rows(Hours) == older.snapshot(
            [Hours], as_of=AS_OF, tunables=scope
        ).rows(Hours)


# ------------------------------------------------------------------ what is not there --


class Anything(Row, model="project.task"):
    @classmethod
    def domain(cls, scope: QueryContext) -> list[Any]:
        return [["id", "<", 0]]


def test_a_field_only_some_databases_have_keeps_its_default(client: OdooClient, seed: Seeder) -> None:
    class Sheeted(OpenTask, model="project.task"):
        sheet: str = Field("none", alias="x_no_such_field")

    project = seed.project()
    seed.task(project)

    class Known(OpenTask, model="project.task"):
        approved: Annotated[bool | None, OPTIONAL_FIELD] = Field(None, alias="x_no_such_field")

    (row,) = client.snapshot([Known], as_of=AS_OF, tunables={"project": project.id}).rows(Known)
    assert row.approved is None
    with pytest.raises(NotApplicable, match="x_no_such_field"):
        client.snapshot([Sheeted], as_of=AS_OF, tunables={"project": project.id})


def test_a_missing_model_makes_a_declaration_not_applicable(client: OdooClient) -> None:
    class Ticket(Anything, model="x.no.such.model"):
        pass

    with pytest.raises(NotApplicable, match=r"x\.no\.such\.model"):
        client.snapshot([Ticket], as_of=AS_OF)


def test_an_optional_read_of_a_missing_model_is_marked_unknown(client: OdooClient) -> None:
    class Ticket(Anything, model="x.no.such.model", optional=True):
        pass

    snapshot = client.snapshot([Ticket], as_of=AS_OF)
    assert not snapshot.knows(Ticket)
    assert snapshot.rows(Ticket) == ()


def test_a_missing_right_makes_a_declaration_not_applicable_or_an_optional_read_unknown(limited: OdooClient) -> None:
    class Rule(Anything, model="ir.rule"):
        pass

    class MaybeRule(Anything, model="ir.rule", optional=True):
        pass

    with pytest.raises(NotApplicable, match=r"may not read ir\.rule"):
        limited.snapshot([Rule], as_of=AS_OF)
    assert not limited.snapshot([MaybeRule], as_of=AS_OF).knows(MaybeRule)


def test_a_misspelt_field_in_a_domain_is_an_engineers_matter(client: OdooClient) -> None:
    class Misspelt(OpenTask, model="project.task"):
        @classmethod
        def domain(cls, scope: QueryContext) -> list[Any]:
            return [["nmae", "=", "x"]]

    with pytest.raises(Permanent, match="nmae") as caught:
        client.snapshot([Misspelt], as_of=AS_OF)
    assert "Traceback" not in str(caught.value)


def test_a_plain_call_means_the_same_over_both_transports(client: OdooClient, seed: Seeder) -> None:
    name = seed.name("Partner")
    made = client.send(Request(model="res.partner", method="create", arguments={"vals_list": [{"name": name}]}))
    found = client.send(Request(model="res.partner", method="search", arguments={"domain": [["name", "=", name]]}))
    assert made == found
    assert client.send(
        Request(model="res.partner", method="write", ids=tuple(made), arguments={"vals": {"ref": "r"}})
    )
    assert seed.read(Ref("res.partner", made[0]), "ref")["ref"] == "r"


def test_an_unknown_method_is_an_engineers_matter(seed: Seeder, client: OdooClient) -> None:
    with pytest.raises(Permanent):
        client.send(Request(model="project.task", method="no_such_method", reads=True))


def test_a_row_that_does_not_fit_names_model_id_and_field_but_not_the_value(client: OdooClient, seed: Seeder) -> None:
    class Strict(OpenTask, model="project.task"):
        name: int  # type: ignore[assignment]

    project = seed.project()
    task = seed.task(project)
    with pytest.raises(Permanent, match=f"{task}.*name") as caught:
        client.snapshot([Strict], as_of=AS_OF, tunables={"project": project.id})
    assert seed.read(task, "name")["name"] not in str(caught.value)


# ---------------------------------------------------------------- gone and invisible --


def test_rows_of_a_project_made_private_vanish_without_an_error(limited: OdooClient, seed: Seeder) -> None:
    project = seed.project()
    seed.task(project)
    scope = {"project": project.id}
    assert len(limited.snapshot([OpenTask], as_of=AS_OF, tunables=scope).rows(OpenTask)) == 1
    seed.write(project, privacy_visibility="followers")
    assert limited.snapshot([OpenTask], as_of=AS_OF, tunables=scope).rows(OpenTask) == ()


def test_gone_is_told_from_invisible(limited: OdooClient, seed: Seeder) -> None:
    open_project, private = seed.project(), seed.project(private=True)
    seen = seed.task(open_project)
    archived = seed.task(open_project, active=False)
    hidden = seed.task(private)
    deleted = [seed.task(open_project), seed.task(private)]
    for one in deleted:
        seed.unlink(one)
    assert limited.gone([seen, archived, hidden, *deleted]) == frozenset(deleted)


def test_nothing_is_gone_when_all_is_seen_and_one_call_shows_it(client: OdooClient, seed: Seeder) -> None:
    task = seed.task()
    before = client.calls
    assert client.gone([task, task]) == frozenset()
    assert client.calls - before == 1


def test_users_are_found_by_login(client: OdooClient, limited: OdooClient) -> None:
    me = limited.whoami()
    assert client.users([me.login, "nobody@example.com"]) == {me.login: me.uid}


def test_external_ids_are_read_in_one_call_by_a_plain_user(
    client: OdooClient, limited: OdooClient, seed: Seeder
) -> None:
    project = seed.project()
    key = seed.key("task")
    (outcome,) = client.ensure(
        Ensure(model="project.task", key=key, values={"name": seed.name("Task"), "active": False})
    )
    assert outcome.ref is not None
    plain = seed.task(project)
    before = limited.calls
    assert limited.external_ids("project.task", [outcome.ref.id, plain.id]) == {outcome.ref.id: (key,)}
    assert limited.calls - before == 1


def test_counts_are_what_this_user_sees(client: OdooClient, limited: OdooClient, seed: Seeder) -> None:
    private = seed.project(private=True)
    seed.task(private)
    domain = [["project_id", "=", private.id]]
    assert client.search_count("project.task", domain) == 1
    assert limited.search_count("project.task", domain) == 0


# ------------------------------------------------------------------------- who may what --


def test_the_door_says_who_we_are(client: OdooClient, limited: OdooClient, api: str) -> None:
    admin, plain = client.whoami(), limited.whoami()
    assert (admin.api, plain.api) == (api, api)
    assert admin.version >= (19, 0)
    assert admin.uid != plain.uid
    assert plain.login == limited.door.login


def test_rights_and_groups_are_asked_not_assumed(client: OdooClient, limited: OdooClient) -> None:
    assert client.may("res.partner", "write")
    assert not limited.may("ir.rule", "read")
    assert not client.may("x.no.such.model", "read")
    assert client.has_group("base.group_system")
    assert not limited.has_group("base.group_system")
    assert limited.has_group("base.group_user")


def test_the_fields_of_a_model_are_asked_once(client: OdooClient) -> None:
    fields = client.fields("project.task")
    assert fields is not None
    assert (fields["project_id"].type, fields["project_id"].relation) == ("many2one", "project.project")
    before = client.calls
    assert client.fields("project.task") is fields
    assert client.calls == before
    assert client.fields("x.no.such.model") is None


def test_a_reference_to_a_model_that_is_not_there_is_gone(client: OdooClient) -> None:
    lost = Ref("x.no.such.model", 1)
    assert client.gone([lost]) == frozenset({lost})
