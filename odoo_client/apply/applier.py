"""Changes are carried out in order and in batches, so that doing it all again adds nothing."""

import html
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from odoo_client.apply import bulk_load, updates
from odoo_client.apply.bulk_load import LoadBatch, Loaded, Rejected, Result
from odoo_client.apply.preconditions import ACTIVITY, MESSAGE, failed_in, held_back, nowhere
from odoo_client.connection import FieldInfo
from odoo_client.field_values import UnresolvedReference, columns_of, external_id, json_of
from odoo_client.outcome import ChangeOutcome, ChangeStatus
from odoo_client.read.capabilities import archives
from odoo_client.read.lookup import find_external_ids
from odoo_client.server_action import OperationRequest, ServerActionRunner
from odoo_client.transport.error_mapping import SerializationConflict, may_be_lost_race
from odoo_client.transport.request import RpcSender, Version
from purser.changes import (
    CallMethod,
    Change,
    CloseActivity,
    Ensure,
    Key,
    PostNote,
    RunOperation,
    Update,
    Values,
    XmlId,
    change_key,
    needed_by,
)
from purser.findings import Ref


class Writer(RpcSender, Protocol):
    """What applying needs of a client."""

    receipts: ServerActionRunner

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return a model's fields, or None."""

    def version(self) -> Version:
        """Return the server's version."""


class ChangeApplier:
    """Applies one list of changes, and remembers which record each key became."""

    def __init__(self, client: Writer, *, batch: int = bulk_load.BATCH_SIZE) -> None:
        if batch < 1:
            raise ValueError(f"a call carries at least one change, not {batch}")
        self._client = client
        self._batch = batch
        self._known: dict[str, Ref | None] = {}
        self._failed: frozenset[str] = frozenset()

    def apply(self, changes: Sequence[Change]) -> tuple[ChangeOutcome, ...]:
        """Carry out all changes; one outcome each, in order."""
        outcomes: list[ChangeOutcome] = []
        for run in _runs(changes, self._batch):
            held = {index: outcome for index, one in enumerate(run) if (outcome := held_back(one, self._failed))}
            free = [one for index, one in enumerate(run) if index not in held]
            carried_out = iter(self._run(free) if free else ())
            done = [held.get(index) or next(carried_out) for index in range(len(run))]
            self._failed |= failed_in(done)
            outcomes += done
        return tuple(outcomes)

    def _run(self, run: Sequence[Any]) -> Iterable[ChangeOutcome]:
        match run[0]:
            case Ensure():
                return self._ensure(run)
            case PostNote():
                return self._note(run)
            case Update():
                return updates.apply_updates(self._client, run, self._id_of)
            case CloseActivity():
                return updates.apply_closes(self._client, run, archives=archives(self._client))
            case CallMethod():
                return [updates.apply_call(self._client, one, self._id_of) for one in run]
            case RunOperation():
                return self._perform(run)
            case other:
                raise TypeError(f"{type(other).__name__} is no change")

    # -------------------------------------------------------------------- ensure, note --

    def _ensure(self, run: Sequence[Ensure]) -> list[ChangeOutcome]:
        outcomes: dict[int, ChangeOutcome] = {}
        placed: list[tuple[int, Ensure, Values]] = []
        for index, change in enumerate(run):
            values = self._placed(change)
            if values is None:
                outcomes[index] = nowhere(change)
            else:
                placed.append((index, change, values))
        cells = columns_of([values for *_, values in placed])
        lines = [_ImportRow(index, change, row) for (index, change, _), row in zip(placed, cells, strict=True)]
        for shape, group in itertools.groupby(lines, _ImportRow.shape):
            outcomes |= self._load(shape, list(group))
        return [outcomes[index] for index in range(len(run))]

    def _load(self, shape: "_Shape", lines: "list[_ImportRow]") -> dict[int, ChangeOutcome]:
        model, context, columns = shape
        rows = [[external_id(line.change.key), *line.cells.values()] for line in lines]
        loaded = bulk_load.bulk_load(
            self._client, LoadBatch(model=model, columns=("id", *columns), rows=rows, context=dict(context))
        )
        return {
            line.index: self._outcome(line.change, model, line.change.key, result)
            for line, result in zip(lines, loaded, strict=True)
        }

    def _placed(self, change: Ensure) -> Values | None:
        """Return the values to import. An activity's place is told by context and a bare id; None: no such place."""
        if change.model != ACTIVITY:
            return change.values
        values = {field: value for field, value in change.values.items() if field != "res_model"}
        anchor = values.get("res_id")
        if isinstance(anchor, Key):
            values["res_id"] = self._id_of(anchor)
            if values["res_id"] is None:
                return None
        return values

    def _note(self, run: Sequence[PostNote]) -> list[ChangeOutcome]:
        batch = LoadBatch(
            model=MESSAGE,
            columns=("id", "model", "res_id", "body", "message_type", "subtype_id/id"),
            rows=[
                [
                    external_id(one.key),
                    one.on.model,
                    str(one.on.id),
                    _as_html(one.body),
                    "notification",
                    "mail.mt_note",
                ]
                for one in run
            ],
        )
        loaded = bulk_load.bulk_load(self._client, batch)
        return [self._outcome(one, MESSAGE, one.key, result) for one, result in zip(run, loaded, strict=True)]

    def _outcome(self, change: Change, model: str, key: str, result: Result) -> ChangeOutcome:
        match result:
            case Loaded():
                ref = self._known[external_id(key)] = Ref(model, result.id)
                return ChangeOutcome(change, ChangeStatus.DONE, ref)
            case Rejected(dangling=True):
                return ChangeOutcome(change, ChangeStatus.CONFLICT, reason=result.reason)
            case Rejected(denied=True):
                return ChangeOutcome(change, ChangeStatus.REFUSED, reason=result.reason)
            case Rejected():
                return self._refused(change, model, key, result.reason)

    def _refused(self, change: Change, model: str, key: str, reason: str) -> ChangeOutcome:
        """Ask for the record of the key before a refusal is believed: another writer of the same key came first."""
        there = find_external_ids(self._client, external_id(key))
        if there is not None and there.model == model and there.id is not None:
            ref = self._known[external_id(key)] = Ref(model, there.id)
            return ChangeOutcome(change, ChangeStatus.ALREADY, ref)
        if may_be_lost_race(reason):
            raise SerializationConflict(f"{model} under the key {key}: another transaction was in the way: {reason}")
        return ChangeOutcome(change, ChangeStatus.REFUSED, reason=reason)

    # ------------------------------------------------------------------------- perform --

    def _perform(self, run: Sequence[RunOperation]) -> list[ChangeOutcome]:
        outcomes: dict[int, ChangeOutcome] = {}
        tasks: dict[int, OperationRequest] = {}
        for index, change in enumerate(run):
            try:
                arguments = json_of(change.arguments, self._id_of)
            except UnresolvedReference as name:
                outcomes[index] = ChangeOutcome(change, ChangeStatus.CONFLICT, change.on, f"{name}: not there (yet)")
                continue
            tasks[index] = OperationRequest(
                key=change.key, operation=change.operation, id=change.on.id, arguments=arguments
            )
        for index, result in zip(tasks, self._client.receipts.perform(list(tasks.values())), strict=True):
            outcomes[index] = ChangeOutcome(run[index], result.status, result.ref, result.reason)
            if result.ref is not None:
                self._known[external_id(run[index].key)] = result.ref
        return [outcomes[index] for index in range(len(run))]

    # --------------------------------------------------------------------------- names --

    def _id_of(self, named: Key | XmlId) -> int | None:
        """Return the id behind a name: what this apply has made, else what Odoo knows and this user may see."""
        name = external_id(named.key) if isinstance(named, Key) else named.name
        if name not in self._known:
            self._known[name] = self._look_up(name)
        found = self._known[name]
        if found is None or (isinstance(named, Key) and found.model != named.model):
            return None
        return found.id

    def _look_up(self, name: str) -> Ref | None:
        found = find_external_ids(self._client, name)
        return None if found is None or found.id is None else Ref(found.model, found.id)


