"""Redis over TLS, with a user of few rights, and behind sentinels: the fleet works there, too."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from purser.errors import Transient
from store import Ledger
from tests.contract.broker.channels import Kept, Reader, connect, reserving, send
from tests.contract.broker.crew import crew_of
from tests.contract.broker.house import House
from tests.contract.broker.servers import Server, free_port, own_server
from tests.contract.guide import rights_in_the_guide
from tests.waiting import wait_until
from workers.broker.driver_url import driver_url

MASTER = "purser-master"

# ------------------------------------------------------------------------------------ TLS --


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a private authority and the certificate of a server."""
    home = tmp_path_factory.mktemp("papers")
    authority = ("-x509", "-days", "2", "-subj", "/CN=our authority", "-keyout", "ca.key", "-out", "ca.pem")
    asking = ("-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (home / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    for command in (
        ("req", "-newkey", "rsa:2048", "-nodes", *authority),
        ("req", "-newkey", "rsa:2048", "-nodes", *asking),
        ("x509", "-req", "-in", "server.csr", *signing, "-out", "server.pem"),
    ):
        subprocess.run(["openssl", *command], cwd=home, check=True, capture_output=True)
    return home


@pytest.fixture
def tls_port(tmp_path: Path, papers: Path) -> Iterator[int]:
    port = free_port()
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(papers / "ca.pem"))
    own = ("--tls-cert-file", str(papers / "server.pem"), "--tls-key-file", str(papers / "server.key"))
    with own_server(tmp_path / "tls", *options, *own):
        yield port


def test_a_broker_over_tls_with_a_private_authority(tls_port: int, papers: Path) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={papers / 'ca.pem'}&ssl_cert_reqs=required"
    with reserving(Kept()), connect(url) as connection:
        send(connection, "one")
        reader = Reader(connection)
        assert reader.read(1) == ["one"]
        reader.messages[0].ack()
        with Reader(connection, "other").channel.keeper._client.client() as client:
            assert House(client).held() == {}


def test_a_broker_with_a_certificate_of_somebody_else_is_refused(tls_port: int) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_cert_reqs=required"
    with (
        reserving(Kept()),
        pytest.raises(redis.ConnectionError, match="certificate verify failed"),
        connect(url) as connection,
    ):
        connection.channel()


@pytest.mark.parametrize("tail", ["", "?ssl_check_hostname=true"])
def test_a_certificate_is_verified_where_the_address_says_nothing_of_it(tls_port: int, tail: str) -> None:
    url = driver_url(f"rediss://localhost:{tls_port}/0{tail}")
    with (
        reserving(Kept()),
        pytest.raises(redis.ConnectionError, match="certificate verify failed"),
        connect(url) as connection,
    ):
        connection.channel()


def test_the_address_that_the_application_uses_keeps_the_private_authority(tls_port: int, papers: Path) -> None:
    url = driver_url(f"rediss://localhost:{tls_port}/0?ssl_ca_certs={papers / 'ca.pem'}")
    with reserving(Kept()), connect(url) as connection:
        send(connection, "one")


def test_a_ledger_over_tls_with_a_private_authority(tls_port: int, papers: Path) -> None:
    with contextlib.closing(
        Ledger.connect(f"rediss://localhost:{tls_port}/1?ssl_cert_reqs=required&ssl_ca_certs={papers / 'ca.pem'}")
    ) as book:
        assert book.health().is_reachable


@pytest.mark.slow
def test_a_worker_over_tls(tls_port: int, papers: Path, tmp_path: Path, redis_server: Any) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={papers / 'ca.pem'}&ssl_cert_reqs=required"
    with crew_of(tmp_path, broker=url, effects=redis_server.url_of(7)) as crew:
        crew.effects.flushdb()
        crew.send(range(20))
        crew.ready()
        wait_until(lambda: len(crew.counts()) == 20, within=30, what="every task to be done")
        crew.stop()


# -------------------------------------------------------------------------------- sentinels --


