"""What every page of ours shares: a person, a strict policy, a patient ledger, and errors that say what to do."""

import asyncio
import datetime as dt
import re
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ClassVar, ParamSpec, TypeVar
from urllib.parse import urlsplit

import structlog
from flower.views import BaseHandler
from tornado.web import HTTPError, RequestHandler

from config.console_users import ConsoleRole, ConsoleUser
from config.observability.redaction import Redactor
from console.pages.presentation import formatting
from purser.errors import ConfigurationError, Misconfigured, PurserError, Transient
from purser.formats.strict_json import write_json
from store import Ledger
from workers.context import WorkerContext

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Flower's style sheet draws its small pictures so
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_PLACE = re.compile(r"-?[0-9]{1,20}:.{0,1000}", re.DOTALL)
_SAID = "purser_said"
_LONGEST_SAID = 500
"""A browser keeps no cookie of more than about 4,000 bytes."""
_LONGEST_NOTE = 2000


class BasePageHandler(BaseHandler):
    """A page of ours. Whoever comes here is let in already: see `console.flower.flower_app`."""

    tab: ClassVar[str] = ""
    needs: ClassVar[ConsoleRole] = ConsoleRole.OPERATOR
    """What a POST takes."""

    def initialize(self, fleet: WorkerContext, executor: Executor) -> None:
        """Take the parts every page works with."""
        self.fleet = fleet
        self.executor = executor

    def set_default_headers(self) -> None:
        """Allow nothing but what stands on this machine, and let nobody keep what was shown."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("X-Frame-Options", "DENY")

    def prepare(self) -> None:
        """Refuse what this person may not do before anything is read."""
        if self.request.method not in ("GET", "HEAD") and not self.person.may(self.needs):
            raise HTTPError(403, reason=f"{self.person.name} may not do this: it takes an {self.needs}")
        after = self.word("after")
        if after and not _PLACE.fullmatch(after):
            raise ConfigurationError("`after` is no place in a list: open the list anew")

    def check_xsrf_cookie(self) -> None:
        """Flower looks where a request comes from; ours also carry the token of the page they were made on."""
        super().check_xsrf_cookie()
        RequestHandler.check_xsrf_cookie(self)

    # -- what a page works with

    @property
    def person(self) -> ConsoleUser:
        """Who is here."""
        person: ConsoleUser = self.request.person
        return person

    @property
    def ledger(self) -> Ledger:
        """The fleet's memory. Use it through `aside`."""
        return self.fleet.ledger

    @property
    def clean(self) -> Redactor:
        """Shows texts without secrets and people."""
        return self.fleet.redactor

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what may take a moment beside the loop, so that a slow ledger freezes no page."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, lambda: work(*args, **kwargs))

    def word(self, name: str) -> str:
        """Return one word of the address or form, '' when it is not there."""
        return self.get_argument(name, "", escape=False) or ""

    def words(self, *names: str) -> dict[str, str]:
        """Return those of some words that are there."""
        return {name: value for name in names if (value := self.word(name))}

    def chosen(self) -> list[str]:
        """Return the ids that were ticked."""
        ids = list(dict.fromkeys(self.get_arguments("id", strip=False)))
        if not ids:
            raise ConfigurationError("nothing is ticked: tick at least one row")
        return ids

    def note(self) -> str:
        """Return the reason, which everything that changes something needs."""
        note = self.word("note").strip()
        if not note:
            raise ConfigurationError("the reason is missing: say why, for the audit trail")
        if len(note) > _LONGEST_NOTE:
            raise ConfigurationError(f"the reason is longer than {_LONGEST_NOTE} characters")
        return note

    # -- what a page answers

    def show(self, template: str, **told: Any) -> None:
        """Render a page of ours."""
        self.render(
            f"purser/{template}",
            tab=self.tab,
            person=self.person,
            ConsoleRole=ConsoleRole,
            formatting=formatting,
            now=dt.datetime.now(dt.UTC),
            said=self._heard(),
            odoo=self.odoo,
            handler_path=self.request.path,
            **told,
        )

    def odoo(self, model: str, number: int) -> str:
        """Return the address of a record in Odoo; '' where there is no Odoo to point at."""
        url = self.fleet.settings.odoo_url
        return f"{url}/odoo/{model}/{number}" if url else ""

    def go(self, address: str, said: str) -> None:
        """Send a browser on, and say there what was done."""
        self.set_secure_cookie(_SAID, said[:_LONGEST_SAID], expires_days=None, samesite="Strict")
        self.redirect(address, status=303)

    def back(self, otherwise: str) -> str:
        """Return the page an action was asked for on, its filter included: never one of another site."""
        given = urlsplit(self.word("back"))
        safe = not (given.scheme or given.netloc) and given.path.startswith("/") and "\\" not in given.path
        return given._replace(fragment="").geturl() if safe and not given.path.startswith("//") else otherwise

    def answer(self, told: Any) -> None:
        """Answer a script of ours."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(write_json(told))

    def _heard(self) -> str:
        told = self.get_secure_cookie(_SAID)
        if not told:
            return ""
        self.clear_cookie(_SAID)
        return bytes(told).decode("utf-8", "replace")

    # -- what goes wrong

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Keep what Purser raises on purpose to one line of the log."""
        if isinstance(value, PurserError):
            log.warning("page failed", page=self.request.path, error=type(value).__name__)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what is wrong and what to do; a traceback goes to the log, never to a page."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        status, title, what, todo = _explained(error, status_code)
        self.set_status(status)
        if "application/json" in self.request.headers.get("Accept", ""):
            self.answer({"error": self.clean.text(what)})
            return
        self.show("error.html", title=title, what=self.clean.text(what), todo=todo, status=status)


def _explained(error: BaseException | None, status: int) -> tuple[int, str, str, str]:
    match error:
        case ConfigurationError():
            return 400, "That does not work", str(error), "Go back, correct it and try again."
        case Misconfigured():
            return 503, "The set-up is wrong", str(error), "Run `purser doctor` where Flower runs."
        case Transient():
            todo = "Nothing was changed. Try again in a moment; `purser doctor` says what cannot be reached."
            return 503, "The ledger does not answer", str(error), todo
        case PurserError():
            return 500, "This cannot be shown", str(error), "Tell a developer: the log of Flower has more."
        case HTTPError():
            title = {403: "Not allowed", 404: "Not found"}.get(error.status_code, "That does not work")
            return error.status_code, title, error.reason or error.log_message or title, ""
    return status, "Something failed", "This page met a fault of its own.", "The log of Flower says which."
