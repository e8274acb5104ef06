"""The plan of the house holds: layers, names, the banned clock, locks without hosts."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import redis

from tests.conftest import RedisServer

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(
    path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in {"tests", "bench"}
)
PURE = ("purser", "events", "tasks", "schedules")
READS_THE_CLOCK = '''"""Reads the clock."""

import datetime as dt

NOW = dt.datetime.now(dt.UTC)
'''


def tool(name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program installed beside this Python, at the root of the repository."""
    program = Path(sys.executable).with_name(name)
    return subprocess.run([program, *arguments], input=stdin, cwd=ROOT, text=True, capture_output=True)


def clock_findings(filename: str) -> str:
    return tool(
        "ruff",
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--stdin-filename",
        filename,
        "-",
        stdin=READS_THE_CLOCK,
    ).stdout


def test_imports_point_down_and_the_pure_packages_do_no_input_or_output() -> None:
    run = tool("lint-imports", "--no-cache")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 kept, 0 broken" in run.stdout


def test_every_package_stands_under_the_import_contracts() -> None:
    linted = PROJECT["tool"]["importlinter"]["root_packages"]
    assert sorted(linted) == PACKAGES


def test_every_package_but_the_tools_of_developers_is_part_of_the_distribution() -> None:
    shipped = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    deployed = [name for name in PACKAGES if name != "devtools"]
    assert {pattern for name in deployed for pattern in (name, f"{name}.*")} == set(shipped)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_name_resolves_to_this_repository(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == ROOT / name / "__init__.py"


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_that_reads_the_clock_is_refused(package: str) -> None:
    findings = clock_findings(f"{package}/some/nested/rule.py")
    assert "TID251" in findings
    assert "as_of" in findings


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - set(PURE)))
def test_the_machine_room_and_the_doors_may_read_the_clock(package: str) -> None:
    assert "TID251" not in clock_findings(f"{package}/runner.py")


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt"])
def test_a_lock_names_versions_and_hashes_but_no_host(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)
    pins = re.findall(r"^[a-z0-9][^\s#]*", text, re.MULTILINE | re.IGNORECASE)
    assert pins
    assert [pin for pin in pins if "==" not in pin] == []


def test_what_runs_in_production_is_what_was_tested() -> None:
    runtime, dev = (
        {line.split()[0] for line in (ROOT / "requirements" / name).read_text().splitlines() if "==" in line}
        for name in ("runtime.txt", "dev.txt")
    )
    assert runtime < dev


def test_a_test_gets_a_server_that_keeps_what_it_is_given(redis_server: RedisServer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.dbsize() == 0
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.info("server")["process_id"] == redis_server.pid
