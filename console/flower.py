"""Flower watches the fleet behind a login that covers every address, `/metrics` and the unknown ones included.

Stock Flower leaves `/metrics` and `/healthcheck` open to everybody. Here a request is let in before it is routed, so
that a page added later cannot be forgotten. Purser's own pages stand in Flower's menu: see `console.pages`.
"""

import secrets
import signal
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer
from flower.app import Flower
from flower.urls import settings as pages
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, RequestStartLine, ResponseStartLine
from tornado.options import options
from tornado.web import RequestHandler, stream_request_body

from config.people import People, Person, Rank
from config.settings import Settings
from console import context
from console.logins import Check, Logins, everybody, the_one
from console.output import say
from console.pages.menu import Overlay
from console.pages.routes import routes
from purser.errors import Mistake

MAX_TASKS = 20_000
"""How many tasks Flower remembers: about 140 MB. History is kept elsewhere."""
COLUMNS = "name,kwargs,state,received,runtime,retries,worker,uuid"
"""What the list of tasks shows. Our messages carry a label as their kwargs: a control, an event, never values."""
THREADS = 4
"""So many pages may wait for the ledger at once."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SAFE = ("GET", "HEAD", "OPTIONS")


@stream_request_body
class Denied(RequestHandler):
    """The answer to whoever is not let in. What such a request carries is not kept."""

    def initialize(self, status: int, words: str) -> None:
        """Take what is answered."""
        self.status, self.words = status, words

    def check_xsrf_cookie(self) -> None:
        """Let everything come this far: nothing is done here."""

    def prepare(self) -> None:
        """Answer, whatever was asked for."""
        self.set_status(self.status)
        if self.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="purser", charset="UTF-8"')
        self.finish(f"{self.words}\n")

    def data_received(self, chunk: bytes) -> None:
        """Drop it."""


class LockedFlower(Flower):
    """Flower that routes no request without a login.

    Flower's own check stays on, for it is what refuses requests from other sites. It takes ASCII only, so it is told
    a pass of our own making, which a request gets once its login is known.
    """

    def __init__(self, *, check: Check, capp: Any, options: Any, **given: Any) -> None:
        self._logins = Logins(check)
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="pages")
        inner = f"within:{secrets.token_urlsafe(24)}"
        self._pass = "Basic " + b64encode(inner.encode()).decode()
        options.basic_auth = [inner]
        given["template_loader"] = Overlay()
        given["xsrf_cookie_kwargs"] = {"samesite": "Strict"}
        super().__init__(options=options, capp=capp, **given)
        self.add_handlers(r".*", routes(capp.fleet, self._threads))

    def find_handler(self, request: Any, **given: Any) -> Any:
        """Give what handles a request, or first asks who sent it."""
        header = request.headers.get("Authorization", "")
        person = self._logins.known(header)
        return AtTheDoor(self, request, given) if person is None else self.within(request, person, **given)

    async def ask(self, request: HTTPServerRequest) -> Person | None:
        """Check the login of a request."""
        return await self._logins.ask(request.headers.get("Authorization", ""))

    def denied(self, request: HTTPServerRequest) -> Any:
        """Give the handler that asks for a login."""
        return self.get_handler_delegate(request, Denied, {"status": 401, "words": "a login is needed"})

    def within(self, request: Any, person: Person, **given: Any) -> Any:
        """Give the handler of a request by somebody who may come in. A viewer changes nothing, whatever the page."""
        if request.method not in _SAFE and not person.may(Rank.OPERATOR):
            words = f"{person.name} is a {person.rank}: this takes an {Rank.OPERATOR}"
            return self.get_handler_delegate(request, Denied, {"status": 403, "words": words})
        request.person = person
        request.headers["Authorization"] = self._pass
        return super().find_handler(request, **given)

    def stop(self) -> None:
        """Stop, threads included."""
        self._logins.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        super().stop()


class AtTheDoor(HTTPMessageDelegate):
    """A request whose login is not known yet: it is read on once somebody has looked."""

    def __init__(self, flower: LockedFlower, request: HTTPServerRequest, given: dict[str, Any]) -> None:
        self._flower, self._request, self._given = flower, request, given
        self._inner: Any = None

    async def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Look who it is, and hand the request on."""
        person = await self._flower.ask(self._request)
        if person is None:
            self._inner = self._flower.denied(self._request)
        else:
            self._inner = self._flower.within(self._request, person, **self._given)
        further = self._inner.headers_received(start_line, headers)
        if further is not None:
            await further

    def data_received(self, chunk: bytes) -> Any:
        """Hand on."""
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        """Hand on."""
        self._inner.finish()

    def on_connection_close(self) -> None:
        """Hand on, unless nobody is there yet."""
        if self._inner is not None:
            self._inner.on_connection_close()


def run(
    address: Annotated[str, typer.Option(help="Where to listen. Anything but this machine needs a set password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 5555,
    operations: Annotated[
        bool, typer.Option("--operations", help="Allow what stops workers or throws messages away.")
    ] = False,
) -> None:
    """Be Flower, behind a login, with the pages of dead letters, refusals, cases, runs and what waits."""
    told = context.settings("broker", "ledger")
    check, login = _check(told, address)
    from workers.app import build

    flower = serve(build(told), check, address=address, port=port, read_only=not operations, login=login)
    flower.start()


def serve(app: Any, check: Check, *, address: str, port: int, read_only: bool, login: str) -> LockedFlower:
    """Bind Flower for a Celery application and say where it is; `start` then runs until SIGTERM."""
    options.address, options.port = address, port
    options.max_tasks, options.read_only, options.tasks_columns = MAX_TASKS, read_only, COLUMNS
    flower = LockedFlower(check=check, capp=app, options=options, **pages)
    try:
        bound = flower.start_http_server()
    except OSError as error:
        raise Mistake(f"Flower cannot listen on {address}:{port}: {error.strerror}. Choose another --port") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: flower.io_loop.add_callback_from_signal(flower.stop))
    host = f"[{address}]" if ":" in address else address
    say(f"Flower: http://{host}:{bound} ({login})")
    return flower


def _check(told: Settings, address: str) -> tuple[Check, str]:
    """Give what checks a login, and whose it is in words."""
    if told.people is not None:
        people = People.load(told.people)
        return everybody(people), f"logins of {told.people}: {', '.join(people.known)}"
    return the_one(told.flower_user, _password(told, address)), f"login {told.flower_user}"


def _password(told: Settings, address: str) -> str:
    if told.flower_password is not None:
        return told.flower_password.get_secret_value()
    if address not in _LOOPBACK:
        raise Mistake(f"PURSER_FLOWER_PASSWORD is missing: Flower listens on {address} only with a password you set")
    made = secrets.token_urlsafe(12)
    say(f"Flower: password {made} (made for this run, shown once; PURSER_FLOWER_PASSWORD keeps one)")
    return made
