"""What waits, where it waits, and who wakes it: delayed messages, pauses, the inbox, and workers that are ghosts."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from devtools.fake_odoo import FakeOdoo
from devtools.local.rabbitmq_node import RabbitNode
from store import DelayKind
from tests.conftest import RedisServer
from tests.e2e.brokers import RabbitBroker
from tests.e2e.conftest import Start
from tests.e2e.running import RunningFleet, write_policies
from tests.e2e.test_fleet import outcome, win, won
from tests.houses import House, open_house
from tests.odoo.seeding_people import Firm
from tests.rabbits import rabbit_node, vhost
from tests.waiting import wait_until

__all__ = ["rabbit_node"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
READ = "crm.lead/search_read"


@pytest.fixture(params=["twin"])
def house(request: pytest.FixtureRequest) -> House:
    return open_house(request)


@pytest.fixture
def twin(house: House) -> FakeOdoo:
    assert house.twin is not None
    return house.twin


@pytest.fixture(params=["one redis"])
def fleet(
    request: pytest.FixtureRequest, start_fleet: Start, redis_server: RedisServer, tmp_path: Path, firm: Firm
) -> Iterator[RunningFleet]:
    """Yield a fleet whose broker and ledger are one Redis or, where a test asks for it, two; or one on RabbitMQ."""
    settings = {"PURSER_STALLED_AFTER": "2"}
    with ExitStack() as stack:
        node: RabbitNode | None = None
        if request.param == "two redises":
            settings["PURSER_LEDGER_URL"] = redis_server.url_of(1)
        elif request.param == "rabbitmq":
            node = request.getfixturevalue("rabbit_node")
            settings |= {"PURSER_BROKER_URL": stack.enter_context(vhost(node)), "PURSER_LEDGER_URL": redis_server.url}
        fleet = start_fleet(write_policies(tmp_path / "p.yaml", every="every 1 hour"), **settings)
        if isinstance(fleet.broker, RabbitBroker) and node is not None:
            fleet.broker.ctl = node.ctl
        stack.callback(fleet.stop)
        yield fleet


wherever_the_ledger_is = pytest.mark.parametrize("fleet", ["one redis", "two redises"], indirect=True)
on_each_broker = pytest.mark.parametrize("fleet", ["one redis", "rabbitmq"], indirect=True)
anywhere = pytest.mark.parametrize("fleet", ["one redis", "two redises", "rabbitmq"], indirect=True)


def tell(fleet: RunningFleet, lead: int, **options: object) -> None:
    fleet.app.send_task("purser.accept", kwargs={"event": won(lead)}, queue="events", kwargsrepr="won", **options)


@anywhere
def test_a_countdown_waits_in_the_ledger_and_outlives_its_worker(fleet: RunningFleet, firm: Firm) -> None:
    lead = win(firm)
    first = fleet.worker("a")
    tell(fleet, lead, countdown=3600, task_id="the-one")
    wait_until(lambda: fleet.ledger.delayed.count() == 1, what="the message to be parked")
    fleet.kill(first)
    (waiting,) = fleet.ledger.delayed.page().items
    assert (waiting.id, waiting.kind, waiting.queue, waiting.attempt) == ("the-one", DelayKind.SNOOZE, "events", 0)
    assert waiting.due > fleet.fleet.now() + dt.timedelta(minutes=55)
    assert fleet.held() == 0
    fleet.worker("b")
    assert fleet.ledger.delayed.now(["the-one"], who="test", note="now") == ("the-one",)
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project")
    wait_until(fleet.quiet, within=20, what="empty queues")


@wherever_the_ledger_is
def test_a_failed_try_waits_in_the_ledger_with_its_history(fleet: RunningFleet, firm: Firm, twin: FakeOdoo) -> None:
    lead = win(firm)
    twin.faults.answer(503, times=2, only=READ)
    fleet.worker()
    tell(fleet, lead)
    first = wait_until(lambda: fleet.ledger.delayed.page().items, within=20, what="a waiting try")[0]
    assert (first.kind, first.attempt, first.task) == (DelayKind.RETRY, 1, "purser.react")
    assert "Transient" in first.why
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="the project")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert fleet.ledger.letters.count() == 0


@on_each_broker
def test_a_paused_queue_keeps_its_messages_and_goes_on_when_it_is_resumed(fleet: RunningFleet, firm: Firm) -> None:
    lead = win(firm)
    fleet.worker()
    fleet.ledger.pauses.pause("queue:events", who="test", note="a look")
    wait_until(lambda: "queue paused" in fleet.log("w"), what="the worker to notice")
    tell(fleet, lead)
    wait_until(lambda: fleet.depth("events") == 1, what="the message on its queue")
    assert fleet.held() == 0
    assert outcome(firm, lead)[1] == 0
    fleet.ledger.pauses.resume("queue:events", who="test", note="seen")
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project")


def test_a_paused_queue_stays_paused_when_its_worker_loses_the_connection(
    fleet: RunningFleet, firm: Firm, redis_url: str
) -> None:
    lead, other = win(firm), win(firm)
    fleet.worker()
    fleet.ledger.pauses.pause("queue:events", who="test", note="a look")
    wait_until(lambda: "queue paused" in fleet.log("w"), what="the worker to notice")
    with redis.Redis.from_url(redis_url) as client:
        assert client.client_kill_filter(_type="normal", skipme=True)
    tell(fleet, lead, routing_key="of another name")
    fleet.fleet.publish("purser.accept", {"event": won(other)}, label="won", queue="scans")
    wait_until(lambda: fleet.depth("events") == 2, within=30, what="the other queue to be worked off as before")
    wait_until(lambda: not fleet.held(), what="the acknowledgement")
    assert (fleet.depth("events"), outcome(firm, lead)[1]) == (2, 0)
    fleet.ledger.pauses.resume("queue:events", who="test", note="seen")
    for one in (lead, other):
        wait_until(lambda one=one: outcome(firm, one) == (1, 1, 3), within=30, what="the project")  # type: ignore[misc]


def test_a_paused_automation_snoozes_and_spends_no_attempt(fleet: RunningFleet, firm: Firm) -> None:
    lead = win(firm)
    fleet.ledger.pauses.pause("automation:open-project", who="test", note="wrong template")
    fleet.worker()
    tell(fleet, lead)
    (waiting,) = wait_until(lambda: fleet.ledger.delayed.page().items, within=20, what="a snooze")
    assert (waiting.kind, waiting.attempt, waiting.why) == (DelayKind.SNOOZE, 0, "paused: automation:open-project")
    fleet.ledger.pauses.resume("automation:open-project", who="test", note="mended")
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="the project")


def test_an_accepted_event_survives_a_broker_that_forgot_everything(fleet: RunningFleet, firm: Firm) -> None:
    lead = win(firm)
    worker = fleet.worker()
    fleet.ledger.pauses.pause("automation:open-project", who="test", note="hold")
    tell(fleet, lead)
    (waiting,) = wait_until(lambda: fleet.ledger.delayed.page().items, within=20, what="the automation's message")
    assert fleet.ledger.inbox.count() == 1
    fleet.kill(worker)
    assert fleet.ledger.delayed.remove([waiting.id])  # lost: neither on a queue nor anywhere else
    fleet.ledger.pauses.resume("automation:open-project", who="test", note="go")
    fleet.worker("b")
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=60, what="the project, although its message was lost")
    wait_until(lambda: fleet.ledger.inbox.count() == 0, what="an empty inbox")


@anywhere
def test_what_expired_or_was_revoked_is_kept(fleet: RunningFleet, firm: Firm) -> None:
    fleet.worker()
    tell(fleet, 1, expires=-5, task_id="too-late")
    wait_until(lambda: fleet.ledger.letters.count() == 1, within=20, what="a letter")
    (letter,) = fleet.ledger.letters.page().items
    assert (letter.id, letter.reason) == ("too-late", "expired")
    assert json.loads(letter.body)[1]["event"]["type"] == "opportunity.won.v1"
    fleet.app.control.revoke("unwanted")
    wait_until(lambda: "unwanted" in fleet.log("w"), what="the worker to hear of it")
    tell(fleet, 1, task_id="unwanted")
    wait_until(lambda: fleet.ledger.letters.count() == 2, within=20, what="a second letter")
    assert {one.reason for one in fleet.ledger.letters.page().items} == {"expired", "revoked"}
    wait_until(fleet.quiet, within=20, what="empty queues")


@on_each_broker
def test_a_worker_whose_main_loop_hangs_starts_anew_by_itself(
    fleet: RunningFleet, firm: Firm, tmp_path: Path
) -> None:
    lead = win(firm)
    fleet.environ |= {"PURSER_GHOST_AFTER": "5", "PURSER_TEST_WEDGE": str(tmp_path / "wedged")}
    worker = fleet.worker(app="tests.e2e.wedged")
    wait_until(lambda: "ghost worker" in fleet.log("w"), within=40, what="the ghost to be noticed")
    tell(fleet, lead)
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="the project")
    assert worker.poll() is None
    assert fleet.log("w").count("w@test ready.") == 2
