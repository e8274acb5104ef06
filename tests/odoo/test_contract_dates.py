"""On a real Odoo 19: whose contract is over is asked for no hours, and a bot that may not read contracts says so."""

import datetime as dt

import pytest

from config.policy.loader import load_policies
from odoo_client import OdooConnection, connect
from odoo_client.provisioning.desired_state import GROUPS
from purser import Compliant, Finding
from tasks.discovery import load_registry
from tests.conftest import OdooEnv
from tests.odoo.seeding_people import Firm
from workers.controls.run import evaluate_control, without

AS_OF = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)
POLICY = load_policies(load_registry(), None).control("missing-timesheets")


@pytest.mark.parametrize("role", ["audit", "change"])
def test_a_contract_that_is_over_is_known_with_the_rights_of_set_up_and_missed_aloud_without(
    staff: Firm, odoo_env: OdooEnv, role: str
) -> None:
    company = staff.company()
    ended = staff.employee(
        company, staff.calendar(company), contract_date_start="2026-01-05", contract_date_end="2026-06-30"
    )
    login, key = staff.bot(*(group for group in GROUPS[role] if group != "base.group_user"))
    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as bot:
        judged = evaluate_control(bot, POLICY, as_of=AS_OF)
    of_ended = [one for one in judged.verdicts if one.subject.id == ended and isinstance(one, (Finding, Compliant))]
    if role == "audit":
        assert of_ended == []
        assert without(judged) == ""
    else:
        assert len(of_ended) == 4, "hours of four weeks are asked for that no contract covers"
        assert without(judged).startswith("judged without contract dates")
