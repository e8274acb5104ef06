"""The contract of the door holds for every server and over both transports."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from devtools.fake_odoo import FakeOdoo
from odoo_client import Api, OdooClient, OdooConnection, connect
from tests.contract.odoo.proxy import Proxy
from tests.contract.odoo.seeding import Seeder


@dataclasses.dataclass(frozen=True)
class OdooServer:
    """One server under contract: an administrator's door, and that of a plain internal user."""

    admin: OdooConnection
    limited: OdooConnection


Open = Callable[..., OdooClient]


def _real(request: pytest.FixtureRequest) -> OdooServer:
    env = request.getfixturevalue("odoo_env")
    if not (env.limited_login and env.limited_api_key):
        pytest.skip(
            "the contract needs a plain internal user: set PURSER_TEST_ODOO_LIMITED_LOGIN and _LIMITED_API_KEY"
        )
    admin = OdooConnection(url=env.url, db=env.db, login=env.login, api_key=env.api_key)
    return OdooServer(admin, dataclasses.replace(admin, login=env.limited_login, api_key=env.limited_api_key))


def _twin(request: pytest.FixtureRequest) -> OdooServer:
    twin = FakeOdoo()
    request.addfinalizer(twin.stop)
    twin.add_user("limited", "a key of its own", ["base.group_user"])
    admin = OdooConnection(url=twin.start(), db=twin.db, login="admin", api_key=twin.admin_key)
    return OdooServer(admin, dataclasses.replace(admin, login="limited", api_key="a key of its own"))


SERVERS: dict[str, Callable[[pytest.FixtureRequest], OdooServer]] = {"twin": _twin, "real": _real}


@pytest.fixture(scope="session", params=["twin", pytest.param("real", marks=pytest.mark.odoo)])
def odoo_server(request: pytest.FixtureRequest) -> OdooServer:
    """Return the server; one parameter for each kind."""
    return SERVERS[request.param](request)


@pytest.fixture(params=["json2", "odoorpc"])
def api(request: pytest.FixtureRequest) -> Api:
    """Return the transport."""
    name: Api = request.param
    return name


@pytest.fixture
def opened(api: Api) -> Iterator[Open]:
    """Open doors over this transport, with changes to them, and close them in the end."""
    with ExitStack() as stack:

        def open_(door: OdooConnection, **changes: Any) -> OdooClient:
            return stack.enter_context(connect(dataclasses.replace(door, **{"api": api, **changes})))

        yield open_


@pytest.fixture
def client(odoo_server: OdooServer, opened: Open) -> OdooClient:
    """Return a client with every right."""
    return opened(odoo_server.admin)


@pytest.fixture
def limited(odoo_server: OdooServer, opened: Open) -> OdooClient:
    """Return the client of a plain internal user."""
    return opened(odoo_server.limited)


@pytest.fixture
def seed(odoo_server: OdooServer) -> Iterator[Seeder]:
    """Make records as administrator."""
    with connect(odoo_server.admin) as admin:
        yield Seeder(admin)


@pytest.fixture
def proxy(odoo_server: OdooServer) -> Iterator[Proxy]:
    """Put a proxy in front of the server."""
    proxy = Proxy(odoo_server.admin.url)
    with proxy.server:
        yield proxy
