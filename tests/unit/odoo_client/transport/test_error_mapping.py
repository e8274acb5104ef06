"""Faults are sorted by what happens next, over either transport; the bodies are those a real Odoo 19 sent."""

import datetime as dt
import json
import socket
import ssl
import urllib.error
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from odoo_client import OdooConnection, connect
from odoo_client.transport import error_mapping
from odoo_client.transport.error_mapping import (
    AccessDenied,
    Missing,
    SerializationConflict,
    UnknownModel,
    UnknownXmlId,
)
from odoo_client.transport.request import Request
from purser.errors import (
    Misconfigured,
    Permanent,
    PurserError,
    Refusal,
    Throttled,
    Transient,
    UnknownOutcome,
)
from tests.unit.odoo_client.canned import Answer, Asked, Canned, Silence

WRITE = Request(model="res.partner", method="write", ids=(7,), arguments={"vals": {"name": "x"}})
READ = Request(model="res.partner", method="search_read", arguments={"domain": []}, reads=True)
SECRET = "a-key-that-must-not-show"

# name, message, JSON-2 status, class
NAMED: list[tuple[str, str, int, type[PurserError]]] = [
    (
        "odoo.exceptions.AccessError",
        "You are not allowed to access 'Record Rule' (ir.rule) records.",
        403,
        AccessDenied,
    ),
    ("odoo.exceptions.UserError", "You cannot do this on a posted entry.", 422, Refusal),
    ("odoo.exceptions.ValidationError", "Recursion Detected.", 422, Refusal),
    ("odoo.exceptions.RedirectWarning", "Configure a journal first.", 422, Refusal),
    ("odoo.exceptions.MissingError", "Record does not exist or has been deleted.", 404, Missing),
    ("odoo.exceptions.LockError", "Cannot lock the record.", 409, SerializationConflict),
    ("odoo.exceptions.AccessDenied", "Access Denied", 403, Misconfigured),
    ("werkzeug.exceptions.Unauthorized", "Invalid apikey", 401, Misconfigured),
    ("werkzeug.exceptions.NotFound", "the model 'res.partner' does not exist", 404, UnknownModel),
    ("odoo.exceptions.UserError", "Object res.partner doesn't exist", 422, UnknownModel),
    ("werkzeug.exceptions.NotFound", "The method 'res.partner.nope' does not exist", 404, Permanent),
    ("werkzeug.exceptions.UnprocessableEntity", "missing a required argument: 'vals'", 422, Permanent),
    ("werkzeug.exceptions.BadRequest", "could not parse the body as json", 400, Permanent),
    ("builtins.ValueError", "Invalid field 'nope' on 'res.partner'", 500, Permanent),
    ("builtins.ValueError", "External ID not found in the system: purser.x", 500, UnknownXmlId),
    ("builtins.AttributeError", "The method 'res.partner.nope' does not exist", 500, Permanent),
    ("builtins.TypeError", "unsupported operand", 500, Permanent),
    ("psycopg2.errors.InvalidTextRepresentation", "invalid input syntax for type integer", 500, Permanent),
    ("psycopg2.errors.SerializationFailure", "could not serialize access", 500, SerializationConflict),
    ("psycopg2.errors.LockNotAvailable", "could not obtain lock on row", 500, SerializationConflict),
    ("psycopg2.errors.DeadlockDetected", "deadlock detected", 500, SerializationConflict),
    ("psycopg2.InterfaceError", "connection already closed", 500, UnknownOutcome),
    ("psycopg2.OperationalError", 'database "nope" does not exist', 500, Misconfigured),
    ("psycopg2.OperationalError", "connection to server on socket failed: No such file", 500, Transient),
    ("psycopg2.pool.PoolError", "The Connection Pool Is Full", 500, Transient),
]

# status, headers, class after a read, class after a write
UNNAMED: list[tuple[int, dict[str, str], type[PurserError], type[PurserError]]] = [
    (200, {}, Transient, Transient),
    (204, {}, Transient, Transient),
    (302, {"Location": "https://elsewhere.example.com/"}, Transient, Transient),
    (400, {}, Transient, Transient),
    (401, {}, Transient, Transient),
    (403, {}, Transient, Transient),
    (404, {}, Transient, Transient),
    (407, {}, Transient, Transient),
    (408, {}, Transient, UnknownOutcome),
    (409, {}, Transient, UnknownOutcome),
    (413, {}, Transient, Transient),
    (415, {}, Transient, UnknownOutcome),
    (418, {}, Transient, UnknownOutcome),
    (425, {}, Transient, Transient),
    (429, {"Retry-After": "3"}, Throttled, Throttled),
    (500, {}, Transient, UnknownOutcome),
    (502, {}, Transient, UnknownOutcome),
    (503, {}, Transient, Transient),
    (503, {"Retry-After": "3"}, Throttled, Throttled),
    (504, {}, Transient, UnknownOutcome),
]


