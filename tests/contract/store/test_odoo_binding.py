"""A ledger belongs to the Odoo that used it first, until a person says otherwise."""

import pytest

from store import Ledger


def test_the_first_odoo_keeps_the_ledger(ledger: Ledger) -> None:
    assert ledger.home.known() == ""
    assert ledger.home.of("https://one (db)") == "https://one (db)"
    assert ledger.home.of("https://two (db)") == "https://one (db)"
    assert ledger.home.known() == "https://one (db)"


def test_adopting_is_audited_with_who_and_why(ledger: Ledger) -> None:
    ledger.home.of("https://one (db)")
    ledger.home.adopt("https://two (db)", who="ada", note="the server moved")
    assert ledger.home.of("https://one (db)") == "https://two (db)"
    (entry,) = ledger.audit.tail()
    assert (entry.who, entry.action, entry.what, entry.note) == (
        "ada",
        "ledger.adopt",
        "https://two (db)",
        "the server moved",
    )


def test_adopting_needs_a_reason(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="note is empty"):
        ledger.home.adopt("https://two (db)", who="ada", note=" ")
    assert ledger.home.known() == ""
