"""The fleet really starts from every recipe that ships: `purser up`, Procfile, docker-compose.yml and Dockerfile.

There is no container engine here. So the commands of the recipes are run as they stand, apart from addresses, against
a private server and an Odoo that does not exist.
"""

import base64
import contextlib
import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import Settings
from console.cli.operations.processes import SOFT_SHUTDOWN
from devtools.local.redis_server import claim, find_server, free_port, serving
from devtools.local.up import GRACE, ROLES, default_home
from purser.errors import ConfigurationError
from tests.conftest import RedisServer
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PURSER = (sys.executable, "-c", "from console.cli.main import main; main()")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
FLEET: dict[str, Any] = {name: its for name, its in COMPOSE["services"].items() if its.get("image") == "odoo-purser"}
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())

HARMLESS = {
    "PURSER_BROKER_URL",
    "PURSER_LOG_FORMAT",
    "PURSER_GATEWAY_HOST",
    "PURSER_GATEWAY_PORT",
    "REMAP_SIGTERM",
}
"""What a recipe may set by itself: none of it is a secret."""

SOFT_SECONDS = 10
"""What workers/app.py gives running tasks when a worker is asked to stop."""


# ------------------------------------------------------------------------- what is written --


def test_procfile_compose_and_up_know_the_same_roles() -> None:
    assert list(PROCFILE) == list(FLEET) == list(ROLES)
    for name, role in ROLES.items():
        words = [word for word in shlex.split(PROCFILE[name]) if "=" not in word]
        assert tuple(words[: len(role)]) == role
        assert tuple(FLEET[name]["command"][: len(role)]) == role
    for name in ("front", "bulk"):
        assert FLEET[name]["command"] == [word for word in shlex.split(PROCFILE[name]) if "=" not in word]


def test_every_queue_has_a_worker() -> None:
    from config.queues import QUEUES

    consumed = [q for role in ROLES.values() if "-Q" in role for q in role[role.index("-Q") + 1].split(",")]
    assert sorted(consumed) == sorted(QUEUES)


def test_a_worker_that_is_asked_to_stop_has_time_for_its_tasks() -> None:
    assert GRACE > SOFT_SECONDS
    for name in ("front", "bulk"):
        assert FLEET[name]["environment"]["REMAP_SIGTERM"] == SOFT_SHUTDOWN["REMAP_SIGTERM"]
        assert PROCFILE[name].startswith("REMAP_SIGTERM=SIGQUIT ")
        assert int(FLEET[name]["stop_grace_period"].removesuffix("s")) > SOFT_SECONDS


def test_compose_publishes_to_this_machine_only_and_the_broker_to_nobody() -> None:
    published = {name: port for name, its in COMPOSE["services"].items() for port in its.get("ports", [])}
    ports = {"flower": 5555, "gateway": 8600, "odoo": 8069}
    assert published == {name: f"127.0.0.1:{port}:{port}" for name, port in ports.items()}
    assert COMPOSE["services"]["redis"]["networks"] == ["ledger"]
    assert COMPOSE["networks"]["ledger"]["internal"] is True


