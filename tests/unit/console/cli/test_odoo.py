"""Set-up takes an administrator, says which setting is missing, and sends nothing before it has them."""

import json

import pytest

from devtools.fake_odoo import FakeOdoo
from odoo_client.provisioning import GROUP, MODULE
from odoo_client.server_action import VERSION
from tests.unit.console.conftest import Purser

PLACE = {"PURSER_ODOO_URL": "http://127.0.0.1:9", "PURSER_ODOO_DB": "firm"}


@pytest.mark.parametrize("command", [("setup", "--dry-run"), ("remove", "--dry-run"), ("check", "--hook")])
def test_without_an_administrator_it_asks_for_one(purser: Purser, command: tuple[str, ...]) -> None:
    result = purser("odoo", *command, **PLACE)
    assert (result.exit_code, "--admin-login" in result.stderr) == (2, True)


def test_without_a_key_it_says_where_to_put_it(purser: Purser) -> None:
    result = purser("odoo", "setup", "--dry-run", "--admin-login", "admin", **PLACE)
    assert (result.exit_code, "--admin-key-file" in result.stderr) == (2, True)


def test_without_an_address_it_asks_for_it(purser: Purser) -> None:
    result = purser("odoo", "check")
    assert (result.exit_code, "PURSER_ODOO_URL is missing" in result.stderr) == (2, True)


def test_rules_need_a_ledger_where_the_gateway_finds_their_tokens(purser: Purser) -> None:
    admin = {"PURSER_ODOO_ADMIN_LOGIN": "admin", "PURSER_ODOO_ADMIN_API_KEY": "key"}
    result = purser("odoo", "setup", "--dry-run", PURSER_GATEWAY_URL="https://gw.example.com", **PLACE, **admin)
    assert (result.exit_code, "PURSER_LEDGER_URL is missing" in result.stderr) == (2, True)


def test_what_would_be_made_is_told_and_a_note_is_asked_for_before_it_is(purser: Purser) -> None:
    with FakeOdoo() as twin:
        told = {
            "PURSER_ODOO_URL": twin.url,
            "PURSER_ODOO_DB": twin.db,
            "PURSER_ODOO_LOGIN": "admin",
            "PURSER_ODOO_API_KEY": twin.admin_key,
            "PURSER_ODOO_ADMIN_LOGIN": "admin",
            "PURSER_ODOO_ADMIN_API_KEY": twin.admin_key,
        }
        foreseen = purser("odoo", "setup", "--dry-run", "--json", **told)
        assert foreseen.exit_code == 0, foreseen.stderr
        items = {one["name"]: one["do"] for one in json.loads(foreseen.stdout)}
        assert (items[GROUP], items["receipt_action"], items["bot_audit_change_billing"]) == ("make", "make", "mend")
        assert purser("odoo", "setup", **told).exit_code == 2
        assert twin.rows("ir.model.data", [["module", "=", MODULE]]) == []

        done = purser("odoo", "setup", "--note", "first", **told)
        assert done.exit_code == 0, done.stderr
        assert twin.admin_key not in done.stdout + done.stderr
        again = purser("odoo", "setup", "--dry-run", "--json", **told)
        assert {one["do"] for one in json.loads(again.stdout)} == {"keep", "not here"}
        checked = purser("odoo", "check", "--json", **told)
        found = {one["name"]: (one["level"], one["found"]) for one in json.loads(checked.stdout)}
        assert found["receipt action as admin (audit, change, billing)"] == ("ok", f"answers, version {VERSION}")
        assert checked.exit_code == 4  # an administrator is no bot

        gone = purser("odoo", "remove", "--yes", "--note", "we stop", **told)
        assert gone.exit_code == 0, gone.stderr
        assert purser("odoo", "remove", "--dry-run", **told).exit_code == 3
