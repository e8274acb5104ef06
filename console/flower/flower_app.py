"""Flower watches the fleet behind a login that covers every address, `/metrics` and the unknown ones included.

Stock Flower leaves `/metrics` and `/healthcheck` open to everybody. Here a request is let in before it is routed, so
that a page added later cannot be forgotten. Purser's own pages stand in Flower's menu: see `console.pages`.
"""

import math
import re
import secrets
import signal
from base64 import b64encode
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import structlog
import typer
from flower.app import Flower
from flower.urls import settings as pages
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, RequestStartLine, ResponseStartLine
from tornado.ioloop import IOLoop
from tornado.options import options
from tornado.web import RequestHandler, stream_request_body

from config.console_users import ConsoleRole, ConsoleUser, ConsoleUsers
from config.security.trusted_proxies import PeerResolver, peer_of
from config.server_urls import mask_url
from config.settings import Settings
from console import command_context
from console.flower.event_filter import CheckedEvents
from console.flower.security_headers import with_prefix
from console.flower.user_login import Check, LoginCache, all_users, single_user
from console.output import print_error
from console.pages.menu import TemplateOverlay
from console.pages.routes import routes
from purser.errors import ConfigurationError

MAX_TASKS = 20_000
"""How many tasks Flower remembers: about 140 MB. History is kept elsewhere."""
COLUMNS = "name,kwargs,state,received,runtime,retries,worker,uuid"
"""What the list of tasks shows. Our messages carry a label as their kwargs: a control, an event, never values."""
THREADS = 4
"""So many pages may wait for the ledger at once."""

_LONGEST_ADDRESS = 100
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SAFE = ("GET", "HEAD", "OPTIONS")
_NOT_SERVED = re.compile(
    r"/api/task/(?:apply|async-apply|send-task|abort)(?:/|$)|/api/worker/queue/add-consumer(?:/|$)"
)
"""Addresses of Flower's that publish any task with any arguments, or let a worker take messages of others. Who may
replay may not write messages: that takes an editor and, above a stake, two people."""
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")
_FORMS = {
    **dict.fromkeys(("limit", "offset", "draw", "start", "length", "order[0][column]"), _NUMBER),
    "timeout": re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?"),
    **dict.fromkeys(("refresh", "status", "json"), re.compile("(?i:1|0|true|false|yes|no|on|off|t|f|y|n)")),
    **dict.fromkeys(("received_start", "received_end"), _MOMENT),
}
"""What a word of an address may be. Junk is refused here rather than met by a page."""

log = structlog.get_logger(__name__)


@stream_request_body
class DeniedHandler(RequestHandler):
    """The answer to whoever is not let in. What such a request carries is not kept."""

    def initialize(self, status: int, words: str, wait: float = 0) -> None:
        """Take what is answered."""
        self.status, self.words, self.wait = status, words, wait

    def check_xsrf_cookie(self) -> None:
        """Let everything come this far: nothing is done here."""

    def answer(self) -> None:
        """Answer once the request was read to its end, whatever was asked for."""
        self.set_status(self.status)
        if self.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="purser", charset="UTF-8"')
        if self.wait:
            self.set_header("Retry-After", str(math.ceil(self.wait)))
        self.finish(f"{self.words}\n")

    get = head = post = put = patch = delete = options = answer

    def write_error(self, status_code: int, **_: Any) -> None:  # noqa: ARG002 - Tornado's signature
        """A method that nobody knows is denied like the others."""
        self.answer()

    def data_received(self, chunk: bytes) -> None:
        """Drop what it carries."""


