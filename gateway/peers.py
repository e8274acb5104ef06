"""Which peer a request to the gateway counts for."""

from fastapi import Request

from config.security.trusted_proxies import PeerResolver


def peer_of_request(peers: PeerResolver, request: Request) -> str:
    """Return the peer of a request: its address, or the one that a trusted proxy names."""
    return peers.sender(request.client.host if request.client else "", request.headers.getlist("x-forwarded-for"))
