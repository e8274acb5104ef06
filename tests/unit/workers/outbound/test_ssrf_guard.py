"""What a subscriber names must not lead into our own network, in whichever spelling and behind whichever name."""

import socket

import pytest

from purser.errors import Transient
from workers.outbound.ssrf_guard import checked, refused, resolve

OUTSIDE = ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
OURS = {
    "127.0.0.1": "this machine",
    "127.8.9.10": "this machine",
    "0.0.0.0": "this machine",
    "::1": "this machine",
    "::": "this machine",
    "10.0.0.1": "private network",
    "172.16.0.1": "private network",
    "192.168.1.1": "private network",
    "100.64.0.1": "private network",
    "198.18.0.1": "private network",
    "192.0.2.1": "private network",
    "240.0.0.1": "private network",
    "fd12:3456::1": "private network",
    "fec0::1": "private network",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "::ffff:127.0.0.1": "this machine",
    "::ffff:10.0.0.1": "private network",
    "::10.0.0.1": "private network",
    "64:ff9b::7f00:1": "this machine",
    "2002:7f00:1::": "this machine",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "private network",
}
NEVER = {
    "169.254.169.254": "metadata",
    "168.63.129.16": "metadata",
    "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata",
    "::ffff:169.254.169.254": "metadata",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "nonsense": "no address",
}


@pytest.mark.parametrize("number", OUTSIDE)
def test_what_is_outside_may_be_sent_to(number: str) -> None:
    assert refused(number, allow_private=False) == ""


@pytest.mark.parametrize(("number", "kind"), OURS.items())
def test_what_is_ours_may_be_sent_to_only_if_that_is_meant(number: str, kind: str) -> None:
    assert kind in refused(number, allow_private=False)
    assert refused(number, allow_private=True) == ""


@pytest.mark.parametrize(("number", "kind"), NEVER.items())
def test_some_numbers_are_never_meant(number: str, kind: str) -> None:
    assert kind in refused(number, allow_private=False)
    assert kind in refused(number, allow_private=True)


def test_one_bad_number_among_good_ones_spoils_the_host() -> None:
    with pytest.raises(Transient, match=r"leads to 10\.0\.0\.1, which is an address of a private network"):
        checked("x.example", 443, allow_private=False, resolve=lambda host, port: ["8.8.8.8", "10.0.0.1"])
    assert checked("x.example", 443, allow_private=True, resolve=lambda host, port: ["8.8.8.8", "10.0.0.1"]) == (
        "8.8.8.8",
        "10.0.0.1",
    )


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost"])
def test_other_spellings_of_this_machine_are_seen_through(spelling: str) -> None:
    with pytest.raises(Transient, match="this machine"):
        checked(spelling, 80, allow_private=False, resolve=resolve)


def test_a_host_that_cannot_be_found_is_tried_again() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Transient, match="cannot be found"):
        checked("x.example", 443, allow_private=False, resolve=unknown)
    with pytest.raises(Transient, match="cannot be found"):
        checked("x" * 70 + ".example", 443, allow_private=False, resolve=resolve)
    with pytest.raises(Transient, match="no address"):
        checked("x.example", 443, allow_private=False, resolve=lambda host, port: [])
