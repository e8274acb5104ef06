"""What applying changes would do is foreseen by reading only, with the judgement that applying itself uses.

What Odoo says only when it is written to, such as a constraint between fields, nobody can foresee: a change that is
foreseen as applied may still be refused then.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from odoo_client.apply.preconditions import (
    ACTIVITY,
    MESSAGE,
    READERS_POST,
    evaluate_close,
    evaluate_update,
    guard_holds,
    held_back,
    nowhere,
    open_by,
)
from odoo_client.field_values import MODULE, external_id
from odoo_client.outcome import ChangeOutcome, ChangeStatus
from odoo_client.preview.record_cache import PreviewClient, RecordCache, RecordPresence
from odoo_client.read.lookup import ExternalIdMatch, LookupResult
from odoo_client.server_action import OPERATIONS, ServerOperation
from odoo_client.transport.request import plain
from purser.changes import (
    CallMethod,
    Change,
    CloseActivity,
    Ensure,
    Key,
    PostNote,
    RecordLink,
    RunOperation,
    Update,
    Value,
    Values,
    XmlId,
    change_key,
)
from purser.engine.predictions import FieldChange, PredictedOutcome
from purser.findings import Ref

_UNBORN = 2**31
"""The ids above are no database's: they stand for records that an earlier change would make."""

