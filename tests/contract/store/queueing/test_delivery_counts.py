"""Redeliveries are counted by message, and a replay begins anew."""

from store import Ledger


def test_redeliveries_are_counted_for_each_message_apart(ledger: Ledger) -> None:
    assert [ledger.deliveries.count("m1"), ledger.deliveries.count("m1"), ledger.deliveries.count("m2")] == [1, 2, 1]


def test_a_forgotten_count_begins_anew(ledger: Ledger) -> None:
    ledger.deliveries.count("m1")

    ledger.deliveries.forget("m1")

    assert ledger.deliveries.count("m1") == 1
