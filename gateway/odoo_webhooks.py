"""`POST /hooks/odoo/<token>`: a rule in Odoo says that a record changed, and is believed nothing but which record.

Odoo waits for one second, inside the click of a person, and never asks again. So the answer comes at once, and a hook
that cannot be taken is counted and let go: the change feed finds the same record later.
"""

from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from config.security.trusted_proxies import PeerResolver
from config.settings import Settings
from events.field_types import MAX_ID
from gateway.access_log import add_log_fields
from gateway.limits import BodyMemoryLimit, ConcurrencyLimit
from gateway.peers import peer_of_request
from gateway.problem_details import Problem, ProblemLocation, documented_problems
from gateway.thread_pool import ThreadPool
from purser.errors import Transient
from purser.findings import Ref
from purser.formats.strict_json import InvalidJson, read_json
from store import HookRule, token_digest
from workers.context import WorkerContext
from workers.events.publish import enqueue_checks

log = structlog.get_logger(__name__)

ANSWER_TIMEOUT_SECONDS = 0.08
"""Seconds after which a hook is answered with 503: a person waits. What was begun by then still ends well."""

READ_WITHIN = 2.0
"""Seconds in which the body of a hook must be there: Odoo sends it at once, and waits for one second itself."""


class OdooWebhookRoutes:
    """Takes what automation rules of Odoo post."""

    def __init__(
        self,
        fleet: WorkerContext,
        settings: Settings,
        hands: ThreadPool,
        *,
        bodies: BodyMemoryLimit,
        room: ConcurrencyLimit,
        within: float = ANSWER_TIMEOUT_SECONDS,
    ) -> None:
        self._fleet, self._settings, self._hands = fleet, settings, hands
        self._bodies, self._room, self._within = bodies, room, within
        self._peers = PeerResolver(settings.trusted_proxies)
        self.missed = 0
        """How many hooks of known shape could not be passed on since the start."""

    def routes(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(tags=["hooks"])
        router.add_api_route(
            "/hooks/odoo/{token}",
            self._post,
            methods=["POST"],
            name="hook",
            summary="Say that a record changed in Odoo",
            description="For automation rules of Odoo, each with a token. Of the body `_model` and `_id` count.",
            status_code=202,
            response_description="Somebody will look at the record.",
            responses=documented_problems(400, 403, 404, 408, 413, 422, 503),
            openapi_extra=_REQUEST,
        )
        return router

    async def _post(
        self, request: Request, token: Annotated[str, Path(description="The rule's token.")]
    ) -> JSONResponse:
        most = self._settings.gateway_body_limit
        with self._bodies.held(peer_of_request(self._peers, request)) as arriving:
            within = min(READ_WITHIN, self._settings.gateway_read_timeout)
            body = await arriving.read(request, most=most, within=within)
        with self._room.taken():
            rule = await self._answer(token, body)
        add_log_fields(request, rule=rule.rule)
        return JSONResponse({}, status_code=202)

    async def _answer(self, token: str, body: bytes) -> HookRule:
        try:
            return await self._hands.do(partial(self._take, token, body), within=self._within)
        except (Transient, TimeoutError) as error:
            self.missed += 1
            log.warning("a hook is missed", why=type(error).__name__, missed=self.missed)
            raise Problem(503, "the fleet cannot take this now; the change feed will find it") from None

    def _take(self, token: str, body: bytes) -> HookRule:
        rule = self._fleet.ledger.hooks.find(token_digest(token))
        if rule is None:
            raise Problem(404, "there is nothing here")
        record = _record(body)
        if record.model not in rule.models:
            raise Problem(403, f"this rule may not speak of the model it names; it may of {', '.join(rule.models)}")
        enqueue_checks(self._fleet, record, at_once=True)
        self._remember(rule)
        return rule

    def _remember(self, rule: HookRule) -> None:
        """Keep when a rule was heard. The look is on its queue by now: that the ledger goes away changes nothing."""
        try:
            self._fleet.ledger.hooks.heard(rule.rule, self._fleet.now())
        except Transient as error:
            log.warning("a hook was taken and is not remembered", why=type(error).__name__)


def _record(body: bytes) -> Ref:
    """Read the only two things that are believed."""
    try:
        told = read_json(body)
    except InvalidJson as error:
        raise _wrong(f"the body is not JSON: {error}") from None
    if not isinstance(told, dict):
        raise _wrong("the body is no object")
    model, number = told.get("_model"), told.get("_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_ID:
        raise _wrong("_id: it is no id of a record")
    try:
        return Ref(model if isinstance(model, str) else "", number)
    except ValueError:
        raise _wrong("_model: it is no name of a model") from None


def _wrong(reason: str) -> Problem:
    return Problem(422, reason, errors=[ProblemLocation(reason=reason)])


_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["_model", "_id"],
                    "properties": {
                        "_model": {"type": "string"},
                        "_id": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
                    },
                }
            }
        },
    }
}
