"""The command does what it says against real services: a queue, a ledger, Flower's pages, and a real Odoo."""

import base64
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from store import DeadLetter, DeadLetterState, Ledger
from tests.conftest import OdooEnv
from tests.e2e.bot import make_bot
from tests.odoo.seeding_people import Firm
from tests.waiting import wait_until

PURSER = (sys.executable, "-c", "from console.cli.main import main; main()")
WON = '{"opportunity_id": 4}'


def environ(settings: Mapping[str, str]) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
    return {**bare, **settings}


def purser(*args: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PURSER, *args], env=environ(settings), cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def queued(url: str, queue: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(url) as client:
        return [json.loads(raw) for raw in client.lrange(queue, 0, -1)]


def kwargs_of(message: Mapping[str, Any]) -> dict[str, Any]:
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    return dict(kwargs)


@pytest.fixture
def ledger(redis_url: str) -> Iterator[Ledger]:
    book = Ledger.connect(redis_url)
    yield book
    book.close()


# ------------------------------------------------------------------------------- the queues --


def test_an_emitted_event_is_on_its_queue_and_in_the_audit_trail(redis_url: str, tmp_path: Path) -> None:
    result = purser(
        *("events", "emit", "opportunity.won.v1", "--data", WON, "--id", "w-7", "--note", "told by phone"),
        cwd=tmp_path,
        PURSER_BROKER_URL=redis_url,
    )
    assert (result.returncode, result.stdout) == (0, "w-7\n"), result.stderr
    (message,) = queued(redis_url, "events")
    assert message["headers"]["task"] == "purser.accept"
    assert kwargs_of(message)["event"]["data"] == json.loads(WON)
    (entry,) = json.loads(purser("audit", "tail", "--json", cwd=tmp_path, PURSER_LEDGER_URL=redis_url).stdout)
    assert (entry["action"], entry["note"]) == ("events.emit", "told by phone")
    assert "w-7" in entry["what"]


def test_a_dry_emit_reaches_no_queue(redis_url: str, tmp_path: Path) -> None:
    result = purser(
        "events", "emit", "opportunity.won.v1", "--data", WON, "--dry-run", cwd=tmp_path, PURSER_BROKER_URL=redis_url
    )
    assert result.returncode == 0
    assert queued(redis_url, "events") == []


def test_a_broker_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    url = "redis://:hunter2@127.0.0.1:1/0"
    result = purser("events", "emit", "opportunity.won.v1", "--data", WON, cwd=tmp_path, PURSER_BROKER_URL=url)
    assert result.returncode == 1
    assert result.stderr.startswith("purser: the broker at redis://:***@127.0.0.1:1/0 did not take `purser.accept`: ")
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


def letter(name: str) -> DeadLetter:
    now = dt.datetime.now(dt.UTC)
    return DeadLetter(
        id=name,
        queue="apply",
        task="purser.apply",
        body=json.dumps([[], {"control": "unbilled-work"}, {}]).encode(),
        headers={"lang": "py", "task": "purser.apply", "id": name, "root_id": name, "retries": 3},
        properties={"delivery_info": {"routing_key": "apply"}, "delivery_tag": "t"},
        reason="attempts spent",
        error="Transient",
        fingerprint="f0",
        first_at=now,
        stored_at=now,
    )


def test_a_replayed_letter_is_back_on_its_queue_under_its_own_id(
    redis_url: str, ledger: Ledger, tmp_path: Path
) -> None:
    for name in ("a-1", "a-2"):
        ledger.letters.store(letter(name))
    command = ("dead", "replay", "a-1", "a-2", "--note", "fixed in 1.2")
    dry = purser(*command, "--dry-run", cwd=tmp_path, PURSER_BROKER_URL=redis_url)
    assert (dry.returncode, queued(redis_url, "apply"), ledger.letters.count()) == (0, [], 2), dry.stderr
    result = purser(*command, "--json", cwd=tmp_path, PURSER_BROKER_URL=redis_url)
    assert result.returncode == 0, result.stderr
    assert {one["id"]: one["status"] for one in json.loads(result.stdout)} == {"a-1": "replayed", "a-2": "replayed"}
    messages = queued(redis_url, "apply")
    assert {message["headers"]["id"] for message in messages} == {"a-1", "a-2"}
    assert kwargs_of(messages[0]) == {"control": "unbilled-work"}
    assert ledger.letters.count() == 0
    again = ledger.letters.get("a-1")
    assert again is not None
    assert again.state is DeadLetterState.REPLAYED
    assert purser(*command, cwd=tmp_path, PURSER_BROKER_URL=redis_url).returncode == 3


def test_a_letter_that_is_not_there_is_not_replayed(redis_url: str, ledger: Ledger, tmp_path: Path) -> None:
    ledger.letters.store(letter("a-1"))
    some = purser("dead", "replay", "a-1", "nobody", "--note", "why", cwd=tmp_path, PURSER_BROKER_URL=redis_url)
    assert some.returncode == 1
    assert "1 of 2 were left as they are" in some.stderr
    none = purser("dead", "replay", "nobody", "--note", "why", cwd=tmp_path, PURSER_BROKER_URL=redis_url)
    assert none.returncode == 3


# ------------------------------------------------------------------------------- processes --


@contextmanager
def started(*args: str, cwd: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a command until the end of the block; give it and the file with its stderr."""
    log = cwd / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*PURSER, *args], env=environ(settings), cwd=cwd, stderr=stderr, stdout=subprocess.DEVNULL, text=True
        )
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def said(process: subprocess.Popen[str], log: Path, words: str) -> str:
    """Wait until the process has said something; give all it said."""

    def heard() -> str:
        text = log.read_text()
        assert process.poll() is None, f"it ended with {process.returncode}: {text}"
        return text if words in text else ""

    return wait_until(heard, within=40, what=f"{words!r}")


def status(url: str, login: str | None = None, *, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(url, method=method, headers=headers, data=b"" if method == "POST" else None)  # noqa: S310
    if login is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def post(url: str, login: str, **headers: str) -> int:
    return status(url, login, method="POST", **headers)


PAGES = ("/", "/tasks", "/broker", "/metrics", "/api/workers", "/healthcheck", "/static/css/flower.css")


def address_of(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("Flower: http")]
    return line.split()[1]


def test_flower_shows_nothing_without_the_login(redis_url: str, tmp_path: Path) -> None:
    settings = {"PURSER_BROKER_URL": redis_url, "PURSER_FLOWER_USER": "ops", "PURSER_FLOWER_PASSWORD": "pa:ss wörd"}
    with started("flower", "--port", "0", cwd=tmp_path, **settings) as (process, log):
        url = address_of(said(process, log, "Flower: http"))
        assert url.startswith("http://127.0.0.1:")
        for page in (*PAGES, "/login", "/nowhere"):
            assert status(url + page) == 401, page
        for wrong in ("ops:pa:ss", "purser:pa:ss wörd", ":", ""):  # more guesses would have to wait
            assert status(f"{url}/metrics", wrong) == 401
        for page in PAGES:
            assert status(url + page, "ops:pa:ss wörd") == 200, page
        assert status(url + "/nowhere", "ops:pa:ss wörd") == 404
        assert "pa:ss" not in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_flower_takes_no_orders_from_another_site(redis_url: str, tmp_path: Path) -> None:
    settings = {"PURSER_BROKER_URL": redis_url, "PURSER_FLOWER_PASSWORD": "pw"}
    with started("flower", "--port", "0", "--operations", cwd=tmp_path, **settings) as (process, log):
        url = address_of(said(process, log, "Flower: http"))
        assert post(f"{url}/api/task/revoke/x", "purser:pw", Origin="http://elsewhere.example") == 403
        assert post(f"{url}/api/task/revoke/x", "purser:wrong") == 401
        assert post(f"{url}/api/task/revoke/x", "purser:pw") == 200


def test_flower_makes_a_password_and_shows_it_once(redis_url: str, tmp_path: Path) -> None:
    with started("flower", "--port", "0", cwd=tmp_path, PURSER_BROKER_URL=redis_url) as (process, log):
        text = said(process, log, "Flower: http")
        password = text.partition("password ")[2].split()[0]
        assert status(address_of(text) + "/metrics", f"purser:{password}") == 200
        assert log.read_text().count(password) == 1


def test_flower_listens_elsewhere_only_with_a_password_that_was_set(redis_url: str, tmp_path: Path) -> None:
    result = purser("flower", "--address", "0.0.0.0", "--port", "0", cwd=tmp_path, PURSER_BROKER_URL=redis_url)
    assert result.returncode == 2
    assert "PURSER_FLOWER_PASSWORD is missing" in result.stderr


def test_flower_cannot_throw_messages_away_unless_it_is_told_to(redis_url: str, tmp_path: Path) -> None:
    settings = {"PURSER_BROKER_URL": redis_url, "PURSER_FLOWER_PASSWORD": "pw"}
    with started("flower", "--port", "0", cwd=tmp_path, **settings) as (process, log):
        url = address_of(said(process, log, "Flower: http"))
        assert post(f"{url}/api/task/revoke/x", "purser:pw") == 403


NO_ODOO = {
    "PURSER_ODOO_URL": "http://127.0.0.1:1",
    "PURSER_ODOO_DB": "none",
    "PURSER_ODOO_LOGIN": "bot",
    "PURSER_ODOO_API_KEY": "hunter2",
}


@pytest.mark.parametrize(("role", "words"), [("worker", " ready"), ("beat", "beat: Starting")])
def test_a_role_of_the_fleet_is_one_line(redis_url: str, tmp_path: Path, role: str, words: str) -> None:
    secret = tmp_path / "broker-url"
    secret.write_text(redis_url)
    options = ("-c", "1", "-P", "solo") if role == "worker" else ()
    settings = {**NO_ODOO, "PURSER_BROKER_URL_FILE": str(secret)}
    with started(role, *options, cwd=tmp_path, **settings) as (process, log):
        assert "hunter2" not in said(process, log, words)
    assert not list(tmp_path.glob("celerybeat*"))


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_role_without_its_settings_does_not_start(tmp_path: Path, role: str) -> None:
    result = purser(role, cwd=tmp_path)
    assert result.returncode == 2
    assert "PURSER_BROKER_URL is missing" in result.stderr
    assert "PURSER_ODOO_URL is missing" in result.stderr


# ------------------------------------------------------------------------------- a real Odoo --


@pytest.fixture
def odoo(odoo_env: OdooEnv) -> dict[str, str]:
    return {
        "PURSER_ODOO_URL": odoo_env.url,
        "PURSER_ODOO_DB": odoo_env.db,
        "PURSER_ODOO_LOGIN": odoo_env.login,
        "PURSER_ODOO_API_KEY": odoo_env.api_key,
    }


FORM = {"control", "as_of", "applicable", "examined", "rpc_calls", "seconds", "findings"}
FINDING = {"key", "subject", "period", "summary", "owner", "since", "severity", "hours_at_risk", "money_at_risk"}


@pytest.mark.parametrize("control", ["missing-timesheets", "unbilled-work", "stale-drafts"])
def test_a_run_needs_odoo_alone_and_has_the_promised_form(odoo: dict[str, str], tmp_path: Path, control: str) -> None:
    result = purser("controls", "run", control, "--json", cwd=tmp_path, **odoo)
    told = json.loads(result.stdout)
    assert result.returncode == (4 if told["findings"] else 0), result.stderr
    assert told.keys() == FORM
    assert told["applicable"] is True
    assert told["rpc_calls"] > 0
    for finding in told["findings"]:
        assert finding.keys() == FINDING
        assert finding["key"].startswith(f"case/{control}/{finding['subject']['model']}/")
        assert isinstance(finding["hours_at_risk"], str)


def test_a_run_as_of_a_day_moves_the_clock(odoo: dict[str, str], tmp_path: Path) -> None:
    result = purser("controls", "run", "stale-drafts", "--json", "--as-of", "2031-05-06", cwd=tmp_path, **odoo)
    assert json.loads(result.stdout)["as_of"] == "2031-05-06T12:00:00+00:00"


def test_a_wrong_key_is_one_sentence(odoo: dict[str, str], tmp_path: Path) -> None:
    wrong = {**odoo, "PURSER_ODOO_API_KEY": "hunter2"}
    result = purser("controls", "run", "unbilled-work", cwd=tmp_path, **wrong)
    assert result.returncode == 1
    assert result.stderr.startswith("purser: ")
    assert "API key" in result.stderr
    assert "hunter2" not in result.stderr


def test_an_applied_run_is_recorded_and_audited(odoo: dict[str, str], redis_url: str, tmp_path: Path) -> None:
    settings = {**odoo, "PURSER_BROKER_URL": redis_url}
    apply = ("controls", "apply", "stale-drafts", "--note", "after the import", "--json")
    would = purser(*apply, "--dry-run", cwd=tmp_path, **settings)
    assert would.returncode == 0, would.stderr
    assert json.loads(purser("controls", "runs", "--json", cwd=tmp_path, PURSER_LEDGER_URL=redis_url).stdout) == []
    assert json.loads(purser("audit", "tail", "--json", cwd=tmp_path, PURSER_LEDGER_URL=redis_url).stdout) == []
    result = purser(*apply, cwd=tmp_path, **settings)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert {**told["run"], "id": ""} == json.loads(would.stdout)["run"]
    assert told["run"]["outcome"] == "completed"
    assert told["run"]["opened"] == len(told["findings"])
    (run,) = json.loads(purser("controls", "runs", "--json", cwd=tmp_path, PURSER_LEDGER_URL=redis_url).stdout)
    assert (run["id"], run["trigger"].startswith("by hand")) == (told["run"]["id"], True)
    (entry,) = json.loads(purser("audit", "tail", "--json", cwd=tmp_path, PURSER_LEDGER_URL=redis_url).stdout)
    assert (entry["action"], entry["what"], entry["note"]) == ("controls.run", "stale-drafts", "after the import")


def test_an_event_about_nothing_changes_nothing(odoo: dict[str, str], tmp_path: Path) -> None:
    event = {"id": "1", "source": "/crm", "type": "opportunity.won.v1", "data": {"opportunity_id": 999_999_999}}
    (tmp_path / "won.json").write_text(json.dumps(event))
    command = ("automations", "run", "open-project", "--event", "won.json", "--dry-run", "--json")
    result = purser(*command, cwd=tmp_path, **odoo)
    assert (result.returncode, json.loads(result.stdout)) == (0, []), result.stderr


def test_the_doctor_finds_that_an_administrator_is_no_bot(odoo: dict[str, str], tmp_path: Path) -> None:
    result = purser("doctor", "--json", cwd=tmp_path, **odoo)
    checks = json.loads(result.stdout)
    assert result.returncode == 4
    too_many = [one for one in checks if one["name"].startswith("too many rights")]
    assert any("base.group_system" in one["found"] and one["level"] == "fail" for one in too_many)
    assert any(one["name"].startswith("Odoo as") and "Odoo 19.0 by json2" in one["found"] for one in checks)
    assert not any(one["name"].startswith("read ") and one["level"] != "ok" for one in checks)
    assert odoo["PURSER_ODOO_API_KEY"] not in result.stdout + result.stderr


def test_the_doctor_names_each_right_that_a_plain_user_lacks(
    odoo_env: OdooEnv, odoo: dict[str, str], tmp_path: Path
) -> None:
    if not (odoo_env.limited_login and odoo_env.limited_api_key):
        pytest.skip("this needs a plain internal user: PURSER_TEST_ODOO_LIMITED_LOGIN and _LIMITED_API_KEY")
    plain = {
        **odoo,
        "PURSER_ODOO_AUDIT_LOGIN": odoo_env.limited_login,
        "PURSER_ODOO_AUDIT_API_KEY": odoo_env.limited_api_key,
    }
    checks = json.loads(purser("doctor", "--json", cwd=tmp_path, **plain).stdout)
    lacking = {one["name"]: one for one in checks if one["name"] == "read sale.order.line"}
    assert lacking["read sale.order.line"]["level"] == "fail"
    assert odoo_env.limited_login in lacking["read sale.order.line"]["found"]
    assert lacking["read sale.order.line"]["what_to_do"]
    (fewer,) = [one for one in checks if one["name"] == "bots"]
    assert "audit" not in fewer["found"]


def test_the_doctor_finds_nothing_to_forbid_in_the_bot_of_the_documentation(
    odoo_env: OdooEnv, odoo: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    with Firm(odoo_env) as firm:
        login, key = make_bot(firm)
    bot = {**odoo, "PURSER_ODOO_LOGIN": login, "PURSER_ODOO_API_KEY": key, "PURSER_BROKER_URL": redis_url}
    result = purser("doctor", "--json", cwd=tmp_path, **bot)
    checks = json.loads(result.stdout)
    assert [one for one in checks if one["level"] == "fail"] == []
    assert result.returncode == 0, result.stderr
    assert purser("doctor", "--strict", cwd=tmp_path, **bot).returncode == 4  # one bot for everything is a warning


def test_the_doctor_names_the_group_that_hides_rows(odoo_env: OdooEnv, odoo: dict[str, str], tmp_path: Path) -> None:
    with Firm(odoo_env) as firm:
        firm.company()
        login, key = firm.bot("account.group_account_readonly", "project.group_project_manager")
    bot = {**odoo, "PURSER_ODOO_LOGIN": login, "PURSER_ODOO_API_KEY": key}
    checks = json.loads(purser("doctor", "--json", cwd=tmp_path, **bot).stdout)
    hints = [one["found"] for one in checks if one["name"] == "visibility" and one["level"] == "fail"]
    assert any("hides most order lines" in hint for hint in hints)
    lacking = {one["name"]: one["level"] for one in checks}
    assert lacking["write sale.order"] == "fail"
