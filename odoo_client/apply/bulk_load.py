"""Rows go in by `bulk_load`, each under its own external id, and a row that Odoo refuses takes no neighbour along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from odoo_client.transport import error_mapping
from odoo_client.transport.request import Request, RpcSender
from purser.errors import Permanent, Refusal

BATCH_SIZE = 100
"""Rows per call: few enough to stay far below the server's CPU limit, enough to be 17 to 38 times one call each."""

CREATE_ONLY = {"mode": "update", "noupdate": True}
"""An existing record is returned as people have edited it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The record that stands under a row's external id."""

    id: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Odoo's reason against a row; `dangling` when it names a record that is not there (yet)."""

    reason: str
    dangling: bool = False
    denied: bool = False
    """The user may not import records of this model at all."""


Result = Loaded | Rejected


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadBatch:
    """Rows of one model with the same columns, in the order in which they may refer to each other."""

    model: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    context: Mapping[str, Any] = field(default_factory=dict)

    def some(self, rows: Sequence[Sequence[str]]) -> "LoadBatch":
        """Return the same batch with fewer rows."""
        return LoadBatch(model=self.model, columns=self.columns, rows=rows, context=self.context)

    def refers_to_itself(self) -> bool:
        """Return whether a row names the external id of another."""
        own = {row[0] for row in self.rows}
        return any(cell in own for row in self.rows for cell in row[1:])


def bulk_load(client: RpcSender, batch: LoadBatch) -> list[Result]:
    """Load a batch, in calls of at most 100 rows; one result per row, in order."""
    results: list[Result] = []
    for start in range(0, len(batch.rows), BATCH_SIZE):
        results += _isolated(client, batch.some(batch.rows[start : start + BATCH_SIZE]))
    return results


def _isolated(client: RpcSender, batch: LoadBatch) -> list[Result]:
    try:
        answer = _load(client, batch)
    except error_mapping.AccessDenied as error:
        return [Rejected(str(error), denied=True)] * len(
            batch.rows
        )  # raised, not reported per row: it holds for the whole model
    except Refusal as error:
        return _halves(client, batch) if len(batch.rows) > 1 else [Rejected(str(error))]
    if answer["ids"]:
        return _loaded(batch, answer["ids"])
    errors = [one for one in answer["messages"] if one.get("type") == "error"] or answer["messages"]
    if len(batch.rows) == 1:
        return [_rejected(errors)]
    blamed = _blamed(errors, len(batch.rows))
    if not blamed or batch.refers_to_itself():
        return _halves(client, batch)
    return _without(client, batch, blamed)


def _load(client: RpcSender, batch: LoadBatch) -> Any:
    """Send the rows; who lost a race against another import sends them once more and gets the winner's ids."""
    request = Request(
        model=batch.model,
        method="load",
        arguments={"fields": batch.columns, "data": batch.rows},
        context={**batch.context, **CREATE_ONLY},
    )
    for _ in range(2):
        answer = client.send(request)
        if answer["ids"] or not any(
            error_mapping.is_lost_race(str(one.get("message"))) for one in answer["messages"]
        ):
            return answer
    raise error_mapping.SerializationConflict(f"{request}: another import of the same keys was in the way, twice")


def _loaded(batch: LoadBatch, ids: Sequence[Any]) -> list[Result]:
    if len(ids) != len(batch.rows):
        raise Permanent(f"{batch.model}.load: {len(ids)} ids came back for {len(batch.rows)} rows")
    return [Loaded(int(one)) for one in ids]


def _rejected(errors: Sequence[Mapping[str, Any]]) -> Rejected:
    text = str(errors[0].get("message", "")) if errors else ""
    return Rejected(error_mapping.plain_text(text) or "Odoo gave no reason", error_mapping.is_dangling(text))


def _blamed(errors: Sequence[Mapping[str, Any]], rows: int) -> dict[int, Rejected]:
    """Find rows that Odoo holds responsible, one by one.

    Where several are named, the first message may be that of the whole batch, pinned on an innocent first row:
    that row is tried again with the neighbours.
    """
    blamed = {index: _rejected([error]) for error in reversed(errors) if (index := _row_of(error, rows)) is not None}
    if len(blamed) > 1 and (first := _row_of(errors[0], rows)) not in {_row_of(one, rows) for one in errors[1:]}:
        blamed.pop(first, None)  # type: ignore[arg-type]
    return blamed


def _row_of(error: Mapping[str, Any], rows: int) -> int | None:
    span = error.get("rows") or {}
    first = span.get("from")
    return first if isinstance(first, int) and first == span.get("to") and 0 <= first < rows else None


def _without(client: RpcSender, batch: LoadBatch, blamed: Mapping[int, Rejected]) -> list[Result]:
    rest = [row for index, row in enumerate(batch.rows) if index not in blamed]
    landed = iter(_isolated(client, batch.some(rest)) if rest else ())
    return [blamed[index] if index in blamed else next(landed) for index in range(len(batch.rows))]


def _halves(client: RpcSender, batch: LoadBatch) -> list[Result]:
    """Load the first half, then the second, which may refer to the first."""
    middle = len(batch.rows) // 2
    return _isolated(client, batch.some(batch.rows[:middle])) + _isolated(client, batch.some(batch.rows[middle:]))
