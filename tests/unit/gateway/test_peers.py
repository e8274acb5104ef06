"""A request counts for the address it came from, and behind a trusted proxy for the one that the proxy names."""

import pytest
from fastapi import Request

from config.security.networks import read_networks
from config.security.trusted_proxies import PeerResolver, peer_of
from config.settings import Settings
from gateway.peers import peer_of_request
from purser.errors import ConfigurationError

PROXIES = read_networks("10.0.0.0/8, 192.0.2.7,2001:db8:5::/48")


def request(address: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "client": (address, 1), "headers": headers})


@pytest.mark.parametrize(
    ("address", "forwarded", "peer"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),  # nobody else may name another
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # what the sender wrote itself is before it
        ("10.1.2.3", ["1.1.1.1", "198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        ("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["10.9.9.9"], "10.9.9.9"),
        ("10.1.2.3", ["unknown"], "unknown"),
        ("2001:db8:5::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
    ],
)
def test_the_peer_is_the_last_address_before_the_trusted_proxies(
    address: str, forwarded: list[str], peer: str
) -> None:
    assert peer_of_request(PeerResolver(PROXIES), request(address, *forwarded)) == peer


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_ipv6_addresses_of_one_network_are_one_peer(address: str, peer: str) -> None:
    assert peer_of(address) == peer


def test_a_proxy_that_is_no_address_is_named_at_the_start() -> None:
    with pytest.raises(
        ConfigurationError, match=r"PURSER_GATEWAY_PROXIES.*`10.0.0.1/8` is not an address or network"
    ):
        Settings.load(environ={"PURSER_GATEWAY_PROXIES": "10.0.0.1/8"})
