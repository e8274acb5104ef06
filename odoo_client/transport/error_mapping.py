"""What an Odoo fault looks like is known here and nowhere else; out come the errors of `purser.errors`.

Faults are told apart by the name of the server's exception, never by the HTTP status alone: Odoo answers a
misspelt field and a lost race both with 500, and "PostgreSQL is away" with 404 and a page of HTML.
"""

import datetime as dt
import re
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from odoo_client.transport.request import Request
from purser.engine.retry import MAX_RETRY_AFTER_SECONDS
from purser.errors import Misconfigured, Permanent, PurserError, Refusal, Throttled, Transient, UnknownOutcome
from purser.formats.retry_after import seconds_to_wait

DEFAULT_RETRY_AFTER_SECONDS = 30.0
"""Seconds to wait when the other side asks for patience without saying how long."""


class SerializationConflict(Transient):
    """Another transaction was in the way: nothing was done, and Odoo works."""


class AccessDenied(Refusal):
    """The user lacks the right: on the model, a field, or this record."""


class Missing(Refusal):
    """The record is not there any more."""


class UnknownModel(Permanent):
    """The database has no such model."""


class UnknownXmlId(Permanent):
    """The database knows no such external id."""


_RACES = {
    "odoo.exceptions.LockError",
    "odoo.exceptions.ConcurrencyError",
    "psycopg2.errors.SerializationFailure",
    "psycopg2.errors.LockNotAvailable",
    "psycopg2.errors.DeadlockDetected",
    "psycopg2.extensions.TransactionRollbackError",
}
_DATABASE_AWAY = {
    "psycopg2.OperationalError",
    "psycopg2.InterfaceError",
    "psycopg2.DatabaseError",
    "psycopg2.pool.PoolError",
    "psycopg2.errors.AdminShutdown",
    "psycopg2.errors.CrashShutdown",
    "psycopg2.errors.CannotConnectNow",
    "psycopg2.errors.TooManyConnections",
    "psycopg2.errors.QueryCanceled",
    "psycopg2.errors.IdleInTransactionSessionTimeout",
}
_NOT_LET_IN = {
    "odoo.exceptions.AccessDenied",
    "odoo.http.SessionExpiredException",
    "werkzeug.exceptions.Unauthorized",
}
_BUSINESS = {
    "odoo.exceptions.UserError",
    "odoo.exceptions.ValidationError",
    "odoo.exceptions.RedirectWarning",
    "odoo.exceptions.Warning",
}
_NO_MODEL = re.compile(r"[Tt]he model '\S+' does not exist|Object \S+ doesn't exist")
_LOST_RACE = re.compile(
    r"could not serialize access|deadlock detected|current transaction is aborted|could not obtain lock"
    r"|canceling statement due to lock timeout|duplicate key value violates unique constraint \"ir_model_data_",
)
_CUT = 300


def first_line(text: str) -> str:
    """Return the first line of a server's text, cut short: what follows may be a traceback or a row's values.

    Code that runs in a server action has its errors told within a text, where a new line is two characters.
    """
    lines = str(text).strip().replace("\\n", "\n").splitlines()
    return lines[0].strip()[:_CUT] if lines else ""


def plain_text(text: str) -> str:
    """Return a text Odoo wrote for people, on one line and cut short."""
    return " ".join(str(text).split())[:_CUT]


def is_lost_race(text: str) -> bool:
    """Return whether a message hides a race that was lost: the same call again finds the winner's record.

    `load` tells it in a message, and code in a server action in a ValueError around the database's own.
    """
    return _LOST_RACE.search(text) is not None


def may_be_lost_race(text: str) -> bool:
    """Return whether a refusal may be the consequence of another transaction that wanted the same and came first.

    Odoo words a violated constraint for people: whoever makes the record of a key a second time at one moment reads
    that a value exists already, or that another model uses the record. Whether it was so, the key tells.
    """
    return is_lost_race(text) or _CONSEQUENCE.search(text) is not None


_CONSEQUENCE = re.compile(r"[Aa]nother model is using the record|[Cc]oncurrent update|current transaction is aborted")
"""A missing value also speaks of another model that "requires the record": that is a refusal of its own."""


def is_dangling(text: str) -> bool:
    """Return whether a message of `load` complains that a record of ours, named by key, is not there."""
    return "No matching record found for external id 'purser." in text


# ------------------------------------------------------------------ what Odoo itself says --


def from_exception(name: str, message: str, request: Request) -> PurserError:
    """Translate an exception of the server, by its class name."""
    if name in _RACES or (name == "builtins.ValueError" and is_lost_race(message)):
        return SerializationConflict(f"{request}: another transaction was in the way ({_short(name)})")
    if name in _NOT_LET_IN:
        return Misconfigured(f"{request}: Odoo does not accept the API key: renew it, or check login and database")
    if name in _DATABASE_AWAY:
        return _database(name, message, request)
    if name == "odoo.exceptions.AccessError":
        return _access(message, request)
    if name == "odoo.exceptions.MissingError":
        return Missing(f"{request}: the record does not exist any more")
    if _is_no_model(name, message):
        return UnknownModel(f"{request.model}: this database has no such model")
    if name in _BUSINESS:
        return Refusal(f"{request}: {plain_text(message)}")
    if name == "builtins.ValueError" and message.startswith("External ID not found"):
        return UnknownXmlId(f"{request}: {first_line(message)}")
    return Permanent(f"{request}: {_short(name)}: {first_line(message)}")


