"""The memory of a case follows it from open to closed and back."""

import datetime as dt
from decimal import Decimal
from typing import Any

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purser.cases import CaseKey, CaseRecord, CaseState
from purser.findings import Money, Period, Ref, Severity
from store import Ledger
from tests.contract.store.making import fresh, key_ending

DAY = dt.date(2026, 11, 9)
days = st.dates(dt.date(2020, 1, 1), dt.date(2100, 1, 1))
amounts = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9)
open_cases = st.builds(
    CaseRecord,
    key=st.builds(
        CaseKey,
        st.just("stale-drafts"),
        st.builds(Ref, st.just("sale.order"), st.integers(1, 10**6)),
        st.none() | days.map(Period.week_of),
    ),
    episode=st.integers(1, 50),
    rung=st.integers(0, 9),
    activity=st.none() | st.integers(1),
    note=st.booleans(),
    asked_on=days,
    opened_on=days,
    user_id=st.none() | st.integers(1),
    text=st.text(max_size=50),
    hours=amounts,
    money=st.none() | st.builds(Money, amounts, st.sampled_from(["EUR", "USD"])),
    state=st.sampled_from([CaseState.OPEN, CaseState.QUIET, CaseState.ESCALATED]),
    severity=st.sampled_from(Severity),
    subject_name=st.text(max_size=20),
    ended_on=st.none(),
)


def case(n: int, *, control: str = "stale-drafts", **given: Any) -> CaseRecord:
    values: dict[str, Any] = {
        "episode": 1,
        "rung": 0,
        "asked_on": DAY,
        "opened_on": DAY,
        "subject_name": f"S{n:05}",
        "text": "old",
    }
    values |= {"state": CaseState.OPEN, "severity": Severity.MEDIUM}
    return CaseRecord(key=CaseKey(control, Ref("sale.order", n)), **(values | given))


def closed(n: int, **given: Any) -> CaseRecord:
    return case(n, state=CaseState.CLOSED, ended_on=DAY, **given)


@given(known=st.lists(open_cases, max_size=8, unique_by=lambda c: c.key))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_open_cases_come_back_as_they_were_put_however_often(client: redis.Redis, known: list[CaseRecord]) -> None:
    ledger = fresh(client)
    expected = {c.key: c for c in known}

    ledger.cases.put(known)
    ledger.cases.put(known)

    assert ledger.cases.of("stale-drafts") == expected
    assert ledger.cases.of("stale-drafts", open_only=True) == expected
    assert ledger.cases.counts() == ({"stale-drafts": len(known)} if known else {})


def test_a_closed_case_is_kept_for_its_next_episode_without_name_and_text(ledger: Ledger) -> None:
    ledger.cases.put([case(1, hours=Decimal("7.5")), case(2)])

    ledger.cases.put([closed(1, hours=Decimal("7.5"))])

    assert set(ledger.cases.of("stale-drafts", open_only=True)) == {case(2).key}
    kept = ledger.cases.of("stale-drafts")[case(1).key]
    assert (kept.state, kept.episode, kept.ended_on, kept.hours) == (CaseState.CLOSED, 1, DAY, Decimal("7.5"))
    assert (kept.subject_name, kept.text) == ("", "")


def test_a_case_that_comes_back_is_open_and_no_longer_closed(ledger: Ledger) -> None:
    ledger.cases.put([closed(1)])
    ledger.cases.put([case(1, episode=2)])

    assert ledger.cases.of("stale-drafts") == {case(1).key: case(1, episode=2)}


def test_some_cases_are_recalled_without_the_rest(ledger: Ledger) -> None:
    ledger.cases.put([case(1), case(2), closed(3)])

    found = ledger.cases.among("stale-drafts", [case(1).key, case(3).key, case(9).key])

    assert {key: c.state for key, c in found.items()} == {
        case(1).key: CaseState.OPEN,
        case(3).key: CaseState.CLOSED,
    }


def test_open_cases_are_listed_across_controls_the_oldest_first(ledger: Ledger) -> None:
    older = case(7, control="unbilled-work", opened_on=DAY - dt.timedelta(days=3), user_id=5)
    ledger.cases.put([case(1, user_id=5), older, case(2, user_id=6), closed(3, user_id=5)])

    first = ledger.cases.page(limit=2)

    assert first.items == (older, case(1, user_id=5))
    assert ledger.cases.page(limit=2, after=first.next).items == (case(2, user_id=6),)
    assert ledger.cases.page(user_id=5).items == (older, case(1, user_id=5))
    assert ledger.cases.page(control="stale-drafts", user_id=5).items == (case(1, user_id=5),)
    assert ledger.cases.counts() == {"stale-drafts": 2, "unbilled-work": 1}


def test_ten_thousand_cases_are_put_and_read_whole(ledger: Ledger) -> None:
    ledger.cases.put(case(n) for n in range(1, 10_001))

    assert len(ledger.cases.of("stale-drafts", open_only=True)) == 10_000


def test_a_forgotten_case_is_gone(ledger: Ledger) -> None:
    ledger.cases.put([case(1), closed(2)])

    assert ledger.cases.forget(case(1).key) is True
    assert ledger.cases.forget(case(2).key) is True
    assert ledger.cases.forget(case(1).key) is False
    assert ledger.cases.of("stale-drafts") == {}


def test_a_damaged_case_is_named(ledger: Ledger, client: redis.Redis) -> None:
    ledger.cases.put([case(1)])
    key = key_ending(client, ":stale-drafts:open")
    client.hset(key, str(case(1).key), b'{"key": 1}')

    assert ledger.cases.of("stale-drafts") == {}
    assert list(ledger.unreadable()) == [f"{key} case/stale-drafts/sale.order/1/-"]