def test_compose_starts_its_services_again_and_asks_each_for_its_health() -> None:
    for name, its in COMPOSE["services"].items():
        assert its["restart"] == "unless-stopped", name
        assert its["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert set(its["networks"]) <= set(COMPOSE["networks"]), name
        for volume in its.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"], name


def test_the_gateway_and_the_try_out_odoo_start_only_when_asked_for() -> None:
    profiles = {name: its["profiles"] for name, its in COMPOSE["services"].items() if "profiles" in its}
    assert profiles == {"gateway": ["gateway"], "odoo": ["odoo"], "postgres": ["odoo"]}
    assert COMPOSE["services"]["odoo"]["image"] == "odoo:19"


def test_a_container_is_given_no_secret_that_it_does_not_use() -> None:
    odoo = {f"PURSER_ODOO_{role}API_KEY" for role in ("", "AUDIT_", "CHANGE_", "BILLING_")}
    uses: dict[str, set[str]] = {
        "front": odoo,
        "bulk": {*odoo, "PURSER_OUTBOUND_SECRETS"},
        "beat": set(),
        "flower": {"PURSER_FLOWER_PASSWORD", "PURSER_ODOO_AUDIT_API_KEY"},
        "gateway": {"PURSER_GATEWAY_SECRETS"},
    }
    everybody = {"PURSER_BROKER_URL", "PURSER_LEDGER_URL", "PURSER_SENTRY_DSN"}
    for name, its in FLEET.items():
        for file in Settings.file_names():
            secret = file.removesuffix("_FILE")
            emptied = {variable for variable in (secret, file) if its["environment"].get(variable) == ""}
            assert emptied == (set() if secret in uses[name] | everybody else {secret, file}), (name, secret)


def test_no_secret_stands_in_a_recipe() -> None:
    for name, its in FLEET.items():
        assert its["env_file"] == ".env", name
        assert {variable for variable, value in its["environment"].items() if value} <= HARMLESS, name
    recipes = ("Procfile", "docker-compose.yml", "Dockerfile", ".dockerignore")
    for recipe in recipes:
        assert not re.search(r"(?i)(password|secret|token|api_key)\s*[=:]\s*['\"]?\w", (ROOT / recipe).read_text()), (
            recipe
        )


# ------------------------------------------------------------------------ Procfile, compose --


@dataclass
class Process:
    """A started process that leads its group; what it writes is in a file."""

    popen: "subprocess.Popen[bytes]"
    log: Path

    @property
    def written(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, times: int = 1, within: float = 60.0) -> None:
        def has_come() -> bool:
            if self.popen.poll() is not None:
                raise AssertionError(f"ended with {self.popen.returncode} before {words!r}:\n{self.written}")
            return self.written.count(words) >= times

        try:
            wait_until(has_come, within=within, what=repr(words))
        except TimeoutError as error:
            raise AssertionError(f"{error}:\n{self.written}") from None

    def kill(self) -> None:
        """End the process and its group, without reaping it before."""
        if self.popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()


@dataclass
class Running:
    """The processes of one recipe."""

    cwd: Path
    env: dict[str, str]
    flower_port: int
    all: dict[str, Process] = field(default_factory=dict)

    def start(self, name: str, argv: list[str], env: Mapping[str, str] = {}) -> Process:
        log = self.cwd.parent / f"{name}.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                argv,
                cwd=self.cwd,
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.all[name] = Process(popen, log)
        return self.all[name]

    def everybody_is_there(self) -> None:
        host = socket.gethostname()
        for name in ("front", "bulk"):
            self.all[name].wait_for(f"{name}@{host} ready.")
        self.all["beat"].wait_for("beat: Starting")
        self.all["beat"].wait_for("Sending due task")
        self.all["flower"].wait_for("Flower: http://")
        assert flower_status(self.flower_port) == 401
        assert flower_status(self.flower_port, "purser:only for this test") == 200
        self.all["gateway"].wait_for("the gateway listens")
        assert gateway_status(self.gateway_port) == 200

    @property
    def gateway_port(self) -> int:
        return int(self.env["PURSER_GATEWAY_PORT"])


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Running]:
    """Yield what runs commands in an empty folder; whatever still runs is killed afterwards."""
    cwd = tmp_path / "empty"
    cwd.mkdir()
    running = Running(cwd=cwd, env={}, flower_port=free_port())
    try:
        yield running
    finally:
        for process in running.all.values():
            process.kill()


