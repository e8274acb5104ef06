"""Whoever starts and stops us can ask whether we live, and whether we can take anything."""

from collections.abc import Callable

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.odoo_webhooks import OdooWebhookRoutes
from gateway.problem_details import Problem, documented_problems
from gateway.thread_pool import ThreadPool
from purser.errors import PurserError
from workers.context import WorkerContext

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_SECONDS = 2.0
"""Seconds in which broker and ledger must answer."""


class Alive(BaseModel):
    """The process answers."""

    status: str = "live"


class Ready(BaseModel):
    """What is sent now will be taken."""

    status: str = "ready"
    missed_hooks: int = Field(description="Hooks that could not be passed on since the start.")


class HealthRoutes:
    """Answers whether we live and are ready."""

    def __init__(
        self, fleet: WorkerContext, ask_broker: Callable[[], object], hooks: OdooWebhookRoutes, hands: ThreadPool
    ) -> None:
        self._fleet, self._ask_broker, self._hooks, self._hands = fleet, ask_broker, hooks, hands

    def routes(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["health"], prefix="/health")
        router.add_api_route("/live", self._live, name="live", summary="Does the process answer?")
        router.add_api_route(
            "/ready",
            self._ready,
            name="ready",
            summary="Do broker and ledger answer?",
            responses=documented_problems(503),
        )
        return router

    async def _live(self) -> Alive:
        return Alive()

    async def _ready(self) -> Ready:
        try:
            away = await self._hands.do(self.who_is_away, within=CHECK_TIMEOUT_SECONDS)
        except TimeoutError:
            away = "broker or ledger (no answer in time)"
        if away:
            raise Problem(503, f"{away} cannot be reached")
        return Ready(missed_hooks=self._hooks.missed)

    def who_is_away(self) -> str:
        """Name what cannot be reached, '' when all can."""
        questions = {"the ledger": self._fleet.ledger.now, "the broker": self._ask_broker}
        return " and ".join(name for name, ask in questions.items() if not _answers(name, ask))


def _answers(name: str, ask: Callable[[], object]) -> bool:
    for is_last in (False, True):  # a connection that was cut while nobody used it fails once
        try:
            ask()
        except PurserError as error:
            if is_last:
                log.warning("not ready", away=name, why=type(error).__name__)
        else:
            return True
    return False
