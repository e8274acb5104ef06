"""A deal that is won in Odoo ends as changes in Odoo, and also when nobody listened while it was won."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import Settings
from odoo_client import OdooClient, connect, provisioning
from odoo_client.provisioning import RULES
from tests.conftest import OdooEnv
from tests.e2e.conftest import Start
from tests.e2e.gateways import listening
from tests.e2e.running import write_policies
from tests.houses import House, open_house
from tests.odoo.seeding_people import Firm
from tests.waiting import wait_until
from workers.provisioning import OdooSite, admin_connection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SECRET = f"whsec_{base64.b64encode(b'of this test' * 3).decode()}"
WATCH = "opportunities"


@pytest.fixture
def house(request: pytest.FixtureRequest) -> House:
    """Only a real Odoo posts to anybody."""
    return open_house(request, "real")


@pytest.fixture
def port() -> int:
    """Return a free port: the rules in Odoo must know the address before the gateway listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def administrator(odoo_env: OdooEnv, port: int) -> Iterator[OdooClient]:
    """Yield an administrator's client; whatever was set up with it is taken away again."""
    settings = Settings.load({"address"}, environ={"PURSER_ODOO_URL": odoo_env.url, "PURSER_ODOO_DB": odoo_env.db})
    with connect(admin_connection(settings, odoo_env.login, odoo_env.api_key)) as admin:
        provisioning.remove(admin, provisioning.installed_records(admin))
        yield admin
        provisioning.remove(admin, provisioning.installed_records(admin))


def projects_of(firm: Firm, name: str) -> int:
    found: int = firm.call("project.project", "search_count", domain=[("name", "=", name)])
    return found


def win(firm: Firm) -> str:
    """Win a deal as a salesperson does; give its name, which its project will have."""
    name = firm.name("Deal")
    lead = firm.create("crm.lead", name=name, type="opportunity", email_from="ada@example.com", contact_name=name)
    firm.call("crm.lead", "action_set_won", ids=[lead])
    return name


def test_a_won_deal_has_its_project_whether_the_gateway_was_up_or_not(
    firm: Firm, start_fleet: Start, administrator: OdooClient, port: int, tmp_path: Path
) -> None:
    firm.company()
    environ = {"PURSER_GATEWAY_SECRETS": f"/crm {SECRET}", "PURSER_GATEWAY_PORT": str(port)}
    policies = write_policies(tmp_path / "p.yaml", every="every 1 hour", watches={WATCH: "every 2 seconds"})
    fleet = start_fleet(policies, **environ)
    rules = tuple(rule for rule in RULES if rule.name == WATCH)
    site = OdooSite(
        admin=administrator, bots=(), rules=rules, gateway=f"http://127.0.0.1:{port}", tokens=fleet.ledger.hooks
    )
    site.carry_out()
    fleet.worker()

    with listening(fleet.environ, tmp_path) as gateway:
        by_hook = win(firm)
        wait_until(lambda: projects_of(firm, by_hook) == 1, within=30, what="a project, by webhook")
        (rule,) = fleet.ledger.hooks.rules()
        assert rule.heard is not None
        assert gateway.stop() == 0
        assert not any(provisioning.token_in(line) for line in gateway.log.read_text().split('"')), (
            "a token stands in the log"
        )

    unheard = win(firm)
    fleet.beat()
    wait_until(lambda: projects_of(firm, unheard) == 1, within=30, what="a project, by the change feed")
    fed = fleet.ledger.cursors.get(f"feed/{WATCH}")
    assert fed is not None
    assert fed.told >= 1

    wait_until(fleet.quiet, within=30, what="empty queues")
    assert (projects_of(firm, by_hook), projects_of(firm, unheard)) == (1, 1)
    assert fleet.ledger.letters.count() == 0
