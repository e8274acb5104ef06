"""The doctor names what is wrong, what to do about it, and goes on to the next question."""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest

from config.policy.loader import load_policies, parse_policies
from config.settings import BotRole
from purser import Domain, QueryContext, Registry, Row, Severity, daily
from purser.declarations import Control
from purser.effects import Effects
from store import FeedCursor, Ledger, RedisHealth
from tasks.discovery import load_registry
from tests.unit.console.conftest import Purser
from workers.doctor.checks import Level, check_count, check_expiry, check_feeds, check_ledger, rights_needed

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
WELL = RedisHealth(
    address="redis://localhost:6379/0",
    is_reachable=True,
    server="redis",
    version="7.0",
    has_append_only_file=True,
    eviction="noeviction",
    used_memory=10,
    max_memory=0,
)


NOTHING = Effects()


class Order(Row, model="sale.order"):
    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return []


class Purchase(Row, model="purchase.order", optional=True):
    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return []


def one_control(*reads: type[Row], effects: Effects = NOTHING) -> Registry:
    return Registry.of(
        [
            Control(
                name="late-orders",
                rule="Orders are on time.",
                title="Late order",
                reads=reads,
                every=daily("06:00"),
                severity=Severity.LOW,
                owner="pmo",
                asks=(),
                effects=effects,
                tunables={},
                scan=lambda snapshot: iter(()),
                source="here",
            )
        ]
    )


def levels(health: RedisHealth) -> dict[str, Level]:
    return {check.name: check.level for check in check_ledger(health)}


def test_a_ledger_that_keeps_everything_is_in_order() -> None:
    assert set(levels(WELL).values()) == {Level.OK}


@pytest.mark.parametrize(
    ("change", "name", "level"),
    [
        ({"is_reachable": False, "problem": "refused"}, "ledger", Level.FAIL),
        ({"has_append_only_file": False}, "ledger append-only file", Level.FAIL),
        ({"has_append_only_file": None}, "ledger append-only file", Level.WARN),
        ({"eviction": "allkeys-lru"}, "ledger eviction", Level.FAIL),
        ({"eviction": None}, "ledger eviction", Level.WARN),
        ({"persistence_errors": ("aof_last_write_status: err",)}, "ledger disk", Level.FAIL),
        ({"used_memory": 81, "max_memory": 100}, "ledger memory", Level.WARN),
    ],
)
def test_a_ledger_that_may_lose_something_is_told(change: dict[str, object], name: str, level: Level) -> None:
    checks = {check.name: check for check in check_ledger(dataclasses.replace(WELL, **change))}  # type: ignore[arg-type]
    assert checks[name].level is level
    assert checks[name].what_to_do


@pytest.mark.parametrize(
    ("days", "level"),
    [([], Level.OK), ([15], Level.OK), ([13], Level.WARN), ([13, 300], Level.WARN), ([300], Level.OK)],
)
def test_a_key_that_ends_within_two_weeks_is_told(days: list[int], level: Level) -> None:
    ends = [NOW + dt.timedelta(days=count) for count in days]
    assert check_expiry("key", ends, len(ends), NOW).level is level


def test_which_of_several_keys_is_ours_is_not_pretended_to_be_known() -> None:
    assert "of 3 keys" in check_expiry("key", [NOW + dt.timedelta(days=1)], 3, NOW).found


@pytest.mark.parametrize(
    ("count", "best", "level"),
    [
        (0, None, Level.WARN),
        (5, None, Level.OK),
        (5, (5, "bot"), Level.OK),
        (9, (5, "bot"), Level.OK),
        (5, (6, "bot"), Level.WARN),
    ],
)
def test_seeing_less_than_another_bot_is_told(count: int, best: tuple[int, str] | None, level: Level) -> None:
    assert check_count("orders", count, best).level is level


def test_a_control_needs_to_read_what_it_reads() -> None:
    (order, purchase) = rights_needed(one_control(Order, Purchase), None, BotRole.AUDIT)[::-1]
    assert (order.model, order.operation, order.needed_by, order.is_optional) == (
        "sale.order",
        "read",
        ("late-orders",),
        False,
    )
    assert (purchase.model, purchase.is_optional) == ("purchase.order", True)


def test_whoever_opens_cases_needs_to_write_on_the_records_that_carry_them() -> None:
    declared = one_control(Order, effects=Effects(activity_on=("project.task",), notes_on=("account.move",)))
    assert [(one.model, one.operation) for one in rights_needed(declared, None, BotRole.CHANGE)] == [
        ("account.move", "read"),
        ("project.task", "write"),
    ]


