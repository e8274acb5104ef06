"""The names in a policy are found by the types of its values, and those that Odoo does not know are told."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from config.policy.loader import parse_policies
from console.cli.main import app
from devtools.fake_odoo import FakeOdoo
from odoo_client import connect
from odoo_client.connection import OdooConnection
from purser.changes import Update
from purser.findings import Ref
from purser.parameters.record_names import names_in
from tasks.discovery import load_registry
from workers.controls.run import evaluate_control
from workers.controls.unknown_names import unknown_logins, unknown_names

POLICY = """
version: 1
automations:
  open-project: {tunables: {templates: {Audit: Blueprint}, roles: {Lead: nobody}}}
controls:
  missing-timesheets:
    tunables: {exempt_departments: [Board, Bored], exempt_tags: [Partner], exempt_employees: [7, mara]}
"""


def test_every_name_of_a_value_is_found() -> None:
    tunables = load_registry().automation("open-project").tunables
    found = [(str(mark), name) for mark, name in names_in(tunables["templates"].type, {"Audit": "Blueprint"})]
    assert found == [("crm.tag or crm.team", "Audit"), ("project.project or project.tags", "Blueprint")]
    assert list(names_in(tunables["mandatory"].type, ("email",))) == []


@pytest.mark.parametrize("known", [False, True])
def test_names_that_are_nowhere_are_told_with_their_place(known: bool) -> None:
    policies = parse_policies(load_registry(), POLICY, source="test")
    with FakeOdoo() as twin:
        if known:
            _make(twin)
        with connect(OdooConnection(url=twin.url, db=twin.db, login="admin", api_key=twin.admin_key)) as client:
            found = {(where.rpartition(".")[2], name) for where, _, name in unknown_names(client, policies)}
    always = {("exempt_departments", "Bored")}
    assert found == always if known else found > always


def test_a_run_says_which_names_of_its_policy_have_no_effect() -> None:
    policies = parse_policies(load_registry(), POLICY, source="test")
    as_of = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
    with FakeOdoo() as twin:
        _make(twin)
        with connect(OdooConnection(url=twin.url, db=twin.db, login="admin", api_key=twin.admin_key)) as client:
            told = evaluate_control(client, policies.control("missing-timesheets"), as_of=as_of)
            assert told.unknown_names == ("exempt_departments: Bored",)
            assert evaluate_control(client, policies.control("unbilled-work"), as_of=as_of).unknown_names == ()


def test_a_login_of_somebody_who_may_not_be_asked_is_told() -> None:
    text = "version: 1\nautomations: {draft-invoice: {tunables: {reviewer: gone}}}\nroles: {pmo: [gone, mara]}\n"
    policies = parse_policies(load_registry(), text, source="test")
    with FakeOdoo() as twin:
        for login in ("gone", "mara"):
            twin.add_user(login, f"key of {login}", ["base.group_user"])
        with connect(OdooConnection(url=twin.url, db=twin.db, login="admin", api_key=twin.admin_key)) as client:
            assert list(unknown_names(client, policies)) == []
            gone = client.users(["gone"])["gone"]
            client.apply([Update(ref=Ref("res.users", gone), expect={"active": True}, values={"active": False})])
            assert [name for _, _, name in unknown_names(client, policies)] == ["gone"]
            assert list(unknown_logins(client, policies)) == [("pmo", "gone")]


def test_the_check_of_a_policy_asks_odoo_about_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("firm.yaml").write_text(POLICY)
    command = ["policies", "check", "--file", "firm.yaml"]
    with FakeOdoo() as twin:
        _make(twin)
        own = {"URL": twin.url, "DB": twin.db, "LOGIN": "admin", "API_KEY": twin.admin_key}
        environ = {f"PURSER_ODOO_{name}": value for name, value in own.items()}
        for more in ([], ["--odoo"]):
            result = CliRunner().invoke(app(), [*command, *more], env=environ)
            assert result.exit_code == 4
            assert "no hr.department in Odoo is called `Bored`" in result.stdout
        assert CliRunner().invoke(app(), [*command, "--no-odoo"], env=environ).exit_code == 0
    unreachable = CliRunner().invoke(app(), command, env=environ | {"PURSER_ODOO_URL": "http://127.0.0.1:9"})
    assert unreachable.exit_code == 0
    assert "could not be asked" in unreachable.stderr
    assert CliRunner().invoke(app(), [*command, "--odoo"], env={}).exit_code == 2


def _make(twin: Any) -> None:
    twin.seed("hr.department", {"name": "Board"})
    twin.seed("hr.employee.category", {"name": "Partner"})
    twin.seed("crm.tag", {"name": "Audit"})
    twin.seed("project.project", {"name": "Blueprint", "is_template": True})
    twin.seed("project.role", {"name": "Lead"})
    for login in ("mara", "nobody"):
        twin.add_user(login, f"key of {login}", ["base.group_user"])