_FATES = {
    ChangeStatus.DONE: PredictedOutcome.APPLY,
    ChangeStatus.ALREADY: PredictedOutcome.DONE,
    ChangeStatus.CONFLICT: PredictedOutcome.CONFLICT,
    ChangeStatus.REFUSED: PredictedOutcome.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Preview:
    """One change and what would become of it; `why` says so, where it would not end well."""

    change: Change
    fate: PredictedOutcome
    ref: Ref | None = None
    """The record, where it is there."""
    fields: tuple[FieldChange, ...] = ()
    why: str = ""


class Previewer:
    """Foresees changes one after the other, each on what those before it would have left."""

    def __init__(self, client: PreviewClient) -> None:
        self._known = RecordCache(client)
        self._unborn = itertools.count(_UNBORN)
        self._made: dict[str, Ref] = {}
        self._written: dict[Ref, dict[str, Any]] = {}
        self._called: list[CallMethod] = []
        self._failed: set[str] = set()

    def learn(self, changes: Sequence[Change]) -> None:
        """Read what judging these takes: the more at once, the fewer calls."""
        self._known.learn(changes)

    def judge(self, change: Change) -> Preview:
        """Return what would become of a change that was learnt about."""
        held = held_back(change, self._failed)
        preview = _of(held) if held else self._predict(change)
        if preview.fate in (PredictedOutcome.REFUSED, PredictedOutcome.CONFLICT):
            self._failed.add(change_key(change))
        born = preview.ref is None or preview.ref.id < _UNBORN
        return preview if born else replace(preview, ref=None)

    def _predict(self, change: Change) -> Preview:
        match change:
            case Ensure():
                return self._ensure(change)
            case PostNote():
                return self._note(change)
            case Update():
                return self._update(change)
            case CloseActivity():
                return self._close(change)
            case CallMethod():
                return self._call(change)
            case RunOperation():
                return self._perform(change)
            case other:
                raise TypeError(f"{type(other).__name__} is no change")

    # -------------------------------------------------------------------- ensure, note --

    def _ensure(self, change: Ensure) -> Preview:
        if unfit := self._unfit(change.model, change.values):
            return Preview(change, PredictedOutcome.UNKNOWN, why=unfit)
        anchor, document = change.values.get("res_id"), None
        if change.model == ACTIVITY and isinstance(anchor, Key):
            document = self._ref(anchor)
            if document is None:
                return _of(nowhere(change))
        elif change.model == ACTIVITY:
            document = _document(change.values)
        there = self._there(change, change.model, change.key)
        if stop := self._stopped(change, change.model, change.values):
            # A refusal is not believed where the record of the key is there: applying asks for it first.
            return (
                there
                if there and there.fate is PredictedOutcome.DONE and stop.fate is PredictedOutcome.REFUSED
                else stop
            )
        if there is not None:
            return there
        if not self._known.may(change.model, "create"):
            return Preview(change, PredictedOutcome.REFUSED, why=f"this user may not create {change.model}")
        if change.model == ACTIVITY and (no := self._closed(document, change.values.get("user_id"))):
            return Preview(change, PredictedOutcome.REFUSED, why=no)
        if hidden := self._hidden(change.values):
            return Preview(change, PredictedOutcome.UNKNOWN, why=hidden)
        self._make(change.model, change.key)
        return Preview(change, PredictedOutcome.APPLY, fields=_new(change.values))

    def _note(self, change: PostNote) -> Preview:
        there = self._there(change, MESSAGE, change.key)
        if there is not None:
            return there
        if no := self._closed(change.on, None):
            return Preview(change, PredictedOutcome.REFUSED, why=no)
        self._make(MESSAGE, change.key)
        return Preview(change, PredictedOutcome.APPLY, fields=(FieldChange("body", None, change.body),))

    def _there(self, change: Ensure | PostNote | RunOperation, model: str, key: str) -> Preview | None:
        """Say so when the record stands already; one that this user may not see stands as well."""
        found = self._found(external_id(key))
        if found is None:
            return None
        if found.model != model:
            why = f"the key names a record of {found.model}, not of {model}"
            return Preview(change, PredictedOutcome.REFUSED, why=why)
        if found.id is None:
            self._make(model, key)
            return Preview(change, PredictedOutcome.DONE)
        return Preview(change, PredictedOutcome.DONE, Ref(model, found.id))

    def _make(self, model: str, key: str) -> None:
        self._made[external_id(key)] = Ref(model, next(self._unborn))

    def _closed(self, document: Ref | None, asked: Value) -> str:
        """Return why nothing may be put on a document, '' when it may."""
        if document is None:
            return "it stands on no document"
        if document.id >= _UNBORN:
            return ""
        if self._known.presence(document) is not RecordPresence.SEEN:
            return f"{document} does not exist any more, or this user may not see it"
        if self._known.may_write(document):
            return ""
        is_mine = asked is None or (isinstance(asked, RecordLink) and self._known.is_me(asked.ref))
        return "" if document.model in READERS_POST and is_mine else f"this user may not write {document}"

    # ----------------------------------------------------------- what is there already --

    def _update(self, change: Update) -> Preview:
        model = change.ref.model
        if unfit := self._unfit(model, {**change.expect, **change.values}):
            return Preview(change, PredictedOutcome.UNKNOWN, change.ref, why=unfit)
        looked = self._looked(change.ref)
        wanted = evaluate_update(change, looked, self._id_of)
        if isinstance(wanted, ChangeOutcome):
            return _of(wanted)
        if stop := self._stopped(change, model, change.values):
            return replace(stop, ref=change.ref)
        if not self._known.may_write(change.ref):
            return Preview(change, PredictedOutcome.REFUSED, change.ref, why=f"this user may not write {change.ref}")
        if hidden := self._hidden(change.values):
            return Preview(change, PredictedOutcome.UNKNOWN, change.ref, why=hidden)
        self._write(change.ref, wanted)
        return Preview(
            change, PredictedOutcome.APPLY, change.ref, _moved(change.values, looked.rows[change.ref.id], wanted)
        )

    def _close(self, change: CloseActivity) -> Preview:
        ref, by = Ref(ACTIVITY, change.activity), self._known.archives()
        over = evaluate_close(change, self._looked(ref), archives=by)
        if over is not None:
            return _of(over)
        if not self._known.may_write(ref):
            return Preview(change, PredictedOutcome.REFUSED, ref, why=f"this user may not write {ref}")
        self._write(ref, {open_by(by): False})
        told = (FieldChange("active", True, False), FieldChange("feedback", None, change.feedback))
        return Preview(change, PredictedOutcome.APPLY, ref, told)

    def _call(self, change: CallMethod) -> Preview:
        if unfit := self._unfit(change.ref.model, change.guard):
            return Preview(change, PredictedOutcome.UNKNOWN, change.ref, why=unfit)
        holds = guard_holds(change, self._looked(change.ref), self._id_of)
        if isinstance(holds, ChangeOutcome):
            return _of(holds)
        if not holds or any(one.ref == change.ref and one.guard == change.guard for one in self._called):
            return Preview(change, PredictedOutcome.DONE, change.ref)
        self._called.append(change)
        return Preview(
            change, PredictedOutcome.APPLY, change.ref, why=f"{change.method} runs, for {_held(change.guard)}"
        )

    def _perform(self, change: RunOperation) -> Preview:
        operation = OPERATIONS.get(change.operation)
        if operation is None:
            return Preview(change, PredictedOutcome.UNKNOWN, change.on, why=f"{change.operation} is no operation")
        there = self._there(change, operation.makes, change.key)
        refusal = self._undone(there, operation)
        if there is not None and refusal is None:
            return there
        if refusal:
            return Preview(change, PredictedOutcome.REFUSED, change.on, why=f"the record {refusal}")
        if lacking := self._known.lacking_receipts():
            return Preview(change, PredictedOutcome.UNKNOWN, change.on, why=lacking)
        for name, value in change.arguments.items():
            if isinstance(value, Key) and self._ref(value) is None:
                return Preview(change, PredictedOutcome.CONFLICT, why=f"{name}: {value.key} is not there (yet)")
        if self._known.presence(change.on) is RecordPresence.GONE:
            return Preview(change, PredictedOutcome.REFUSED, change.on, why="the record does not exist any more")
        self._make(operation.makes, change.key)
        return Preview(
            change, PredictedOutcome.APPLY, change.on, _new(change.arguments), f"{change.operation} is carried out"
        )

    def _undone(self, there: Preview | None, operation: ServerOperation) -> str | None:
        """Return what a refusal says of the undone record of a receipt, '' where the operation is carried out again.

        None where the record stands, or this user cannot see it.
        """
        if there is None or there.ref is None or there.fate is not PredictedOutcome.DONE:
            return None
        if self._known.is_credited_in_full(there.ref):
            return ""
        row = self._looked(there.ref).rows.get(there.ref.id, {})
        undone = (one.why for one in operation.undone if one.field in row and row[one.field] == one.value)
        return next(undone, None)

    def _looked(self, ref: Ref) -> LookupResult:
        looked = self._known.looked(ref)
        written = self._written.get(ref)
        if written is None or ref.id not in looked.rows:
            return looked
        return LookupResult({ref.id: {**looked.rows[ref.id], **written}}, looked.forbidden)

    def _write(self, ref: Ref, values: Mapping[str, Any]) -> None:
        self._written.setdefault(ref, {}).update(values)

    # --------------------------------------------------------------------------- names --

    def _found(self, name: str) -> ExternalIdMatch | None:
        made = self._made.get(name)
        return self._known.named(name) if made is None else ExternalIdMatch(made.model, made.id)

    def _ref(self, named: Key | XmlId) -> Ref | None:
        found = self._found(external_id(named.key) if isinstance(named, Key) else named.name)
        if found is None or found.id is None or (isinstance(named, Key) and found.model != named.model):
            return None
        return Ref(found.model, found.id)

    def _id_of(self, named: Key | XmlId) -> int | None:
        ref = self._ref(named)
        return None if ref is None else ref.id

    # -------------------------------------------------------------------------- values --

    def _unfit(self, model: str, values: Values) -> str:
        fields = self._known.fields(model)
        if fields is None:
            return f"this Odoo has no model {model}"
        lacking = sorted(values.keys() - fields.keys())
        return f"{model} has no {', '.join(lacking)} here, or this user may not know" if lacking else ""

    def _stopped(self, change: Change, model: str, values: Values) -> Preview | None:
        """Return the answer where a value names what is not there."""
        fields = self._known.fields(model) or {}
        for field, value in values.items():
            match value:
                case RecordLink() if self._known.presence(value.ref) is RecordPresence.GONE:
                    return Preview(
                        change, PredictedOutcome.REFUSED, why=f"{field}: {value.ref} does not exist any more"
                    )
                case (Key() | XmlId()) as named if field != "res_id":
                    name = external_id(named.key) if isinstance(named, Key) else named.name
                    found, wanted = self._found(name), fields[field].relation
                    if found is None and name.startswith(f"{MODULE}."):
                        return Preview(change, PredictedOutcome.CONFLICT, why=f"{field}: {name} is not there (yet)")
                    if found is None or found.model != wanted:
                        return Preview(
                            change, PredictedOutcome.REFUSED, why=f"{field}: {name} names no record of {wanted}"
                        )
        return None

    def _hidden(self, values: Values) -> str:
        for field, value in values.items():
            if isinstance(value, RecordLink) and self._known.presence(value.ref) is RecordPresence.HIDDEN:
                return f"{field}: this user may not see {value.ref}, and Odoo may mind"
            if isinstance(value, Key) and (found := self._found(external_id(value.key))) and found.id is None:
                return f"{field}: this user may not see {value.key}, and Odoo may mind"
        return ""


def _of(outcome: ChangeOutcome) -> Preview:
    return Preview(outcome.change, _FATES[outcome.status], outcome.ref, why=outcome.reason)


def _document(values: Values) -> Ref | None:
    model, id_ = values.get("res_model"), values.get("res_id")
    return Ref(model, id_) if isinstance(model, str) and isinstance(id_, int) and id_ > 0 else None


def _new(values: Values) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(name, None, _told(value)) for name, value in values.items() if value is not None)


def _moved(values: Values, row: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(name, _now(row.get(name), value), _told(value))
        for name, value in values.items()
        if row.get(name) != wanted[name]
    )


def _now(stored: Any, wanted: Value) -> Any:
    """Return what is there in the words of what is to come."""
    if stored is False and not isinstance(wanted, bool):
        return None
    match wanted:
        case RecordLink(ref=Ref(model=model)) | Key(model=model):
            return f"{model}/{stored}"
        case _:
            return stored


def _told(value: Value) -> Any:
    match value:
        case RecordLink():
            return str(value.ref)
        case Key():
            return value.key
        case XmlId():
            return value.name
        case _:
            return plain(value)


def _held(guard: Values) -> str:
    return ", ".join(f"{name} is {_told(value)}" for name, value in guard.items()) or "it has no guard"
