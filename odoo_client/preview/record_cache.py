"""What Odoo shows of everything that changes speak of, read in thousands before any of them is judged.

Only administrators may search external ids, so what bears one is looked for where it must stand: an activity or a
note on its document. Everything else, and what stands on a document this user does not see, is asked for by name.
"""

import contextlib
import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from odoo_client.apply.preconditions import ACTIVITY, MESSAGE, open_by
from odoo_client.connection import CurrentUser, FieldInfo
from odoo_client.field_values import MODULE, external_id
from odoo_client.read.capabilities import archives, may_all
from odoo_client.read.lookup import ExternalIdMatch, LookupResult, external_ids, find_external_ids, lookup
from odoo_client.server_action import OPERATIONS, ServerActionRunner
from odoo_client.transport.error_mapping import AccessDenied, Missing, UnknownModel
from odoo_client.transport.request import Request, RpcSender, Version
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
)
from purser.findings import Ref
from purser.parameters.money_limits import is_credited_in_full

_UNTAXED = "amount_untaxed"

BATCH_SIZE = 1000
"""So many records or documents share a call."""


SMALL_BATCH = 100
"""So many activities and notes that do not stand on their documents are asked for by name. Of more it is believed
that they stand nowhere: one that was made for another document is then taken for missing."""


class PreviewClient(RpcSender, Protocol):
    """What knowing needs of a client."""

    pages: int
    receipts: ServerActionRunner

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return a model's fields, or None."""

    def may(self, model: str, operation: str) -> bool:
        """Return whether this user may do something with a model at all."""

    def version(self) -> Version:
        """Return the server's version."""

    def whoami(self) -> CurrentUser:
        """Return who Odoo takes us for."""


class RecordPresence(enum.Enum):
    """Whether a record is there, as far as this user can tell."""

    SEEN = "seen"
    HIDDEN = "hidden"
    GONE = "gone"


