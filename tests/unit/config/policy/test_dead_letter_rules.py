"""How long settled letters are kept and when an edit takes two people is the firm's to say."""

import datetime as dt
from decimal import Decimal

import pytest

from config.policy.dead_letter_rules import LetterPolicy
from config.policy.loader import Policies, parse_policies
from purser.errors import ConfigurationError
from purser.findings import Money
from purser.registry import Registry


def read(said: str) -> Policies:
    return parse_policies(Registry.of([]), f"version: 1\ndead_letters: {said}", source="policy.yaml")


def test_a_firm_that_says_nothing_keeps_letters_for_ninety_days_and_asks_one_person() -> None:
    policies = read("{}")

    assert policies.dead_letters == LetterPolicy()
    assert policies.dead_letters.retention == dt.timedelta(days=90)
    assert not policies.dead_letters.needs_second_person([Money(Decimal(10**9), "EUR")])
    assert policies.hash == parse_policies(Registry.of([]), "version: 1", source="x").hash


def test_what_a_firm_says_is_read_and_is_part_of_its_policy() -> None:
    policies = read("{retention_days: 30, second_person_above: {EUR: 10000, USD: 12_500.50}}")

    assert policies.dead_letters.retention_days == 30
    assert policies.dead_letters.second_person_above == {"EUR": Decimal(10000), "USD": Decimal("12500.5")}
    assert policies.hash != read("{}").hash


@pytest.mark.parametrize(
    ("money", "needed"),
    [
        ([], False),
        ([Money(Decimal(10000), "EUR")], False),
        ([Money(Decimal(6000), "EUR"), Money(Decimal(4001), "EUR")], True),
        ([Money(Decimal(-10001), "EUR")], True),
        ([Money(Decimal(1), "CHF")], True),
        ([Money(Decimal(0), "CHF")], False),
    ],
)
def test_sums_are_compared_by_currency_and_one_without_a_limit_takes_two(money: list[Money], needed: bool) -> None:
    limits = read("{second_person_above: {EUR: 10000}}").dead_letters

    assert limits.needs_second_person(money) is needed


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("{retention_days: 6}", "a whole number from 7 to 3650, not 6"),
        ("{retention_days: soon}", "not 'soon'"),
        ("{retention_day: 9}", "Did you mean `retention_days`"),
        ("{second_person_above: {euro: 1}}", "`euro` is no currency"),
        ("{second_person_above: {EUR: -1}}", "write an amount"),
        ("{second_person_above: {EUR: much}}", "write an amount"),
        ("{second_person_above: {EUR: .inf}}", "write an amount"),
        ("{second_person_above: 5}", "must be a mapping"),
    ],
)
def test_a_mistake_says_its_line_and_what_to_write(said: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=r"policy\.yaml:2: dead_letters") as wrong:
        read(said)

    assert says in str(wrong.value)
