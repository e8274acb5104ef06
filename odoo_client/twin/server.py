"""The twin answers HTTP on loopback as Odoo 19 does: JSON-2, JSON-RPC, and the pages that ask for the version."""

import datetime as dt
import http
import json
import secrets
import socket
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from odoo_client.twin import ground, methods
from odoo_client.twin.faults import Fault, Faults
from odoo_client.twin.records import Records
from odoo_client.twin.refusals import BadRequest, Missing, NotAllowed, Stranger, Wire, Wrong
from odoo_client.twin.schema import load_schema
from odoo_client.twin.store import Row, Store

_VERSION = [19, 0, 0, "final", 0, ""]
_ABOUT = {"server_version": "19.0", "server_version_info": _VERSION, "server_serie": "19.0", "protocol_version": 1}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Twin:
    """One database in memory, and a server for it."""

    def __init__(self, clock: Callable[[], dt.datetime] = _now, *, db: str = "twin") -> None:
        self.db = db
        self.clock = clock
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        """How often each `model/method` was asked for."""
        self.stopping = threading.Event()
        self._schema = load_schema()
        self._store = Store(_indexes())
        self._lock = threading.RLock()
        self._keys: dict[str, int] = {}
        self._passwords: dict[int, str] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        with self._lock:
            ground.lay(self._sudo())
            self.admin_key = secrets.token_hex(20)
            self.add_user("admin", self.admin_key, ["base.group_user", *_all_groups()], name="Administrator", uid=2)
            self._store.commit()

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

    def __enter__(self) -> "Twin":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------ seeding --

    def add_user(
        self,
        login: str,
        key: str,
        groups: Sequence[str],
        *,
        name: str = "",
        password: str = "",
        companies: Sequence[int] = (1,),
        uid: int = 0,
    ) -> int:
        """Make a user whose `key` opens both APIs; `password` is for the session door, as in Odoo."""
        with self._lock:
            records = self._sudo()
            rows = {group: records.xid_row(group) for group in groups}
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
            new = self.seed("res.users", values, id_=uid)
            self._keys[key] = new
            if password:
                self._passwords[new] = password
            self.seed("res.users.apikeys", {"name": login, "user_id": new, "scope": "rpc"})
            return new

    def seed(self, model: str, values: Mapping[str, Any], *, key: str = "", id_: int = 0) -> int:
        """Make a record without asking for rights. Dates of creation and computed values are kept as given."""
        with self._lock:
            new = ground.put(self._sudo(), model, dict(values), xid=key, id_=id_)
            self._store.commit()
            return new

    def update(self, model: str, id: int, values: Mapping[str, Any]) -> None:  # noqa: A002
        """Change a record without asking for rights."""
        self.call(model, "write", ids=[id], vals=dict(values))

    def rows(self, model: str, domain: Sequence[Any] = (), fields: Sequence[str] = ()) -> list[Row]:
        """Read records without asking for rights, archived ones included; relations as bare ids."""
        found: list[Row] = self.call(
            model, "search_read", domain=list(domain), fields=list(fields), load="", order="id"
        )
        return found

    def call(self, model: str, method: str, *, ids: Sequence[int] | None = None, **arguments: Any) -> Any:
        """Run a method in the process, without asking for rights."""
        return self._transaction(self._sudo(), model, method, ids, (), arguments)

    def _sudo(self) -> Records:
        context = {"active_test": False, "mail_create_nosubscribe": True}
        return Records(self._store, self._schema, uid=1, now=self.clock(), context=context, is_sudo=True)

    # ---------------------------------------------------------------------- answering --

    def user_of(self, key: str) -> int:
        """Say whose key it is, or that nobody's."""
        uid = self._keys.get(key)
        if uid is None or not (self._store.get("res.users", uid) or {}).get("active"):
            raise Stranger("Invalid apikey")
        return uid

    def login(self, login: str, secret: str, *, is_session: bool = False) -> int | None:
        """Give the user id where login and password, or key, belong together."""
        for row in self._store.table("res.users").values():
            if row.get("login") == login and row.get("active"):
                by_password = self._passwords.get(row["id"]) == secret
                by_key = self._keys.get(secret) == row["id"] and not is_session
                return int(row["id"]) if by_password or by_key else None
        return None

    def run(
        self, uid: int, model: str, method: str, ids: Any, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        """Run one request of a user: all of it, or nothing."""
        arguments = dict(named)
        context = arguments.pop("context", None) or {}
        records = Records(self._store, self._schema, uid=uid, now=self.clock(), context=dict(context))
        return self._transaction(records, model, method, ids, positional, arguments)

    def _transaction(
        self, records: Records, model: str, method: str, ids: Any, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        with self._lock:
            mark = self._store.mark()
            try:
                if not records.is_sudo:
                    _ = records.companies
                answer = methods.call(records, model, method, ids, positional, named)
            except BaseException:
                self._store.undo(mark)
                raise
            self._store.commit()
            return answer


def _indexes() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Index what one2many fields look up, external ids, and the documents of activities and messages."""
    found: dict[str, set[tuple[str, ...]]] = {
        "ir.model.data": {("module", "name"), ("model", "res_id")},
        "mail.activity": {("res_model", "res_id")},
        "mail.message": {("model", "res_id")},
        "ir.model": {("model",)},
    }
    for model in load_schema().models.values():
        for field in model.fields.values():
            if field.type == "one2many":
                found.setdefault(field.relation, set()).add((field.inverse,))
    return {model: tuple(sorted(keys)) for model, keys in found.items()}


def _all_groups() -> Iterable[str]:
    return [name for name in load_schema().groups if name and name not in {"base.group_portal", "base.group_public"}]


# --------------------------------------------------------------------------------- HTTP --


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], twin: Twin) -> None:
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
        path = self.path.partition("?")[0]
        if path in {"/web/version", "/json/version"}:
            self._json({"version_info": _VERSION, "version": "19.0"})
        elif path == "/web/health":
            self._json({"status": "pass"})
        elif path.startswith("/json/2/") and self._knows_db():
            self._refuse(Missing("Did you mean POST /json/2/<model>/<method>?", "werkzeug.exceptions.NotFound"))
        else:
            self._page(404, "No database is selected and the requested URL was not found")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        parts = path.strip("/").split("/")
        if self.headers.get_content_type() != "application/json":
            self._page(415, "Unsupported Media Type")
        elif parts[:2] == ["json", "2"] and len(parts) == 4 and self._knows_db():
            self._json2(parts[2], parts[3], body)
        elif path in {"/jsonrpc", "/web/session/authenticate", "/web/webclient/version_info"}:
            self._jsonrpc(path, body)
        else:
            self._page(404, "No database is selected and the requested URL was not found")

    def _knows_db(self) -> bool:
        return self.headers.get("X-Odoo-Database") == self.server.twin.db

    # ------------------------------------------------------------------------- JSON-2 --

    def _json2(self, model: str, method: str, body: bytes) -> None:
        twin = self.server.twin

        def work() -> Any:
            scheme, _, key = self.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise Stranger("User not authenticated, use an API Key with a Bearer Authorization header.")
            uid = twin.user_of(key.strip())
            named = dict(_parsed(body) or {})
            answer = twin.run(uid, model, method, named.pop("ids", None), (), named)
            return [answer] if method in {"create", "message_post"} and isinstance(answer, int) else answer

        self._answer(f"{model}/{method}", work, self._refuse)

    def _refuse(self, error: Wire) -> None:
        self._json(_described(error, error.name), error.status)

    # ----------------------------------------------------------------------- JSON-RPC --

    def _jsonrpc(self, path: str, body: bytes) -> None:
        try:
            envelope = _parsed(body)
        except BadRequest as error:
            self._page(error.status, str(error))
            return
        params = envelope.get("params") or {}
        reply = {"jsonrpc": "2.0", "id": envelope.get("id")}

        def refuse(error: Wire) -> None:
            data = _described(error, error.over_rpc)
            self._json({**reply, "error": {"code": 0, "message": "Odoo Server Error", "data": data}})

        def work() -> Any:
            return {**reply, "result": self._rpc(path, params)}

        self._answer(_named_call(path, params), work, refuse)

    def _rpc(self, path: str, params: Mapping[str, Any]) -> Any:
        twin = self.server.twin
        if path == "/web/webclient/version_info":
            return _ABOUT
        if path == "/web/session/authenticate":
            return self._session(params)
        service, method, args = params.get("service"), params.get("method"), list(params.get("args") or ())
        if (service, method) == ("common", "version"):
            return _ABOUT
        if args and args[0] != twin.db:
            raise Wrong(f'FATAL:  database "{args[0]}" does not exist', "psycopg2.OperationalError")
        if service == "common" and method in {"login", "authenticate"}:
            return twin.login(args[1], args[2]) or False
        if (service, method) == ("object", "execute_kw"):
            return self._execute(*args[1:])
        if (service, method) == ("object", "execute"):
            uid, secret, model, name, *rest = args[1:]
            return self._execute(uid, secret, model, name, rest)
        raise NotAllowed(f"the twin does not know {service}.{method}", "builtins.NotImplementedError")

    def _session(self, params: Mapping[str, Any]) -> dict[str, Any]:
        twin = self.server.twin
        if params.get("db") != twin.db:
            raise NotAllowed("Database not found.")
        uid = twin.login(str(params.get("login")), str(params.get("password")), is_session=True)
        if not uid:
            raise NotAllowed("Access Denied", "odoo.exceptions.AccessDenied")
        context = twin.run(uid, "res.users", "context_get", None, (), {})
        return {"uid": uid, "db": twin.db, "username": params.get("login"), "user_context": context, **_ABOUT}

    def _execute(self, uid: Any, secret: str, model: str, method: str, args: Any = (), named: Any = None) -> Any:
        twin = self.server.twin
        login = (twin._store.get("res.users", uid) or {}).get("login", "")
        if twin.login(login, secret) != uid:
            raise NotAllowed("Access Denied", "odoo.exceptions.AccessDenied")
        positional, ids = list(args), None
        if positional and methods.is_for_records(model, method):
            ids = positional.pop(0)
        try:
            return twin.run(uid, model, method, ids, positional, named or {})
        except Missing as error:
            if error.name == "werkzeug.exceptions.NotFound" and error.over_rpc == error.name:
                raise NotAllowed(f"Object {model} doesn't exist", "odoo.exceptions.UserError") from None
            raise

    # -------------------------------------------------------------------------- wires --

    def _answer(self, call: str, work: Callable[[], Any], refuse: Callable[[Wire], None]) -> None:
        """Do the work and answer, with the fault that was ordered for this request."""
        twin = self.server.twin
        twin.requests[call] += 1
        fault = twin.faults.take(call)
        if fault is not None and not fault.is_done_first and self._spoiled(fault):
            return
        try:
            answer = work()
        except Wire as error:
            refuse(error)
            return
        except Exception as error:  # noqa: BLE001 - a caller's nonsense must not end the thread; Odoo answers 500 too
            refuse(Wrong(f"{error}", f"builtins.{type(error).__name__}"))
            return
        if fault is not None and fault.is_done_first and self._spoiled(fault):
            return
        self._json(answer)

    def _spoiled(self, fault: Fault) -> bool:
        """Carry out a fault; True where it was the whole answer."""
        if fault.kind == "delay":
            self.server.twin.stopping.wait(fault.seconds)
            return False
        if fault.kind == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return True
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        self._page(fault.status, http.HTTPStatus(fault.status).phrase, headers)
        return True

    def _json(self, answer: Any, status: int = 200) -> None:
        self._send(status, "application/json; charset=utf-8", json.dumps(answer).encode(), {})

    def _page(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        body = f"<!doctype html>\n<title>{status}</title>\n<p>{text}</p>\n".encode()
        self._send(status, "text/html; charset=utf-8", body, headers or {})

    def _send(self, status: int, kind: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadRequest(f"could not parse the body as json: {error}") from None


def _described(error: Wire, name: str) -> dict[str, Any]:
    debug = "".join(traceback.format_exception(error))
    return {"name": name, "message": str(error), "arguments": error.arguments, "context": {}, "debug": debug}


def _named_call(path: str, params: Mapping[str, Any]) -> str:
    args = params.get("args") or ()
    if params.get("service") == "object":
        return "/".join(str(part) for part in list(args)[3:5])
    return str(params.get("method") or path)
