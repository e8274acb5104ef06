"""A rule in Odoo is known by the digest of its token, and has two of them while it changes from one to the other."""

import datetime as dt
import hashlib

import pytest

from store import HookRule, Ledger
from tests.contract.store.making import START


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


ONE, TWO, THREE = (digest(token) for token in ("one", "two", "three"))


def test_a_rule_is_found_by_the_digest_of_its_token(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead", "crm.lead", "sale.order"])

    assert ledger.hooks.find(ONE) == HookRule(rule="won", models=("crm.lead", "sale.order"), digests=(ONE,))
    assert ledger.hooks.find(TWO) is None


def test_the_newest_two_tokens_of_a_rule_count(ledger: Ledger) -> None:
    for token in (ONE, TWO, THREE):
        ledger.hooks.add("won", token, ["crm.lead"])

    assert ledger.hooks.find(ONE) is None
    assert [rule.digests for rule in ledger.hooks.rules()] == [(THREE, TWO)]
    assert ledger.hooks.find(TWO) == ledger.hooks.find(THREE)


def test_a_token_that_is_added_again_takes_no_other_away(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])
    ledger.hooks.add("won", TWO, ["crm.lead"])

    ledger.hooks.add("won", TWO, ["crm.lead"])
    assert [rule.digests for rule in ledger.hooks.rules()] == [(TWO, ONE)]
    ledger.hooks.add("won", ONE, ["crm.lead"])
    assert [rule.digests for rule in ledger.hooks.rules()] == [(ONE, TWO)]
    assert ledger.hooks.find(ONE) == ledger.hooks.find(TWO) is not None


def test_models_are_those_that_were_said_last(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])
    ledger.hooks.add("won", TWO, ["sale.order"])

    found = ledger.hooks.find(ONE)
    assert found is not None
    assert found.models == ("sale.order",)


def test_a_token_belongs_to_one_rule(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])

    with pytest.raises(ValueError, match="another rule"):
        ledger.hooks.add("lost", ONE, ["crm.lead"])
    assert [rule.rule for rule in ledger.hooks.rules()] == ["won"]


def test_a_revoked_token_counts_no_more_and_the_other_one_does(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])
    ledger.hooks.add("won", TWO, ["crm.lead"])

    assert ledger.hooks.revoke(TWO) is True
    assert ledger.hooks.revoke(TWO) is False
    assert ledger.hooks.find(TWO) is None
    assert [rule.digests for rule in ledger.hooks.rules()] == [(ONE,)]
    ledger.hooks.add("won", THREE, ["crm.lead"])
    assert ledger.hooks.revoke(ONE) is True
    assert [rule.digests for rule in ledger.hooks.rules()] == [(THREE,)]


def test_a_dropped_rule_leaves_nothing(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])
    ledger.hooks.add("won", TWO, ["crm.lead"])
    ledger.hooks.add("lost", THREE, ["crm.lead"])

    assert ledger.hooks.drop("won") == 2
    assert ledger.hooks.drop("won") == 0
    assert ledger.hooks.find(ONE) is ledger.hooks.find(TWO) is None
    assert [rule.rule for rule in ledger.hooks.rules()] == ["lost"]


def test_when_a_rule_was_last_heard_of_outlives_its_token(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])
    ledger.hooks.heard("won", START)
    ledger.hooks.heard("won", START + dt.timedelta(seconds=1))
    ledger.hooks.add("won", TWO, ["crm.lead"])

    assert [rule.heard for rule in ledger.hooks.rules()] == [START + dt.timedelta(seconds=1)]


def test_a_rule_that_was_dropped_is_not_brought_back_by_a_late_post(ledger: Ledger) -> None:
    ledger.hooks.add("won", ONE, ["crm.lead"])
    ledger.hooks.drop("won")

    ledger.hooks.heard("won", START)

    assert ledger.hooks.rules() == ()


@pytest.mark.parametrize(("rule", "token"), [("won", "plain token"), ("won", ONE.upper()), (" ", ONE)])
def test_neither_a_plain_token_nor_a_rule_without_a_name_is_kept(ledger: Ledger, rule: str, token: str) -> None:
    with pytest.raises(ValueError, match=r"SHA-256|name"):
        ledger.hooks.add(rule, token, ["crm.lead"])
    assert ledger.hooks.rules() == ()
