"""A watch is declared like a control: a mistake in it stops the start."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from events.opportunity import OpportunityLost, OpportunityWon
from purser import Domain, QueryContext, Row, Watcher, minutes, watch
from purser.errors import ConfigurationError
from purser.registry import Registry


class Deal(Row, model="crm.lead"):
    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return [*scope.look]


def rule(row: Deal, as_of: dt.datetime, *, days: int = 3) -> Iterator[Any]:
    """A deal was won."""
    yield OpportunityWon(opportunity_id=row.id)


def undocumented(row: Deal, as_of: dt.datetime) -> Iterator[Any]:
    yield from ()


def short(row: Deal) -> Iterator[Any]:
    """A deal was won."""
    yield from ()


def declare(function: Any = rule, name: str = "deals", **given: Any) -> Watcher:
    told: dict[str, Any] = {"row": Deal, "tells": (OpportunityWon,), "every": minutes(5)}
    return watch(name, **{**told, **given})(function)


def test_a_watch_keeps_what_it_is_told_and_is_still_the_function() -> None:
    made = declare()
    assert (made.rule, made.model, made.tunables["days"].default) == ("A deal was won.", "crm.lead", 3)
    (fact,) = made(Deal(id=7), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), days=4)
    assert fact == OpportunityWon(opportunity_id=7)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"name": "Deals"}, "lower-case words"),
        ({"function": undocumented}, "in one sentence"),
        ({"tells": ()}, "name the facts"),
        ({"row": OpportunityWon}, "no Row"),
        ({"function": short}, "takes 2 positional"),
    ],
)
def test_a_mistake_in_a_declaration_is_told(mistake: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        declare(**mistake)


def test_a_catalogue_knows_watches_by_name_model_and_fact() -> None:
    deals, lost = declare(), declare(name="lost", tells=(OpportunityLost,))
    found = Registry.of([deals, lost])
    assert tuple(found.looking_at("crm.lead")) == (deals, lost)
    assert tuple(found.looking_at("res.partner")) == ()
    assert tuple(found.telling(OpportunityLost)) == (lost,)
    with pytest.raises(ConfigurationError, match="Did you mean `deals`"):
        found.watch("deal")
    with pytest.raises(ConfigurationError, match="declared twice"):
        Registry.of([deals, declare()])