def environment(broker_url: str) -> dict[str, str]:
    """A whole environment: an Odoo that is not there, and no setting of the machine."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONUNBUFFERED": "1",
        "C_FORCE_ROOT": "1",
        "PURSER_BROKER_URL": broker_url,
        "PURSER_ODOO_URL": f"http://127.0.0.1:{free_port()}",
        "PURSER_ODOO_DB": "nowhere",
        "PURSER_ODOO_LOGIN": "nobody",
        "PURSER_ODOO_API_KEY": "opens nothing",
        "PURSER_FLOWER_PASSWORD": "only for this test",
        "PURSER_GATEWAY_SECRETS": f"/crm whsec_{base64.b64encode(b'only for this test' * 2).decode()}",
        "PURSER_GATEWAY_PORT": str(free_port()),
    }


def flower_status(port: int, login: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers=headers)
        return connection.getresponse().status


def gateway_status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/health/ready")
        return connection.getresponse().status


@pytest.mark.slow
def test_every_line_of_the_procfile_comes_up_and_leaves_no_file(recipe: Running, redis_url: str) -> None:
    recipe.env = environment(redis_url) | {"PORT": str(recipe.flower_port)}
    for name, line in PROCFILE.items():
        recipe.start(name, ["/bin/sh", "-c", line])
    recipe.everybody_is_there()
    assert list(recipe.cwd.iterdir()) == []


@pytest.mark.slow
def test_every_command_of_compose_comes_up_is_healthy_and_stops_softly(
    recipe: Running, redis_server: RedisServer, tmp_path: Path
) -> None:
    recipe.env = environment("")
    broker_port = start_redis_of_compose(recipe, redis_server)
    here = {"redis": f"127.0.0.1:{broker_port}", "5555": str(recipe.flower_port), "0.0.0.0": "127.0.0.1"}
    here["8600"] = str(recipe.gateway_port)
    for name, its in FLEET.items():
        env = {k: here.get(v, v).replace("//redis:6379", f"//{here['redis']}") for k, v in its["environment"].items()}
        recipe.start(name, [here.get(word, word) for word in its["command"]], env)
    recipe.everybody_is_there()
    for name, its in FLEET.items():
        assert health(its, recipe, here, name) == "", f"{name}: {recipe.all[name].written}"
    assert list(recipe.cwd.iterdir()) == []

    for name in FLEET:
        recipe.all[name].popen.terminate()
    for name, its in FLEET.items():
        recipe.all[name].popen.wait(timeout=int(its["stop_grace_period"].removesuffix("s")))
    assert recipe.all["gateway"].popen.returncode == 0
    for worker in ("front", "bulk"):
        assert recipe.all[worker].popen.returncode == 0
        assert "told to stop: nothing more is taken" in recipe.all[worker].written
    assert health(FLEET["flower"], recipe, here, "flower") != ""


def start_redis_of_compose(recipe: Running, redis_server: RedisServer) -> int:
    """Run the command of the redis service with the server of this test session."""
    written = COMPOSE["services"]["redis"]["command"]
    assert written[0] == "redis-server"
    port = free_port()
    binary = str(find_server("embedded" if redis_server.kind == "embedded" else "system")[1])
    data = recipe.cwd.parent / "data"
    data.mkdir()
    recipe.start("redis", [binary, *written[1:], "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)])
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:

        def answers() -> bool:
            with contextlib.suppress(redis.ConnectionError):
                return bool(client.ping())
            return False

        wait_until(answers, what="the redis of compose")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    return port


def health(service: Mapping[str, Any], recipe: Running, here: Mapping[str, str], name: str) -> str:
    """Run the check of a service as compose would, and give what is wrong."""
    kind, *words = service["healthcheck"]["test"]
    words = [word.replace("$$", "$").replace("5555", here["5555"]).replace("8600", here["8600"]) for word in words]
    argv = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
    environ = {k: v.replace("//redis:6379", f"//{here['redis']}") for k, v in service["environment"].items()}
    done = subprocess.run(
        argv, cwd=recipe.cwd, env={**recipe.env, **environ}, capture_output=True, text=True, timeout=30, check=False
    )
    return "" if done.returncode == 0 else f"{name} {done.returncode}: {done.stdout}{done.stderr}"


# ------------------------------------------------------------------------------- purser up --


def start_up(recipe: Running, home: Path) -> Process:
    """Run `purser up` with a server of its own."""
    recipe.env = {
        k: v for k, v in environment("").items() if k not in {"PURSER_BROKER_URL", "PURSER_FLOWER_PASSWORD"}
    }
    recipe.env["PURSER_LOG_FORMAT"] = "json"
    argv = [*PURSER, "up", "--data", str(home), "--flower-port", str(recipe.flower_port), "-c", "1"]
    process = recipe.start("up", argv)
    for name in ("front", "bulk"):
        process.wait_for(f"{name}@{socket.gethostname()} ready.")
    process.wait_for("beat: Starting")
    process.wait_for("flower | Flower: http://")
    process.wait_for("the gateway listens")
    return process


def running_in(home: Path) -> set[int]:
    """The processes whose folder is the fleet's, and its server."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink().is_relative_to(home):
                found.add(int(path.parent.name))
    return found


