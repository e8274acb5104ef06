"""The fleet on RabbitMQ, killed, fed garbage, without its broker or its ledger: nothing is lost or done twice."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devtools.fake_odoo import FakeOdoo
from devtools.local.rabbitmq_node import RabbitNode
from devtools.local.redis_server import serving
from purser.errors import Transient
from store import Ledger
from store.fleet.worker_heartbeats import NAME_TAKEN
from tests.e2e.brokers import RabbitBroker
from tests.e2e.poison import APP as POISONED
from tests.e2e.poison import CURED, Poison
from tests.e2e.running import RunningFleet, running, write_policies
from tests.e2e.test_delivery import AWKWARD, READ, is_done, kill_whole_workers, tell
from tests.e2e.test_fleet import GARBAGE, activities, hire, malformed, outcome, win, won
from tests.houses import House, open_house
from tests.odoo.seeding_people import Firm
from tests.rabbits import own_node, vhost
from tests.waiting import wait_until
from workers.broker.rabbitmq import topology
from workers.dead_letters.replay_one import ReplayStatus, replay
from workers.runtime.task import MAX_DELIVERIES

__all__ = ["own_node"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
Start = Callable[..., RunningFleet]


@pytest.fixture(params=["twin"])
def house(request: pytest.FixtureRequest) -> House:
    """These tests order trouble, which only the twin takes orders for."""
    return open_house(request)


@pytest.fixture
def twin(house: House) -> FakeOdoo:
    assert house.twin is not None
    return house.twin


@pytest.fixture
def start(house: House, firm: Firm, rabbit_node: RabbitNode, redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Set up a fleet in a virtual host of its own."""
    with vhost(rabbit_node) as empty, ExitStack() as stack:

        def begin(
            every: str = "every 1 hour", node: RabbitNode | None = None, heartbeat: int | None = None, **environ: str
        ) -> RunningFleet:
            login, key = house.bot(firm)
            place = empty if node is None else node.url
            beats = "" if heartbeat is None else f"?heartbeat={heartbeat}"
            weeks: dict[str, object] = {"tunables": {"weeks_back": 4}}
            policies = write_policies(tmp_path / "p.yaml", every=every, missing_timesheets=weeks)
            settings = {
                "PURSER_BROKER_URL": f"{place}{beats}",
                "PURSER_LEDGER_URL": redis_url,
                "PURSER_ODOO_URL": house.env.url,
                "PURSER_ODOO_DB": house.env.db,
                "PURSER_ODOO_LOGIN": login,
                "PURSER_ODOO_API_KEY": key,
                "PURSER_POLICIES": str(policies),
                **environ,
            }
            fleet = stack.enter_context(running(settings, tmp_path))
            assert isinstance(fleet.broker, RabbitBroker)
            fleet.broker.ctl = (node or rabbit_node).ctl
            return fleet

        yield begin


def test_no_bytes_stop_a_worker_and_all_of_them_are_kept(firm: Firm, start: Start) -> None:
    fleet = start()
    worker = fleet.worker()
    raws = [*GARBAGE, *malformed(), *AWKWARD]
    for raw in raws:
        fleet.push_raw("apply", raw)
    letters = fleet.ledger.letters
    wait_until(lambda: letters.count() >= len(raws), within=40, what="a letter for each")
    assert letters.count() == len(raws)
    assert worker.poll() is None
    assert GARBAGE[0] in {letter.body for letter in letters.page(limit=100).items}
    lead = win(firm)
    tell(fleet, lead)
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project of the message behind them")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert letters.count() == len(raws)


def test_a_second_worker_of_one_name_says_so_and_takes_nothing(firm: Firm, start: Start) -> None:
    fleet = start()
    first = fleet.worker("first")
    options = ("worker", "-Q", "events,apply", "-n", "first@test", "--concurrency", "1")
    second = fleet.start("second", *options, ready="another worker has this name")
    crew = fleet.ledger.crew
    wait_until(lambda: NAME_TAKEN in {one.state for one in crew.all()}, within=20, what="the second in the list")
    names = {one.member.name: one.state for one in crew.all()}
    assert names == {"first@test": "working", f"first@test (process {second.pid})": NAME_TAKEN}
    lead = win(firm)
    tell(fleet, lead)
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="the work of the first")
    assert (first.poll(), second.poll()) == (None, None)
    assert fleet.log("second").count("another worker has this name") < 10, "it waits between two tries"


