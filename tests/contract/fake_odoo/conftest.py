"""The same raw requests go to the twin and to a real Odoo: each is a side that can be spoken to."""

import functools
import itertools
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import pytest

from devtools.fake_odoo import FakeOdoo
from tests.conftest import OdooEnv


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any

    @property
    def said(self) -> Any:
        """The value, or the status and class name of an error."""
        if self.status == 200:
            return self.body
        return (self.status, self.body["name"] if isinstance(self.body, dict) else "html")

    @property
    def message(self) -> str:
        """The text of an error."""
        return str(self.body["message"])


@dataclass(frozen=True, slots=True)
class Caller:
    """One user of one side."""

    url: str
    db: str
    key: str
    login: str

    def ask(self, model: str, method: str, /, **body: Any) -> Answer:
        headers = {"Authorization": f"bearer {self.key}", "X-Odoo-Database": self.db}
        response = _http().post(f"{self.url}/json/2/{model}/{method}", json=body, headers=headers)
        is_json = response.headers["content-type"].startswith("application/json")
        return Answer(response.status_code, response.json() if is_json else response.text)

    def get(self, model: str, method: str, /, **body: Any) -> Any:
        answer = self.ask(model, method, **body)
        assert answer.status == 200, answer
        return answer.body

    def make(self, model: str, /, **values: Any) -> int:
        ids = self.get(model, "create", vals_list=[values])
        return int(ids[0])

    def id_of(self, xid: str) -> int:
        module, _, name = xid.partition(".")
        return int(self.get("ir.model.data", "check_object_reference", module=module, xml_id=name)[1])

    def rpc(self, path: str, **params: Any) -> Any:
        """Speak JSON-RPC, as OdooRPC does."""
        envelope = {"jsonrpc": "2.0", "method": "call", "params": params, "id": 7}
        reply = _http().post(f"{self.url}{path}", json=envelope).json()
        if "error" in reply:
            return ("error", reply["error"]["data"]["name"])
        return reply["result"]

    def execute(self, model: str, method: str, *args: Any, **named: Any) -> Any:
        uid = self.rpc("/jsonrpc", service="common", method="login", args=[self.db, self.login, self.key])
        params = [self.db, uid, self.key, model, method, list(args), named]
        return self.rpc("/jsonrpc", service="object", method="execute_kw", args=params)


@functools.cache
def _http() -> httpx.Client:
    return httpx.Client(timeout=60)


class Side(Protocol):
    """A server with an administrator, on which users can be made."""

    admin: Caller

    def user(self, *groups: str) -> Caller: ...


_COUNT = itertools.count(1)
_RUN = secrets.token_hex(3)


def fresh(word: str) -> str:
    """Return a name that no other test uses, on a database that may hold anything."""
    return f"{word}-{_RUN}-{next(_COUNT)}"


class TwinSide:
    """The twin."""

    def __init__(self, twin: FakeOdoo) -> None:
        self.twin = twin
        self.admin = Caller(twin.url, twin.db, twin.admin_key, "admin")

    def user(self, *groups: str) -> Caller:
        login, key = fresh("user"), secrets.token_hex(20)
        self.twin.add_user(login, key, ["base.group_user", *groups])
        return Caller(self.twin.url, self.twin.db, key, login)


class OdooSide:
    """A real Odoo; keys are made by a server action, since no key can be made over the API."""

    _CODE = (
        "key = env(user=env.context['for_uid'])['res.users.apikeys'].sudo()._generate('rpc', 'test', None)\n"
        "action = {'type': 'ir.actions.act_window_close', 'infos': key}"
    )

    def __init__(self, env: OdooEnv) -> None:
        self.admin = Caller(env.url, env.db, env.api_key, env.login)
        model = self.admin.get("ir.model", "search", domain=[["model", "=", "res.users"]])[0]
        self._action = self.admin.make(
            "ir.actions.server", name="test key", model_id=model, state="code", code=self._CODE
        )

    def user(self, *groups: str) -> Caller:
        login, admin = fresh("user"), self.admin
        ids = [admin.id_of(group) for group in ("base.group_user", *groups)]
        values = {"name": login, "login": login, "group_ids": [[6, 0, ids]]}
        uid = admin.get("res.users", "create", vals_list=[values], context={"no_reset_password": True})[0]
        done = admin.get("ir.actions.server", "run", ids=[self._action], context={"for_uid": uid})
        return Caller(admin.url, admin.db, done["infos"], login)


@pytest.fixture(scope="session")
def twin_side() -> Iterator[TwinSide]:
    with FakeOdoo() as twin:
        yield TwinSide(twin)


@pytest.fixture(scope="session")
def odoo_side(odoo_env: OdooEnv) -> OdooSide:
    return OdooSide(odoo_env)


def shown(value: Any) -> str:
    """Return a transcript as text that a failed comparison can print."""
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=str)
