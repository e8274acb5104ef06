"""A private server keeps what it is given between two runs, and nobody else can read it."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devtools.local.redis_server import claim, find_server, free_port, serving
from purser.errors import ConfigurationError


def test_what_was_kept_is_there_in_the_next_run_under_the_same_address(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server, redis.Redis.from_url(server.url) as client:
        first = server.url
        client.rpush("apply", b"\xff\x00 a message")
    with serving(tmp_path / "home") as server, redis.Redis.from_url(server.url) as client:
        assert client.lrange("apply", 0, -1) == [b"\xff\x00 a message"]
        assert server.url == first == server.url_file.read_text().strip()


@pytest.mark.parametrize("kind", ["system", "embedded"])
def test_either_server_appends_every_change_and_evicts_nothing(
    tmp_path: Path, kind: Literal["system", "embedded"]
) -> None:
    try:
        find_server(kind)
    except ConfigurationError as error:
        pytest.skip(str(error))
    with (
        serving(tmp_path / "home", kind) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        told = {
            name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "maxmemory-policy", "bind")
        }
    assert told == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
    }


def test_a_directory_keeps_the_kind_of_server_that_wrote_it(tmp_path: Path) -> None:
    with claim(tmp_path / "home", "embedded"):
        pass
    with claim(tmp_path / "home") as server:
        assert server.kind == "embedded"


def test_nobody_gets_in_without_the_password(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "home") as server,
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_the_password_is_in_files_of_the_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = os.umask(0)
    try:
        with claim(home) as server:
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
            assert modes.pop("home") == modes.pop("data") == 0o700
            assert set(modes.values()) == {0o600}
            assert server.password not in " ".join(server.argv) + repr(server)
    finally:
        os.umask(before)


def test_a_directory_belongs_to_one_server_even_when_its_starter_is_gone(tmp_path: Path) -> None:
    home = tmp_path / "my home"
    with claim(home) as server:
        orphan = subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[server.lock],
        )
    with pytest.raises(ConfigurationError, match="in use by another server"), claim(home):
        pass
    orphan.communicate()
    with claim(home) as server:
        assert server.home == home.resolve()


def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    with claim(tmp_path) as server:
        (server.home / "server.json").write_text('{"port": ')
    with pytest.raises(ConfigurationError, match="remove it, a new one is made"), claim(tmp_path):
        pass


def test_a_folder_with_odd_characters_in_its_name_will_do(tmp_path: Path) -> None:
    with serving(tmp_path / 'a "quoted" \\ näme') as server:
        assert server.answers()


def test_a_free_port_is_the_preferred_one_unless_somebody_has_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert free_port(server.port) != server.port
    assert free_port(server.port) == server.port
