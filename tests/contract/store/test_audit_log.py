"""The trail keeps every act in order."""

import pytest

from store import Ledger
from tests.contract.store.making import START, Clock


def test_the_tail_gives_the_last_acts_in_the_order_they_happened(ledger: Ledger, clock: Clock) -> None:
    for n in range(4):
        ledger.audit.append(who="ada", action="pause", what=f"queue:{n}", note="Überlast", facts={"n": n})
        clock.pass_(minutes=1)

    last = ledger.audit.tail(2)

    assert [entry.what for entry in last] == ["queue:2", "queue:3"]
    assert (last[0].who, last[0].action, last[0].note, last[0].facts) == ("ada", "pause", "Überlast", {"n": 2})
    assert (last[0].at - START).total_seconds() == 120


def test_following_the_trail_gives_what_came_after_an_entry(ledger: Ledger) -> None:
    first = ledger.audit.append(who="ada", action="pause", what="all")
    assert ledger.audit.tail(after=first) == ()
    ledger.audit.append(who="ada", action="resume", what="all")
    ledger.audit.append(who="ada", action="pause", what="all")

    assert [entry.action for entry in ledger.audit.tail(1, after=first)] == ["resume"]


def test_an_act_without_a_name_is_turned_away(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="who"):
        ledger.audit.append(who="", action="pause", what="all")


def test_a_place_in_the_trail_that_is_none_is_turned_away(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="audit trail"):
        ledger.audit.tail(after="yesterday")