class AuthenticatedFlower(Flower):
    """Flower that routes no request without a login.

    Flower's own check stays on, for it is what refuses requests from other sites. It takes ASCII only, so it is told
    a pass of our own making, which a request gets once its login is known.
    """

    def __init__(
        self, *, check: Check, names: Container[str], capp: Any, options: Any, prefix: str = "", **given: Any
    ) -> None:
        self._logins = LoginCache(check, names)
        self._prefix = prefix
        self._peers = PeerResolver(capp.fleet.settings.trusted_proxies)
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="pages")
        inner = f"within:{secrets.token_urlsafe(24)}"
        self._pass = "Basic " + b64encode(inner.encode()).decode()
        options.basic_auth = [inner]
        given["template_loader"] = TemplateOverlay()
        given["xsrf_cookie_kwargs"] = {"samesite": "Strict"}
        given["log_function"] = _log_request
        options.url_prefix = ""  # Flower's routes stay at the root: the prefix is taken off before
        super().__init__(options=options, capp=capp, events=_events(capp, options), **given)
        options.url_prefix = prefix.strip("/")  # its scripts put it before the addresses that they ask for
        self.broker_uri = mask_url(capp.fleet.settings.broker)
        self.add_handlers(r".*", routes(capp.fleet, self._threads))
        self.add_transform(with_prefix(prefix))

    def find_handler(self, request: Any, **given: Any) -> Any:
        """Return what handles a request, or first asks who sent it."""
        self._take_prefix_off(request)
        header = request.headers.get("Authorization", "")
        person = self._logins.known(header)
        return PendingAuthDelegate(self, request, given) if person is None else self.within(request, person, **given)

    def _take_prefix_off(self, request: HTTPServerRequest) -> None:
        """Read an address under the prefix like one at the root: a proxy may take it off, or leave it."""
        path = request.path or "/"
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            request.path = path[len(self._prefix) :] or "/"
            query = f"?{request.query}" if request.query else ""
            request.uri = f"{request.path}{query}"

    async def ask(self, request: HTTPServerRequest) -> ConsoleUser | None:
        """Check the login of a request."""
        return await self._logins.ask(request.headers.get("Authorization", ""), *visitor_of(request, self._peers))

    def refusal(self, request: HTTPServerRequest) -> Any | None:
        """Return the handler that says how long to wait, where too many passwords were wrong."""
        wait = self._logins.wait(request.headers.get("Authorization", ""), *visitor_of(request, self._peers))
        if not wait:
            return None
        words = f"too many wrong passwords: wait {math.ceil(wait)} seconds"
        return self.get_handler_delegate(request, DeniedHandler, {"status": 429, "words": words, "wait": wait})

    def denied(self, request: HTTPServerRequest) -> Any:
        """Return the handler that asks for a login."""
        return self.get_handler_delegate(request, DeniedHandler, {"status": 401, "words": "a login is needed"})

    def within(self, request: Any, person: ConsoleUser, **given: Any) -> Any:
        """Return the handler of a request by a logged-in person. A viewer changes nothing, whatever the page."""
        if _NOT_SERVED.match(request.path or ""):
            words = "there is no such address: messages are sent by the fleet alone"
            return self.get_handler_delegate(request, DeniedHandler, {"status": 404, "words": words})
        if request.method not in _SAFE and not person.may(ConsoleRole.OPERATOR):
            words = f"{person.name} is a {person.rank}: this takes an {ConsoleRole.OPERATOR}"
            return self.get_handler_delegate(request, DeniedHandler, {"status": 403, "words": words})
        if problem := _wrong_word(request):
            return self.get_handler_delegate(request, DeniedHandler, {"status": 400, "words": problem})
        request.person = person
        request.headers["Authorization"] = self._pass
        return super().find_handler(request, **given)

    def stop(self) -> None:
        """Stop, threads included."""
        self._logins.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        super().stop()


class PendingAuthDelegate(HTTPMessageDelegate):
    """A request whose login is not known yet: it is read on once somebody has looked."""

    def __init__(self, flower: AuthenticatedFlower, request: HTTPServerRequest, given: dict[str, Any]) -> None:
        self._flower, self._request, self._given = flower, request, given
        self._inner: Any = None

    async def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Look who it is, and hand the request on."""
        refusal = self._flower.refusal(self._request)
        person = None if refusal is not None else await self._flower.ask(self._request)
        if refusal is not None:
            self._inner = refusal
        elif person is None:
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


def visitor_of(request: HTTPServerRequest, peers: PeerResolver) -> tuple[str, str]:
    """Return who sends a request, and the machine it came from.

    Behind a proxy that `PURSER_GATEWAY_PROXIES` names, both are the address that it forwards for. Any process of this
    machine may claim to be a proxy: what it says is believed of the sender, not of the machine.
    """
    address, forwarded = str(request.remote_ip), request.headers.get_list("X-Forwarded-For")
    if peers.is_proxy(address):
        sender = peers.sender(address, forwarded)[:_LONGEST_ADDRESS]
        return sender, sender
    last = forwarded[-1].rpartition(",")[2].strip() if forwarded and address in _LOOPBACK else ""
    machine = peer_of(address)
    return last[:_LONGEST_ADDRESS] or machine, machine


def _wrong_word(request: HTTPServerRequest) -> str:
    """Return which word of an address to Flower's own pages is none that they read; '' when all are fine."""
    for name, values in request.query_arguments.items():
        form = _FORMS.get(name)
        for value in values:
            if form is not None and value and not form.fullmatch(value.strip().decode("utf-8", "replace")):
                return f"{name}: this is not a value it can have"
    return ""


