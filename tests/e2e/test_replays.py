"""Forty letters go back once their cause is mended: whoever dies, is paused or asks twice, each is done once."""

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.fake_odoo import FakeOdoo
from devtools.fake_odoo.odoo_errors import BadRequest
from store import Replay, ReplayStage, ReplayState
from tests.conftest import RedisServer
from tests.e2e.conftest import Start
from tests.e2e.running import RunningFleet, write_policies
from tests.e2e.test_fleet import outcome, win, won
from tests.houses import House, open_house
from tests.odoo.seeding_people import Firm
from tests.waiting import wait_until
from workers.dead_letters.replay_runner import start
from workers.events import react

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
MANY = 40


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
) -> RunningFleet:
    """Return a fleet whose broker and ledger are one Redis or, where a test asks for it, two."""
    apart = {"PURSER_LEDGER_URL": redis_server.url_of(1)} if request.param == "two redises" else {}
    firm.company()
    return start_fleet(write_policies(tmp_path / "p.yaml", every="every 1 hour"), **apart)


@pytest.fixture
def leads(fleet: RunningFleet, firm: Firm, twin: FakeOdoo) -> list[int]:
    """Have forty won deals fail, all of one fault: Odoo does not know a field that is read."""
    made = [win(firm) for _ in range(MANY)]
    spoil(twin)
    worker = fleet.worker("before")
    for lead in made:
        react.enqueue_reaction(fleet.fleet, "open-project", won(lead))
    wait_until(lambda: fleet.ledger.letters.count() == MANY, within=60, what="forty letters")
    fleet.kill(worker)
    twin.faults.clear()
    return made


def spoil(twin: FakeOdoo) -> None:
    error = BadRequest("Invalid field 'crm.lead.won_reason'", "builtins.ValueError")
    twin.faults.refuse(error, times=1000, only="crm.lead/search_read")


