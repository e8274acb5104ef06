"""Whatever an automation does, it is done once: told twice, by other ways, or after a death at any step of it."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Role
from events.envelope import CloudEvent
from events.fact import Fact
from odoo_client import Door, connect, setup
from purser.fates import Fate
from tests.houses import House, open_house
from tests.integration.calm import Calm
from tests.integration.mortal import Cradle, Life
from tests.integration.scenes import SCENES, Scene, Stage
from tests.odoo.seeding_people import Firm
from tests.odoo.seeding_sales import Seeder
from workers import react
from workers.plan import foresee

WAYS = ("/hooks/odoo", "/feed", "/console")


class Play:
    """One fleet that reacts to scenes of one kind, and notes what it tells in turn."""

    def __init__(self, fleet: Calm, stage: Stage, kind: str) -> None:
        self.fleet, self.stage = fleet, stage
        self.automation, self._make = SCENES[kind]
        self.news: set[str] = set()
        self.computes: Callable[[], None] = lambda: None
        fleet.fleet.publish = self._publish
        self.cradle = Cradle(fleet.fleet)

    def scene(self) -> Scene:
        self.news = set()
        made = self._make(self.stage)
        self.computes = made.computes
        return made

    def react(self, fact: Fact, life: Life | None = None, *, way: str = WAYS[0]) -> bool:
        """Let a process react; say whether it came to its end."""
        life = life or Life()
        told = CloudEvent.wrap(fact, source=way, time=self.fleet.moment).model_dump(mode="json", exclude_none=True)
        with self.cradle.process(life):
            react.react(self.fleet.fleet, self.automation, told)
        self.computes()
        return not life.is_over

    def look(self, scene: Scene) -> Any:
        return {**self.stage.look(scene), "told": len(self.news)}

    def fates(self, scene: Scene) -> set[Fate]:
        """Say what would become of the changes now."""
        automation = self.fleet.fleet.catalogue.automation(self.automation)
        planned = foresee(self.fleet.fleet, react.decide(self.fleet.fleet, automation, scene.told[0]))
        return {one.fate for one in planned if one.kind != "tell"}

    def _publish(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        assert task == "purser.accept"
        self.news.add(f"{kwargs['event']['source']} {kwargs['event']['id']}")


NOT_IN_THE_TWIN = {"ready"}
"""The twin has no wizard that drafts an invoice."""
CASES = [
    *(pytest.param(("twin", kind), id=f"twin-{kind}") for kind in SCENES if kind not in NOT_IN_THE_TWIN),
    *(pytest.param(("real", kind), id=f"real-{kind}", marks=pytest.mark.odoo) for kind in SCENES),
]


def let_perform(house: House, fleet: Calm) -> None:
    """Set Odoo up for the bot of this fleet, as `purser odoo setup` does."""
    env, bot = house.env, fleet.fleet.settings.odoo(Role.CHANGE).login
    with connect(Door(url=env.url, db=env.db, login=env.login, api_key=env.api_key)) as admin:
        dialect = setup.Finder(admin).dialect(())
        bots = (setup.Bot(login=bot, roles=("change",)),)
        setup.carry_out(admin, setup.wanted(dialect, bots=bots, key_days=365, hooks={}, rules=()))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give which Odoo, and which scene."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def house(request: pytest.FixtureRequest, case: tuple[str, str]) -> House:
    """Give the Odoo of the case."""
    return open_house(request, case[0])


@pytest.fixture
def play(case: tuple[str, str], house: House, firm: Firm, calm: Callable[[Path | None], Calm]) -> Iterator[Play]:
    """Give a fleet and what it meets."""
    seeder = Seeder(house.env)
    fleet = calm(None)
    let_perform(house, fleet)
    made = Play(fleet, Stage(seeder, firm, is_real=house.twin is None), case[1])
    yield made
    made.cradle.close()
    seeder.close()


def test_what_follows_from_a_fact_follows_once_whoever_dies_and_however_it_is_told(play: Play) -> None:
    """A calm run is the measure: what is there then is there after any death, and nothing more."""
    calm, life = play.scene(), Life()
    before = play.look(calm)
    assert play.fates(calm) == {Fate.APPLY}
    assert play.react(calm.told[0], life)
    measure = play.look(calm)
    assert measure != before
    assert play.look(calm) == measure, "nothing here moves by itself"

    # the same news by other ways
    for fact, way in zip(itertools.cycle(calm.told), WAYS, strict=False):
        assert play.react(fact, way=way)
    assert play.look(calm) == measure

    # a death after each step, one after the other, each time told again
    scene, ended, last = play.scene(), False, 0
    while not ended:
        last += 1
        ended = play.react(scene.told[0], Life(last))
    assert last > len(life.writes), "it died at least once for each change"
    assert play.look(scene) == measure

    if not play.stage.is_real:  # a death after each change, each in a world of its own
        for last in life.writes:
            scene = play.scene()
            assert not play.react(scene.told[0], Life(last))
            assert play.react(scene.told[0])
            assert play.look(scene) == measure, f"died after step {last} of {life.steps}"

    # what people change stays changed
    for model, id_ in (*calm.desks, *calm.found()):
        for activity in play.stage.activities(model, id_):
            play.stage.seeder.write("mail.activity", activity["id"], summary="By hand", date_deadline="2031-01-31")
    calm.by_hand()
    changed = play.look(calm)
    for fact in calm.told:
        assert play.react(fact)
    assert play.look(calm) == changed