def _log_request(handler: RequestHandler) -> None:
    """Write which page was asked for, without what follows the `?`: it may be somebody's name."""
    status = handler.get_status()
    (log.warning if status >= 500 else log.debug)(
        "page", method=handler.request.method, page=(handler.request.path or "")[:200], status=status
    )


def _events(capp: Any, given: Any) -> CheckedEvents:
    return CheckedEvents(
        capp,
        db=given.db,
        persistent=given.persistent,
        state_save_interval=given.state_save_interval,
        enable_events=given.enable_events,
        io_loop=IOLoop.instance(),
        max_workers_in_memory=given.max_workers,
        max_tasks_in_memory=given.max_tasks,
    )


def _read_prefix(prefix: str) -> str:
    """Return a prefix as `/ops/flower`; '' for none."""
    path = prefix.strip("/")
    if path and not re.fullmatch(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*", path):
        raise ConfigurationError(f"--url-prefix {prefix!r} is no path: write one such as ops/flower")
    return f"/{path}" if path else ""


def run(
    address: Annotated[str, typer.Option(help="Where to listen. Anything but this machine needs a set password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 5555,
    operations: Annotated[
        bool, typer.Option("--operations", help="Allow what stops workers or throws messages away.")
    ] = False,
    url_prefix: Annotated[
        str, typer.Option(help="The path under which a proxy shows the pages, such as ops/flower.")
    ] = "",
) -> None:
    """Be Flower, behind a login, with the pages of dead letters, refusals, cases, runs and what waits."""
    told = command_context.settings("broker", "ledger")
    prefix = _read_prefix(url_prefix)
    check, names, login = _check(told, address)
    from workers.app import create_app

    app = create_app(told)
    flower = serve(
        app, check, names, address=address, port=port, read_only=not operations, login=login, prefix=prefix
    )
    flower.start()


def serve(
    app: Any,
    check: Check,
    names: Container[str],
    *,
    address: str,
    port: int,
    read_only: bool,
    login: str,
    prefix: str = "",
) -> AuthenticatedFlower:
    """Bind Flower for a Celery application and say where it is; `start` then runs until SIGTERM."""
    options.address, options.port = address, port
    options.max_tasks, options.read_only, options.tasks_columns = MAX_TASKS, read_only, COLUMNS
    flower = AuthenticatedFlower(check=check, names=names, capp=app, options=options, prefix=prefix, **pages)
    try:
        bound = flower.start_http_server()
    except OSError as error:
        raise ConfigurationError(
            f"Flower cannot listen on {address}:{port}: {error.strerror}. Choose another --port"
        ) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: flower.io_loop.add_callback_from_signal(flower.stop))
    host = f"[{address}]" if ":" in address else address
    print_error(f"Flower: http://{host}:{bound}{prefix} ({login})")
    return flower


def _check(told: Settings, address: str) -> tuple[Check, Container[str], str]:
    """Return what checks a login, the names there are, and whose it is in words."""
    if told.people is not None:
        people = ConsoleUsers.load(told.people)
        return all_users(people), people.known.keys(), f"logins of {told.people}: {', '.join(people.known)}"
    return single_user(told.flower_user, _password(told, address)), (told.flower_user,), f"login {told.flower_user}"


def _password(told: Settings, address: str) -> str:
    if told.flower_password is not None:
        return told.flower_password.get_secret_value()
    if address not in _LOOPBACK:
        raise ConfigurationError(
            f"PURSER_FLOWER_PASSWORD is missing: Flower listens on {address} only with a password you set"
        )
    made = secrets.token_urlsafe(12)
    print_error(f"Flower: password {made} (made for this run, shown once; PURSER_FLOWER_PASSWORD keeps one)")
    return made