def test_a_worker_killed_in_the_middle_of_hundreds_of_changes_leaves_each_once(firm: Firm, start: Start) -> None:
    company = firm.company()
    employees = hire(firm, company, firm.calendar(company), 100)
    fleet = start(PURSER_CHUNK_SIZE="5")
    worker = fleet.worker("first")
    fleet.beat()
    wait_until(lambda: len(activities(firm, employees)) >= 50, within=60, what="the first chunks")
    fleet.kill(worker)
    assert len(activities(firm, employees)) < 400, "killed too late to prove anything"
    fleet.worker("second")
    wait_until(lambda: len(activities(firm, employees)) >= 400, within=60, what="the rest")
    wait_until(fleet.quiet, within=30, what="empty queues")
    assert len(activities(firm, employees)) == 400
    assert fleet.ledger.letters.count() == 0


def test_a_message_that_kills_its_process_ends_as_a_letter_and_takes_no_neighbour(
    firm: Firm, twin: FakeOdoo, start: Start, tmp_path: Path
) -> None:
    neighbours = [win(firm) for _ in range(8)]
    fleet = start()
    twin.faults.delay(0.5, times=100, only=READ)  # they run and wait beside the poison for as long as it kills
    poison = Poison(tmp_path / "begun", trouble="killed")
    poison.tell(fleet, "events")
    for neighbour in neighbours:
        tell(fleet, neighbour)
    worker = fleet.worker(app=POISONED)
    wait_until(lambda: fleet.ledger.letters.count() > 0, within=60, what="the letter")
    wait_until(lambda: all(is_done(firm, one) for one in neighbours), within=60, what="all neighbours")
    wait_until(fleet.quiet, within=20, what="empty queues")
    (letter,) = fleet.ledger.letters.page().items
    assert (letter.reason, letter.queue, letter.task) == ("too many deliveries", "events", "drill.apply")
    assert poison.begun == MAX_DELIVERIES
    assert worker.poll() is None
    assert [one.status for one in replay(fleet.fleet, [letter.id], who="test", note="cured")] == [
        ReplayStatus.REPLAYED
    ]
    wait_until(lambda: poison.begun > MAX_DELIVERIES, within=20, what="the replayed one")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert fleet.ledger.letters.count() == 0
    assert len(twin.rows("project.project", [["name", "=", CURED]], ["name"])) == 1


@pytest.mark.long
def test_a_message_that_kills_whole_workers_ends_as_a_letter_and_takes_no_neighbour(
    firm: Firm, twin: FakeOdoo, start: Start, tmp_path: Path
) -> None:
    kill_whole_workers(firm, twin, start(), tmp_path)


def test_a_task_longer_than_the_heartbeat_is_begun_once(
    firm: Firm, twin: FakeOdoo, start: Start, rabbit_node: RabbitNode
) -> None:
    lead = win(firm)
    fleet = start(heartbeat=2)  # who is silent for six seconds is dead to the broker
    fleet.worker("a")
    fleet.worker("b")
    assert "2" in rabbit_node.ctl("list_connections", "timeout").splitlines()
    twin.faults.delay(8, only=READ)
    before = twin.requests[READ]
    tell(fleet, lead)
    wait_until(lambda: is_done(firm, lead), within=40, what="the project")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert twin.requests[READ] == before + 1
    assert not [name for name in ("a", "b") if "onnection to broker lost" in fleet.log(name)]


def test_a_broker_killed_under_a_running_task_loses_and_doubles_nothing(
    firm: Firm, twin: FakeOdoo, start: Start, own_node: RabbitNode
) -> None:
    lead, second = win(firm), win(firm)
    fleet = start(node=own_node)
    worker = fleet.worker()
    twin.faults.delay(4, only=READ)
    tell(fleet, lead)
    wait_until(lambda: twin.faults.left == 0, what="the task to begin")
    own_node.kill()
    with pytest.raises(Transient, match=r"the broker at .* did not take"):
        tell(fleet, second)
    own_node.start()
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=60, what="the first project")
    tell(fleet, second)
    wait_until(lambda: outcome(firm, second) == (1, 1, 3), within=60, what="the second project")
    wait_until(fleet.quiet, within=30, what="empty queues")
    assert outcome(firm, lead) == (1, 1, 3)
    assert worker.poll() is None
    assert fleet.ledger.letters.count() == 0


