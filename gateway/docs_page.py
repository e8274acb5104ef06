"""What the gateway answers can be read in a browser, without a script or anything from elsewhere."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
code { background: #eee; padding: 0 .2em } td, th { text-align: left; padding: .2em 1em .2em 0; vertical-align: top }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd } code { background: #333 } a { color: #8af }
}
"""


def page_of(app: FastAPI) -> APIRouter:
    """Return the route of the page about this application."""
    router = APIRouter()

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        return HTMLResponse("".join(_page(app.openapi())), headers=_HEADERS)

    return router


def _page(told: Mapping[str, Any]) -> Iterator[str]:
    title = escape(told["info"]["title"])
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    yield '<meta name="viewport" content="width=device-width">'
    yield f'<h1>{title}</h1><p>For programs: <a href="openapi.json">openapi.json</a>.'
    for path, methods in told["paths"].items():
        for method, one in methods.items():
            yield from _operation(method.upper(), path, one)


def _operation(method: str, path: str, one: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(one['summary'])}."
    if "description" in one:
        yield f"<p>{escape(one['description'])}"
    bodies = one.get("requestBody", {}).get("content", {})
    if bodies:
        yield "<p>Body: " + ", ".join(f"<code>{escape(kind)}</code>" for kind in bodies) + "."
    given = [given for given in one.get("parameters", []) if given["in"] == "header"]
    if given:
        rows = (f"<tr><td><code>{escape(row['name'])}</code><td>{escape(row['description'])}" for row in given)
        yield f"<table><tr><th>header<th>{''.join(rows)}</table>"
    answers = (f"<tr><td>{status}<td>{escape(says['description'])}" for status, says in one["responses"].items())
    yield f"<table><tr><th>answer<th>{''.join(answers)}</table>"
