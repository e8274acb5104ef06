"""`purser up` runs every role on this machine, told everything by its environment and nothing by its command line."""

import base64
import io
from pathlib import Path

import pytest

from config.settings import Settings
from devtools.local.redis_server import claim
from devtools.local.supervisor import ProcessSpec
from devtools.local.up import ROLES, Lines, commands, make_plan

ODOO = {
    "PURSER_ODOO_URL": "https://odoo.example.com",
    "PURSER_ODOO_DB": "example",
    "PURSER_ODOO_LOGIN": "bot",
    "PURSER_ODOO_API_KEY": "k3y",
}
FLEET = [name for name in ROLES if name != "gateway"]
BROKER = {"PURSER_BROKER_URL": "redis://:s3cret@redis.example.com/2"}


def planned(home: Path, environ: dict[str, str], *, concurrency: int = 2) -> dict[str, ProcessSpec]:
    plan = make_plan(Settings.load(environ=environ), home=home, server=None, flower_port=None)
    return {command.name: command for command in commands(plan, concurrency, environ)}


def test_a_broker_of_the_environment_is_used_and_no_server_is_started(tmp_path: Path) -> None:
    run = planned(tmp_path, {**ODOO, **BROKER})
    assert list(run) == FLEET
    assert {command.env["PURSER_BROKER_URL"] for command in run.values()} == {BROKER["PURSER_BROKER_URL"]}


def test_the_gateway_runs_where_somebody_may_send_or_where_it_is_asked_for(tmp_path: Path) -> None:
    secret = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
    run = planned(tmp_path, {**ODOO, **BROKER, "PURSER_GATEWAY_SECRETS": f"/crm {secret}"})
    assert list(run) == list(ROLES)
    assert run["gateway"].argv[-1] == "gateway"
    assert secret not in repr(run)

    told = Settings.load(environ={**ODOO, **BROKER})
    plan = make_plan(told, home=tmp_path, server=None, flower_port=None, gateway=True)
    *_, gateway = commands(plan, 2, {})
    assert gateway.argv[-2:] == ("gateway", "--hooks-only")


def test_without_a_broker_a_server_starts_first_and_stops_last(tmp_path: Path) -> None:
    with claim(tmp_path) as server:
        plan = make_plan(Settings.load(environ=ODOO), home=tmp_path, server=server, flower_port=None)
        run = {command.name: command for command in commands(plan, 2, ODOO)}
    assert list(run) == ["redis", *FLEET]
    assert run["redis"].stage < min(run[name].stage for name in FLEET)
    assert run["bulk"].env["PURSER_BROKER_URL"] == run["bulk"].env["PURSER_LEDGER_URL"] == server.url


def test_no_secret_is_on_a_command_line_and_the_server_is_told_none_of_them(tmp_path: Path) -> None:
    with claim(tmp_path) as server:
        plan = make_plan(Settings.load(environ=ODOO), home=tmp_path, server=server, flower_port=None)
        run = {command.name: command for command in commands(plan, 2, ODOO)}
    shown = repr(plan) + repr(run)
    for secret in ("k3y", server.password, plan.made_password):
        assert secret
        assert secret not in shown
    assert [name for name in run["redis"].env if name.startswith("PURSER_")] == []


def test_a_password_for_flower_is_made_only_where_none_is_set(tmp_path: Path) -> None:
    told = Settings.load(environ={**ODOO, **BROKER, "PURSER_FLOWER_PASSWORD": "chosen"})
    plan = make_plan(told, home=tmp_path, server=None, flower_port=None)
    assert plan.made_password == ""
    assert next(iter(commands(plan, 2, {}))).env["PURSER_FLOWER_PASSWORD"] == "chosen"
    two = [
        make_plan(Settings.load(environ={**ODOO, **BROKER}), home=tmp_path, server=None, flower_port=None)
        for _ in "ab"
    ]
    assert two[0].made_password != two[1].made_password


def test_workers_stop_softly_and_run_as_many_tasks_as_asked(tmp_path: Path) -> None:
    run = planned(tmp_path, {**ODOO, **BROKER}, concurrency=7)
    for name in ("front", "bulk"):
        assert run[name].env["REMAP_SIGTERM"] == "SIGQUIT"
        assert run[name].argv[-2:] == ("--concurrency", "7")
    assert "REMAP_SIGTERM" not in run["beat"].env


def test_processes_stand_in_a_folder_of_their_own_and_find_the_policies_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = planned(tmp_path / "home", {**ODOO, **BROKER, "PURSER_POLICIES": "mine.yaml"})
    assert {command.cwd for command in run.values()} == {tmp_path / "home" / "run"}
    assert list((tmp_path / "home" / "run").iterdir()) == []
    assert run["front"].env["PURSER_POLICIES"] == str(tmp_path / "mine.yaml")


def test_a_secret_that_came_from_a_file_is_handed_on_once(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k3y\n")
    environ = {**ODOO, **BROKER, "PURSER_ODOO_API_KEY": "", "PURSER_ODOO_API_KEY_FILE": str(key), "LANG": "C"}
    env = dict(planned(tmp_path / "home", environ)["front"].env)
    assert env["LANG"] == "C"
    assert Settings.load(need=("odoo", "broker", "ledger"), environ=env).odoo_api_key is not None


def test_a_line_of_a_process_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    Lines(out)("front", "red \x1b[31m\x07")
    assert out.getvalue() == "front  | red \\x1b[31m\\x07\n"


def test_a_letter_the_terminal_lacks_stops_nothing() -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii")
    Lines(terminal)("beat", "Müller")
    assert raw.getvalue() == b"beat   | M\\xfcller\n"
