"""Publish what the sender of a task message wants to be called when the task has ended (`link`, `link_error`, chain).

The outcome of a task is its own: a callback that cannot be published becomes a dead letter of its own.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Celery
from celery.canvas import maybe_signature
from kombu.entity import Queue

from workers.context import WorkerContext
from workers.dead_letters.letter_factory import letter

log = structlog.get_logger(__name__)

NOT_SENT = "callback not sent"
"""Why a message is a dead letter that was to be called after a task."""

_NO_RESULTS = "a chord waits for results, and the fleet keeps none: call the task by `link`, or use a subscription"


@dataclass(frozen=True, slots=True)
class TaskCallbacks:
    """What is to be called when a task has ended."""

    success: Sequence[dict[str, Any]] = ()
    error: Sequence[dict[str, Any]] = ()
    chain: Sequence[dict[str, Any]] = ()
    chord: dict[str, Any] | None = None

    @classmethod
    def take_from(cls, request: Any) -> "TaskCallbacks":
        """Return the callbacks of a request, and take them off it, so that Celery publishes none of them."""
        found = cls(request.callbacks or (), request.errbacks or (), request.chain or (), request.chord or None)
        request.callbacks = request.errbacks = request.chain = request.chord = None
        return found

    def succeeded(self, fleet: WorkerContext, app: Celery, request: Any, result: Any) -> None:
        """Publish what follows a task that is done. Raises Transient when neither broker nor ledger takes it."""
        for number, one in enumerate(self.success):
            _publish(fleet, app, request, one, [result], number=f"link-{number}")
        if self.chain:
            _publish(fleet, app, request, self.chain[-1], [result], number="chain", chain=list(self.chain[:-1]))
        if self.chord is not None:
            _keep(fleet, request, self.chord, [result], number="chord", error="NotSupported", text=_NO_RESULTS)

    def failed(self, fleet: WorkerContext, app: Celery, request: Any) -> None:
        """Publish what follows a task that becomes a dead letter."""
        for number, one in enumerate(self.error):
            _publish(fleet, app, request, one, [request.id], number=f"link-error-{number}")


def _publish(
    fleet: WorkerContext,
    app: Celery,
    request: Any,
    told: dict[str, Any],
    args: list[Any],
    *,
    number: str,
    **options: Any,
) -> None:
    try:
        signature: Any = maybe_signature(deepcopy(told), app=app)
        queue = signature.options.get("queue")
        if isinstance(queue, str) and queue not in app.amqp.queues:
            make: Any = Queue
            signature.options["queue"] = make(queue, no_declare=True)  # its owner declares it
        signature.apply_async(args, parent_id=request.id, root_id=request.root_id or request.id, **options)
    except Exception as error:  # noqa: BLE001 - a signature of anybody's making: the outcome of the task stands
        _keep(fleet, request, told, args, number=number, error=type(error).__name__, text=str(error))


def _keep(
    fleet: WorkerContext, request: Any, told: dict[str, Any], args: list[Any], *, number: str, error: str, text: str
) -> None:
    queue = (told.get("options") or {}).get("queue")
    own = [] if told.get("immutable") else args
    stored = letter(
        queue=queue if isinstance(queue, str) else "",
        body=json.dumps([[*own, *(told.get("args") or [])], told.get("kwargs") or {}, {}], default=repr).encode(),
        headers={
            "task": told["task"],
            "id": f"{request.id}-{number}",
            "parent_id": request.id,
            "root_id": request.root_id or request.id,
        },
        properties=None,
        content_type="application/json",
        content_encoding="utf-8",
        reason=NOT_SENT,
        error=error,
        text=fleet.redactor.text(f"to be called after {request.id}: {text}"),
        traceback="",
        now=fleet.now(),
    )
    fleet.ledger.letters.store(stored)
    log.error("callback not sent", letter=stored.id, task=stored.task, queue=stored.queue, error=error)
