"""Whoever is turned away learns why, in one form that programs read: problem+json. Source: RFC 9457."""

import http
from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 2
"""Seconds after which it is worth asking again when the broker or the ledger is away."""


class ProblemLocation(BaseModel):
    """One thing that is wrong, and where."""

    event: int | None = Field(None, description="Which event of a batch, counted from 0.")
    reason: str = Field(description="What is wrong and where in it; never the value.")


class ProblemDetails(BaseModel):
    """Why a request was turned away."""

    type: str = Field("about:blank", description="The status says what kind of problem it is.")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do.")
    errors: list[ProblemLocation] = Field([], description="With 422: everything that is wrong with the events.")


class Problem(Exception):
    """A request is turned away. The detail is safe to show to anybody."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[ProblemLocation] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.errors = errors or []
        self.headers = dict(headers or {})


def problem_response(problem: Problem) -> Response:
    """Return the answer that tells of a problem."""
    told = ProblemDetails(
        title=http.HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        errors=problem.errors,
    )
    headers = {**_ALWAYS.get(problem.status, {}), **problem.headers}
    return Response(
        told.model_dump_json(exclude_defaults=False, exclude={"errors"} if not problem.errors else None),
        status_code=problem.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


_ALWAYS: Mapping[int, Mapping[str, str]] = {
    401: {"www-authenticate": "StandardWebhooks"},
    # What is still to come of such a request is not read.
    408: {"connection": "close"},
    413: {"connection": "close"},
    503: {"retry-after": str(RETRY_AFTER)},
}


def documented_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe these answers for OpenAPI."""
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    place = schema.pop("$defs")["ProblemLocation"]
    schema["properties"]["errors"]["items"] = place
    return {
        status: {"description": _SAYS[status], "content": {MEDIA_TYPE: {"schema": schema}}, **_with_headers(status)}
        for status in statuses
    }


def _with_headers(status: int) -> dict[str, Any]:
    if status not in (429, 503):
        return {}
    return {"headers": {"Retry-After": {"description": "In how many seconds.", "schema": {"type": "integer"}}}}


_SAYS: Mapping[int, str] = {
    400: "The connection ended before the request did, or a header is there twice.",
    401: "Not signed, signed with no secret that counts, or signed too long ago.",
    403: "The sender is known and may not say this.",
    404: "There is nothing here.",
    405: "Not with this method.",
    408: "The request did not come as a whole in time.",
    413: "Too large. Nothing of it is kept.",
    415: "Not in a form that is read here.",
    422: "What it says is no event; all that is wrong is listed. Of a batch nothing is kept.",
    429: "This source has sent more than it may; nothing of this request is kept.",
    503: "The fleet cannot take it now. Send the same again.",
}
