"""A cursor is moved only from where it was seen to stand, and nobody's walk is lost by another's."""

import datetime as dt
from dataclasses import replace

import pytest
import redis

from purser.errors import Permanent
from store import FeedCursor, Ledger
from tests.contract.store.making import START, key_ending

HOUR = dt.timedelta(hours=1)
FEED = FeedCursor(name="feed/opportunities", started=START, done=START, at=START)


def test_a_cursor_is_made_moved_and_read_as_it_was_told(ledger: Ledger) -> None:
    assert ledger.cursors.get(FEED.name) is None
    assert ledger.cursors.move(None, FEED)
    under_way = replace(
        FEED, since=START, until=START + HOUR, after=500, looked=500, told=3, lacks="", at=START + HOUR
    )
    assert ledger.cursors.move(FEED, under_way)
    assert ledger.cursors.get(FEED.name) == under_way


def test_who_saw_another_place_moves_nothing(ledger: Ledger) -> None:
    ledger.cursors.move(None, FEED)
    mine, theirs = replace(FEED, after=500), replace(FEED, after=900)
    assert ledger.cursors.move(FEED, theirs)
    assert not ledger.cursors.move(FEED, mine)
    assert not ledger.cursors.move(None, mine)
    assert not ledger.cursors.drop(FEED)
    assert ledger.cursors.get(FEED.name) == theirs


def test_cursors_are_listed_by_name_and_one_that_is_dropped_is_gone(ledger: Ledger) -> None:
    other = replace(FEED, name="backfill/leaves")
    ledger.cursors.move(None, FEED)
    ledger.cursors.move(None, other)
    assert ledger.cursors.all() == (other, FEED)
    assert ledger.cursors.drop(other)
    assert ledger.cursors.all() == (FEED,)
    assert ledger.cursors.move(None, other)


def test_a_damaged_cursor_is_named(ledger: Ledger, client: redis.Redis) -> None:
    ledger.cursors.move(None, FEED)
    client.hset(key_ending(client, ":cursors"), FEED.name, "{}")
    with pytest.raises(Permanent, match=r"cursors feed/opportunities.* is unreadable"):
        ledger.cursors.get(FEED.name)
