"""Every request leaves with an answer and one line in the log, and that line holds nothing the request held.

The path is logged as it is declared (`/hooks/odoo/{token}`), never as it was asked for: a token is a secret.
"""

import time
import traceback

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problem_details import Problem, problem_response

log = structlog.get_logger(__name__)

_FACTS = "purser.facts"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALWAYS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def add_log_fields(request: Request, **facts: object) -> None:
    """Put something on the line that tells of this request: names and numbers of ours."""
    request.scope.setdefault(_FACTS, {}).update(facts)


class AccessLogMiddleware:
    """Stands before everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        method = scope["method"] if scope["method"] in _METHODS else "another"
        is_head = method == "HEAD"
        if is_head:  # answered as GET is, without the body
            scope = {**scope, "method": "GET"}

        async def pass_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *_ALWAYS]}
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, pass_on)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side gets an answer
            # Where it arose and of what kind; its text may quote the request.
            log.error("a request failed", error=type(error).__name__, at=_place(error), door=_door(scope))
            if not status:
                await problem_response(Problem(500, "this is a fault of ours; it is in the log"))(
                    scope, receive, pass_on
                )
        took = round((time.perf_counter() - began) * 1000, 1)
        facts = scope.get(_FACTS, {})
        level = log.debug if _door(scope).startswith("/health") else log.info
        level("answered", method=method, door=_door(scope), status=status, ms=took, **facts)


def _door(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "") or "none"


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
