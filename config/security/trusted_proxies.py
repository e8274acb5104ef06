"""Which peer a socket or request counts for: its address, or the one that a trusted proxy names."""

import ipaddress
from collections.abc import Collection, Iterable

from config.security.networks import Network

_IPV6_PREFIX = 64
"""Bits that the IPv6 addresses of one subscriber have in common: all of these count as one peer."""


def peer_of(address: str) -> str:
    """Return the peer that an address counts for: itself, or its network where it is IPv6."""
    read = _read(address)
    if isinstance(read, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((read, _IPV6_PREFIX), strict=False))
    return address if read is None else str(read)


def _read(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(read, "ipv4_mapped", None) or read


class PeerResolver:
    """Tells which peer a request is from. `X-Forwarded-For` counts only where a trusted proxy has written it."""

    def __init__(self, proxies: Collection[Network] = ()) -> None:
        self._proxies = tuple(proxies)

    def is_proxy(self, address: str) -> bool:
        """Return whether an address is that of a trusted proxy."""
        read = _read(address)
        return read is not None and any(read in network for network in self._proxies)

    def sender(self, address: str, forwarded: Iterable[str]) -> str:
        """Return the peer of a request from an address with these `X-Forwarded-For` headers.

        Behind trusted proxies it is the last address in front of them.
        """
        for hop in reversed(",".join(forwarded).split(",")):
            if not self.is_proxy(address) or not hop.strip():
                break
            address = hop.strip()
        return peer_of(address)
