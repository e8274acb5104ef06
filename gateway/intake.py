"""`POST /events`: an event is on its queue before the answer says so."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from config.settings import Settings
from events.envelope import CloudEvent
from gateway.forms import BATCH, ENVELOPE, PLAIN, Form, checked, events_in, form_of
from gateway.hands import Hands
from gateway.limits import Pace, Room, read_body
from gateway.porter import note
from gateway.problems import Problem, documented
from gateway.sources import Sources
from workers.fleet import Fleet
from workers.telling import tell


class Taken(BaseModel):
    """An event that the fleet has."""

    source: str
    id: str
    known: bool = Field(description="It was accepted before, so it was not sent again.")


class TakenBatch(BaseModel):
    """A batch that the fleet has."""

    events: list[Taken] = Field(description="What became of each, in the order of the batch.")


class Intake:
    """Takes events: size, signature, form, pace, facts, and then the queue."""

    def __init__(self, fleet: Fleet, settings: Settings, hands: Hands, *, room: Room, pace: Pace) -> None:
        self._fleet, self._settings, self._hands = fleet, settings, hands
        self._sources = Sources(settings.senders)
        self._room, self._pace = room, pace

    def routes(self) -> APIRouter:
        """Give the route."""
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
            response_model=Taken | TakenBatch,
            responses=documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
            openapi_extra=_REQUEST,
        )
        return router

    async def _post(self, request: Request) -> JSONResponse:
        headers = plain(request)
        form = form_of(headers)
        batch = form is Form.BATCH
        most = self._settings.gateway_batch_limit if batch else self._settings.gateway_body_limit
        with self._room.taken():
            body = await read_body(request, most=most, within=self._settings.gateway_read_timeout)
            source, taken = await self._hands.do(partial(self._take, form, headers, body))
        note(request, source=source, events=len(taken), known=sum(one.known for one in taken))
        told = TakenBatch(events=taken) if batch else taken[0]
        return JSONResponse(told.model_dump(), status_code=202)

    def _take(self, form: Form, headers: Mapping[str, str], body: bytes) -> tuple[str, list[Taken]]:
        sender = self._sources.who_signed(headers, body, now=self._fleet.now())
        raw = events_in(form, headers, body)
        self._pace.spend(sender.source, len(raw))
        told = checked(raw)
        if not all(sender.speaks_for(envelope.source) for envelope, _ in told):
            raise Problem(403, f"this secret signs for the source {sender.source} and what lies under it")
        known = tell(self._fleet, [envelope for envelope, _ in told], at_once=True)
        return sender.source, [
            Taken(source=envelope.source, id=envelope.id, known=was)
            for (envelope, _), was in zip(told, known, strict=True)
        ]


def plain(request: Request) -> dict[str, str]:
    """Give the headers by lower-case name, the first of each; a value in UTF-8 is read as what its sender signed."""
    told: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        told.setdefault(name.decode("latin-1"), _text(value))
    return told


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
