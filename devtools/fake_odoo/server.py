"""The twin answers HTTP on loopback as Odoo 19 does: JSON-2, JSON-RPC, and the pages that ask for the version."""

import datetime as dt
import http
import json
import secrets
import socket
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from devtools.fake_odoo import crud, datetimes, methods
from devtools.fake_odoo.fault_injection import FaultQueue, InjectedFault
from devtools.fake_odoo.odoo_errors import AccessError, BadRequest, InvalidApiKey, NotFound, OdooError
from devtools.fake_odoo.recordset import RecordSet
from devtools.fake_odoo.schema import load_schema
from devtools.fake_odoo.tables import Row, Tables

_VERSION = [19, 0, 0, "final", 0, ""]
_ABOUT = {"server_version": "19.0", "server_version_info": _VERSION, "server_serie": "19.0", "protocol_version": 1}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class FakeOdoo:
    """One database in memory, and a server for it."""

    def __init__(self, clock: Callable[[], dt.datetime] = _now, *, db: str = "twin") -> None:
        self.db = db
        self.clock = clock
        self.faults = FaultQueue()
        self.requests: Counter[str] = Counter()
        """How often each `model/method` was asked for."""
        self.stopping = threading.Event()
        self.admin_key = secrets.token_hex(20)
        self._schema = load_schema()
        self._store = Tables(_indexes())
        self._lock = threading.RLock()
        self._keys: dict[str, int] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        for name, model in self._schema.models.items():
            self.seed("ir.model", {"name": model.label, "model": name})
        for name, group in self._schema.groups.items():
            self.seed("res.groups", {"name": group.label}, key=name)
        for what, xid, values in self._schema.ground:
            self.seed(what, values, key=xid)
        groups = [name for name in self._schema.groups if name not in {"", "base.group_portal", "base.group_public"}]
        self.add_user("admin", self.admin_key, groups, name="Administrator")

    # ------------------------------------------------------------------------ running --

    def start(self, port: int = 0) -> str:
        """Listen on loopback and give the URL."""
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="twin")
        self._thread.start()
        return self.url

    @property
    def url(self) -> str:
        """Where it listens; RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the twin is not started: call start()")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """End the server; the data stays until the twin is forgotten."""
        self.stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None
            self.stopping.clear()

    def __enter__(self) -> "FakeOdoo":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------ seeding --

    def add_user(
        self, login: str, key: str, groups: Sequence[str], *, name: str = "", companies: Sequence[int] = (1,)
    ) -> int:
        """Make a user whose `key` opens both APIs."""
        with self._lock:
            rows = {group: self._sudo().xid_row(group) for group in groups}
            unknown = [group for group, row in rows.items() if row is None]
            if unknown:
                raise ValueError(f"the twin does not know the groups {', '.join(unknown)}: see schema.json")
            values = {
                "name": name or login,
                "login": login,
                "company_id": companies[0],
                "company_ids": [[6, 0, list(companies)]],
                "group_ids": [[6, 0, [row["res_id"] for row in rows.values() if row]]],
            }
            self._keys[key] = new = self.seed("res.users", values)
            self.seed("res.users.apikeys", {"name": login, "user_id": new, "scope": "rpc"})
            return new

    def seed(self, model: str, values: Mapping[str, Any], *, key: str = "") -> int:
        """Make a record without asking for rights. Dates of creation and computed values are kept as given."""
        with self._lock:
            new = crud.create(self._sudo(), model, values, is_seed=True)
            if key:
                module, _, name = key.partition(".")
                row = {"module": module, "name": name, "model": model, "res_id": new}
                crud.create(self._sudo(), "ir.model.data", row)
            self._store.commit()
            return new

    def update(self, model: str, id: int, values: Mapping[str, Any]) -> None:  # noqa: A002
        """Change a record without asking for rights."""
        self.call(model, "write", ids=[id], vals=dict(values))

    def rows(self, model: str, domain: Sequence[Any] = (), fields: Sequence[str] = ()) -> list[Row]:
        """Read records without asking for rights, archived ones included; relations as bare ids."""
        asked = {"domain": list(domain), "fields": list(fields), "load": "", "order": "id"}
        found: list[Row] = self.call(model, "search_read", **asked)
        return found

    def call(self, model: str, method: str, *, ids: Sequence[int] | None = None, **arguments: Any) -> Any:
        """Run a method in the process, without asking for rights."""
        return self._transaction(self._sudo(), model, method, ids, (), arguments)

    def _sudo(self) -> RecordSet:
        now = datetimes.write(self.clock())
        return RecordSet(self._store, self._schema, 1, now, {"active_test": False}, is_sudo=True)

    # ---------------------------------------------------------------------- answering --

    def user_of(self, key: str, *, login: str | None = None, uid: int | None = None) -> int | None:
        """Return which living user the key is of, if it is the one that is named."""
        row = self._store.get("res.users", self._keys.get(key, 0))
        is_meant = row is not None and row["active"] and login in {None, row["login"]} and uid in {None, row["id"]}
        return row["id"] if row is not None and is_meant else None

    def run(
        self, uid: int, model: str, method: str, ids: Any, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        """Run one request of a user: all of it, or nothing."""
        arguments = dict(named)
        context = dict(arguments.pop("context", None) or {})
        records = RecordSet(self._store, self._schema, uid, datetimes.write(self.clock()), context)
        return self._transaction(records, model, method, ids, positional, arguments)

    def _transaction(
        self,
        records: RecordSet,
        model: str,
        method: str,
        ids: Any,
        positional: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        with self._lock:
            mark = self._store.mark()
            try:
                _ = records.companies  # refuses what the context may not name
                answer = methods.call(records, model, method, ids, positional, named)
            except BaseException:
                self._store.undo(mark)
                raise
            self._store.commit()
            return answer


def _indexes() -> dict[str, set[tuple[str, ...]]]:
    """Index what one2many fields look up, external ids, and the documents of activities and messages."""
    found: dict[str, set[tuple[str, ...]]] = {
        "ir.model.data": {("module", "name"), ("model", "res_id")},
        "mail.activity": {("res_model", "res_id")},
        "mail.message": {("model", "res_id")},
    }
    for model in load_schema().models.values():
        for field in model.fields.values():
            if field.type == "one2many":
                found.setdefault(field.relation, set()).add((field.inverse,))
    return found


# --------------------------------------------------------------------------------- HTTP --


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], twin: FakeOdoo) -> None:
        super().__init__(address, _Handler)
        self.twin = twin

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a caller has gone away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        if self.path in {"/web/version", "/json/version"}:
            self._json({"version_info": _VERSION, "version": "19.0"})
        else:
            self._page(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self.path.strip("/").split("/")
        if parts[:2] == ["json", "2"] and len(parts) == 4:
            is_ours = self.headers.get("X-Odoo-Database") == self.server.twin.db
            self._json2(parts[2], parts[3], body) if is_ours else self._page(404)
        elif self.path == "/jsonrpc":
            self._jsonrpc(json.loads(body))
        else:
            self._page(404)

    # ------------------------------------------------------------------------- JSON-2 --

    def _json2(self, model: str, method: str, body: bytes) -> None:
        twin = self.server.twin

        def work() -> Any:
            uid = twin.user_of(self.headers.get("Authorization", "")[len("bearer ") :])
            if uid is None:
                raise InvalidApiKey("Invalid apikey")
            named = json.loads(body)
            answer = twin.run(uid, model, method, named.pop("ids", None), (), named)
            return [answer] if method == "create" and isinstance(answer, int) else answer

        self._answer(f"{model}/{method}", work, lambda error: self._json(_described(error, error.name), error.status))

    # ----------------------------------------------------------------------- JSON-RPC --

    def _jsonrpc(self, envelope: Mapping[str, Any]) -> None:
        params, reply = envelope["params"], {"jsonrpc": "2.0", "id": envelope.get("id")}
        service, method, args = params["service"], params["method"], params["args"]

        def refuse(error: OdooError) -> None:
            data = _described(error, error.over_rpc)
            self._json({**reply, "error": {"code": 0, "message": "Odoo Server Error", "data": data}})

        call = "/".join(args[3:5]) if service == "object" else method
        self._answer(call, lambda: {**reply, "result": self._rpc(service, method, *args)}, refuse)

    def _rpc(self, service: str, method: str, db: str = "", *args: Any) -> Any:
        if (service, method) == ("common", "version"):
            return _ABOUT
        if db != self.server.twin.db:
            raise BadRequest(f'FATAL:  database "{db}" does not exist', "psycopg2.OperationalError")
        if service == "common" and method in {"login", "authenticate"}:
            return self.server.twin.user_of(args[1], login=args[0]) or False
        if (service, method) == ("object", "execute_kw"):
            return self._execute(*args)
        if (service, method) == ("object", "execute"):
            uid, key, model, name, *rest = args
            return self._execute(uid, key, model, name, rest)
        raise NotFound(f"{service}.{method}")

    def _execute(self, uid: int, key: str, model: str, method: str, args: Sequence[Any], named: Any = None) -> Any:
        twin = self.server.twin
        if twin.user_of(key, uid=uid) is None:
            raise AccessError("Access Denied", "odoo.exceptions.AccessDenied")
        if model not in load_schema().models:
            raise AccessError(f"Object {model} doesn't exist", "odoo.exceptions.UserError")
        ids, *rest = args if methods.is_for_records(model, method) and args else (None, *args)
        return twin.run(uid, model, method, ids, rest, named or {})

    # -------------------------------------------------------------------------- wires --

    def _answer(self, call: str, work: Callable[[], Any], refuse: Callable[[OdooError], None]) -> None:
        """Do the work and answer, with the fault that was ordered for this request."""
        twin = self.server.twin
        twin.requests[call] += 1
        fault = twin.faults.take(call)
        if fault is not None and fault.error is None and not fault.is_done_first and self._spoiled(fault):
            return
        try:
            if fault is not None and fault.error is not None:
                raise fault.error
            answer = work()
        except OdooError as error:
            refuse(error)
        except Exception as error:  # noqa: BLE001 - a caller's nonsense must not end the thread; Odoo answers 500 too
            refuse(BadRequest(f"{error}", f"builtins.{type(error).__name__}"))
        else:
            if not (fault is not None and fault.is_done_first and self._spoiled(fault)):
                self._json(answer)

    def _spoiled(self, fault: InjectedFault) -> bool:
        """Carry out a fault; True where it was the whole answer."""
        if fault.seconds:
            self.server.twin.stopping.wait(fault.seconds)
        elif fault.status:
            self._page(fault.status, {"Retry-After": fault.retry_after} if fault.retry_after else {})
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return not fault.seconds

    def _json(self, answer: Any, status: int = 200) -> None:
        self._send(status, "application/json; charset=utf-8", json.dumps(answer).encode(), {})

    def _page(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        body = f"<!doctype html>\n<title>{status}</title>\n<p>{http.HTTPStatus(status).phrase}</p>\n".encode()
        self._send(status, "text/html; charset=utf-8", body, headers or {})

    def _send(self, status: int, kind: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _described(error: OdooError, name: str) -> dict[str, Any]:
    debug = "".join(traceback.format_exception(error))
    return {"name": name, "message": str(error), "arguments": [str(error)], "context": {}, "debug": debug}