def body_of(name: str, message: str) -> dict[str, Any]:
    trace = f"Traceback (most recent call last):\n  File '/opt/odoo/x.py'\n{name}: {message}"
    return {"name": name, "message": message, "arguments": [message], "context": {}, "debug": trace}


def refused_by_json2(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})


def refused_by_jsonrpc(asked: Asked, body: dict[str, Any]) -> Answer:
    """Sign in and then refuse, as /jsonrpc does it: always with status 200."""
    params = json.loads(asked.body)["params"]
    if params["service"] == "common":
        result: Any = {"version": {"server_version_info": [16, 0, 0, "final", 0, ""]}, "login": 2}[params["method"]]
    elif params["args"][4] == "context_get":
        result = {"lang": "en_US"}
    else:
        error = {"code": 0, "message": "Odoo Server Error", "data": body}
        return Answer(200, json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode())
    return Answer(200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode())


def fault(url: str, api: Any, request: Request, **door: Any) -> PurserError:
    """Send a request that must fail, and give the error."""
    with (
        connect(OdooConnection(url=url, db="db", login="bot", api_key=SECRET, api=api, **door)) as client,
        pytest.raises(PurserError) as caught,
    ):
        client.send(request)
    return caught.value


@pytest.fixture
def canned() -> Iterator[Canned]:
    with Canned(lambda _: Answer(500)) as server:
        yield server


# ------------------------------------------------------------------------------ by name --


@pytest.mark.parametrize(("name", "message", "status", "expected"), NAMED, ids=[f"{n}: {m}" for n, m, *_ in NAMED])
@pytest.mark.parametrize("api", ["json2", "odoorpc"])
def test_a_fault_with_a_name_is_sorted_by_it_over_both_transports(
    canned: Canned, api: str, name: str, message: str, status: int, expected: type[PurserError]
) -> None:
    body = body_of(name, message)
    canned.play = lambda asked: refused_by_json2(status, body) if api == "json2" else refused_by_jsonrpc(asked, body)
    error = fault(canned.url, api, WRITE)
    assert type(error) is expected
    assert str(error).startswith("res.partner")
    assert "Traceback" not in str(error)
    assert "/opt/odoo" not in str(error)
    assert SECRET not in str(error)


def test_an_unknown_server_exception_needs_an_engineer() -> None:
    assert type(error_mapping.from_exception("odoo.addons.x.SomeError", "oops", WRITE)) is Permanent


def test_a_connection_the_server_lost_leaves_no_doubt_about_a_read() -> None:
    error = error_mapping.from_exception("psycopg2.InterfaceError", "connection already closed", READ)
    assert type(error) is Transient


def test_only_the_first_line_of_a_technical_fault_is_kept_and_at_most_300_characters() -> None:
    error = error_mapping.from_exception("builtins.ValueError", "x" * 999 + "\nDETAIL: Key (email)=(a@b.c)", WRITE)
    assert "DETAIL" not in str(error)
    assert len(str(error)) < 400


# ---------------------------------------------------------------------------- by status --


@pytest.mark.parametrize(("status", "headers", "read", "write"), UNNAMED, ids=[f"{s} {h}" for s, h, *_ in UNNAMED])
@pytest.mark.parametrize("api", ["json2", "odoorpc"])
def test_a_page_of_something_in_between_is_sorted_by_status(
    canned: Canned,
    api: str,
    status: int,
    headers: dict[str, str],
    read: type[PurserError],
    write: type[PurserError],
) -> None:
    page = Answer(status, b"<html>a page</html>", {"Content-Type": "text/html", **headers})
    ordinary = body_of("odoo.exceptions.UserError", "not reached")

    def play(asked: Asked) -> Answer:
        if api == "odoorpc" and b'"execute_kw"' not in asked.body:
            return refused_by_jsonrpc(asked, ordinary)
        return page

    canned.play = play
    assert type(fault(canned.url, api, READ)) is read
    assert type(fault(canned.url, api, WRITE)) is write


@pytest.mark.parametrize("status", [200, 401, 403, 404, 422, 500])
@pytest.mark.parametrize(
    "body",
    [
        {"name": "Forbidden", "message": "blocked"},
        {"name": "waf.Blocked", "message": "x"},
        {"message": "x"},
        "x",
        None,
    ],
    ids=str,
)
def test_only_odoos_own_error_object_speaks_for_odoo(status: int, body: object) -> None:
    assert type(error_mapping.from_answer(status, {}, body, READ)) is Transient


