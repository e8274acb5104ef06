"""One client per process and Odoo: every verb, counted, over whichever transport the server has."""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Self

from odoo_client.apply.applier import ChangeApplier
from odoo_client.apply.bulk_load import BATCH_SIZE
from odoo_client.connection import ConnectionCheck, CurrentUser, FieldInfo, OdooConnection
from odoo_client.outcome import ChangeOutcome
from odoo_client.preview.previewer import Preview, Previewer
from odoo_client.read import capabilities, lookup
from odoo_client.read import snapshot as reading
from odoo_client.read.snapshot import RecordPage
from odoo_client.server_action import ServerActionRunner
from odoo_client.throttling import CallLimiter, ThrottledSender, kind_of
from odoo_client.transport.json2 import Json2, ask_version, http_of
from odoo_client.transport.request import Request, Transport, Version
from purser.changes import CallMethod, Change, CloseActivity, Ensure, PostNote, RunOperation, Update
from purser.findings import Ref
from purser.queries import OpenCaseRef, Read, Row, Snapshot

_CONTEXT = {"lang": "en_US", "tz": "UTC"}
_METHOD_CONTEXT = {"lang": "en_US"}
"""For methods that change something: where Odoo fills in the day itself, it takes the time zone of the bot's user."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def connect(door: OdooConnection, gate: CallLimiter | None = None) -> "OdooClient":
    """Return a client of this door. It speaks to nobody before the first verb, and asks the gate before each call."""
    return OdooClient(door, gate=gate)


class OdooClient:
    """The verbs of the door. Safe to share between threads."""

    def __init__(
        self, door: OdooConnection, transport: Transport | None = None, *, gate: CallLimiter | None = None
    ) -> None:
        self.door = door
        self.calls = 0
        """RPC calls sent so far, pages included, signing in aside."""
        self.pages = 0
        """How many of them were second or later pages."""
        self.receipts = ServerActionRunner(self)
        """The receipt action, as this user finds it."""
        self._transport = transport
        self._version: Version | None = None
        self._doorman = None if gate is None else ThrottledSender(gate, timeout=door.read_timeout)
        self._lock = threading.RLock()
        self._fields: dict[str, Mapping[str, FieldInfo] | None] = {}
        self._me: CurrentUser | None = None
        self._languages: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------------------ the wire --

    def send(self, request: Request) -> Any:
        """Carry out one call, in English unless the request says otherwise; Snooze where the gate says no.

        Reading and importing are in UTC: moments of an import are read in the time zone of the context.
        """
        context = _CONTEXT if request.reads or request.method == "load" else _METHOD_CONTEXT
        whole = replace(request, context={**context, **request.context})
        return self._through(kind_of(request), lambda: self._send(whole))

    def version(self) -> Version:
        """Return the server's version, such as (19, 0)."""
        if self._version is None:
            self._version = self._through("", lambda: self._reached().version())
        return self._version

    def _through(self, kind: str, act: Callable[[], Any]) -> Any:
        """Whatever speaks to the server goes through the gate, finding the transport included."""
        return act() if self._doorman is None else self._doorman.send(kind, act)

    def _send(self, request: Request) -> Any:
        transport = self._reached()
        with self._lock:
            self.calls += 1
        return transport.send(request)

    @property
    def api(self) -> str:
        """The transport in use."""
        return self._reached().name

    def _reached(self) -> Transport:
        with self._lock:
            if self._transport is None:
                self._transport = _transport_for(self.door)
            return self._transport

    # ------------------------------------------------------------------------- reading --

    def snapshot(
        self,
        reads: Sequence[Read],
        *,
        as_of: dt.datetime,
        tunables: Mapping[str, Any] = _NOTHING,
        event: Any = None,
        watched: Sequence[OpenCaseRef] = (),
        given: Snapshot | None = None,
    ) -> Snapshot:
        """Read what a declaration names, in order, on top of `given`."""
        return reading.read_all(
            self, reads, as_of=as_of, tunables=tunables, event=event, watched=watched, given=given
        )

    def look(
        self,
        row: type[Row],
        conditions: Sequence[Any],
        *,
        as_of: dt.datetime,
        tunables: Mapping[str, Any] = _NOTHING,
        after: int = 0,
        limit: int = 500,
    ) -> RecordPage:
        """Read what a watch looks at: those that meet all conditions, from the first id after `after` on."""
        return reading.read_page(self, row, conditions, as_of=as_of, tunables=tunables, after=after, limit=limit)

    def count(
        self,
        row: type[Row],
        conditions: Sequence[Any],
        *,
        as_of: dt.datetime,
        tunables: Mapping[str, Any] = _NOTHING,
    ) -> int:
        """Count what `look` would read, page after page."""
        return reading.count(self, row, conditions, as_of=as_of, tunables=tunables)

    def search_count(self, model: str, domain: Sequence[Any]) -> int:
        """Count the active records this user sees."""
        request = Request(model=model, method="search_count", arguments={"domain": domain}, reads=True)
        return int(self.send(request))

    def external_ids(self, model: str, ids: Sequence[int], *, module: str = "purser") -> dict[int, tuple[str, ...]]:
        """Return the business keys of records, archived ones too; a record without one is left out."""
        return lookup.external_ids(self, model, ids, module)

    def gone(self, refs: Iterable[Ref]) -> frozenset[Ref]:
        """Return those that exist no longer, as opposed to those this user may not see."""
        return lookup.deleted_ids(self, refs)

    def users(self, logins: Sequence[str]) -> dict[str, int]:
        """Return the ids of active users by login; an unknown login is left out."""
        return lookup.users(self, logins)

    def names(self, model: str, ids: Sequence[int]) -> dict[int, str]:
        """Return the display names of records, archived ones too; one this user may not see is left out."""
        return lookup.display_names(self, model, ids)

    def preview(self, changes: Sequence[Change]) -> tuple[Preview, ...]:
        """Return what `apply` would do now, change by change and in order, by reading only."""
        previewer = self.previewer()
        previewer.learn(changes)
        return tuple(previewer.judge(change) for change in changes)

    def previewer(self) -> Previewer:
        """Return what foresees one list of changes after the other, each after what came before."""
        return Previewer(self)

    # ------------------------------------------------------------------------- writing --

    def apply(self, changes: Sequence[Change], batch: int = BATCH_SIZE) -> tuple[ChangeOutcome, ...]:
        """Carry changes out in order; one outcome each. What is transient raises, and all may be applied again.

        A call carries at most `batch` changes: fewer where the connection keeps breaking.
        """
        return ChangeApplier(self, batch=batch).apply(changes)

    def ensure(self, *changes: Ensure) -> tuple[ChangeOutcome, ...]:
        """See that records with these business keys exist, existing ones left as people have edited them."""
        return self.apply(changes)

    def update(self, *changes: Update) -> tuple[ChangeOutcome, ...]:
        """Make records as wanted that are as expected."""
        return self.apply(changes)

    def call(self, *changes: CallMethod) -> tuple[ChangeOutcome, ...]:
        """Run business methods whose guard holds."""
        return self.apply(changes)

    def perform(self, *changes: RunOperation) -> tuple[ChangeOutcome, ...]:
        """Carry out business operations together with their receipts."""
        return self.apply(changes)

    def note(self, *changes: PostNote) -> tuple[ChangeOutcome, ...]:
        """See that internal notes stand on records."""
        return self.apply(changes)

    def complete(self, *changes: CloseActivity) -> tuple[ChangeOutcome, ...]:
        """Close open activities with their feedback."""
        return self.apply(changes)

    # -------------------------------------------------------------------- capabilities --

    def whoami(self) -> CurrentUser:
        """Return who Odoo takes us for; asked once."""
        if self._me is None:
            self._me = capabilities.whoami(self)
        return self._me

    def ping(self) -> ConnectionCheck:
        """Return how far one gets through the door. Raises nothing that has to do with Odoo."""
        return capabilities.ping(self)

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return the fields of a model as this user sees them, None where there is no such model; asked once."""
        if model not in self._fields:
            self._fields[model] = capabilities.fields(self, model)
        return self._fields[model]

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the installed languages, English first; asked once."""
        if not self._languages:
            self._languages = capabilities.languages(self)
        return self._languages

    def unseen_companies(self) -> int:
        """Return how many companies of the database this user is not in; 0 where Odoo does not tell."""
        return capabilities.unseen_companies(self)

    def may(self, model: str, operation: str) -> bool:
        """Return whether this user may `read`, `write`, `create` or `unlink` records of a model at all."""
        return capabilities.may(self, model, operation)

    def has_group(self, group: str) -> bool:
        """Return whether this user is in a group, named by its external id."""
        return capabilities.has_group(self, group)


def _transport_for(door: OdooConnection) -> Transport:
    """Choose by setting; `auto` asks the server."""
    if door.api == "json2":
        return Json2(door)
    if door.api == "auto":
        with http_of(door) as http:
            version = ask_version(http)
        if version is not None and version >= (19, 0):
            return Json2(door, version)
    from odoo_client.transport.odoorpc import OdooRpc  # slow to import, and not needed where JSON-2 is spoken

    return OdooRpc(door)
