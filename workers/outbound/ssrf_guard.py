"""A host is looked up and its numbers are judged before anything is sent there: what a subscriber names must not lead
into our own network."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from purser.errors import Transient

Number = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Gives the numbers of a host."""

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254"),
    )
)
"""Where clouds tell a machine its own secrets."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the numbers of a host, in the order in which it would use them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def checked(host: str, port: int, *, allow_private: bool, resolve: Resolve = resolve) -> tuple[str, ...]:
    """Return the numbers to connect to: those that were judged here, and no name that could mean another one later.

    Transient when the host is unknown now, or when one of its numbers is refused: all must be good, for nobody knows
    which of them the next machine would take.
    """
    try:
        numbers = resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise Transient(
            f"the host cannot be found ({getattr(error, 'strerror', None) or type(error).__name__})"
        ) from None
    if not numbers:
        raise Transient("the host cannot be found (no address)")
    for number in numbers:
        if kind := refused(number, allow_private=allow_private):
            hint = "" if allow_private else ": say `allow_private: true` in the policy if it is meant"
            raise Transient(f"the host leads to {number}, which is {kind}{hint}")
    return tuple(numbers)


def refused(text: str, *, allow_private: bool) -> str:
    """Say in words why nothing is sent to a number; '' when it may be."""
    try:
        number = ipaddress.ip_address(text)
    except ValueError:
        return "no address"
    for one in _meant_by(number):
        if one in _METADATA:
            return "a metadata service of a cloud"
        if one.is_multicast:
            return "a multicast address"
        if not allow_private and (kind := _private(one)):
            return kind
    return ""


def _private(number: Number) -> str:
    if number.is_loopback or number.is_unspecified:
        return "this machine itself"
    if number.is_link_local:
        return "a link-local address"
    if not number.is_global or (isinstance(number, ipaddress.IPv6Address) and number.is_site_local):
        return "an address of a private network"
    return ""


def _meant_by(number: Number) -> list[Number]:
    """Return a number and those it stands for: several kinds of IPv6 addresses carry an IPv4 address inside."""
    if isinstance(number, ipaddress.IPv4Address):
        return [number]
    number = ipaddress.IPv6Address(int(number))  # without the zone that `fe80::1%eth0` names
    inner: list[Number | None] = [number.ipv4_mapped, number.sixtofour, *(number.teredo or ())]
    if number in _NAT64 or number in _LOCAL_NAT64 or int(number) >> 32 == 0:
        inner.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
    found: list[Number] = [one for one in inner if one is not None]
    return [number, *found] if number.ipv4_mapped is None else found