def _database(name: str, message: str, request: Request) -> PurserError:
    if re.search(r'database "[^"]*" does not exist', message):
        return Misconfigured(f"{request}: the server has no such database: check its name")
    text = f"{request}: Odoo cannot work with PostgreSQL ({_short(name)})"
    began = "connection to server" not in message and "PoolError" not in name
    return _lost(text, request) if began else Transient(text)


def _access(message: str, request: Request) -> PurserError:
    if "cannot be called remotely" in message:
        return Permanent(f"{request}: Odoo lets nobody call this method from outside")
    return AccessDenied(f"{request}: {plain_text(message)}")


def _is_no_model(name: str, message: str) -> bool:
    return name in {"werkzeug.exceptions.NotFound", "odoo.exceptions.UserError", "builtins.KeyError"} and bool(
        _NO_MODEL.fullmatch(message.strip())
    )


def _short(name: str) -> str:
    return name.rsplit(".", 1)[-1]


# ---------------------------------------------------------------------- what HTTP itself says --


def from_answer(status: int, headers: Mapping[str, str], body: Any, request: Request) -> PurserError:
    """Translate an answer that is no result. `body` is Odoo's error object, or None where it is not JSON.

    Only Odoo's own error object speaks for Odoo. Whatever else answers stands in between, and will go away.
    """
    if status == 429 or (status == 503 and headers.get("retry-after")):
        wait = retry_after(headers.get("retry-after", ""))
        return Throttled(f"{request}: the server asks to wait {wait:g} s (HTTP {status})", retry_after=wait)
    if is_odoos(body):
        return from_exception(body["name"], str(body.get("message") or ""), request)
    return _from_status(status, request)


def is_odoos(body: object) -> bool:
    """Return whether a JSON value is Odoo's error object: the dotted class of an exception, and its arguments."""
    return (
        isinstance(body, Mapping)
        and isinstance(name := body.get("name"), str)
        and _EXCEPTION.fullmatch(name) is not None
        and ("arguments" in body or "debug" in body)
    )


_EXCEPTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_NOT_PASSED_ON = frozenset({400, 401, 402, 403, 404, 405, 406, 407, 411, 413, 414, 417, 421, 425, 426, 431, 451, 503})
"""Statuses with which something in front of Odoo says that the request did not reach it."""


def _from_status(status: int, request: Request) -> PurserError:
    """Translate an answer without Odoo's error object. It is infrastructure, so it is transient."""
    if status < 300 or status == 503:
        text = f"a page instead of Odoo's answer (HTTP {status}): maintenance, a proxy or a captive portal in between"
    elif status == 404:
        text = "HTTP 404 and no word of Odoo: PostgreSQL is away, or the database name or address is wrong"
    elif 300 <= status < 400:
        text = f"the address redirects elsewhere (HTTP {status}): if it stays so, set the final address"
    elif 400 <= status < 500:
        text = f"a proxy in front of Odoo rejected the request (HTTP {status}): if it stays so, let the fleet through"
    else:
        text = f"HTTP {status} from a proxy in front of Odoo, without Odoo's answer"
    if status < 400 or status in _NOT_PASSED_ON:
        return Transient(f"{request}: {text}")
    return _lost(f"{request}: {text}", request)


def from_garbled(request: Request) -> PurserError:
    """Translate a successful answer whose text broke off or is no JSON although it says so."""
    return _lost(f"{request}: the answer is damaged", request)


def retry_after(text: str, *, now: dt.datetime | None = None) -> float:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from `now`."""
    return seconds_to_wait(
        text, now=now or dt.datetime.now(dt.UTC), default=DEFAULT_RETRY_AFTER_SECONDS, longest=MAX_RETRY_AFTER_SECONDS
    )


# ------------------------------------------------------------------------- no answer at all --

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def from_httpx(error: Exception, request: Request) -> PurserError:
    """Translate what httpx raises: what never left is transient, what was sent has an unknown outcome."""
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return Misconfigured(f"{request}: the address of Odoo is no address httpx can use")
    return _no_answer(error, request, sent=not isinstance(error, _NOT_SENT))


def from_urllib(error: Exception, request: Request) -> PurserError:
    """Translate what urllib raises below OdooRPC. Only a failed connection never left."""
    reason = getattr(error, "reason", error)
    refused = isinstance(reason, (ConnectionRefusedError, ssl.SSLError)) or "gaierror" in type(reason).__name__
    unreachable = isinstance(reason, OSError) and reason.errno in {101, 113}
    return _no_answer(error, request, sent=not (refused or unreachable))


def _no_answer(error: Exception, request: Request, *, sent: bool) -> PurserError:
    what = type(error).__name__
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _causes(error)):
        return Misconfigured(f"{request}: the server's certificate cannot be verified")
    if not sent:
        return Transient(f"{request}: Odoo cannot be reached ({what}); nothing was sent")
    return _lost(f"{request}: the answer was lost ({what})", request)


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None)]
    return found


def _lost(text: str, request: Request) -> PurserError:
    return Transient(text) if request.reads else UnknownOutcome(f"{text}; it may have been carried out")


# ---------------------------------------------------------------------------- OdooRPC --


def from_odoorpc(info: object, message: str, request: Request) -> PurserError:
    """Translate an RPCError: `info` is the JSON-RPC error object, or None where the library itself gave up."""
    if not isinstance(info, Mapping):
        return Misconfigured(f"{request}: Odoo does not accept login and API key for this database")
    data = info.get("data")
    if isinstance(data, Mapping) and is_odoos(data):
        return from_exception(data["name"], str(data.get("message") or message), request)
    return _from_status(200, request)
