"""An event whose messages did not all go out is not done: it is told again, and every automation hears of it."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.policy.loader import load_policies
from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from purser import Change, Snapshot, automation
from purser.errors import Transient
from purser.registry import Registry
from tests.integration.calm import Calm
from tests.odoo.seeding_people import Firm
from workers.events import react

SOURCE, EVENT = "test", "won-7"
BOTH = ("open-project", "thank-seller")
NOBODY = 4_000_000
"""An opportunity that is not there: its automations have nothing to do."""


@automation("thank-seller", on=OpportunityWon)
def thank_seller(event: OpportunityWon, snapshot: Snapshot) -> Iterator[Change]:
    """A second automation on the same event."""
    yield from ()


class Line:
    """A broker that takes what it is sent, but for one message."""

    def __init__(self, *, refuses: int) -> None:
        self.refuses, self.asked = refuses, 0
        self.taken: list[tuple[str, str, dict[str, Any]]] = []
        """The automation, the id and the values of each message."""

    def __call__(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        self.asked += 1
        if self.asked == self.refuses:
            raise Transient(f"the broker did not take `{task}`")
        self.taken.append((kwargs["automation"], options["task_id"], kwargs))

    @property
    def automations(self) -> list[str]:
        return [name for name, _, _ in self.taken]


@pytest.fixture
def fleet(calm: Callable[[Path | None], Calm], firm: Firm) -> Calm:
    """Return a fleet in which two automations react to a won opportunity."""
    firm.company()
    made = calm(None)
    house = made.fleet.catalogue
    made.fleet.catalogue = Registry.of([*house.controls.values(), *house.automations.values(), thank_seller])
    made.fleet.policies = load_policies(made.fleet.catalogue, None)
    return made


def won(at: dt.datetime) -> dict[str, Any]:
    event = CloudEvent.wrap(OpportunityWon(opportunity_id=NOBODY), id=EVENT, source=SOURCE, time=at)
    return event.model_dump(mode="json", exclude_none=True)


def test_an_event_of_which_half_went_out_is_not_seen_and_goes_out_whole_when_it_comes_again(fleet: Calm) -> None:
    line = Line(refuses=2)
    fleet.fleet.publish = line
    told = won(fleet.moment)
    with pytest.raises(Transient, match="did not take"):
        react.accept(fleet.fleet, told, holder="the message")
    assert line.automations == [BOTH[0]]
    assert not fleet.ledger.events.seen(SOURCE, EVENT)
    kept = fleet.ledger.inbox.get(SOURCE, EVENT)
    assert kept is not None
    assert kept.pending == BOTH

    assert react.accept(fleet.fleet, told, holder="the message") == BOTH
    assert line.automations == [BOTH[0], *BOTH]
    assert len({id_ for _, id_, _ in line.taken}) == len(BOTH), "what is sent again is the same message, by its id"
    assert fleet.ledger.events.seen(SOURCE, EVENT)
    assert react.accept(fleet.fleet, told, holder="a third delivery") == ()

    for _, _, values in line.taken:
        react.react(fleet.fleet, values["automation"], values["event"])
    assert fleet.ledger.inbox.count() == 0
