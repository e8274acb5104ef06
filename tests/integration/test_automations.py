"""Whatever an automation does, it is done once: told twice, by other ways, or after a death at any step of it."""

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import Settings
from events.cloudevent import CloudEvent
from events.event import Event
from odoo_client import OdooConnection, connect, provisioning
from odoo_client.transport.error_mapping import AccessDenied
from odoo_client.transport.request import Request
from purser.engine.predictions import PredictedOutcome
from purser.errors import Refusal
from tests.conftest import OdooEnv, RedisServer
from tests.houses import House, open_house
from tests.integration.calm import Calm
from tests.integration.mortal import Cradle, Life
from tests.integration.scenes import SCENES, Scene, Stage
from tests.odoo.seeding_people import Firm
from tests.odoo.seeding_sales import Seeder
from workers.dead_letters.replay_preview import predict
from workers.events import react

WAYS = ("/hooks/odoo", "/feed", "/console")
NOT_IN_THE_TWIN = {"ready"}
"""The twin has no wizard that drafts an invoice."""


class World:
    """One Odoo that was set up for one fleet, and what the fleet tells in turn."""

    def __init__(self, stage: Stage, fleet: Calm) -> None:
        self.stage, self.calm, self.fleet = stage, fleet, fleet.fleet
        self.cradle = Cradle(fleet.fleet)
        self.news: set[str] = set()
        self.carry_out = fleet.fleet.publish

    def scene(self, kind: str) -> Scene:
        self.news = set()
        self.fleet.publish = self._publish
        return SCENES[kind][1](self.stage)

    def react(self, kind: str, scene: Scene, fact: Event, life: Life | None = None, *, way: str = WAYS[0]) -> bool:
        """Let a process react; say whether it came to its end."""
        life = life or Life()
        with self.cradle.process(life):
            react.react(self.fleet, SCENES[kind][0], self.told(fact, way))
        scene.computes()
        return not life.is_over

    def told(self, fact: Event, way: str = WAYS[0]) -> dict[str, Any]:
        event = CloudEvent.wrap(fact, source=way, time=self.calm.moment)
        return event.model_dump(mode="json", exclude_none=True)

    def look(self, scene: Scene) -> Any:
        return {**self.stage.look(scene), "told": len(self.news)}

    def fates(self, kind: str, scene: Scene) -> set[PredictedOutcome]:
        """Return what would become of the changes now."""
        automation = self.fleet.catalogue.automation(SCENES[kind][0])
        planned = predict(self.fleet, react.decide(self.fleet, automation, scene.told[0]))
        return {one.fate for one in planned if one.kind != "tell"}

    def _publish(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        assert task == "purser.accept"
        self.news.add(f"{kwargs['event']['source']} {kwargs['event']['id']}")


@pytest.fixture(scope="module")
def twin_world(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Yield the twin, with a bot that has the documented rights, and its fleet."""
    with _world(open_house(request, "twin"), redis_server.url_of(7), tmp_path_factory.mktemp("twin")) as made:
        yield made


@pytest.fixture(scope="module")
def odoo_world(
    request: pytest.FixtureRequest,
    odoo_env: OdooEnv,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Yield the same of a real Odoo."""
    with _world(open_house(request, "real"), redis_server.url_of(8), tmp_path_factory.mktemp("odoo")) as made:
        yield made


@contextmanager
def _world(house: House, redis_url: str, folder: Path) -> Iterator[World]:
    with ExitStack() as stack:
        firm = stack.enter_context(Firm(house.env))
        seeder = Seeder(house.env)
        stack.callback(seeder.close)
        login, key = house.bot(firm)
        biller, its_key = house.bot(firm) if house.twin is not None else seeder.bot(*provisioning.GROUPS["billing"])
        environ = {
            "PURSER_BROKER_URL": redis_url,
            "PURSER_ODOO_URL": house.env.url,
            "PURSER_ODOO_DB": house.env.db,
            "PURSER_ODOO_LOGIN": login,
            "PURSER_ODOO_API_KEY": key,
            "PURSER_ODOO_BILLING_LOGIN": biller,
            "PURSER_ODOO_BILLING_API_KEY": its_key,
        }
        settings = Settings.load(need={"broker", "ledger", "odoo"}, environ=environ)
        stage = Stage(seeder, firm, is_real=house.twin is None)
        fleet = Calm(settings, _policies(stage, folder), dt.datetime.now(dt.UTC))
        stack.callback(fleet.fleet.disconnect)
        _set_up(house, change=login, billing=biller)
        made = World(stage, fleet)
        stack.callback(made.cradle.close)
        yield made


def _policies(stage: Stage, folder: Path) -> Path | None:
    """Name who plays a role, and the limits of a firm with books in two currencies; the twin needs neither."""
    if not stage.is_real:
        return None
    role, login = stage.name("Consultant"), stage.seeder.read("res.users", stage.seeder.salesperson, "login")["login"]
    stage.role = stage.create("project.role", name=role)
    limits = {"USD": 10_000, "EUR": 10_000}  # other tests leave companies that keep their books in EUR
    told = {
        "version": 1,
        "automations": {
            "open-project": {"tunables": {"roles": {role: login}}},
            "draft-invoice": {"tunables": {"review_above": limits}},
        },
    }
    (folder / "policies.yaml").write_text(yaml.safe_dump(told))
    return folder / "policies.yaml"


def _set_up(house: House, **bots: str) -> None:
    """Do as `purser odoo setup` does."""
    env = house.env
    with connect(OdooConnection(url=env.url, db=env.db, login=env.login, api_key=env.api_key)) as admin:
        dialect = provisioning.CurrentStateReader(admin).dialect(())
        there = tuple(provisioning.BotUserSpec(login=login, roles=(role,)) for role, login in bots.items())
        provisioning.apply_plan(
            admin, provisioning.desired_records(dialect, bots=there, key_days=365, hooks={}, rules=())
        )


@pytest.mark.parametrize("kind", [kind for kind in SCENES if kind not in NOT_IN_THE_TWIN])
def test_in_the_twin_what_follows_from_a_fact_follows_once(twin_world: World, kind: str) -> None:
    _too_late(twin_world, kind)
    measure, writes = _calmly(twin_world, kind)
    _dying(twin_world, kind, measure)
    for last in writes:  # a death after each change, with none before it
        scene = twin_world.scene(kind)
        assert not twin_world.react(kind, scene, scene.told[0], Life(last))
        assert twin_world.react(kind, scene, scene.told[0])
        assert twin_world.look(scene) == measure, f"died after step {last}"


@pytest.mark.parametrize("kind", SCENES)
def test_in_odoo_what_follows_from_a_fact_follows_once(odoo_world: World, kind: str) -> None:
    _too_late(odoo_world, kind)
    measure, _ = _calmly(odoo_world, kind)
    _dying(odoo_world, kind, measure)


def _too_late(world: World, kind: str) -> None:
    """Hear of something that is not true any more: nothing follows."""
    scene = world.scene(kind)
    scene.take_back()
    before = world.look(scene)
    for fact in scene.late or scene.told:
        assert world.react(kind, scene, fact)
    assert world.look(scene) == before


def _calmly(world: World, kind: str) -> tuple[Any, list[int]]:
    """React in peace, again by other ways, and after people had their say; give what is there and what changed it.

    It is the measure of all that follows: what is there after any death is this, and nothing more.
    """
    calm, life = world.scene(kind), Life()
    before = world.look(calm)
    assert world.fates(kind, calm) == {PredictedOutcome.APPLY}
    assert world.react(kind, calm, calm.told[0], life)
    measure = world.look(calm)
    assert measure != before
    assert world.fates(kind, calm) <= {PredictedOutcome.DONE}

    for fact, way in zip(itertools.cycle(calm.told), WAYS, strict=False):  # the same news by other ways
        assert world.react(kind, calm, fact, way=way)
    assert world.look(calm) == measure

    _people_change_something(world, calm)
    changed = world.look(calm)
    for fact in calm.told:
        with contextlib.suppress(Refusal):  # what people took back may be refused, and is not done again
            assert world.react(kind, calm, fact)
    assert world.look(calm) == changed

    return measure, life.writes


def _dying(world: World, kind: str, measure: Any) -> None:
    """Die after the first step, be told again and die after the second, and so on to the end."""
    scene, ended, last = world.scene(kind), False, 0
    while not ended:
        last += 1
        ended = world.react(kind, scene, scene.told[0], Life(last))
    assert last > 1
    assert world.look(scene) == measure


def _people_change_something(world: World, scene: Scene) -> None:
    for model, id_ in (*scene.desks, *scene.found()):
        for activity in world.stage.activities(model, id_):
            values = {"summary": "By hand", "date_deadline": "2031-01-31"}
            world.stage.seeder.write("mail.activity", activity["id"], **values)
    scene.by_hand()


def test_a_milestone_that_is_approved_elsewhere_ends_as_one_draft_that_no_bot_can_post(odoo_world: World) -> None:
    """From the fact to the draft by way of a second fact; and what is drafted waits for people."""
    world = odoo_world
    scene = world.scene("milestone")
    world.fleet.publish = world.carry_out
    for way in WAYS:
        react.accept(world.fleet, world.told(scene.told[0], way), holder=way)
    (order,) = (id_ for model, id_ in scene.desks if model == "sale.order")
    (invoice,) = world.stage.seeder.read("sale.order", order, "invoice_ids")["invoice_ids"]
    assert world.stage.seeder.read("account.move", invoice, "state")["state"] == "draft"

    for bot in (world.fleet.billing, world.fleet.change):
        with pytest.raises(Refusal):
            bot.send(Request(model="account.move", method="action_post", ids=(invoice,)))
        values = {"vals": {"state": "posted"}}
        with pytest.raises(AccessDenied):
            bot.send(Request(model="account.move", method="write", ids=(invoice,), arguments=values))
    assert world.stage.seeder.read("account.move", invoice, "state")["state"] == "draft"
