"""What happens to a message when Odoo hangs, the broker restarts, the ledger is away, or the time is up."""

import base64
import json
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from devtools.fake_odoo import FakeOdoo
from devtools.local.redis_server import serving
from store import Ledger
from tests.e2e.conftest import Start
from tests.e2e.poison import APP as POISONED
from tests.e2e.poison import Poison
from tests.e2e.running import RunningFleet, running, write_policies
from tests.e2e.test_fleet import message, outcome, win, won
from tests.houses import House, open_house
from tests.odoo.seeding_people import Firm
from tests.waiting import wait_until
from workers.runtime.task import MAX_DELIVERIES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
READ = "crm.lead/search_read"
Own = tuple[RunningFleet, ExitStack]


@pytest.fixture(params=["twin"])
def house(request: pytest.FixtureRequest) -> House:
    """These tests order trouble, which only the twin takes orders for."""
    return open_house(request)


@pytest.fixture
def twin(house: House) -> FakeOdoo:
    assert house.twin is not None
    return house.twin


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    retries = {"*": {"base": 0.2, "cap": 1, "attempts": 30}}
    return write_policies(tmp_path / "p.yaml", every="every 1 hour", retries=retries)


def tell(fleet: RunningFleet, lead: int) -> None:
    fleet.fleet.publish("purser.accept", {"event": won(lead)}, label="won")


def test_a_task_longer_than_the_lease_is_begun_once(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path
) -> None:
    lead = win(firm)
    fleet = start_fleet(policies)
    fleet.worker("a")
    fleet.worker("b")
    twin.faults.delay(12, only=READ)  # the lease is 3 s
    before = twin.requests[READ]
    tell(fleet, lead)
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="the project")
    assert twin.requests[READ] == before + 1


def test_a_worker_that_dies_in_a_long_task_hands_it_on(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path
) -> None:
    lead = win(firm)
    fleet = start_fleet(policies)
    first = fleet.worker("a")
    twin.faults.delay(30, only=READ)
    tell(fleet, lead)
    wait_until(lambda: twin.faults.left == 0, what="the task to begin")
    fleet.kill(first)
    fleet.worker("b")
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=25, what="the project")


def is_done(firm: Firm, lead: int) -> bool:
    return outcome(firm, lead) == (1, 1, 3)


def told_more(firm: Firm, fleet: RunningFleet) -> list[int]:
    leads = [win(firm) for _ in range(2)]
    for lead in leads:
        tell(fleet, lead)
    return leads


def is_asked(twin: FakeOdoo, times: int) -> bool:
    return twin.requests[READ] >= times


def kill_whole_workers(firm: Firm, twin: FakeOdoo, fleet: RunningFleet, home: Path) -> None:
    """Kill each worker that has begun the poison, while neighbours run in it and wait; none of them goes along.

    Each time one neighbour ends beside the poison, and the next one dies in the middle of its work.
    """
    poison = Poison(home / "begun", trouble="too long")
    poison.tell(fleet, "events")
    twin.faults.delay(0.5, times=1000, only=READ)
    neighbours = told_more(firm, fleet)
    for number in range(MAX_DELIVERIES):
        worker = fleet.worker(f"w{number}", "events", app=POISONED)
        wait_until(partial(poison.is_begun, number + 1), within=30, what="the poison")
        asked = twin.requests[READ]
        neighbours += told_more(firm, fleet)
        wait_until(partial(is_asked, twin, asked + 2), within=30, what="two neighbours")
        fleet.kill(worker)
        assert poison.begun == number + 1
        assert not fleet.ledger.letters.count()
    left = [one for one in neighbours if not is_done(firm, one)]
    assert left, "killed too late to prove anything"
    fleet.worker("last", "events", app=POISONED)
    wait_until(lambda: fleet.ledger.letters.count() > 0, within=30, what="the letter")
    wait_until(lambda: all(is_done(firm, one) for one in left), within=60, what="all neighbours")
    wait_until(fleet.quiet, within=30, what="empty queues")
    assert all(is_done(firm, one) for one in neighbours)
    (letter,) = fleet.ledger.letters.page().items
    assert (letter.reason, letter.queue, letter.task) == ("too many deliveries", "events", "drill.apply")
    assert poison.begun == MAX_DELIVERIES


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_message_that_kills_whole_workers_ends_as_a_letter_and_takes_no_neighbour(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path, tmp_path: Path
) -> None:
    kill_whole_workers(firm, twin, start_fleet(policies, PURSER_LEASE="2"), tmp_path)


def test_an_odoo_that_does_not_answer_in_time_is_asked_again(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path
) -> None:
    lead = win(firm)
    fleet = start_fleet(policies, PURSER_ODOO_TIMEOUT="1.5")
    fleet.worker()
    twin.faults.delay(20, times=20, only=READ)
    tell(fleet, lead)
    wait_until(lambda: "trying again" in fleet.log("w"), within=20, what="a timeout of Odoo")
    twin.faults.clear()
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project")
    assert fleet.ledger.letters.count() == 0


def test_an_answer_lost_after_the_commit_doubles_nothing(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path
) -> None:
    lead = win(firm)
    fleet = start_fleet(policies)
    fleet.worker()
    twin.faults.drop(after_commit=True, only="crm.lead/write")
    twin.faults.drop(after_commit=True, only="res.partner/load")  # the next try finds the customer and makes none
    for call in ("project.project/load", "mail.activity/load"):
        twin.faults.drop(after_commit=True, only=call)
        twin.faults.answer(502, after_commit=True, only=call)
    tell(fleet, lead)
    wait_until(lambda: twin.faults.left == 0 and outcome(firm, lead) == (1, 1, 3), within=60, what="the project")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert outcome(firm, lead) == (1, 1, 3)
    assert fleet.ledger.letters.count() == 0


