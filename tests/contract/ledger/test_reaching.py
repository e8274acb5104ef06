"""A ledger that is away, closed or of the wrong kind says so, without its password."""

import datetime as dt
import socket

import fakeredis
import pytest
import redis

from ledger import Ledger
from purser.errors import Misconfigured, Mistake, Transient
from tests.contract.ledger.making import START, letter


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
    with pytest.raises(Mistake, match="rediss://") as caught:
        Ledger.connect("amqp://ada:s3cret@localhost")

    assert "s3cret" not in str(caught.value)


def test_a_client_that_decodes_is_turned_away() -> None:
    with pytest.raises(Mistake, match="decode_responses"):
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
