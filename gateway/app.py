"""The gateway as one application: doors that translate and hand on, and decide nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from config.settings import Settings
from gateway.access_log import AccessLogMiddleware
from gateway.docs_page import page_of
from gateway.events_api import EventsApi
from gateway.health import HealthRoutes
from gateway.limits import BodyMemoryLimit, ConcurrencyLimit, SourceRateLimiter
from gateway.odoo_webhooks import ANSWER_TIMEOUT_SECONDS, OdooWebhookRoutes
from gateway.problem_details import Problem, problem_response
from gateway.thread_pool import ThreadPool
from purser.errors import Misconfigured, Transient
from workers.app import create_app as build_fleet
from workers.context import WorkerContext
from workers.publishing import depth_of, translated

EVENT_THREADS, HOOK_THREADS = 6, 3
"""Threads for each door: a flood of events leaves those of the hooks alone. All of them share the broker's ten
connections."""


_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""What FastAPI would tell of a request holds its path, and with it the token of a hook."""


def create_app(settings: Settings) -> FastAPI:
    """Build the gateway of these settings, on a fleet of its own."""
    celery = build_fleet(settings)
    celery.conf.task_send_sent_event = False  # it costs as much as the message; workers tell Flower what they receive
    depth = depth_of(celery)

    def ask_broker() -> None:
        with translated(celery, "a question"):
            depth("events")

    return include_routers(celery.fleet, ask_broker=ask_broker)


def include_routers(
    fleet: WorkerContext,
    *,
    ask_broker: Callable[[], object],
    hook_within: float = ANSWER_TIMEOUT_SECONDS,
    pace: SourceRateLimiter | None = None,
) -> FastAPI:
    """Build the gateway before a fleet; `ask_broker` raises Transient when the broker does not answer."""
    settings = fleet.settings
    events, others = ThreadPool("events", EVENT_THREADS), ThreadPool("hooks", HOOK_THREADS)
    asking = ThreadPool("health", 1)
    intake = EventsApi(
        fleet,
        settings,
        events,
        bodies=BodyMemoryLimit(),
        room=ConcurrencyLimit(),
        pace=pace or SourceRateLimiter(settings.gateway_rate),
    )
    hooks = OdooWebhookRoutes(
        fleet, settings, others, bodies=BodyMemoryLimit(), room=ConcurrencyLimit(), within=hook_within
    )
    health = HealthRoutes(fleet, ask_broker, hooks, asking)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        await asking.do(health.who_is_away)  # the first request finds connections open; who is away is in the log
        yield
        for hands in (events, others, asking):
            await asyncio.to_thread(hands.rest)
        fleet.disconnect()

    app = FastAPI(
        title="Purser: the gateway",
        version=version("odoo-purser"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        lifespan=living,
    )
    app.include_router(hooks.routes())
    if settings.senders:
        app.include_router(intake.routes())
    app.include_router(health.routes())
    app.include_router(page_of(app))
    app.add_middleware(AccessLogMiddleware)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    return app


async def _problem(_: Request, error: Any) -> Response:
    return problem_response(error)


async def _http(_: Request, error: Any) -> Response:
    says = {404: "there is nothing here", 405: "not with this method"}
    return problem_response(Problem(error.status_code, says.get(error.status_code, "no"), headers=error.headers))


async def _away(*_: Any) -> Response:
    return problem_response(Problem(503, "broker or ledger is away: send the same again, nothing is doubled"))


_HANDLERS = {Problem: _problem, HTTPException: _http, Transient: _away, Misconfigured: _away}