@pytest.mark.parametrize("api", ["json2", "odoorpc"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in to the network</html>",
        b'{"portal": "log in"}',
        b'["portal"]',
        b'"portal"',
        b'{"error": "x"}',
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_200_that_is_no_answer_of_odoo_is_transient(canned: Canned, api: str, body: bytes, kind: str) -> None:
    ordinary = body_of("odoo.exceptions.UserError", "not reached")

    def play(asked: Asked) -> Answer:
        if api == "odoorpc" and b'"execute_kw"' not in asked.body:
            return refused_by_jsonrpc(asked, ordinary)
        return Answer(200, body, {"Content-Type": kind})

    canned.play = play
    for request in (READ, WRITE):
        if (api, kind, body, request) == ("json2", "application/json", b'["portal"]', READ):
            continue  # it has the shape of an answer
        assert isinstance(fault(canned.url, api, request), Transient)


def test_a_version_page_of_something_in_between_is_transient(canned: Canned) -> None:
    canned.play = lambda _: Answer(200, b'{"portal": "log in"}', {"Content-Type": "application/json"})
    assert isinstance(fault(canned.url, "auto", READ), Transient)


def test_json_without_odoos_words_counts_as_a_page() -> None:
    assert type(error_mapping.from_answer(502, {}, {"error": "bad gateway"}, READ)) is Transient
    assert type(error_mapping.from_answer(502, {}, ["odd"], WRITE)) is UnknownOutcome


def test_a_404_without_odoos_words_names_both_causes() -> None:
    text = str(error_mapping.from_answer(404, {}, None, READ))
    assert "PostgreSQL" in text
    assert "database name" in text


def test_an_answer_that_broke_off_leaves_a_write_in_doubt(canned: Canned) -> None:
    canned.play = lambda _: Answer(200, b'{"ids": [1', {"Content-Type": "application/json"})
    assert type(fault(canned.url, "json2", WRITE)) is UnknownOutcome
    assert type(fault(canned.url, "json2", READ)) is Transient


def test_the_line_going_dead_leaves_a_write_in_doubt(canned: Canned) -> None:
    canned.play = lambda _: Silence.DROP
    assert type(fault(canned.url, "json2", WRITE)) is UnknownOutcome
    assert type(fault(canned.url, "json2", READ)) is Transient


def test_silence_ends_with_the_read_timeout_and_leaves_a_write_in_doubt(canned: Canned) -> None:
    canned.play = lambda _: Silence.HANG
    assert type(fault(canned.url, "json2", WRITE, read_timeout=0.3)) is UnknownOutcome


@pytest.mark.parametrize("api", ["json2", "odoorpc"])
def test_where_nobody_listens_nothing_was_sent(api: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = fault(f"http://127.0.0.1:{taken.getsockname()[1]}", api, WRITE)
    assert type(error) is Transient


def test_a_certificate_nobody_signed_is_a_misconfiguration() -> None:
    wrong = ssl.SSLCertVerificationError(1, "self-signed certificate")
    outer = httpx.ConnectError("ssl")
    outer.__cause__ = wrong
    assert type(error_mapping.from_httpx(outer, WRITE)) is Misconfigured
    assert type(error_mapping.from_urllib(urllib.error.URLError(wrong), WRITE)) is Misconfigured


def test_a_login_odoorpc_gives_up_on_is_a_misconfiguration() -> None:
    assert type(error_mapping.from_odoorpc(None, "Wrong login ID or password", READ)) is Misconfigured


# ---------------------------------------------------------------------------- retry-after --

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("Mon, 02 Mar 2026 12:00:30 GMT", 30.0),
        ("Mon, 02 Mar 2026 11:00:00 GMT", 0.0),
        ("Mon, 02 Mar 2026 13:00:30 +0100", 30.0),
        ("", error_mapping.DEFAULT_RETRY_AFTER_SECONDS),
        ("soon", error_mapping.DEFAULT_RETRY_AFTER_SECONDS),
        ("-5", error_mapping.DEFAULT_RETRY_AFTER_SECONDS),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(text: str, seconds: float) -> None:
    assert error_mapping.retry_after(text, now=NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "could not serialize access due to concurrent update\n",
        "Unknown error during import: <class 'psycopg2.errors.DeadlockDetected'>: deadlock detected",
        "Unknown database error: 'current transaction is aborted, commands ignored until end of block'",
    ],
)
def test_a_message_of_load_that_hides_a_lost_race_is_recognised(text: str) -> None:
    assert error_mapping.is_lost_race(text)
    assert not error_mapping.is_lost_race("Contacts require a name")


def test_a_missing_value_is_no_lost_race() -> None:
    text = (
        "Missing required value for the field 'Title' (name). Model: 'Task' (project.task) - create/update: a "
        "mandatory field is not set - delete: another model requires the record being deleted, you can archive it"
    )
    assert not error_mapping.may_be_lost_race(text)
    assert error_mapping.may_be_lost_race("Another model is using the record you are trying to delete.")
