"""A refusal is one entry however often it is met, until a person closes it."""

import datetime as dt
from typing import Any

import pytest

from store import Ledger, RefusalRecord, RefusalState
from tests.contract.store.making import START


def entry(id: str = "engagement/7/project", *, minute: int = 0, **given: Any) -> RefusalRecord:  # noqa: A002
    at = START + dt.timedelta(minutes=minute)
    values: dict[str, Any] = {
        "task": "apply",
        "what": "ensure project.project",
        "why": "The client is blocked.",
        "change": {"kind": "ensure", "values": {"name": "Zürich"}},
        "first_at": at,
        "last_at": at,
    }
    return RefusalRecord(id=id, **(values | given))


def test_a_refusal_comes_back_as_it_was_added_and_adding_it_twice_is_adding_it_once(ledger: Ledger) -> None:
    assert ledger.refusals.add(entry()) is True
    assert ledger.refusals.add(entry()) is False

    assert ledger.refusals.get("engagement/7/project") == entry()
    assert ledger.refusals.get("unknown") is None
    assert ledger.refusals.count() == 1


def test_a_refusal_met_again_counts_once_more_and_keeps_its_first_moment(ledger: Ledger) -> None:
    ledger.refusals.add(entry())
    ledger.refusals.add(entry(minute=5, why="Still blocked."))

    kept = ledger.refusals.get("engagement/7/project")

    assert kept is not None
    assert (kept.count, kept.why) == (2, "Still blocked.")
    assert (kept.first_at, kept.last_at) == (START, START + dt.timedelta(minutes=5))


def test_refusals_are_listed_the_latest_first(ledger: Ledger) -> None:
    for n in range(5):
        ledger.refusals.add(entry(f"k{n}", minute=n))

    first = ledger.refusals.page(limit=3)

    assert [found.id for found in first.items] == ["k4", "k3", "k2"]
    assert [found.id for found in ledger.refusals.page(after=first.next).items] == ["k1", "k0"]


def test_a_closed_refusal_leaves_the_list_and_says_who_and_why(ledger: Ledger) -> None:
    ledger.refusals.add(entry())

    assert ledger.refusals.close("engagement/7/project", who="ada", note="client unblocked") is True
    assert ledger.refusals.close("engagement/7/project", who="ada", note="again") is False

    assert ledger.refusals.page().items == ()
    (kept,) = ledger.refusals.page(state=RefusalState.CLOSED).items
    assert kept.settled is not None
    assert (kept.settled.who, kept.settled.note) == ("ada", "client unblocked")
    assert [e.action for e in ledger.audit.tail()] == ["refusals.close"]


def test_a_closed_refusal_that_is_met_again_is_open_again(ledger: Ledger) -> None:
    ledger.refusals.add(entry())
    ledger.refusals.close("engagement/7/project", who="ada", note="client unblocked")

    ledger.refusals.add(entry(minute=9))

    (kept,) = ledger.refusals.page().items
    assert (kept.state, kept.settled, kept.count) == (RefusalState.OPEN, None, 2)
    assert ledger.refusals.page(state=RefusalState.CLOSED).items == ()


def test_long_words_of_odoo_are_cut(ledger: Ledger) -> None:
    ledger.refusals.add(entry(why="x" * 5000))

    kept = ledger.refusals.get("engagement/7/project")

    assert kept is not None
    assert len(kept.why) == 2000


def test_nobody_closes_a_refusal_without_a_reason(ledger: Ledger) -> None:
    ledger.refusals.add(entry())

    with pytest.raises(ValueError, match="say why"):
        ledger.refusals.close("engagement/7/project", who="ada", note=" ")