def command(fleet: RunningFleet, *args: str) -> "subprocess.CompletedProcess[str]":
    """Run `purser` as a person of the fleet would, and wait for its end."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PURSER_")}
    run = "from console.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", run, *args],
        env={**keep, **fleet.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        cwd=fleet.home,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


wherever_the_ledger_is = pytest.mark.parametrize("fleet", ["one redis", "two redises"], indirect=True)


def begin(fleet: RunningFleet, *, rate: float = 100.0, careful: bool = True) -> Replay:
    ids = [letter.id for letter in fleet.ledger.letters.page(limit=100).items]
    return start(fleet.fleet, ids, who="ada", note="proxy mended", what="error=Permanent", rate=rate, careful=careful)


def reaches(fleet: RunningFleet, replay: Replay, state: Callable[[Replay], bool], what: str) -> Replay:
    def look() -> Replay | None:
        now = fleet.ledger.replays.get(replay.id)
        return now if now is not None and state(now) else None

    found = wait_until(look, within=60, what=what)
    assert found is not None
    return found


def is_done(now: Replay) -> bool:
    return now.state is ReplayState.DONE


def all_are_done_once(fleet: RunningFleet, firm: Firm, leads: list[int]) -> None:
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert [outcome(firm, lead) for lead in leads] == [(1, 1, 3)] * MANY
    assert fleet.ledger.letters.count() == 0


@wherever_the_ledger_is
def test_forty_letters_of_a_mended_fault_go_back_one_then_a_few_then_the_rest(
    fleet: RunningFleet, firm: Firm, leads: list[int]
) -> None:
    fleet.worker("a")
    fleet.worker("b")
    replay = begin(fleet)
    stages: list[tuple[ReplayStage, int]] = []

    def ended(now: Replay) -> bool:
        stages.append((now.stage, now.sent))
        assert now.failed == now.skipped == 0
        return is_done(now)

    done = reaches(fleet, replay, ended, "the replay to end")
    assert (done.sent, done.done, done.refused, done.waiting, done.out) == (MANY, MANY, 0, 0, 0)
    assert max(sent for stage, sent in stages if stage is ReplayStage.CANARY) == 1
    assert max(sent for stage, sent in stages if stage is ReplayStage.SAMPLE) == 3
    all_are_done_once(fleet, firm, leads)
    assert [e.action for e in fleet.ledger.audit.tail(200) if e.action.startswith("replay.")] == [
        "replay.start",
        "replay.done",
    ]


def test_a_worker_killed_in_the_middle_of_a_replay_hands_it_on(
    fleet: RunningFleet, firm: Firm, leads: list[int]
) -> None:
    worker = fleet.worker("a")
    replay = begin(fleet, rate=8.0)
    reaches(fleet, replay, lambda now: now.sent > 8, "the middle of the rest")
    fleet.kill(worker)
    middle = fleet.ledger.replays.get(replay.id)
    assert middle is not None
    assert middle.sent < MANY, "killed too late to prove anything"
    fleet.worker("b")
    done = reaches(fleet, replay, is_done, "the replay to end")
    assert (done.sent, done.done, done.failed) == (MANY, MANY, 0)
    all_are_done_once(fleet, firm, leads)


def test_a_worker_that_stops_for_a_deploy_hands_it_on_at_once(
    fleet: RunningFleet, firm: Firm, leads: list[int]
) -> None:
    first = fleet.worker("a")
    fleet.worker("b")
    replay = begin(fleet, rate=8.0)
    reaches(fleet, replay, lambda now: now.sent > 8, "the middle of the rest")
    first.terminate()
    done = reaches(fleet, replay, is_done, "the replay to end")
    assert (done.sent, done.done, done.failed) == (MANY, MANY, 0)
    all_are_done_once(fleet, firm, leads)


def test_a_replay_whose_canary_fails_stops_by_itself_and_goes_on_when_it_is_really_mended(
    fleet: RunningFleet, firm: Firm, twin: FakeOdoo, leads: list[int]
) -> None:
    spoil(twin)
    fleet.worker()
    replay = begin(fleet)
    stopped = reaches(fleet, replay, lambda now: now.state is ReplayState.STOPPED, "it to stop")
    (failed,) = fleet.ledger.replays.failed(replay.id)
    assert (stopped.sent, stopped.failed, stopped.stage) == (1, 1, ReplayStage.CANARY)
    assert stopped.why == f"the canary failed again: letter {failed}. Mend the cause, then resume, or cancel"
    assert fleet.ledger.letters.count() == MANY
    letter = fleet.ledger.letters.get(failed)
    assert letter is not None
    assert len(letter.attempts) == 2
    twin.faults.clear()
    assert fleet.ledger.replays.resume(replay.id, who="ada", note="now it lets them pass")
    done = reaches(fleet, replay, is_done, "the replay to end")
    assert (done.sent, done.done, done.failed) == (MANY, MANY - 1, 1)
    assert [one.id for one in fleet.ledger.letters.page().items] == [failed]
    reaches(fleet, begin(fleet), is_done, "the last one")
    all_are_done_once(fleet, firm, leads)


def test_a_paused_fleet_waits_and_says_so(fleet: RunningFleet, firm: Firm, leads: list[int]) -> None:
    fleet.ledger.pauses.pause("automation:open-project", who="bob", note="wrong template")
    fleet.worker()
    replay = begin(fleet)
    held = reaches(fleet, replay, lambda now: now.why.startswith("paused"), "it to wait")
    assert (held.state, held.why, held.sent) == (ReplayState.RUNNING, "paused: automation:open-project", 0)
    fleet.ledger.pauses.resume("automation:open-project", who="bob", note="mended")
    reaches(fleet, replay, is_done, "the replay to end")
    all_are_done_once(fleet, firm, leads)


def test_two_replays_of_the_same_letters_run_each_once(fleet: RunningFleet, firm: Firm, leads: list[int]) -> None:
    first = begin(fleet, rate=2.0)
    fleet.worker("a")
    fleet.worker("b")
    done = command(fleet, "dead", "replay", "--error", "Permanent", "--note", "me too", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    second = fleet.ledger.replays.get(told["id"])
    assert second is not None
    assert (told["state"], told["what"], second.who) == ("done", "error=Permanent", getpass.getuser())
    ends = [reaches(fleet, replay, is_done, "both to end") for replay in (first, second)]
    assert sum(end.done for end in ends) == MANY
    assert sum(end.skipped for end in ends) == sum(end.total for end in ends) - MANY
    assert sum(end.failed for end in ends) == 0
    all_are_done_once(fleet, firm, leads)


def test_a_cancelled_replay_leaves_the_rest_dead(fleet: RunningFleet, firm: Firm, leads: list[int]) -> None:
    fleet.worker()
    replay = begin(fleet, rate=4.0)
    reaches(fleet, replay, lambda now: now.sent > 4, "a few letters")
    assert fleet.ledger.replays.cancel(replay.id, who="ada", note="the others need a look")
    gone = reaches(fleet, replay, lambda now: now.out == 0, "what was sent to end")
    wait_until(fleet.quiet, within=20, what="empty queues")
    assert (gone.state, gone.done) == (ReplayState.CANCELLED, gone.sent)
    assert fleet.ledger.letters.count() == MANY - gone.sent
    assert sum(outcome(firm, lead) == (1, 1, 3) for lead in leads) == gone.sent
    wait_until(lambda: not fleet.ledger.replaying.running(), what="nobody to look after it")
