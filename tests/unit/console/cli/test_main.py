"""An error is one clear sentence on stderr and an exit code, never a traceback."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from console.cli.main import PurserGroup, app
from purser.errors import (
    ConfigurationError,
    Conflict,
    Misconfigured,
    PurserError,
    Refusal,
    Throttled,
    Transient,
    UnknownOutcome,
)
from tests.unit.console.conftest import Purser


def test_purser_works_without_the_commands_of_devtools_as_in_a_container_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.cli.main.find_spec", lambda name: None if name == "devtools" else object())
    told = CliRunner().invoke(app(), ["--help"])
    assert told.exit_code == 0
    assert "doctor" in told.output
    assert CliRunner().invoke(app(), ["storm"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("m"), 2),
        (Transient("t"), 1),
        (UnknownOutcome("u"), 1),
        (Throttled("h", retry_after=3), 1),
        (Conflict("c"), 1),
        (Refusal("r"), 1),
        (Misconfigured("p"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_of_ours_is_a_sentence_and_a_code(error: PurserError, code: int) -> None:
    top = typer.Typer(cls=PurserGroup)

    @top.command()
    def fail() -> None:
        raise error

    @top.command()
    def other() -> None: ...

    result = CliRunner().invoke(top, ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"purser: {error}\n")


def test_an_unknown_command_is_a_wrong_use(purser: Purser) -> None:
    assert purser("contrlos").exit_code == 2


def test_the_version_is_told(purser: Purser) -> None:
    result = purser("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("purser ")


def test_a_missing_setting_is_told_with_all_the_others(purser: Purser) -> None:
    result = purser("controls", "run", "unbilled-work")
    assert result.exit_code == 2
    for name in ("PURSER_ODOO_URL", "PURSER_ODOO_DB", "PURSER_ODOO_LOGIN", "PURSER_ODOO_API_KEY"):
        assert f"{name} is missing" in result.stderr
    assert "PURSER_BROKER_URL" not in result.stderr


def test_a_ledger_that_is_away_is_named_without_its_password(purser: Purser) -> None:
    result = purser("cases", "list", PURSER_LEDGER_URL="redis://:hunter2@127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "redis://127.0.0.1:1/0" in result.stderr
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_settings_are_read_from_the_env_file_of_the_folder(purser: Purser, redis_url: str) -> None:
    Path(".env").write_text(f"PURSER_LEDGER_URL={redis_url}\n")
    result = purser("cases", "list", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_the_environment_wins_over_an_env_file(purser: Purser, redis_url: str) -> None:
    Path("other.env").write_text("PURSER_LEDGER_URL=redis://127.0.0.1:1/0\n")
    assert purser("--env-file", "other.env", "cases", "list").exit_code == 1
    assert purser("--env-file", "other.env", "cases", "list", PURSER_LEDGER_URL=redis_url).exit_code == 0


def test_an_env_file_that_is_not_there_is_a_wrong_use(purser: Purser) -> None:
    assert purser("--env-file", "nowhere.env", "cases", "list").exit_code == 2