def pid_of(home: Path, words: str) -> int:
    """The process of the fleet that leads its group and has these words on its command line."""
    for pid in sorted(running_in(home)):
        with contextlib.suppress(OSError):
            if words in Path(f"/proc/{pid}/cmdline").read_text() and os.getpgid(pid) == pid:
                return pid
    raise LookupError(words)


def server_of(home: Path) -> redis.Redis:
    return redis.Redis.from_url((home / "broker.url").read_text().strip())


@pytest.mark.slow
def test_up_runs_the_fleet_starts_again_who_dies_and_ends_with_ctrl_c(recipe: Running, tmp_path: Path) -> None:
    home = tmp_path / "state"
    process = start_up(recipe, home)

    password = re.search(r"login purser, password (\S+)", process.written)
    assert password is not None
    assert flower_status(recipe.flower_port) == 401
    assert flower_status(recipe.flower_port, f"purser:{password[1]}") == 200

    os.kill(pid_of(home, "bulk@%h"), signal.SIGKILL)
    process.wait_for("bulk   | was ended by SIGKILL; starts again in 1 s")
    process.wait_for(f"bulk@{socket.gethostname()} ready.", times=2)

    with server_of(home) as client:
        client.set("kept", "yes")
    assert list((home / "run").iterdir()) == list(recipe.cwd.iterdir()) == []
    assert "opens nothing" not in process.written

    process.popen.send_signal(signal.SIGINT)
    assert process.popen.wait(timeout=2 * GRACE + 5) == 0
    assert "everything has ended" in process.written
    assert "does not stop" not in process.written
    assert running_in(home) == set()
    with serving(home) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def is_free(home: Path) -> bool:
    try:
        with claim(home):
            return True
    except ConfigurationError:
        return False


@pytest.mark.slow
def test_up_that_is_killed_leaves_nobody_behind_and_loses_nothing(recipe: Running, tmp_path: Path) -> None:
    home = tmp_path / "state"
    process = start_up(recipe, home)
    with server_of(home) as client:
        client.set("kept", "yes")
    assert len(running_in(home)) >= 5
    process.popen.kill()
    process.popen.wait()
    wait_until(lambda: running_in(home) == set(), within=2 * GRACE + 5, what="the fleet to end")
    wait_until(lambda: is_free(home), what="the directory to be given back by whoever ended the fleet")
    with serving(home) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def run_purser(env: Mapping[str, str], cwd: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PURSER, *args], env={**env}, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_up_refuses_a_directory_that_another_server_holds(tmp_path: Path) -> None:
    env = environment("")
    with claim(tmp_path / "home"):
        done = run_purser(env, tmp_path, "up", "--data", "home")
    assert done.returncode == 2
    assert "is in use by another server: end it, or name another directory (--data)" in done.stderr


