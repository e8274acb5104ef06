"""Wrong passwords count for the visitor: behind a proxy for the address that a trusted one names."""

from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from config.security.networks import read_networks
from config.security.trusted_proxies import PeerResolver
from console.flower.flower_app import visitor_of
from console.flower.login_attempts import BURST, FREE_ATTEMPTS, LoginAttempts

PROXIES = PeerResolver(read_networks("10.0.0.0/8"))


def request(address: str, *forwarded: str) -> Any:
    headers = HTTPHeaders()
    for one in forwarded:
        headers.add("X-Forwarded-For", one)
    return SimpleNamespace(remote_ip=address, headers=headers)


@pytest.mark.parametrize(
    ("address", "forwarded", "sender", "machine"),
    [
        ("203.0.113.5", [], "203.0.113.5", "203.0.113.5"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5", "203.0.113.5"),  # no proxy: nobody else is named
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1", "198.51.100.1, 10.4.4.4"], "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", [], "10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", ["x" * 5000], "x" * 100, "x" * 100),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1", "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1", "127.0.0.1"),
        ("::1", ["198.51.100.1"], "198.51.100.1", "::/64"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
    ],
)
def test_a_request_counts_for_who_sent_it(address: str, forwarded: list[str], sender: str, machine: str) -> None:
    assert visitor_of(request(address, *forwarded), PROXIES) == (sender, machine)


def test_a_visitor_who_guesses_behind_a_proxy_keeps_no_other_visitor_out() -> None:
    attempts = LoginAttempts(lambda: 1000.0)
    guesser = visitor_of(request("10.1.2.3", "198.51.100.1"), PROXIES)
    for _ in range(int(BURST) + FREE_ATTEMPTS):
        attempts.begin("anna", *guesser)
    assert attempts.wait("anna", *guesser) > 0
    assert attempts.wait("anna", *visitor_of(request("10.1.2.3", "198.51.100.2"), PROXIES)) == 0