class RecordCache:
    """What was learnt of one Odoo. Nothing is asked twice, and nothing is written."""

    def __init__(self, client: PreviewClient) -> None:
        self._client = client
        self._names: dict[str, ExternalIdMatch | None] = {}
        self._presence: dict[Ref, RecordPresence] = {}
        self._searched: set[tuple[str, Ref]] = set()
        self._rows: dict[Ref, dict[str, Any]] = {}
        self._writable: dict[Ref, bool] = {}
        self._rights: dict[tuple[str, str], bool] = {}
        self._lacking: str | None = None
        self._credited: set[Ref] = set()

    # ----------------------------------------------------------------------- what is known --

    def named(self, name: str) -> ExternalIdMatch | None:
        """Return what an external id names."""
        if name not in self._names:
            self._names[name] = find_external_ids(self._client, name)
        return self._names[name]

    def presence(self, ref: Ref) -> RecordPresence:
        """Return whether a record that was spoken of is there."""
        return self._presence.get(ref, RecordPresence.GONE)

    def looked(self, ref: Ref) -> LookupResult:
        """Return a record's row, as a read of it alone would."""
        row = self._rows.get(ref)
        hidden = self.presence(ref) is RecordPresence.HIDDEN
        return LookupResult({} if row is None else {ref.id: row}, frozenset({ref.id} if hidden else ()))

    def may_write(self, ref: Ref) -> bool:
        """Return whether this user may write a record."""
        return self._writable.get(ref, False)

    def may(self, model: str, operation: str) -> bool:
        """Return whether this user may do something with a model at all."""
        if (model, operation) not in self._rights:
            self._rights[model, operation] = self._client.may(model, operation)
        return self._rights[model, operation]

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return the fields of a model, None where there is no such model."""
        return self._client.fields(model)

    def archives(self) -> bool:
        """Return whether done activities are kept."""
        return archives(self._client)

    def lacking_receipts(self) -> str:
        """Return why no operation can be performed here, '' where it can."""
        if self._lacking is None:
            self._lacking = self._client.receipts.lacking()
        return self._lacking

    def is_credited_in_full(self, invoice: Ref) -> bool:
        """Return whether the invoice of a receipt charges nothing any more, by what this user sees."""
        return invoice in self._credited

    def is_me(self, user: Ref) -> bool:
        """Return whether a user is the one we come in as."""
        return user.id == self._client.whoami().uid

    # --------------------------------------------------------------------------- learning --

    def learn(self, changes: Sequence[Change]) -> None:
        """Read what judging these changes takes. What raises has taught nothing wrong: it may be repeated."""
        self._learn_records(changes)
        standing = list(self._standing(changes))
        self._learn_presence(ref for ref, _ in standing)
        self._learn_presence(link.ref for one in changes for link in _values(one) if isinstance(link, RecordLink))
        self._learn_presence(one.on for one in changes if isinstance(one, RunOperation))
        self._learn_writable({ref for ref, _ in standing} | {ref for one in changes for ref in _touched(one)})
        self._search(ACTIVITY, "res_model", {ref for ref, key in standing if key.model == ACTIVITY})
        self._search(MESSAGE, "model", {ref for ref, key in standing if key.model == MESSAGE})
        lacking = {external_id(key.key) for ref, key in standing if self.presence(ref) is RecordPresence.SEEN}
        lacking -= self._names.keys()
        if len(lacking) > SMALL_BATCH:
            self._names |= dict.fromkeys(lacking)
        for one in changes:
            if isinstance(one, Ensure) and self._lacks_a_document(one):
                self._names.setdefault(external_id(one.key), None)  # it ends with its document
        for one in changes:
            for name in _names(one):
                self.named(name)
        self._learn_receipts(one for one in changes if isinstance(one, RunOperation))

    def _learn_receipts(self, changes: Iterable[RunOperation]) -> None:
        """Read of the records that receipts name whether what was done still stands."""
        wanted: dict[Ref, set[str]] = defaultdict(set)
        for one in changes:
            found, does = self.named(external_id(one.key)), OPERATIONS.get(one.operation)
            if found is not None and found.id is not None and does is not None and found.model == does.makes:
                wanted[Ref(found.model, found.id)] |= {undone.field for undone in does.undone}
                if does.undone_by_credit:
                    wanted[Ref(found.model, found.id)].add(_UNTAXED)
        for model, page in _pages(wanted):
            asked = {name for ref in page.values() for name in wanted[ref]}
            if names := sorted(asked & (self.fields(model) or {}).keys()):
                self._read(model, list(page), names)
        self._learn_credits([ref for ref, names in wanted.items() if _UNTAXED in names])

    def _learn_credits(self, invoices: Sequence[Ref]) -> None:
        """Add up the posted credit notes of each invoice: one that is not reconciled changes no field of it."""
        for model, page in _pages(invoices):
            request = Request(
                model=model,
                method="search_read",
                arguments={
                    "domain": [["reversed_entry_id", "in", list(page)], ["state", "=", "posted"]],
                    "fields": ["reversed_entry_id", _UNTAXED],
                    "load": "",
                },
                reads=True,
            )
            credited: dict[int, Decimal] = defaultdict(Decimal)
            with contextlib.suppress(AccessDenied, UnknownModel):
                for note in self._client.send(request):
                    credited[note["reversed_entry_id"]] += Decimal(str(note[_UNTAXED]))
            for id_, ref in page.items():
                charged = self._rows.get(ref, {}).get(_UNTAXED)
                if charged is not None and is_credited_in_full(Decimal(str(charged)), credited[id_]):
                    self._credited.add(ref)

    def _learn_records(self, changes: Sequence[Change]) -> None:
        """Read the records that are to be changed: one call for each model and thousand."""
        wanted: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for one in changes:
            for ref in _touched(one):
                wanted[ref.model][ref.id] |= _fields(one, self.archives)
        for model, by_id in wanted.items():
            known = self.fields(model) or {}
            asked = {id_ for id_, names in by_id.items() if not self._has(Ref(model, id_), names & known.keys())}
            names = sorted({name for id_ in asked for name in by_id[id_]} & known.keys()) or ["create_date"]
            for _, page in _pages(Ref(model, id_) for id_ in asked):
                self._read(model, list(page), names)

    def _has(self, ref: Ref, names: Iterable[str]) -> bool:
        if ref in self._rows:
            return self._rows[ref].keys() >= set(names)
        return ref in self._presence and self._presence[ref] is not RecordPresence.SEEN

    def _read(self, model: str, ids: Sequence[int], names: Sequence[str]) -> None:
        looked = self._look(model, ids, names)
        for id_ in ids:
            ref = Ref(model, id_)
            if id_ in looked.rows:
                self._rows[ref] = {**self._rows.get(ref, {}), **looked.rows[id_]}
                self._presence[ref] = RecordPresence.SEEN
            else:
                self._presence[ref] = RecordPresence.HIDDEN if id_ in looked.forbidden else RecordPresence.GONE

    def _look(self, model: str, ids: Sequence[int], names: Sequence[str]) -> LookupResult:
        """Read, and ask for the right on the model before a denial is traced to its record."""
        request = Request(
            model=model, method="read", ids=tuple(ids), arguments={"fields": names, "load": ""}, reads=True
        )
        try:
            return LookupResult({row["id"]: row for row in self._client.send(request)}, frozenset())
        except AccessDenied:
            if not self.may(model, "read"):
                return LookupResult({}, frozenset(ids))
        except UnknownModel:
            return LookupResult({}, frozenset())
        except Missing:
            pass
        return lookup(self._client, model, ids, names)

    def _learn_presence(self, refs: Iterable[Ref]) -> None:
        """Search for records; those a search does not show are read, which tells hidden from gone."""
        for model, page in _pages(ref for ref in refs if ref not in self._presence):
            seen = self._seen(model, list(page))
            self._presence |= {ref: RecordPresence.SEEN for id_, ref in page.items() if id_ in seen}
            if unseen := [id_ for id_ in page if id_ not in seen]:
                self._read(model, unseen, ["create_date"])

    def _seen(self, model: str, ids: Sequence[int]) -> set[int]:
        request = Request(
            model=model,
            method="search",
            arguments={"domain": [["id", "in", ids]]},
            context={"active_test": False},
            reads=True,
        )
        try:
            return set(self._client.send(request))
        except (AccessDenied, UnknownModel):
            return set()

    def _learn_writable(self, refs: Iterable[Ref]) -> None:
        asked = (ref for ref in refs if ref not in self._writable and self.presence(ref) is RecordPresence.SEEN)
        for model, page in _pages(asked):
            free = set(self._free(model, list(page))) if self.may(model, "write") else set()
            self._writable |= {ref: id_ in free for id_, ref in page.items()}

    def _free(self, model: str, ids: Sequence[int]) -> Sequence[int]:
        """Return those this user may write: one closed record closes a whole call, so halve and ask again."""
        try:
            if may_all(self._client, self._client.version(), model, ids, "write"):
                return ids
        except Missing:  # it went since we looked
            pass
        if len(ids) == 1:
            return ()
        middle = len(ids) // 2
        return [*self._free(model, ids[:middle]), *self._free(model, ids[middle:])]

    # ---------------------------------------------------------------- activities and notes --

    def _standing(self, changes: Sequence[Change]) -> Iterator[tuple[Ref, Key]]:
        """Yield each activity or note by key, with the document it would stand on where that is there."""
        for one in changes:
            if isinstance(one, PostNote):
                yield one.on, Key(MESSAGE, one.key)
            elif isinstance(one, Ensure) and one.model == ACTIVITY:
                document = self._document(one)
                if document is not None:
                    yield document, Key(ACTIVITY, one.key)

    def _document(self, change: Ensure) -> Ref | None:
        anchor, model = change.values.get("res_id"), change.values.get("res_model")
        if isinstance(anchor, Key):
            found = self.named(external_id(anchor.key))
            return None if found is None or found.id is None else Ref(found.model, found.id)
        return Ref(model, anchor) if isinstance(model, str) and isinstance(anchor, int) and anchor > 0 else None

    def _lacks_a_document(self, change: Ensure) -> bool:
        anchor = change.values.get("res_id")
        return change.model == ACTIVITY and isinstance(anchor, Key) and self.named(external_id(anchor.key)) is None

    def _search(self, model: str, by: str, documents: Iterable[Ref]) -> None:
        """Learn the keys of all activities or notes on these documents: two calls for each model and thousand."""
        seen = (ref for ref in documents if self.presence(ref) is RecordPresence.SEEN)
        for on, page in _pages(ref for ref in seen if (model, ref) not in self._searched):
            there = self._on(model, [[by, "=", on], ["res_id", "in", list(page)]])
            for id_, keys in external_ids(self._client, model, there, MODULE).items():
                self._names |= {external_id(key): ExternalIdMatch(model, id_) for key in keys}
            self._searched |= {(model, ref) for ref in page.values()}

    def _on(self, model: str, domain: list[Any]) -> list[int]:
        if model == MESSAGE:
            domain = [*domain, ["subtype_id.internal", "=", True]]
        request = Request(
            model=model, method="search", arguments={"domain": domain}, context={"active_test": False}, reads=True
        )
        found: list[int] = self._client.send(request)
        return found


def _pages(refs: Iterable[Ref]) -> Iterator[tuple[str, dict[int, Ref]]]:
    """Yield the records of each model by id, a thousand at a time."""
    by_model: dict[str, dict[int, Ref]] = defaultdict(dict)
    for ref in refs:
        by_model[ref.model][ref.id] = ref
    for model, found in by_model.items():
        ordered = sorted(found.items())
        for start in range(0, len(ordered), BATCH_SIZE):
            yield model, dict(ordered[start : start + BATCH_SIZE])


def _touched(change: Change) -> tuple[Ref, ...]:
    match change:
        case Update() | CallMethod():
            return (change.ref,)
        case CloseActivity() if change.activity > 0:
            return (Ref(ACTIVITY, change.activity),)
        case _:
            return ()


def _fields(change: Change, archives: Callable[[], bool]) -> set[str]:
    match change:
        case Update():
            return {*change.expect, *change.values}
        case CallMethod():
            return set(change.guard)
        case CloseActivity():
            return {open_by(archives()), "res_id"} - {"id"}
        case _:
            return set()


def _values(change: Change) -> Iterator[Value]:
    match change:
        case Ensure() | Update():
            yield from change.values.values()
        case _:
            return


def _names(change: Change) -> Iterator[str]:
    """Name what is asked for by external id: values, expectations, and the record itself."""
    held: list[Values] = []
    match change:
        case Ensure():
            yield external_id(change.key)
            held = [change.values]
        case PostNote():
            yield external_id(change.key)
        case RunOperation():
            yield external_id(change.key)
            held = [change.arguments]
        case Update():
            held = [change.values, change.expect]
        case CallMethod():
            held = [change.guard]
    for values in held:
        for value in values.values():
            if isinstance(value, Key):
                yield external_id(value.key)
            elif isinstance(value, XmlId):
                yield value.name
