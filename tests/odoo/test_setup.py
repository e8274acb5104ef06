"""On a real Odoo 19: set-up makes what is wanted once, hooks arrive, people's changes stay, and all of it can go."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from odoo_client import OdooClient, OdooConnection, connect, provisioning
from odoo_client.provisioning import RULES, BotUserSpec, PlannedAction
from odoo_client.transport.error_mapping import AccessDenied
from odoo_client.transport.request import Request
from purser.errors import NotApplicable
from store import token_digest
from tests.conftest import OdooEnv
from tests.odoo.seeding_sales import Seeder
from tests.unit.odoo_client.canned import Answer, Asked, Canned
from workers.doctor.checks import Level
from workers.provisioning import OdooSite, missing_companies

TRIED = ("opportunities", "milestones")
"""Each rule takes Odoo a moment to make; the others differ by name only."""


@dataclass
class Rule:
    rule: str
    digests: tuple[str, ...]
    heard: int = 0


@dataclass
class Gateway:
    """Stands for the gateway and its tokens: it counts who posts with a token it knows."""

    kept: dict[str, Rule] = field(default_factory=dict)
    told: list[tuple[str, str, int]] = field(default_factory=list)

    def add(self, rule: str, digest: str, models: Any) -> None:
        before = self.kept.setdefault(rule, Rule(rule, ()))
        before.digests = (digest, *(one for one in before.digests if one != digest))[:2]

    def rules(self) -> list[Rule]:
        return [Rule(one.rule, one.digests, one.heard) for one in self.kept.values()]

    def drop(self, rule: str) -> int:
        return len(self.kept.pop(rule, Rule("", ())).digests)

    def hear(self, asked: Asked) -> Answer:
        token = provisioning.token_in(asked.path)
        for rule in self.kept.values():
            if token_digest(token) in rule.digests:
                body = json.loads(asked.body)
                rule.heard += 1
                self.told.append((rule.rule, body["_model"], body["_id"]))
                return Answer(202)
        return Answer(404)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def listener(gateway: Gateway) -> Iterator[str]:
    with Canned(gateway.hear) as server:
        yield server.url


@pytest.fixture
def site(odoo: OdooClient, gateway: Gateway, listener: str, firm: Seeder) -> Iterator[OdooSite]:
    """Yield an Odoo in which nothing is set up, and leave it so."""
    provisioning.remove(odoo, provisioning.installed_records(odoo))
    rules = tuple(rule for rule in RULES if rule.name in TRIED)
    bots = (BotUserSpec(login=f"purser-billing-{firm.tag}", roles=("billing",)),)
    found = OdooSite(admin=odoo, bots=bots, rules=rules, gateway=listener, tokens=gateway, key_days=30)
    yield found
    found.remove(found.standing())


def levels(site: OdooSite, **options: bool) -> dict[str, Level]:
    return {one.name: one.level for one in site.check(**options)}


def named(site: OdooSite, name: str) -> int:
    (found,) = (one.id for one in site.standing() if one.name == name)
    return found


def counted(firm: Seeder) -> list[int]:
    models = ("base.automation", "ir.actions.server", "res.groups", "ir.model.data")
    return [firm.call(model, "search_count", domain=[], context={"active_test": False}) for model in models]


def test_setting_up_makes_all_of_it_once_and_taking_it_away_takes_exactly_that(
    site: OdooSite, gateway: Gateway, firm: Seeder, odoo_env: OdooEnv, tmp_path: Path
) -> None:
    before = counted(firm)
    assert {item.do for item in site.foresee()} == {PlannedAction.MAKE}
    assert (site.standing(), gateway.kept) == ((), {})

    made = site.carry_out()
    assert {item.do for item in made} == {PlannedAction.MAKE}
    assert {one.name for one in site.standing()} == {item.wanted.name for item in made}
    assert {item.do for item in site.carry_out()} == {PlannedAction.KEEP}
    assert set(levels(site).values()) == {Level.OK}

    lead = firm.create("crm.lead", name=f"Deal {firm.tag}", type="opportunity")
    gateway.told.clear()
    firm.call("crm.lead", "action_set_won", ids=[lead])
    assert ("opportunities", "crm.lead", lead) in gateway.told
    gateway.told.clear()
    firm.write("crm.lead", lead, description="not news")
    assert gateway.told == []

    project = firm.create("project.project", name=f"P {firm.tag}")
    milestone = firm.create("project.milestone", name="M", project_id=project)
    firm.write("project.milestone", milestone, is_reached=True)
    assert gateway.told == [("milestones", "project.milestone", milestone)]
    assert set(levels(site, hook=True).values()) == {Level.OK}

    (path,) = site.make_keys(tmp_path / "keys", [site.bots[0].login])
    assert path.stat().st_mode & 0o777 == 0o600
    door = OdooConnection(
        url=odoo_env.url, db=odoo_env.db, login=site.bots[0].login, api_key=path.read_text().strip()
    )
    with connect(door) as bot:
        assert bot.receipts.lacking() == ""
        assert bot.may("sale.order", "write")
        assert not bot.may("account.move", "write")
        assert not any(bot.has_group(g) for g in ("base.group_system", "account.group_account_invoice"))
    assert {one.name for one in site.standing()} == {item.wanted.name for item in made}

    site.remove(site.standing())
    assert (site.standing(), gateway.kept, counted(firm)) == ((), {}, before)
    login = [["login", "=", site.bots[0].login]]
    users = firm.call("res.users", "search_read", domain=login, fields=["active"], context={"active_test": False})
    assert [one["active"] for one in users] == [False]


def test_what_people_change_is_told_and_left_and_what_was_taken_is_made_again(
    site: OdooSite, gateway: Gateway, firm: Seeder
) -> None:
    site.carry_out()
    firm.write("base.automation", named(site, "rule_milestones"), active=False)
    firm.write("ir.actions.server", named(site, provisioning.ACTION), code="action = {}")
    firm.call("ir.actions.server", "unlink", ids=[named(site, "hook_opportunities")])
    found = {item.wanted.name: item.do for item in site.foresee() if item.do is not PlannedAction.KEEP}
    expected = {
        "rule_milestones": PlannedAction.CHANGED,
        provisioning.ACTION: PlannedAction.CHANGED,
        "hook_opportunities": PlannedAction.MAKE,
    }
    assert found == expected
    assert list(levels(site).values()).count(Level.FAIL) == 3

    site.carry_out()
    assert {item.do for item in site.foresee()} == {PlannedAction.KEEP, PlannedAction.CHANGED}
    assert firm.read("ir.actions.server", named(site, provisioning.ACTION), "code")["code"] == "action = {}"
    with pytest.raises(NotApplicable, match="--force"):
        _in_the_group(site)
    site.carry_out(force=True)
    assert {item.do for item in site.foresee()} == {PlannedAction.KEEP}

    before = provisioning.CurrentStateReader(site.admin).urls()
    site.carry_out(rotate=True)
    after = provisioning.CurrentStateReader(site.admin).urls()
    assert all(before[name] != after[name] for name in TRIED)
    digests = [
        hashlib.sha256(provisioning.token_in(urls["milestones"]).encode()).hexdigest() for urls in (after, before)
    ]
    assert list(gateway.kept["milestones"].digests) == digests
    assert set(levels(site, hook=True).values()) == {Level.OK}

    gateway.kept.clear()  # a ledger that forgot
    assert list(levels(site).values()).count(Level.FAIL) == 2
    assert {item.do for item in site.carry_out()} == {PlannedAction.KEEP}
    assert set(levels(site).values()) == {Level.OK}


def _in_the_group(site: OdooSite) -> None:
    """Ask the action as a member of its group."""
    me = site.admin.whoami().uid
    vals = {"group_ids": [[4, named(site, provisioning.GROUP)]]}
    site.admin.send(Request(model="res.users", method="write", ids=(me,), arguments={"vals": vals}))
    site.admin.receipts.check()


def test_a_bot_is_put_in_a_company_made_since_and_left_out_of_one_that_people_took_away(
    site: OdooSite, firm: Seeder
) -> None:
    site.carry_out()
    assert set(levels(site).values()) == {Level.OK}
    company = firm.create("res.company", name=f"Westwind {firm.tag}")
    (bot,) = (one for one in site.check() if one.name.startswith("bot "))
    assert (bot.level, f"Westwind {firm.tag} ({company})" in bot.found) == (Level.FAIL, True)

    site.carry_out()
    user = named(site, "bot_billing")
    assert company in firm.read("res.users", user, "company_ids")["company_ids"]
    assert set(levels(site).values()) == {Level.OK}

    firm.write("res.users", user, company_ids=[[3, company]])
    left = [item for item in site.carry_out() if item.do is PlannedAction.CHANGED]
    assert [f"({company})" in sentence for sentence in missing_companies(left)] == [True]
    assert company not in firm.read("res.users", user, "company_ids")["company_ids"]
    firm.call("res.company", "write", ids=[company], vals={"active": False})


def test_who_is_no_administrator_sets_nothing_up(odoo_env: OdooEnv, firm: Seeder) -> None:
    login, key = firm.bot("base.group_user")
    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as plain:
        with pytest.raises(NotApplicable, match="no administrator"):
            OdooSite(admin=plain, bots=(), rules=()).carry_out()
        with pytest.raises(AccessDenied):
            provisioning.installed_records(plain)
