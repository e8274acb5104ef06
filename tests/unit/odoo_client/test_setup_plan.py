"""What set-up would do is a comparison of values: nothing is asked, nothing is written."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from odoo_client import server_action
from odoo_client.provisioning import (
    BotUserSpec,
    PlannedAction,
    PlannedRecord,
    WebhookTarget,
    desired_records,
    make_plan,
)
from odoo_client.provisioning.automation_rules import RULES, address, domain_fields, masked, token_in
from odoo_client.provisioning.desired_state import (
    ActionIdComment,
    CompanyScope,
    DesiredRecord,
    FieldRef,
    ManagedRef,
    ModelRef,
    Named,
    OdooDialect,
    RecordIds,
    XmlIdRef,
)
from odoo_client.provisioning.plan import CurrentState, ExistingRecord
from odoo_client.server_action.action_runner import with_marker
from workers.provisioning import missing_companies

TOKEN = "a" * 43
URL = address("https://gw.example.com/", TOKEN)
MILESTONES = next(rule for rule in RULES if rule.name == "milestones")
DIALECT = OdooDialect(
    companies={1: "Firm"},
    known_companies=frozenset({1}),
    models={"project.milestone": frozenset({"is_reached", "name"})},
)
BOTS = (BotUserSpec(login="purser-bot", roles=("audit", "change")),)


def all_of(hook: WebhookTarget | None = None, dialect: OdooDialect = DIALECT) -> tuple[DesiredRecord, ...]:
    hooks = {"milestones": hook or WebhookTarget(url=URL)}
    return desired_records(dialect, bots=BOTS, key_days=365, hooks=hooks, rules=[MILESTONES])


def as_made(items: tuple[DesiredRecord, ...]) -> CurrentState:
    """Return an Odoo in which all of it stands as wanted. Ids are numbered from 100; `account` is not installed."""
    ids: dict[Named, int | None] = {}
    records = {one.name: ExistingRecord(id=100 + place, values={}) for place, one in enumerate(items)}
    for one in items:
        for wish in one.values.values():
            for named in wish if isinstance(wish, tuple) else (wish,):
                if isinstance(named, XmlIdRef | ModelRef | FieldRef) and "account" not in str(named):
                    ids.setdefault(named, len(ids) + 1)
    known = CurrentState(records=records, ids=ids)
    for one in items:
        values = {name: stored(wish, known) for name, wish in one.values.items()}
        records[one.name] = dataclasses.replace(records[one.name], values=values)
    return known


def stored(wish: Any, known: CurrentState) -> Any:
    match wish:
        case ActionIdComment():
            return with_marker(known.id_of(wish.action) or 0)
        case WebhookTarget():
            return wish.url
        case RecordIds():
            return list(wish.ids)
        case CompanyScope():
            return list(wish.names)
        case tuple():
            return [id_ for named in wish if (id_ := known.id_of(named))]
        case str() | bool() | float():
            return wish
        case named:
            return known.id_of(named)


def edited(known: CurrentState, name: str, *, is_ours: bool = True, **values: Any) -> CurrentState:
    found = known.records[name]
    changed = ExistingRecord(id=found.id, values={**found.values, **values}, is_ours=is_ours)
    return CurrentState(records={**known.records, name: changed}, ids=known.ids)


def without(known: CurrentState, *names: str) -> CurrentState:
    return CurrentState(
        records={name: one for name, one in known.records.items() if name not in names}, ids=known.ids
    )


def dos(items: tuple[PlannedRecord, ...]) -> dict[str, PlannedAction]:
    return {item.wanted.name: item.do for item in items}


def only(items: tuple[PlannedRecord, ...]) -> PlannedRecord:
    """Return the one that is not as it should be."""
    (item,) = (item for item in items if item.do is not PlannedAction.KEEP)
    return item


def test_in_an_empty_odoo_everything_is_made_in_an_order_in_which_it_can_be() -> None:
    items = make_plan(all_of(), CurrentState(records={}, ids={XmlIdRef("base.group_user"): 1}))
    assert set(dos(items).values()) == {PlannedAction.MAKE}
    seen: set[str] = set()
    for item in items:
        wishes = [wish for wish in item.wanted.values.values() if not isinstance(wish, ActionIdComment)]
        named = [one for wish in wishes for one in (wish if isinstance(wish, tuple) else (wish,))]
        assert {one.name for one in named if isinstance(one, ManagedRef)} <= seen
        seen.add(item.wanted.name)


def test_where_everything_stands_nothing_is_to_be_done() -> None:
    items = all_of()
    assert set(dos(make_plan(items, as_made(items))).values()) == {PlannedAction.KEEP}
    assert set(dos(make_plan(items, as_made(items), force=True)).values()) == {PlannedAction.KEEP}


def test_what_is_gone_is_made_again_and_names_what_is_there() -> None:
    items = all_of()
    item = only(make_plan(items, without(as_made(items), "hook_milestones")))
    assert (item.wanted.name, item.do, item.values["webhook_url"]) == ("hook_milestones", PlannedAction.MAKE, URL)
    assert item.values["base_automation_id"] == as_made(items).records["rule_milestones"].id


def test_what_people_changed_is_told_and_left_unless_forced() -> None:
    items = all_of()
    known = edited(as_made(items), "rule_milestones", active=False, filter_domain="[]")
    item = only(make_plan(items, known))
    assert (item.do, item.values) == (PlannedAction.CHANGED, {})
    assert {(one.field, one.now) for one in item.differences} == {("active", "False"), ("filter_domain", "[]")}
    forced = only(make_plan(items, known, force=True))
    trigger = {"trigger_field_ids": [known.ids[FieldRef("project.milestone", "is_reached")]]}
    assert (forced.do, forced.values) == (
        PlannedAction.MEND,
        {"active": True, "filter_domain": MILESTONES.domain, **trigger},
    )


def test_an_edited_receipt_action_is_told_by_digest_and_an_outgrown_one_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = all_of()
    known = edited(as_made(items), "receipt_action", code="VERSION = 0")
    item = only(make_plan(items, known))
    assert item.do is PlannedAction.CHANGED
    assert item.differences[0].then == f"sha256 {server_action.digest(server_action.action_text())[:12]}"
    monkeypatch.setitem(server_action.EARLIER, hashlib.sha256(b"VERSION = 0").hexdigest(), 0)
    assert only(make_plan(items, known)).values == {"code": server_action.action_text()}


@pytest.mark.parametrize(
    "code", [server_action.action_text() + "\n", server_action.action_text().replace("\n", "\r\n")]
)
def test_white_space_around_a_text_is_no_difference(code: str) -> None:
    items = all_of()
    assert set(dos(make_plan(items, edited(as_made(items), "receipt_action", code=code))).values()) == {
        PlannedAction.KEEP
    }


def test_a_new_token_is_written_without_force_and_shown_to_nobody() -> None:
    items = all_of(WebhookTarget(url=address("https://gw.example.com", "b" * 43), is_new=True))
    item = only(make_plan(items, as_made(all_of())))
    assert (item.do, set(item.values)) == (PlannedAction.MEND, {"webhook_url"})
    assert TOKEN not in str(item.differences)
    assert "b" * 43 not in str(item.differences)


def test_an_address_that_people_changed_is_left() -> None:
    items = all_of()
    item = only(
        make_plan(items, edited(as_made(items), "hook_milestones", webhook_url="https://elsewhere.example.com"))
    )
    assert (item.do, item.differences[0].now) == (PlannedAction.CHANGED, "https://elsewhere.example.com")


def test_a_mark_that_was_not_written_yet_is_written() -> None:
    items = all_of()
    known = edited(as_made(items), "group_bot", comment=False)
    assert only(make_plan(items, known)).values == {"comment": with_marker(known.records["receipt_action"].id)}


# --------------------------------------------------------------------------------- bots --


def groups(known: CurrentState, *names: Named) -> list[int]:
    return [id_ for name in names if (id_ := known.id_of(name))]


def test_a_bot_is_put_into_our_group_and_loses_none() -> None:
    items = all_of()
    known = as_made(items)
    others = [*groups(known, XmlIdRef("base.group_user")), 999]
    item = only(make_plan(items, edited(known, "bot_audit_change", group_ids=others)))
    assert item.values == {"group_ids": [[4, known.id_of(ManagedRef("group_bot"))]]}
    assert item.do is PlannedAction.MEND


def test_a_group_that_people_took_from_a_bot_is_told_and_left() -> None:
    items = all_of()
    known = as_made(items)
    left = groups(known, XmlIdRef("base.group_user"), ManagedRef("group_bot"))
    item = only(make_plan(items, edited(known, "bot_audit_change", group_ids=left)))
    assert (item.do, item.values) == (PlannedAction.CHANGED, {})
    assert "project.group_project_manager" in item.differences[0].then


def test_of_somebodys_user_only_the_membership_of_our_group_is_ours() -> None:
    items = all_of()
    known = as_made(items)
    mine = groups(known, ManagedRef("group_bot"))
    theirs = edited(known, "bot_audit_change", is_ours=False, group_ids=mine)
    assert set(dos(make_plan(items, theirs, force=True)).values()) == {PlannedAction.KEEP}
    stranger = edited(known, "bot_audit_change", is_ours=False, group_ids=[999])
    assert only(make_plan(items, stranger, force=True)).values == {"group_ids": [[4, mine[0]]]}


def test_a_bot_that_was_archived_is_told_and_woken_only_when_forced() -> None:
    items = all_of()
    known = as_made(items)
    asleep = edited(known, "bot_audit_change", is_ours=False, active=False)
    assert only(make_plan(items, asleep)).do is PlannedAction.CHANGED
    assert only(make_plan(items, asleep, force=True)).values == {"active": True}


# -------------------------------------------------------------------------------- rules --


@pytest.mark.parametrize(
    ("hooks", "dialect", "why"),
    [
        ({}, DIALECT, "PURSER_GATEWAY_URL"),
        ({"milestones": WebhookTarget(url=URL)}, OdooDialect(), "no project.milestone"),
    ],
)
def test_a_rule_that_cannot_be_says_why(hooks: Mapping[str, WebhookTarget], dialect: OdooDialect, why: str) -> None:
    found = desired_records(dialect, bots=(), key_days=1, hooks=hooks, rules=[MILESTONES])
    (lacking,) = (
        item for item in make_plan(found, CurrentState(records={}, ids={})) if item.do is PlannedAction.LACKS
    )
    assert why in lacking.wanted.lacks


def test_a_rule_is_about_fields_that_this_odoo_has() -> None:
    expenses = next(rule for rule in RULES if rule.name == "expenses")
    older, newer = {"state"}, {"state", "approval_state"}
    assert (expenses.fields_for(older), expenses.domain_for(older)) == (("state",), "[]")
    assert (expenses.fields_for(newer), expenses.domain_for(newer)) == (("approval_state",), expenses.domain)


def test_a_rule_is_about_all_records_where_its_domain_would_name_a_computed_field() -> None:
    known = {"is_reached", "name"}
    assert MILESTONES.domain_for(known, {"name"}) == MILESTONES.domain
    assert MILESTONES.domain_for(known, {"is_reached"}) == "[]"


@pytest.mark.parametrize(
    ("domain", "fields"),
    [
        ("[]", set()),
        ("[('won_status', 'in', ['won', 'lost'])]", {"won_status"}),
        ("""['|', ("active", "=", False), ['stage_id.is_won', '=', True]]""", {"active", "stage_id"}),
        ("[ ( 'state', '=', 'sale' ), '!', ('name', 'ilike', 'a')]", {"state", "name"}),
    ],
)
def test_the_fields_of_a_domain_are_read_from_its_text(domain: str, fields: set[str]) -> None:
    assert domain_fields(domain) == fields


def test_a_domain_of_an_earlier_release_is_replaced_together_with_the_trigger() -> None:
    rule = next(rule for rule in RULES if rule.name == "opportunities")
    dialect = OdooDialect(models={"crm.lead": frozenset({"date_closed", "won_status"})})
    items = desired_records(dialect, bots=(), key_days=1, hooks={rule.name: WebhookTarget(url=URL)}, rules=[rule])
    known = edited(as_made(items), "rule_opportunities", filter_domain=rule.earlier[0], trigger_field_ids=[999])
    item = only(make_plan(items, known))
    assert (item.do, set(item.values)) == (PlannedAction.MEND, {"filter_domain", "trigger_field_ids"})
    own = edited(as_made(items), "rule_opportunities", filter_domain="[('name', '!=', False)]")
    assert only(make_plan(items, own)).do is PlannedAction.CHANGED


def test_a_token_is_read_from_an_address_and_masked_in_it() -> None:
    assert (token_in(URL), masked(URL)) == (TOKEN, "https://gw.example.com/hooks/odoo/***")
    assert [token_in(other) for other in ("", "https://gw.example.com/hooks/odoo/short", f"{URL}/more")] == [""] * 3


def test_up_to_18_groups_have_another_name() -> None:
    (bot,) = (one for one in all_of(dialect=dataclasses.replace(DIALECT, groups="groups_id")) if one.login)
    assert "groups_id" in bot.values


# ---------------------------------------------------------------------------- companies --


def in_companies(stored: list[int], *, known: set[int], is_ours: bool = True, force: bool = False) -> PlannedRecord:
    """Plan a bot that is in some of the companies 1 and 2, of which the last set-up knew some."""
    names = {1: "Firm", 2: "Westwind"}
    items = all_of(dialect=dataclasses.replace(DIALECT, companies=names, known_companies=frozenset(known)))
    at = edited(as_made(items), "bot_audit_change", is_ours=is_ours, company_ids=stored)
    (item,) = (one for one in make_plan(items, at, force=force) if one.wanted.login)
    return item


def test_a_company_made_since_the_last_set_up_is_added() -> None:
    item = in_companies([1], known={1})
    assert (item.do, item.values) == (PlannedAction.MEND, {"company_ids": [[4, 2]]})
    assert item.differences[0].now == "not in the company Westwind (2)"


def test_a_company_that_people_took_away_is_named_and_left_unless_forced() -> None:
    left = in_companies([1], known={1, 2})
    assert (left.do, left.values) == (PlannedAction.CHANGED, {})
    assert missing_companies([left]) != []
    assert in_companies([1], known={1, 2}, force=True).values == {"company_ids": [[4, 2]]}


def test_a_user_that_people_made_is_told_of_and_not_changed() -> None:
    assert in_companies([1], known={1}, is_ours=False).do is PlannedAction.CHANGED


def test_a_bot_in_all_companies_is_kept() -> None:
    assert in_companies([1, 2, 3], known={1}).do is PlannedAction.KEEP


@pytest.mark.parametrize(
    ("stored", "is_ours", "do"),
    [
        ("Asia/Tokyo", True, PlannedAction.KEEP),
        ("UTC", True, PlannedAction.MEND),
        (False, True, PlannedAction.MEND),
        ("Europe/Berlin", True, PlannedAction.CHANGED),
        ("UTC", False, PlannedAction.CHANGED),
    ],
)
def test_a_bot_of_ours_gets_the_time_zone_of_the_firm(stored: Any, is_ours: bool, do: PlannedAction) -> None:
    """Where Odoo fills in a day itself it takes the zone of the user; what people chose is left."""
    items = desired_records(DIALECT, bots=BOTS, key_days=365, hooks={}, rules=[], timezone="Asia/Tokyo")
    known = as_made(items)
    name = next(one.name for one in items if one.login)
    own = known.records[name]
    known.records[name] = dataclasses.replace(own, values={**own.values, "tz": stored}, is_ours=is_ours)  # type: ignore[index]
    (item,) = [one for one in make_plan(items, known) if one.wanted.name == name]
    assert item.do is do
    assert item.values == ({"tz": "Asia/Tokyo"} if do is PlannedAction.MEND else {})


@pytest.mark.parametrize("stored", [False, None, "", "UTC"])
def test_a_user_without_a_time_zone_has_that_of_a_firm_in_utc(stored: Any) -> None:
    """Odoo takes UTC where a user has none."""
    items = desired_records(DIALECT, bots=BOTS, key_days=365, hooks={}, rules=[], timezone="UTC")
    known = as_made(items)
    name = next(one.name for one in items if one.login)
    own = known.records[name]
    known.records[name] = dataclasses.replace(own, values={**own.values, "tz": stored}, is_ours=False)  # type: ignore[index]
    (item,) = [one for one in make_plan(items, known) if one.wanted.name == name]
    assert item.do is PlannedAction.KEEP