def test_the_rights_of_the_catalogue_derive_from_its_declarations() -> None:
    needed = {
        (one.model, one.operation): one.needed_by for one in rights_needed(load_registry(), None, BotRole.CHANGE)
    }
    assert needed["project.task", "write"] == ("ask-about-leave", "join-projects")
    assert "join-projects" in needed["project.project", "write"]
    assert needed["account.move", "read"] == ("stale-drafts",)


def test_a_control_that_is_switched_off_needs_nothing() -> None:
    declared = one_control(Order)
    off = parse_policies(declared, "version: 1\ncontrols: {late-orders: {enabled: false}}\n", source="here")
    assert rights_needed(declared, off, BotRole.AUDIT) == ()


def test_what_is_missing_is_a_finding_and_the_rest_is_still_asked(purser: Purser, redis_url: str) -> None:
    result = purser("doctor", "--json", PURSER_BROKER_URL=redis_url)
    checks = {one["name"]: one for one in json.loads(result.stdout)}
    assert result.exit_code == 4
    assert "PURSER_ODOO_URL is missing" in checks["settings"]["found"]
    assert (checks["broker"]["level"], checks["ledger"]["level"]) == ("ok", "ok")
    assert (checks["ledger append-only file"]["level"], checks["ledger eviction"]["level"]) == ("ok", "ok")


def test_each_problem_comes_with_what_to_do(purser: Purser) -> None:
    result = purser("doctor", PURSER_BROKER_URL="redis://:hunter2@127.0.0.1:1/0")
    assert result.exit_code == 4
    assert "fail: broker: start it, or correct PURSER_BROKER_URL" in result.stdout
    assert "hunter2" not in result.output


def test_an_odoo_that_is_away_is_told(purser: Purser) -> None:
    odoo = {"URL": "http://127.0.0.1:1", "DB": "x", "LOGIN": "bot", "API_KEY": "hunter2"}
    result = purser("doctor", "--json", **{f"PURSER_ODOO_{name}": value for name, value in odoo.items()})
    checks = {one["name"]: one for one in json.loads(result.stdout)}
    assert checks["Odoo as bot"]["level"] == "fail"
    assert "PURSER_ODOO_URL" in checks["Odoo as bot"]["what_to_do"]
    assert "hunter2" not in result.output


def test_a_wrong_policy_is_one_of_the_findings(purser: Purser) -> None:
    Path("firm.yaml").write_text("version: 1\nrolls: {}\n")
    result = purser("doctor", "--json", PURSER_POLICIES="firm.yaml")
    (check,) = [one for one in json.loads(result.stdout) if one["name"] == "policies"]
    assert check["level"] == "fail"
    assert "Did you mean `roles`?" in check["found"]


def test_a_feed_that_falls_behind_is_told_and_what_is_not_applicable_is_not_waited_for() -> None:
    policies = load_policies(load_registry())
    now = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)

    def cursor(name: str, minutes: int, lacks: str = "") -> FeedCursor:
        done = now - dt.timedelta(minutes=minutes)
        return FeedCursor(name=f"feed/{name}", started=done, done=done, at=now, lacks=lacks)

    (fine,) = check_feeds(policies, [cursor("opportunities", 6), cursor("tickets", 999, "no model")], now)
    assert (fine.level, fine.found) == (Level.OK, "in time, watches: 1")
    (late,) = check_feeds(policies, [cursor("opportunities", 6), cursor("leaves", 90)], now)
    assert (late.level, late.found) == (Level.WARN, "behind: leaves 90 min")
    assert list(check_feeds(policies, [], now)) == []


def test_a_subscription_that_cannot_be_signed_or_is_switched_off_is_told(operator: Purser, ledger: Ledger) -> None:
    entry = "{to: 'https://x.example/y', events: [invoice.*], secret: n8n}"
    Path("firm.yaml").write_text(f"version: 1\nsubscriptions:\n  n8n: {entry}\n")
    secrets = "n8n whsec_" + "QUJD" * 8

    def told(**environ: str) -> list[tuple[str, str]]:
        checks = json.loads(operator("doctor", "--json", PURSER_POLICIES="firm.yaml", **environ).stdout)
        return [(one["level"], one["found"]) for one in checks if one["name"] == "subscriptions"]

    assert told(PURSER_OUTBOUND_SECRETS=secrets) == [("ok", "1 can be signed; `purser outbound list`")]
    ledger.outbound.switch_off("n8n", why="410")
    assert [level for level, _ in told()] == ["fail", "warn"]
