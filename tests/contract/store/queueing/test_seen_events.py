"""An event is accepted by one holder at a time, and recognised afterwards."""

import datetime as dt

import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from store import ClaimResult, Ledger
from tests.contract.store.making import Clock, fresh

MINUTE = dt.timedelta(minutes=1)


def test_an_event_is_seen_only_after_it_was_marked(ledger: Ledger) -> None:
    assert ledger.events.claim("odoo", "e1", holder="a", lease=MINUTE) is ClaimResult.GRANTED
    assert ledger.events.seen("odoo", "e1") is False

    ledger.events.mark("odoo", "e1")

    assert ledger.events.seen("odoo", "e1") is True
    assert ledger.events.claim("odoo", "e1", holder="a", lease=MINUTE) is ClaimResult.DONE


def test_an_event_being_accepted_is_busy_for_others_until_the_lease_lapses(ledger: Ledger, clock: Clock) -> None:
    ledger.events.claim("odoo", "e1", holder="a", lease=MINUTE)

    assert ledger.events.claim("odoo", "e1", holder="b", lease=MINUTE) is ClaimResult.BUSY
    assert ledger.events.claim("odoo", "e1", holder="a", lease=MINUTE) is ClaimResult.GRANTED
    clock.pass_(minutes=1)
    assert ledger.events.claim("odoo", "e1", holder="b", lease=MINUTE) is ClaimResult.GRANTED


def test_a_released_event_is_free_at_once(ledger: Ledger) -> None:
    ledger.events.claim("odoo", "e1", holder="a", lease=MINUTE)

    assert ledger.events.release("odoo", "e1", holder="b") is False
    assert ledger.events.release("odoo", "e1", holder="a") is True
    assert ledger.events.claim("odoo", "e1", holder="b", lease=MINUTE) is ClaimResult.GRANTED


def test_a_mark_is_kept_for_thirty_days(ledger: Ledger, client: redis.Redis) -> None:
    ledger.events.mark("odoo", "e1")

    (key,) = client.keys("*")

    assert 29 * 86400 < client.ttl(key) <= 30 * 86400


@example(pairs=[("a", "bc"), ("ab", "c")])
@given(pairs=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=2, max_size=2, unique=True))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_marking_one_event_marks_no_other(client: redis.Redis, pairs: list[tuple[str, str]]) -> None:
    ledger = fresh(client, Clock())
    marked, other = pairs

    ledger.events.mark(*marked)

    assert ledger.events.seen(*marked)
    assert not ledger.events.seen(*other)


def test_a_page_of_events_is_asked_for_at_once_and_what_is_met_again_is_kept_on(
    ledger: Ledger, client: redis.Redis
) -> None:
    assert ledger.events.known([]) == ()
    ledger.events.mark("odoo", "e1")
    (key,) = client.keys("*")
    client.expire(key, 60)

    assert ledger.events.known([("odoo", "e2"), ("odoo", "e1")], prolong=False) == (False, True)
    assert client.ttl(key) <= 60
    assert ledger.events.known([("odoo", "e1"), ("odoo", "e2")]) == (True, False)
    assert client.ttl(key) > 29 * 86400
    assert not ledger.events.seen("odoo", "e2")


def test_a_lease_of_a_clock_that_was_a_day_ahead_has_lapsed(ledger: Ledger, clock: Clock) -> None:
    clock.pass_(days=1)
    assert ledger.events.claim("odoo", "e1", holder="a", lease=MINUTE) is ClaimResult.GRANTED
    clock.pass_(days=-1)
    assert ledger.events.claim("odoo", "e1", holder="b", lease=MINUTE) is ClaimResult.GRANTED
    assert ledger.events.claim("odoo", "e1", holder="c", lease=MINUTE) is ClaimResult.BUSY
