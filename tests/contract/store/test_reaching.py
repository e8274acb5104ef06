"""A ledger that is away, closed or of the wrong kind says so, without its password."""

import datetime as dt
import socket
from typing import Any

import fakeredis
import pytest
import redis
from redis._parsers.base import BaseParser

from purser.errors import ConfigurationError, Misconfigured, Permanent, PurserError, Transient
from store import Ledger
from store.redis_store import RedisStore
from tests.contract.store.making import START, letter


@pytest.fixture
def nobody_listens() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_that_is_away_is_a_transient_failure_that_hides_the_password(nobody_listens: int) -> None:
    ledger = Ledger.connect(f"redis://ada:s3cret@127.0.0.1:{nobody_listens}/2")

    with pytest.raises(Transient, match=f"redis://127.0.0.1:{nobody_listens}/2") as caught:
        ledger.letters.store(letter())

    assert "s3cret" not in str(caught.value)
    assert ledger.health().is_reachable is False
    assert "s3cret" not in ledger.health().problem


def test_a_wrong_password_is_for_the_operator(redis_url: str) -> None:
    ledger = Ledger.connect(redis_url.replace("redis://", "redis://ada:s3cret@"))

    with pytest.raises(Misconfigured, match="PURSER_LEDGER_URL") as caught:
        ledger.letters.count()

    assert "s3cret" not in str(caught.value)


def test_a_url_of_another_kind_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="rediss://") as caught:
        Ledger.connect("amqp://ada:s3cret@localhost")

    assert "s3cret" not in str(caught.value)


def test_a_client_that_decodes_is_turned_away() -> None:
    with pytest.raises(ConfigurationError, match="decode_responses"):
        Ledger(fakeredis.FakeRedis(decode_responses=True))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("rediss://:pw@redis.example:6380/1", "rediss://redis.example:6380/1"),
        ("unix://:pw@/run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
        ("redis://redis.example", "redis://redis.example:6379/0"),
    ],
)
def test_the_address_shows_where_without_who(url: str, address: str) -> None:
    assert Ledger.connect(url).address == address


def test_a_real_server_tells_what_the_doctor_needs(redis_url: str) -> None:
    health = Ledger.connect(redis_url).health()

    assert health.is_reachable
    assert health.version
    assert (health.has_append_only_file, health.eviction, health.persistence_errors) == (True, "noeviction", ())
    assert health.used_memory is not None
    assert health.used_memory > 0


def test_without_a_clock_of_its_own_a_ledger_takes_the_time_of_the_server(client: redis.Redis) -> None:
    ledger = Ledger(client)

    ledger.audit.append(who="ada", action="pause", what="all")

    (entry,) = ledger.audit.tail()
    seconds, micros = client.time()
    server = dt.datetime.fromtimestamp(seconds + micros / 1e6, dt.UTC)
    assert server - dt.timedelta(minutes=1) < entry.at <= server


def test_two_prefixes_share_a_server_and_nothing_else(client: redis.Redis) -> None:
    one, two = (Ledger(client, prefix=name, now=lambda: START) for name in ("one", "two"))

    one.letters.store(letter())

    assert (one.letters.count(), two.letters.count()) == (1, 0)


# ------------------------------------------------------------------------- what a server says --

STATES = (
    "NOREPLICAS Not enough good replicas to write.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Errors writing to the AOF file",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "UNKILLABLE Sorry the script already executed write commands against the dataset.",
    "NOGOODSLAVE No suitable replica to promote",
    "INPROG Failover already in progress",
    "EXECABORT Transaction discarded because of previous errors.",
    "NOSCRIPT No matching script.",
    "ERR max number of clients reached",
    "ERR a sentence that nobody has seen yet",
    "ANYTHING a code of a server to come",
    "ERR Error running script (call to f_1): @user_script:13: @user_script: 13: -OOM command not allowed when used",
    "ERR Error running script (call to f_1): @user_script:13: @user_script: 13: -READONLY You can't write",
    "OOM command not allowed when used memory > 'maxmemory'. script: 5f1, on @user_script:13.",
)
OURS = (
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "WRONGTYPE Operation against a key holding the wrong kind of value script: 5f1, on @user_script:4.",
    "ERR Error running script (call to f_1): @user_script:13: @user_script: 13: -WRONGTYPE Operation against a key",
    "ERR user_script:12: attempt to compare nil with number script: 5f1, on @user_script:12.",
    "ERR unknown command 'ZMSCORE', with args beginning with: 'x'",
    "ERR wrong number of arguments for 'hset' command",
    "ERR value is not an integer or out of range",
    "ERR syntax error",
    "MOVED 3999 127.0.0.1:6381",
    "CROSSSLOT Keys in request don't hash to the same slot",
)
ACCESS = (
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM User purser has no permissions to run the 'zmscore' command",
    "ERR ACL failure in script: User purser has no permissions to access one of the keys",
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        *((one, Transient) for one in STATES),
        *((one, Permanent) for one in OURS),
        *((one, Misconfigured) for one in ACCESS),
    ],
)
def test_what_a_server_says_is_transient_unless_it_is_known_to_be_a_fault_of_ours(
    answer: str, expected: type[PurserError]
) -> None:
    store = RedisStore(fakeredis.FakeRedis(), prefix="purser")

    with pytest.raises(PurserError) as caught, store.reach("a key"):
        raise BaseParser.parse_error(answer)  # type: ignore[no-untyped-call]

    assert type(caught.value) is expected


class ForgetfulScripts(fakeredis.FakeRedis):
    """A server that forgets all scripts whenever one was loaded, as often as it is told to."""

    forgets = 0

    def script_load(self, script: str) -> str:  # type: ignore[override]
        sha = str(super().script_load(script))
        if self.forgets:
            self.forgets -= 1
            self.script_flush()
        return sha


@pytest.mark.parametrize("forgets", [0, 1, 3])
def test_a_server_that_forgets_its_scripts_is_given_them_again(forgets: int) -> None:
    client = ForgetfulScripts(server=fakeredis.FakeServer())
    ledger = Ledger(client, now=lambda: START)
    client.forgets = forgets

    assert ledger.letters.store(letter())

    client.script_flush()
    client.forgets = forgets
    assert ledger.letters.discard(["m1"], who="ada", note="a test") == ("m1",)


def test_a_server_without_enough_replicas_is_waited_for(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        admin: Any = client
        ledger = Ledger(client, now=lambda: START)
        admin.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(Transient, match="replicas"):
                ledger.letters.store(letter())
            assert ledger.letters.count() == 0
        finally:
            admin.config_set("min-replicas-to-write", 0)