_Shape = tuple[str, tuple[tuple[str, Any], ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _ImportRow:
    """One Ensure of a run, as cells by import column."""

    index: int
    change: Ensure
    cells: dict[str, str]

    def shape(self) -> _Shape:
        """Return what lines must have in common to share a call: model, context and columns."""
        context: dict[str, Any] = {"mail_create_nosubscribe": True}  # the bot follows nothing it makes
        if self.change.model == ACTIVITY:
            # Without the first: one mail and 26 times the time each. The second stands for `res_model_id`, which
            # the import takes by external id only, and a bot may not look that up.
            context["mail_activity_quick_update"] = True
            context["default_res_model"] = self.change.values.get("res_model")
        return self.change.model, tuple(context.items()), tuple(self.cells)


def _as_html(text: str) -> str:
    return "<p>" + html.escape(text).replace("\n", "<br/>") + "</p>"


def _runs(changes: Sequence[Change], batch: int) -> Iterator[list[Change]]:
    """Cut the list where kind or model changes, before what builds on the same run, and after `batch` changes."""
    run: list[Change] = []
    for change in changes:
        twice = isinstance(change, Update) and _touches(run, change.ref)
        twice = twice or (isinstance(change, (Ensure, PostNote)) and _has_key(run, change.key))
        twice = twice or (isinstance(change, RunOperation) and _waits(run, change))
        twice = twice or any(change_key(one) in needed_by(change) for one in run)
        if run and (twice or len(run) == batch or _sort(change) != _sort(run[-1])):
            yield run
            run = []
        run.append(change)
    if run:
        yield run


def _sort(change: Change) -> tuple[str, str]:
    match change:
        case Ensure():
            return change.kind, change.model
        case Update() | CallMethod():
            return change.kind, change.ref.model
        case _:
            return change.kind, ""


def _touches(run: Sequence[Change], ref: Ref) -> bool:
    return any(isinstance(one, Update) and one.ref == ref for one in run)


def _has_key(run: Sequence[Change], key: str) -> bool:
    """Return whether the run writes a record of this key: a refused one is asked for before the next is tried."""
    return any(isinstance(one, (Ensure, PostNote)) and one.key == key for one in run)


def _waits(run: Sequence[Change], change: RunOperation) -> bool:
    """Return whether an operation takes what another of the run makes."""
    named = {value.key for value in change.arguments.values() if isinstance(value, Key)}
    return any(isinstance(one, RunOperation) and one.key in named for one in run)
