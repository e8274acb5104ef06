"""JSON-RPC is spoken through the OdooRPC library, which reaches Odoo 14 and everything up to 21."""

import json
import logging
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import odoorpc
import odoorpc.error

from odoo_client.connection import OdooConnection
from odoo_client.transport import error_mapping
from odoo_client.transport.request import Request, Version, plain, version_of
from purser.errors import Misconfigured, PurserError

_SIGN_IN = Request(model="common", method="login", reads=True)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key goes to this address and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class OdooRpc:
    """A transport that signs in once and then calls `execute_kw` with named arguments."""

    name = "odoorpc"

    def __init__(self, door: OdooConnection) -> None:
        self._door = door
        self._odoo: Any = None
        self._version: Version | None = None
        self._lock = threading.Lock()
        logging.getLogger("odoorpc").setLevel(logging.WARNING)  # its debug lines hold the API key

    def send(self, request: Request) -> Any:
        """Call the method of the model; the records come first, as the library's own calls do it."""
        odoo = self._signed_in()
        args, kwargs = _bound(request)
        try:
            return self._executed(odoo, request, args, kwargs)
        except _FAULTS as error:
            raise _translated(error, request) from None

    def _executed(self, odoo: Any, request: Request, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call `execute_kw`. The library's own method takes any JSON object for an answer without a result."""
        where = [self._door.db, odoo.env.uid, self._door.api_key, request.model, request.method, args, kwargs]
        answer = odoo.json("/jsonrpc", {"service": "object", "method": "execute_kw", "args": where})
        if "jsonrpc" not in answer:
            raise KeyError("jsonrpc")
        return answer.get("result")

    def version(self) -> Version:
        """Ask the server, at the first contact."""
        self._reached()
        assert self._version is not None  # noqa: S101  `_reached` has just set it
        return self._version

    def close(self) -> None:
        """Forget the session; the library keeps no connection open."""
        self._odoo = None

    def _reached(self) -> Any:
        with self._lock:
            if self._odoo is None:
                try:
                    self._odoo, self._version = _reach(self._door)
                except _FAULTS as error:
                    raise _translated(error, _SIGN_IN) from None
            return self._odoo

    def _signed_in(self) -> Any:
        odoo = self._reached()
        with self._lock:
            if odoo._login is None:
                try:
                    odoo.login(self._door.db, self._door.login, self._door.api_key)
                except _FAULTS as error:
                    raise _translated(error, _SIGN_IN) from None
        return odoo


_IN_ORDER = {
    "create": ("vals_list",),
    "write": ("vals",),
    "search": ("domain",),
    "search_count": ("domain",),
    "load": ("fields", "data"),
    "has_group": ("group_ext_id",),
}
"""Arguments sent by position: their names changed between versions, or `execute_kw` looks for them there."""


def _bound(request: Request) -> tuple[list[Any], dict[str, Any]]:
    named = dict(request.arguments)
    args: list[Any] = [] if request.ids is None else [request.ids]
    args += [named.pop(name) for name in _IN_ORDER.get(request.method, ()) if name in named]
    return plain(args), plain({**named, "context": request.context})


_FAULTS = (odoorpc.error.Error, OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError)
"""urllib raises OSError and HTTPException, a page instead of JSON ValueError, JSON of something else the rest."""


def _reach(door: OdooConnection) -> tuple[Any, Version]:
    parts = urlsplit(door.url)
    secure = parts.scheme == "https"
    if parts.path:
        raise Misconfigured(
            "OdooRPC cannot reach an Odoo below a path: give scheme, host and port only, or use json2"
        )
    odoo = odoorpc.ODOO(
        parts.hostname,
        protocol="jsonrpc+ssl" if secure else "jsonrpc",
        port=parts.port or (443 if secure else 80),
        timeout=door.read_timeout,
        version="19.0",  # so that it does not ask; nothing here depends on it, and `login` only on 10 or later
        opener=urllib.request.build_opener(_NoRedirects()),
    )
    answer = odoo.json("/jsonrpc", {"service": "common", "method": "version", "args": []})
    return odoo, version_of(answer["result"]["server_version_info"])


def _translated(error: Exception, request: Request) -> PurserError:
    match error:
        case odoorpc.error.RPCError():
            return error_mapping.from_odoorpc(error.info, str(error), request)
        case urllib.error.HTTPError():
            with error:
                return error_mapping.from_answer(error.code, _lower(error), _json_of(error), request)
        case json.JSONDecodeError() | UnicodeDecodeError() | KeyError() | TypeError() | AttributeError():
            return error_mapping.from_answer(200, {}, None, request)
        case _:
            return error_mapping.from_urllib(error, request)


def _lower(error: urllib.error.HTTPError) -> dict[str, str]:
    return {key.lower(): value for key, value in error.headers.items()}


def _json_of(error: urllib.error.HTTPError) -> Any:
    if not error.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        return json.load(error)
    except ValueError:
        return None