def test_what_a_retry_shows_is_the_label_and_not_the_values(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path
) -> None:
    lead = win(firm)
    fleet = start_fleet(policies)
    fleet.worker()
    twin.faults.answer(503, times=50, only=READ)
    tell(fleet, lead)
    wait_until(lambda: fleet.log("w").count("trying again") >= 2, within=30, what="two more tries")
    shown = wait_until(lambda: [h for h in fleet.headers() if h["task"] == "purser.react"], what="a waiting try")
    assert {(h["argsrepr"], h["kwargsrepr"].split(",")[0]) for h in shown} == {("", "open-project")}
    assert "opportunity_id" not in str(shown)


def test_what_is_being_worked_on_shows_its_label_to_whoever_asks(
    firm: Firm, twin: FakeOdoo, start_fleet: Start, policies: Path
) -> None:
    lead = win(firm)
    fleet = start_fleet(policies)
    fleet.worker()
    twin.faults.delay(6, only=READ)
    fleet.app.send_task("purser.accept", kwargs={"event": won(lead)}, queue="events")  # as a stock client would
    wait_until(lambda: twin.faults.left == 0, what="the task to begin")
    answers = fleet.app.control.inspect(timeout=5).active()
    (task,) = answers["w@test"]
    assert task["name"] == "purser.react"
    assert str(task["kwargs"]).startswith("open-project, opportunity.won.v1")
    assert "opportunity_id" not in str(task)
    wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=30, what="the project")


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    """Return the home of a broker of this test's own, which it may stop and start."""
    return tmp_path / "broker"


@pytest.fixture
def own(
    house: House, firm: Firm, policies: Path, broker: Path, tmp_path: Path
) -> Iterator[tuple[RunningFleet, ExitStack]]:
    """Yield a fleet on that broker, and the way to stop it."""
    login, key = house.bot(firm)
    with ExitStack() as everything, ExitStack() as server:
        url = server.enter_context(serving(broker)).url
        settings = {
            "PURSER_BROKER_URL": url,
            "PURSER_ODOO_URL": house.env.url,
            "PURSER_ODOO_DB": house.env.db,
            "PURSER_ODOO_LOGIN": login,
            "PURSER_ODOO_API_KEY": key,
            "PURSER_POLICIES": str(policies),
            "PURSER_LEASE": "3",
            "PURSER_HEARTBEAT": "0.5",
        }
        yield everything.enter_context(running(settings, tmp_path)), server


def test_a_broker_that_restarts_under_a_running_task_ends_no_worker_and_loses_nothing(
    own: Own, twin: FakeOdoo, firm: Firm, broker: Path
) -> None:
    fleet, server = own
    lead, second = win(firm), win(firm)
    worker = fleet.worker()
    twin.faults.delay(4, only=READ)
    tell(fleet, lead)
    wait_until(lambda: twin.faults.left == 0, what="the task to begin")
    server.close()
    with serving(broker):
        wait_until(lambda: outcome(firm, lead) == (1, 1, 3), within=40, what="the first project")
        tell(fleet, second)
        wait_until(lambda: outcome(firm, second) == (1, 1, 3), within=40, what="the second project")
        wait_until(fleet.quiet, within=30, what="empty queues")
        assert worker.poll() is None
        assert fleet.ledger.letters.count() == 0
        fleet.stop()


AWKWARD = [
    message("purser.scan", [[], {}, {}], {"purser": {"attempts": 5}, "retries": "x"}),
    message("purser.nothing", [[], {}, {}], {"purser": {"attempts": [{"at": "x", "error": 1}]}}),
    message("purser.scan", [[], {}, {}], {"timelimit": [1]}),
    message("purser.scan", [[], {}, {}], {"stamped_headers": [{"a": 1}]}),
    message("purser.scan", [[], {}, {}], None, **{"content-type": 5}),
    json.dumps({**json.loads(message("purser.scan", [[], {}, {}])), "headers": "text"}).encode(),
    message("purser.scan", [[], {}, {}], {"deep": json.loads("[" * 900 + "]" * 900)}),
    message("purser.scan", [[], {}, {}], {"eta": "9999-12-31T23:59:59-12:00"}),
    message("purser.scan", [[], {}, {}], {"id": "", "eta": "2999-12-31T23:59:59"}),
    json.dumps(
        {
            **json.loads(message("purser.scan", [[], {}, {}], {"compression": "gzip"})),
            "body": base64.b64encode(zlib.compress(bytes(2**24))).decode(),
        }
    ).encode(),
]


def test_a_ledger_that_is_away_loses_no_bytes_and_ends_no_worker(
    firm: Firm, start_fleet: Start, policies: Path, tmp_path: Path
) -> None:
    fleet = start_fleet(policies)
    home = tmp_path / "ledger"
    with serving(home) as ledger:
        fleet.environ["PURSER_LEDGER_URL"] = ledger.url
        worker = fleet.worker()
    for raw in (b"no message at all", *AWKWARD):
        fleet.push_raw("apply", raw)
    wait_until(
        lambda: "go back" in fleet.log("w") or "goes back" in fleet.log("w"), within=20, what="a refusal to lose"
    )
    with serving(home) as again:
        book = Ledger.connect(again.url)
        wait_until(lambda: book.letters.count() == 1 + len(AWKWARD), within=60, what="a letter for each")
        assert worker.poll() is None
        book.close()
