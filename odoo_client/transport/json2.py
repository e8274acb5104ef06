"""JSON-2 is spoken over httpx: one POST per call, named arguments, HTTP statuses, Odoo 19 and later."""

from typing import Any

import httpx

from odoo_client.connection import OdooConnection
from odoo_client.transport import error_mapping
from odoo_client.transport.request import Request, Version, has_shape, plain, version_of

_VERSION = Request(model="web", method="version", reads=True)


class Json2:
    """A transport that carries an API key as bearer and always names the database."""

    name = "json2"

    def __init__(self, door: OdooConnection, version: Version | None = None) -> None:
        self._http = http_of(door)
        self._headers = {"Authorization": f"Bearer {door.api_key}", "X-Odoo-Database": door.db}
        self._version = version

    def send(self, request: Request) -> Any:
        """POST to `/json/2/<model>/<method>`."""
        body: dict[str, Any] = {**request.arguments, "context": request.context}
        if request.ids is not None:
            body["ids"] = request.ids
        try:
            answer = self._http.post(
                f"/json/2/{request.model}/{request.method}", json=plain(body), headers=self._headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise error_mapping.from_httpx(error, request) from None
        return result_of(answer, request)

    def version(self) -> Version:
        """Ask the server once."""
        if self._version is None:
            self._version = ask_version(self._http) or (19, 0)
        return self._version

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def http_of(door: OdooConnection) -> httpx.Client:
    """Build an HTTP client that follows no redirect: the key goes to this address and nowhere else."""
    timeout = httpx.Timeout(door.read_timeout, connect=door.connect_timeout, pool=door.connect_timeout)
    return httpx.Client(base_url=door.url, timeout=timeout, follow_redirects=False)


def ask_version(http: httpx.Client) -> Version | None:
    """Ask `/web/version`, which needs no login; None where the server is older than that page (Odoo 19)."""
    try:
        answer = http.get("/web/version")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise error_mapping.from_httpx(error, _VERSION) from None
    if answer.status_code == 404:
        return None
    info = result_of(answer, _VERSION)
    try:
        return version_of(info["version_info"])
    except (KeyError, TypeError, ValueError):
        raise error_mapping.from_answer(200, {}, None, _VERSION) from None


def result_of(answer: httpx.Response, request: Request) -> Any:
    """Return the JSON of a good answer; raise what a bad one means."""
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    try:
        body = answer.json() if is_json else None
    except ValueError:
        if answer.status_code == 200:
            raise error_mapping.from_garbled(request) from None
        body = None
    if answer.status_code == 200 and is_json:
        if not has_shape(request, body):
            raise error_mapping.from_garbled(request)
        return body
    raise error_mapping.from_answer(answer.status_code, answer.headers, body, request)