def test_up_without_settings_lists_them_all(tmp_path: Path) -> None:
    done = run_purser({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, tmp_path, "up")
    assert done.returncode == 2
    for name in ("PURSER_ODOO_URL", "PURSER_ODOO_DB", "PURSER_ODOO_LOGIN", "PURSER_ODOO_API_KEY"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_up_refuses_a_port_for_flower_that_somebody_has(tmp_path: Path, redis_server: RedisServer) -> None:
    args = ("up", "--data", "home", "--flower-port", str(redis_server.port))
    done = run_purser(environment(redis_server.url), tmp_path, *args)
    assert done.returncode == 2
    assert "choose another --flower-port" in done.stderr


def test_state_is_kept_where_the_machine_keeps_it() -> None:
    assert default_home({"XDG_STATE_HOME": "/somewhere"}) == Path("/somewhere/purser")
    assert default_home({"XDG_STATE_HOME": "relative"}) == default_home({}) == Path.home() / ".local/state/purser"


# ------------------------------------------------------------------------------ Dockerfile --


@dataclass(frozen=True)
class Step:
    """One instruction of the Dockerfile."""

    stage: int
    word: str
    rest: str


def steps_of_dockerfile() -> list[Step]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    steps: list[Step] = []
    stage = -1
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        stage += word == "FROM"
        if word:
            steps.append(Step(stage, word, " ".join(rest.split())))
    return steps


def test_the_image_runs_as_nobody_in_particular_and_holds_the_environment_alone() -> None:
    last = [step for step in steps_of_dockerfile() if step.stage == 1]
    assert [step.rest for step in last if step.word == "USER"] == ["purser"]
    assert [step.rest for step in last if step.word == "COPY"] == ["--from=build /opt/purser /opt/purser"]
    assert [step.rest for step in last if step.word == "HEALTHCHECK"] == ["NONE"]
    assert last[-1] == Step(1, "CMD", '["purser", "--help"]')


def test_the_image_is_made_of_every_package_that_the_wheel_holds() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {name for name in found if not name.endswith(".*") and (ROOT / name).is_dir()}
    copied = {step.rest.split("/")[0] for step in steps_of_dockerfile() if step.word == "COPY"}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert packages <= copied
    assert packages | {"requirements", "pyproject.toml"} == let_in


def files_of(root: Path) -> set[str]:
    """What the packages consist of: code, policies.yaml, py.typed and whatever else lies in them."""
    copied = [step.rest.split("/")[0] for step in steps_of_dockerfile() if step.word == "COPY" and "/ " in step.rest]
    files = [file for name in copied if name != "requirements" for file in (root / name).rglob("*") if file.is_file()]
    return {str(file.relative_to(root)) for file in files if "__pycache__" not in file.parts}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_steps_of_the_dockerfile_give_a_purser_that_runs_elsewhere(tmp_path: Path) -> None:
    source, venv, base = tmp_path / "src", tmp_path / "opt", tmp_path / "base"
    subprocess.run([sys.executable, "-m", "venv", base], check=True)  # stands for the base image: a Python with pip
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PURSER_", "PYTHON", "VIRTUAL_"))
    }
    env["PATH"] = f"{base / 'bin'}:/usr/bin:/bin"

    def here(text: str) -> str:
        return text.replace("/opt/purser", str(venv)).replace("/src", str(source)).replace("--no-cache-dir ", "")

    for step in [step for step in steps_of_dockerfile() if step.stage == 0]:
        if step.word == "WORKDIR":
            Path(here(step.rest)).mkdir()
        elif step.word == "COPY":
            what, where = step.rest.split()
            copy = ["cp", "-r", str(ROOT / what), str(source / (where if where == "./" else ""))]
            subprocess.run(copy, check=True)
        elif step.word == "RUN":
            done = subprocess.run(
                ["/bin/sh", "-ec", here(step.rest)], cwd=source, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{step.rest}\n{done.stdout}{done.stderr}"

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    alone = {"PATH": f"{venv / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}
    run = partial(subprocess.run, cwd=elsewhere, env=alone, capture_output=True, text=True, check=False)
    assert "Usage: purser" in run(["purser", "--help"]).stdout
    listed = run(["purser", "policies", "check"])
    assert listed.returncode == 0, listed.stderr
    installed = Path(run(["python", "-c", "import purser; print(purser.__path__[0])"]).stdout.strip()).parent
    assert installed.is_relative_to(venv)
    assert files_of(source) - files_of(installed) == set()
    assert run(["python", "-m", "pip", "--version"]).returncode != 0
