"""The gateway listens until it is told to stop, and then answers what it has begun."""

import signal
import socket
import sys
from functools import partial
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from config.observability.logging import configure_logging
from config.observability.sentry import setup_sentry
from config.security.trusted_proxies import PeerResolver
from config.settings import Need, Settings
from gateway.app import create_app
from gateway.connections import Connections, LimitedProtocol
from purser.errors import ConfigurationError

log = structlog.get_logger(__name__)

HOOKS_ONLY = "--hooks-only"
GRACE = 10
"""Seconds in which requests that were begun may end."""

SPARE_SOCKETS = 100
"""Sockets beyond the limit that are answered with 503, because all others have a request that is being answered."""

KEPT_OPEN = 30
"""Seconds for which a connection without a request stays open."""


def main() -> None:
    """Be the gateway of the environment."""
    signal.signal(signal.SIGTERM, _end)  # also while we start; uvicorn takes it over, and hands it back at the end
    need: tuple[Need, ...] = ("broker", "ledger") if HOOKS_ONLY in sys.argv[1:] else ("broker", "ledger", "gateway")
    settings = Settings.load(need=need)
    configure_logging(settings)
    setup_sentry(settings)
    serve(settings)


def serve(settings: Settings) -> None:
    """Listen where the settings say."""
    with listen(settings.gateway_host, settings.gateway_port) as listener:
        server = server_of(create_app(settings), Connections(peers=PeerResolver(settings.trusted_proxies)))
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        sources = [sender.source for sender in settings.senders]
        log.info("the gateway listens", address=f"http://{shown}:{port}", sources=sources)
        server.run(sockets=[listener])


def server_of(app: FastAPI, connections: Connections) -> uvicorn.Server:
    """Return a server of an application, with limits on its sockets."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,  # it would show the tokens of hooks
        http=partial(LimitedProtocol, connections=connections),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections.limits.sockets + SPARE_SOCKETS,
        timeout_keep_alive=KEPT_OPEN,
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket, or raise ConfigurationError.

    It says that it is TCP: asyncio lets only those send at once. Others keep the end of an answer back until its
    beginning is confirmed, for 40 ms each time.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        what = f"the gateway cannot listen on {host}:{port}: {getattr(error, 'strerror', error)}"
        raise ConfigurationError(f"{what}. Choose another PURSER_GATEWAY_HOST or PURSER_GATEWAY_PORT") from None
    return listener


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