class Sentinels:
    """A master, its replica, and three sentinels that watch them."""

    def __init__(self, home: Path) -> None:
        self._stack = contextlib.ExitStack()
        self.servers = [self._server(home / f"redis{number}") for number in range(2)]
        first, second = self.servers
        with redis.Redis(port=second.port) as replica:
            replica.replicaof("127.0.0.1", str(first.port))
            wait_until(
                lambda: replica.info("replication")["master_link_status"] == "up", what="the replica to follow"
            )
        self.watchers = [self._watcher(home / f"sentinel{number}", first.port) for number in range(3)]
        self.url = ";".join(f"sentinel://127.0.0.1:{watcher.port}" for watcher in self.watchers) + "/0"
        with self.asked() as watcher:
            wait_until(lambda: self._all_known(watcher), within=30, what="the sentinels to know each other")

    def _server(self, home: Path) -> Server:
        options = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0")
        return self._stack.enter_context(own_server(home, *options))

    def _watcher(self, home: Path, master: int) -> Server:
        home.mkdir(parents=True)
        settings = home / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2\n"
            f"sentinel down-after-milliseconds {MASTER} 2000\n"
            f"sentinel failover-timeout {MASTER} 6000\n"
        )
        return self._stack.enter_context(own_server(home, str(settings), "--sentinel"))

    @staticmethod
    def _all_known(watcher: redis.Redis) -> bool:
        state: Any = watcher.sentinel_masters()
        return bool(state[MASTER]["num-other-sentinels"] == 2 and state[MASTER]["num-slaves"] == 1)

    def asked(self) -> redis.Redis:
        return redis.Redis(port=self.watchers[0].port, decode_responses=True)

    @property
    def master(self) -> int:
        """Return the port of the present master."""
        with self.asked() as watcher:
            answer: Any = watcher.sentinel_get_master_addr_by_name(MASTER)
            return int(answer[1])

    def replicated(self) -> None:
        """Wait until the replica has acknowledged what the master has."""
        with redis.Redis(port=self.master) as client:
            wait_until(lambda: client.execute_command("WAIT", 1, 2000) == 1, what="the replica")

    def fail_over(self) -> None:
        """Let the replica become the master, and wait until the old one follows it."""
        old = self.master
        wait_until(self._accepted, within=30, what="a replica that can be promoted")
        wait_until(lambda: self.master != old, within=30, what="another master")
        with redis.Redis(port=old) as server:  # until it is told, it takes whatever its clients still send
            wait_until(lambda: server.info("replication")["role"] == "slave", within=30, what="the old one to follow")

    def _accepted(self) -> bool:
        with self.asked() as watcher:
            try:
                watcher.execute_command("SENTINEL", "FAILOVER", MASTER)
            except redis.ResponseError:
                return False
        return True

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    made = Sentinels(tmp_path_factory.mktemp("sentinels"))
    yield made
    made.close()


def written(book: Ledger) -> bool:
    try:
        return bool(book.audit.append(who="ada", action="test", what="after"))
    except Transient:
        return False


@pytest.mark.slow
def test_workers_and_ledger_follow_the_master_and_lose_nothing(
    sentinels: Sentinels, tmp_path: Path, redis_server: Any
) -> None:
    effects = redis_server.url_of(8)
    with (
        contextlib.closing(Ledger.connect(f"{sentinels.url}?master={MASTER}")) as book,
        crew_of(tmp_path, broker=sentinels.url, effects=effects, SMALL_MASTER=MASTER) as crew,
    ):
        crew.effects.flushdb()
        book.audit.append(who="ada", action="test", what="before")
        crew.ready()
        crew.ready(pool="threads")
        crew.send(range(60), seconds=1.0)
        wait_until(lambda: len(crew.counts("begun")) >= 4, within=30, what="tasks to run")
        sentinels.replicated()
        sentinels.fail_over()
        wait_until(lambda: len(crew.counts()) == 60, within=60, what="every task to be done")
        assert all(worker.lives for worker in crew.workers)
        crew.send(range(60, 80))
        wait_until(lambda: len(crew.counts()) == 80, within=30, what="what was sent to the new master")
        wait_until(lambda: written(book), within=20, what="the ledger to find the new master")
        assert [entry.what for entry in book.audit.tail()] == ["before", "after"]

        with redis.Redis(port=sentinels.master) as client:
            house = House(client)
            wait_until(lambda: not house.held(), within=20, what="the acknowledgements")
            wait_until(lambda: len(house.leases()) == 2, within=20, what="the leases of lost connections to end")
            crew.stop()
            assert house.is_clean()
            assert house.waiting("a") == []


# ------------------------------------------------------------------------- a user's rights --


def test_a_worker_needs_no_more_rights_than_the_guide_gives(tmp_path: Path, redis_server: Any) -> None:
    with (
        own_server(tmp_path / "acl") as server,
        redis.Redis(port=server.port) as admin,
        crew_of(
            tmp_path,
            broker=f"redis://purser:secret@127.0.0.1:{server.port}/2",
            effects=redis_server.url_of(9),
        ) as crew,
    ):
        crew.effects.flushdb()
        rights, _ = rights_in_the_guide()
        of_database_2 = [right.replace("/0.", "/2.").replace("/0/", "/2/") for right in rights]
        admin.execute_command("ACL", "SETUSER", *of_database_2, "~a", "~b")
        crew.send(range(20))
        worker = crew.ready("-E")
        wait_until(lambda: len(crew.counts()) == 20, within=20, what="every task to be done")
        assert crew.asks("active_queues")
        worker.stop()

        assert refused(admin) == []
        with redis.Redis(port=server.port, username="purser", password="secret") as user:
            for command in (["CONFIG", "GET", "*"], ["FLUSHALL"], ["KEYS", "*"], ["GET", "somebody-elses"]):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    user.execute_command(*command)


def refused(admin: Any) -> list[str]:
    """Return what the user was not allowed, aside from how clients introduce themselves."""
    entries = [f"{entry['reason']} {entry['object']}" for entry in admin.acl_log()]
    return [entry for entry in entries if not entry.startswith("command client|")]
