"""`POST /events`: an event is on its queue before the answer says so."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from config.security.event_sources import EventSource
from config.security.trusted_proxies import PeerResolver
from config.settings import Settings
from events.cloudevent import CloudEvent
from gateway.access_log import add_log_fields
from gateway.authentication import SourceAuthenticator
from gateway.cloudevents_http import BATCH, ENVELOPE, PLAIN, ContentMode, checked, content_mode, events_in
from gateway.limits import BodyMemoryLimit, ConcurrencyLimit, SourceRateLimiter
from gateway.peers import peer_of_request
from gateway.problem_details import Problem, documented_problems
from gateway.thread_pool import ThreadPool
from purser.formats.strict_json import shown_name
from workers.context import WorkerContext
from workers.events.publish import publish_events


class AcceptedEvent(BaseModel):
    """An event that the fleet has."""

    source: str
    id: str
    known: bool = Field(description="It was accepted before, so it was not sent again.")


class AcceptedBatch(BaseModel):
    """A batch that the fleet has."""

    events: list[AcceptedEvent] = Field(description="What became of each, in the order of the batch.")


class EventsApi:
    """Takes events: size, signature, form, pace, facts, and then the queue."""

    def __init__(
        self,
        fleet: WorkerContext,
        settings: Settings,
        hands: ThreadPool,
        *,
        bodies: BodyMemoryLimit,
        room: ConcurrencyLimit,
        pace: SourceRateLimiter,
    ) -> None:
        self._fleet, self._settings, self._hands = fleet, settings, hands
        self._sources = SourceAuthenticator(settings.senders)
        self._bodies, self._room, self._pace = bodies, room, pace
        self._peers = PeerResolver(settings.trusted_proxies)

    def routes(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(tags=["events"])
        router.add_api_route(
            "/events",
            self._post,
            methods=["POST"],
            name="events",
            summary="Send an event, or a batch of them",
            description=_DESCRIPTION,
            status_code=202,
            response_description="The broker has all of it.",
            response_model=AcceptedEvent | AcceptedBatch,
            responses=documented_problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
            openapi_extra=_REQUEST,
        )
        return router

    async def _post(self, request: Request) -> JSONResponse:
        headers = decode_headers(request)
        form = content_mode(headers)
        batch = form is ContentMode.BATCH
        most = self._settings.gateway_batch_limit if batch else self._settings.gateway_body_limit
        self._sources.check_headers(headers)
        with self._bodies.held(peer_of_request(self._peers, request)) as arriving:
            body = await arriving.read(request, most=most, within=self._settings.gateway_read_timeout)
            sender = await self._hands.do(partial(self._who_signed, headers, body))
        with self._room.taken():
            taken = await self._hands.do(partial(self._take, sender, form, headers, body))
        add_log_fields(request, source=sender.source, events=len(taken), known=sum(one.known for one in taken))
        told = AcceptedBatch(events=taken) if batch else taken[0]
        return JSONResponse(told.model_dump(), status_code=202)

    def _who_signed(self, headers: Mapping[str, str], body: bytes) -> EventSource:
        return self._sources.who_signed(headers, body, now=self._fleet.now())

    def _take(
        self, sender: EventSource, form: ContentMode, headers: Mapping[str, str], body: bytes
    ) -> list[AcceptedEvent]:
        raw = events_in(form, headers, body)
        self._pace.spend(sender.source, len(raw))
        told = checked(raw)
        if not all(sender.speaks_for(envelope.source) for envelope, _ in told):
            raise Problem(403, f"this secret signs for the source {sender.source} and what lies under it")
        known = publish_events(self._fleet, [envelope for envelope, _ in told], at_once=True)
        return [
            AcceptedEvent(source=envelope.source, id=envelope.id, known=was)
            for (envelope, _), was in zip(told, known, strict=True)
        ]


def decode_headers(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name; a value in UTF-8 is read as what its sender signed.

    Raises Problem where one that counts is there twice: some readers take the first, and others the last.
    """
    told: dict[str, str] = {}
    for raw, value in request.scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name in told and name.startswith(_ONCE):
            raise Problem(400, f"the header {shown_name(name)} is there twice: send it once")
        told.setdefault(name, _text(value))
    return told


_ONCE = ("webhook-", "ce-", "content-type", "content-encoding")
"""Headers that an answer depends on."""


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


_DESCRIPTION = """
A CloudEvent 1.0 in JSON, a batch of them, or its `data` with the envelope in `ce-...` headers, signed per Standard
Webhooks. The secret says who sends; `source` must be the sender's own or lie under it. The answer comes once the
broker has every event. The same `source` and `id` again is answered alike and sent once.
""".strip()


def _schema() -> dict[str, Any]:
    return CloudEvent.model_json_schema()


_SIGNED = [
    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": says}
    for name, says in (
        ("webhook-id", "The id of this message; in binary mode the same as `ce-id`."),
        ("webhook-timestamp", "When it was sent, in seconds since 1970."),
        ("webhook-signature", "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`."),
    )
]

_REQUEST: dict[str, Any] = {
    "parameters": _SIGNED,
    "requestBody": {
        "required": True,
        "content": {
            ENVELOPE: {"schema": _schema()},
            BATCH: {"schema": {"type": "array", "items": _schema()}},
            PLAIN: {"schema": {"type": "object"}},
        },
    },
}