def test_what_the_broker_gave_up_is_a_letter_and_can_be_replayed(firm: Firm, start: Start) -> None:
    lead = win(firm)
    fleet = start()
    with fleet.app.connection_for_write() as connection:
        topology.declare(connection)
    fleet.fleet.publish("purser.accept", {"event": won(lead)}, label="won", expiration=0.05)
    wait_until(lambda: fleet.depth(topology.DEAD) == 1, what="the message to expire")
    fleet.worker()
    wait_until(lambda: fleet.ledger.letters.count() == 1, within=20, what="the letter")
    (letter,) = fleet.ledger.letters.page().items
    assert (letter.reason, letter.queue, letter.task) == ("expired", "events", "purser.accept")
    assert not [name for name in letter.headers if name.startswith("x-")]
    assert [one.status for one in replay(fleet.fleet, [letter.id], who="test", note="late")] == [
        ReplayStatus.REPLAYED
    ]
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project")
    wait_until(fleet.quiet, within=20, what="empty queues")


def test_a_ledger_that_is_away_loses_no_bytes_and_ends_no_worker(firm: Firm, start: Start, tmp_path: Path) -> None:
    fleet = start()
    home = tmp_path / "ledger"
    with serving(home) as ledger:
        fleet.environ["PURSER_LEDGER_URL"] = ledger.url
        worker = fleet.worker()
    raws = [b"no message at all", *AWKWARD]
    for raw in raws:
        fleet.push_raw("apply", raw)
    fleet.push_raw(topology.DEAD, b"given up before")
    wait_until(lambda: fleet.log("w").count("goes back") > len(raws), within=40, what="a refusal to lose")
    wait_until(lambda: "letter not stored" in fleet.log("w"), within=20, what="the same of what was given up")
    with serving(home) as again:
        book = Ledger.connect(again.url)
        wait_until(lambda: book.letters.count() == len(raws) + 1, within=60, what="a letter for each")
        reasons = {letter.reason for letter in book.letters.page(limit=100).items}
        assert "too many deliveries" not in reasons
        assert worker.poll() is None
        book.close()


def test_a_stopped_worker_hands_back_at_once_what_it_has_not_begun(firm: Firm, twin: FakeOdoo, start: Start) -> None:
    long, short = [win(firm) for _ in range(2)], [win(firm) for _ in range(4)]
    fleet = start()
    first = fleet.worker("a")
    twin.faults.delay(25, times=2, only=READ)
    for lead in long:
        tell(fleet, lead)
    wait_until(lambda: twin.faults.left == 0, within=20, what="two tasks to begin")
    for lead, queue in zip(short, ("apply", "scans", "apply", "scans"), strict=True):
        fleet.fleet.publish("purser.accept", {"event": won(lead)}, label="won", queue=queue)
    wait_until(lambda: not any(map(fleet.depth, ("apply", "scans"))), what="the worker to take what it cannot begin")
    fleet.worker("b")
    first.terminate()
    wait_until(lambda: all(outcome(firm, lead) == (1, 1, 3) for lead in short), what="what was handed back")
    assert first.poll() is None, "the first worker was done before anything was handed back"
    wait_until(lambda: all(outcome(firm, lead) == (1, 1, 3) for lead in long), within=40, what="all")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert fleet.ledger.letters.count() == 0


def test_a_task_that_hears_no_soft_limit_is_killed_once_and_is_one_letter(start: Start, tmp_path: Path) -> None:
    limits = {"PURSER_ODOO_TIMEOUT": "0.5", "PURSER_TASK_SOFT_TIME_LIMIT": "1", "PURSER_TASK_TIME_LIMIT": "2"}
    fleet = start(**limits)
    worker = fleet.worker(app="devtools.chaos.faulty_tasks")
    begun = tmp_path / "begun"
    endless = {"trouble": "too long", "times": 10, "counter": str(begun)}
    fleet.app.send_task("drill.apply", kwargs=endless, queue="apply")
    wait_until(lambda: fleet.ledger.letters.count() == 1, within=30, what="the letter")
    wait_until(lambda: "exited with 'signal 9" in fleet.log("w"), within=20, what="the end of its process")
    wait_until(fleet.quiet, within=20, what="empty queues")
    (letter,) = fleet.ledger.letters.page().items
    assert (letter.reason, letter.error, len(letter.attempts)) == ("time limit", "TimeLimitExceeded", 1)
    assert begun.read_text() == "."
    assert "goes back" not in fleet.log("w")
    assert worker.poll() is None


def test_a_queue_with_other_settings_stops_the_start_with_a_sentence(start: Start) -> None:
    fleet = start()
    with fleet.app.connection_for_write() as connection:
        connection.channel().queue_declare("apply", durable=True, auto_delete=False)
    with pytest.raises(AssertionError, match="the queue apply is there with other settings"):
        fleet.worker()
