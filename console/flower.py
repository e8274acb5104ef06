"""Flower watches the fleet behind a login that covers every address, `/metrics` and the unknown ones included.

Stock Flower leaves `/metrics` and `/healthcheck` open to everybody. Here a request is let in before it is routed, so
that a page added later cannot be forgotten.
"""

import hmac
import secrets
import signal
from base64 import b64decode, b64encode
from typing import Annotated, Any

import typer
from flower.app import Flower
from flower.urls import settings as pages
from tornado.options import options
from tornado.web import RequestHandler

from config.settings import Settings
from console import context
from console.output import say
from purser.errors import Mistake

MAX_TASKS = 20_000
"""How many tasks Flower remembers: about 140 MB. History is kept elsewhere."""
COLUMNS = "name,kwargs,state,received,runtime,retries,worker,uuid"
"""What the list of tasks shows. Our messages carry a label as their kwargs: a control, an event, never values."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Denied(RequestHandler):
    """The answer to whoever does not know the login."""

    def check_xsrf_cookie(self) -> None:
        """Let everything come this far: nothing is done here."""

    def prepare(self) -> None:
        """Ask for the login, whatever was asked for."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="purser", charset="UTF-8"')
        self.finish("a login is needed\n")


class LockedFlower(Flower):
    """Flower that routes no request without the login.

    Flower's own check stays on, for it is what refuses requests from other sites. It takes ASCII only, so it is told
    a pass of our own making, which a request gets once it knew the login.
    """

    def __init__(self, *, user: str, password: str, options: Any, **given: Any) -> None:
        self._login = f"{user}:{password}".encode()
        inner = f"within:{secrets.token_urlsafe(24)}"
        self._pass = "Basic " + b64encode(inner.encode()).decode()
        options.basic_auth = [inner]
        super().__init__(options=options, **given)

    def find_handler(self, request: Any, **given: Any) -> Any:
        """Give the handler of a request, or the one that denies it."""
        if not _knows(request.headers.get("Authorization", ""), self._login):
            return self.get_handler_delegate(request, Denied)
        request.headers["Authorization"] = self._pass
        return super().find_handler(request, **given)


def run(
    address: Annotated[str, typer.Option(help="Where to listen. Anything but this machine needs a set password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 5555,
    operations: Annotated[
        bool, typer.Option("--operations", help="Allow what stops workers or throws messages away.")
    ] = False,
) -> None:
    """Be Flower, behind a login."""
    told = context.settings("broker", "ledger")
    password = _password(told, address)
    from workers.app import build

    flower = serve(build(told), told.flower_user, password, address=address, port=port, read_only=not operations)
    flower.start()


def serve(app: Any, user: str, password: str, *, address: str, port: int, read_only: bool) -> LockedFlower:
    """Bind Flower for a Celery application and say where it is; `start` then runs until SIGTERM."""
    options.address, options.port = address, port
    options.max_tasks, options.read_only, options.tasks_columns = MAX_TASKS, read_only, COLUMNS
    flower = LockedFlower(user=user, password=password, capp=app, options=options, **pages)
    try:
        bound = flower.start_http_server()
    except OSError as error:
        raise Mistake(f"Flower cannot listen on {address}:{port}: {error.strerror}. Choose another --port") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: flower.io_loop.add_callback_from_signal(flower.stop))
    host = f"[{address}]" if ":" in address else address
    say(f"Flower: http://{host}:{bound} (login {user})")
    return flower


def _password(told: Settings, address: str) -> str:
    if told.flower_password is not None:
        return told.flower_password.get_secret_value()
    if address not in _LOOPBACK:
        raise Mistake(f"PURSER_FLOWER_PASSWORD is missing: Flower listens on {address} only with a password you set")
    made = secrets.token_urlsafe(12)
    say(f"Flower: password {made} (made for this run, shown once; PURSER_FLOWER_PASSWORD keeps one)")
    return made


def _knows(header: str, login: bytes) -> bool:
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = b64decode(encoded.strip(), validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(given, login)
