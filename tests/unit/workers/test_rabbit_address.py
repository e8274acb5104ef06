"""The address of a RabbitMQ says which nodes there are and how their certificates are verified."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from amqp.transport import SSLTransport
from kombu.connection import Connection

from config.server_urls import heartbeat_of
from config.settings import Settings
from workers.broker.driver_url import driver_url
from workers.broker.rabbitmq.topology import tls_of

OWN = "amqps://u:p@rabbit.example.com/%2F?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"


def test_every_node_of_an_address_names_the_driver() -> None:
    assert driver_url("amqp://u:p@one//;amqp://u:p@two//") == "pyamqp://u:p@one//;pyamqp://u:p@two//"
    assert driver_url(OWN) == "amqps://u:p@rabbit.example.com/%2F"
    assert driver_url("redis://:p@host/0") == "redis://:p@host/0"


@pytest.mark.parametrize(
    ("tail", "options"),
    [
        ("", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("?ssl_ca_certs=/ca.pem", {"ssl_ca_certs": "/ca.pem"}),  # the client's default is to verify
        (
            "?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem",
            {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": "/ca.pem"},
        ),
        ("?ssl_cert_reqs=none", {"ssl_cert_reqs": ssl.CERT_NONE}),
    ],
)
def test_the_certificate_of_a_redis_is_verified_as_its_address_says(tail: str, options: object) -> None:
    make: Any = Connection
    assert make(driver_url(f"rediss://:p@host:6380/0{tail}")).ssl == options


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("amqp://host//", False),
        ("amqps://host//", True),
        (OWN, {"ca_certs": "/ca.pem", "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "rabbit.example.com"}),
        (f"{OWN}&ssl_check_hostname=false", {"ca_certs": "/ca.pem", "cert_reqs": ssl.CERT_REQUIRED}),
        ("amqps://host//?ssl_cert_reqs=none", {"cert_reqs": ssl.CERT_NONE}),
        (f"{OWN};amqps://two//", {"ca_certs": "/ca.pem", "cert_reqs": ssl.CERT_REQUIRED}),
        (
            "amqps://host//?ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            {
                "certfile": "/c.pem",
                "keyfile": "/k.pem",
                "cert_reqs": ssl.CERT_REQUIRED,
                "server_hostname": "host",
            },
        ),
    ],
)
def test_the_options_of_tls_reach_the_driver_in_its_own_names(url: str, options: object) -> None:
    assert Settings.load({"broker"}, environ={"PURSER_BROKER_URL": url}).broker == url
    assert tls_of(url) == options


def test_the_driver_takes_the_options(tmp_path: Path) -> None:
    """An authority that cannot be read is the driver's complaint about the file, not about the option."""
    options = tls_of(OWN.replace("/ca.pem", str(tmp_path / "absent.pem")))
    transport = SSLTransport("localhost:1", ssl=options)
    with pytest.raises(FileNotFoundError):
        transport._wrap_socket(None, **transport.sslopts)


def test_an_address_says_how_often_a_sign_of_life_is_asked_for() -> None:
    assert heartbeat_of("amqp://u:p@host//?heartbeat=2", 15.0) == 2.0
    assert heartbeat_of("amqp://u:p@host//", 15.0) == 15.0
