"""A firm sets how often something is watched, what counts, and whether at all."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from config.policy.loader import Policies, parse_policies
from events.opportunity import OpportunityWon
from purser import Domain, Every, QueryContext, Row, minutes, watch
from purser.errors import ConfigurationError
from purser.registry import Registry


class Deal(Row, model="crm.lead"):
    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return [*scope.look]


@watch("deals", row=Deal, tells=(OpportunityWon,), every=minutes(5))
def deals(row: Deal, as_of: dt.datetime, *, days: int = 3) -> Iterator[Any]:
    """A deal was won."""
    yield OpportunityWon(opportunity_id=row.id)


@watch("tickets", row=Deal, tells=(OpportunityWon,), every=minutes(5))
def tickets(row: Deal, as_of: dt.datetime) -> Iterator[Any]:
    """A ticket was closed."""
    yield from ()


def read(said: str = "") -> Policies:
    return parse_policies(Registry.of([deals, tickets]), f"version: 1\n{said}", source="firm.yaml")


def test_a_watch_that_is_not_named_keeps_what_it_declares() -> None:
    policies = read()
    assert policies.feeds() == {"deals": minutes(5), "tickets": minutes(5)}
    assert policies.watch("deals").tunables == {"days": 3}
    assert policies.watch("deals").is_house_view


def test_a_firm_sets_cadence_and_tunables_and_switches_off() -> None:
    policies = read("watches: {deals: {every: every 2 minutes, tunables: {days: 7}}, tickets: {enabled: false}}")
    assert policies.feeds() == {"deals": Every(dt.timedelta(minutes=2))}
    assert policies.watch("deals").tunables == {"days": 7}
    assert not policies.watch("tickets").enabled


def test_what_a_firm_leaves_as_it_is_changes_no_hash() -> None:
    assert read().hash == read("watches: {deals: {every: every 5 minutes}}").hash
    assert read().hash != read("watches: {deals: {every: every 6 minutes}}").hash
    assert read().hash != read("watches: {deals: {tunables: {days: 4}}}").hash


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("watches: {deal: {}}", "Did you mean `deals`?"),
        ("watches: {deals: {evry: daily 06:00}}", "Did you mean `every`?"),
        ("watches: {deals: {tunables: {day: 1}}}", "Did you mean `days`?"),
        ("watches: {deals: {every: often}}", "is no cadence"),
        ("freezes: {f: {what: [watch:deal]}}", "watch:deals"),
    ],
)
def test_a_mistake_is_told(said: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(said)
    assert told in str(caught.value)


def test_a_watch_may_be_frozen() -> None:
    assert read("freezes: {f: {days_after: 1, what: [watch:deals]}}").freezes[0].what == {"watch:deals"}
