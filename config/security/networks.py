"""Networks as a setting names them: addresses, or networks such as 10.0.0.0/8, with commas between."""

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_networks(text: str) -> tuple[Network, ...]:
    """Read networks. ValueError says which of them is none."""
    return tuple(_network(one.strip()) for one in text.split(",") if one.strip())


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"`{text}` is not an address or network: write 10.0.0.7 or 10.0.0.0/8") from None
