"""A replay moves by steps that anybody may take: it waits for what is held back, and stops for what fails again."""

import json
from itertools import pairwise

import pytest

from store import CallResult, CircuitState, DeadLetterState, LetterOutcome, LimiterPermit, ReplayStage, ReplayState
from tests.unit.workers.replaying import World
from workers.dead_letters.replay_one import PART_OF, fresh_headers, part_of
from workers.dead_letters.replay_runner import LEASE


@pytest.fixture
def world() -> World:
    return World()


def test_one_letter_goes_first_then_five_in_a_hundred_then_the_rest(world: World) -> None:
    ids = world.die(40)
    replay = world.start(ids)
    sizes = []
    while (ended := world.step(replay)).state is ReplayState.RUNNING:
        world.step(replay)
        sizes.append((ended.stage, len(world.queue)))
        world.work()
    assert [size for size in sizes if size[1]] == [
        (ReplayStage.CANARY, 1),
        (ReplayStage.SAMPLE, 2),
        (ReplayStage.REST, 37),
    ]
    assert (ended.state, ended.sent, ended.done, ended.failed, ended.out) == (ReplayState.DONE, 40, 40, 0, 0)
    assert [letter.id for letter in world.sent] == ids
    assert world.in_state(DeadLetterState.REPLAYED, ids) == ids


def test_it_says_what_it_waits_for(world: World) -> None:
    replay = world.start(world.die(40))
    assert replay.why == "waits for a worker"
    assert world.step(replay).why == ""
    assert world.step(replay).why == "canary under way"
    world.work()
    assert world.steps(replay, 3).why == "sample under way"


def test_without_care_all_go_at_once(world: World) -> None:
    replay = world.start(world.die(40), careful=False)
    world.steps(replay, 2)
    assert len(world.queue) == 40


def test_a_slow_rate_is_kept_to(world: World) -> None:
    replay = world.start(world.die(40), rate=4.0, careful=False)
    counts = [world.step(replay).sent for _ in range(6)]
    assert counts[-1] <= 6 * 2 + 4
    assert counts == sorted(counts)
    assert [b - a for a, b in pairwise(counts[1:])] == [2, 2, 2, 2]


def test_a_message_goes_out_as_it_was_and_says_what_it_is_part_of(world: World) -> None:
    (id_,) = world.die(
        1, headers={"id": "m000", "task": "purser.react", "lang": "py", PART_OF: "old/1", "retries": 7}
    )
    replay = world.start([id_])
    world.step(replay)
    (message,) = world.queue
    assert message.body == world.letter(id_, "x").body
    assert part_of(message.headers) == (replay.id, 1)
    assert fresh_headers(message)["retries"] == 0
    assert PART_OF in fresh_headers(message)


@pytest.mark.parametrize("mark", [None, 7, "", "r1", "r1/", "/1", "r1/x"])
def test_a_header_that_is_none_of_ours_tells_nobody(mark: object) -> None:
    assert part_of({PART_OF: mark}) is None
    assert part_of(None) is None


# ------------------------------------------------------------------------------- it stops --


def test_a_canary_that_fails_stops_it_with_a_sentence(world: World) -> None:
    replay = world.start(world.die(40))
    world.step(replay)
    world.fail(world.queue.pop(), "something new")
    stopped = world.step(replay)
    assert (stopped.state, stopped.sent, stopped.failed) == (ReplayState.STOPPED, 1, 1)
    assert stopped.why == "the canary failed again: letter m000. Mend the cause, then resume, or cancel"
    assert world.steps(replay, 5).sent == 1
    assert world.ledger.letters.count() == 40


def test_a_letter_that_comes_back_as_before_stops_the_rest(world: World) -> None:
    replay = world.start(world.die(40))
    for _ in range(4):
        world.step(replay)
        world.work()
    world.step(replay, after=0.1)
    assert world.step(replay, after=0).stage is ReplayStage.REST
    sent = len(world.sent)
    world.fail(world.queue[3])
    stopped = world.step(replay)
    assert stopped.state is ReplayState.STOPPED
    assert f"letter {world.queue[3].id} failed again as before" in stopped.why
    assert len(world.sent) == sent


def test_resumed_after_a_stop_it_leaves_what_failed_alone_and_tries_one_first(world: World) -> None:
    replay = world.start(world.die(40))
    world.step(replay)
    world.fail(world.queue.pop())
    assert world.step(replay).state is ReplayState.STOPPED
    world.ledger.replays.resume(replay.id, who="ada", note="really mended")
    world.step(replay)
    assert [letter.id for letter in world.queue] == ["m001"]
    for _ in range(12):
        world.work()
        world.step(replay)
    ended = world.ledger.replays.get(replay.id)
    assert ended is not None
    assert (ended.state, ended.done, ended.failed) == (ReplayState.DONE, 39, 1)
    assert world.ledger.replays.failed(replay.id) == ("m000",)
    assert [letter.id for letter in world.ledger.letters.page().items] == ["m000"]


def test_a_few_letters_that_fail_of_something_else_do_not_stop_it(world: World) -> None:
    replay = world.start(world.die(40), careful=False)
    world.steps(replay, 2)
    for n in range(3):
        world.fail(world.queue.pop(), f"fault {'abc'[n]}")
    assert world.step(replay).state is ReplayState.RUNNING
    world.fail(world.queue.pop(), "fault d")
    stopped = world.step(replay)
    assert stopped.state is ReplayState.STOPPED
    assert "4 of 40 letters failed again" in stopped.why


def test_a_refusal_is_an_end_and_no_failure(world: World) -> None:
    replay = world.start(world.die(2))
    world.step(replay)
    world.end(world.queue.pop(), LetterOutcome.REFUSED)
    world.steps(replay, 3)
    world.work()
    ended = world.step(replay)
    assert (ended.state, ended.refused, ended.done) == (ReplayState.DONE, 1, 1)


# ------------------------------------------------------------------------------- it waits --


@pytest.mark.parametrize("target", ["all", "queue:events", "automation:open-project"])
def test_what_is_paused_is_waited_for(world: World, target: str) -> None:
    replay = world.start(world.die(3))
    world.ledger.pauses.pause(target, who="bob", note="a look")
    held = world.steps(replay, 4)
    assert (held.state, held.why, held.sent) == (ReplayState.RUNNING, f"paused: {target}", 0)
    world.ledger.pauses.resume(target, who="bob", note="seen")
    assert world.step(replay).sent == 1


def test_an_open_breaker_is_waited_for_and_no_letter_probes(world: World) -> None:
    replay = world.start(world.die(3), careful=False)
    world.open_breaker()
    held = world.step(replay)
    assert (held.state, held.sent) == (ReplayState.RUNNING, 0)
    assert held.why.startswith("breaker open")
    world.pass_(minutes=6)
    assert world.fleet.gate.state().breaker is CircuitState.HALF_OPEN
    assert world.step(replay).sent == 0
    ticket = world.fleet.gate.probe()
    assert isinstance(ticket, LimiterPermit)
    world.fleet.gate.leave(ticket, CallResult.ANSWERED, 0.1)
    assert world.step(replay).sent == 3


def test_a_broker_that_is_away_is_waited_for_and_no_letter_is_lost(world: World) -> None:
    replay = world.start(world.die(3))
    world.is_away = True
    held = world.steps(replay, 3)
    assert (held.state, held.sent, held.out) == (ReplayState.RUNNING, 0, 0)
    assert held.why == "the broker at redis://localhost did not take it"
    assert world.ledger.letters.count() == 3
    world.is_away = False
    assert world.step(replay).why == ""
    assert [letter.id for letter in world.queue] == ["m000"]


def test_a_canary_that_is_held_back_itself_is_waited_for(world: World) -> None:
    replay = world.start(world.die(3))
    world.step(replay)
    canary = world.queue.pop()
    world.park(canary)
    held = world.steps(replay, 3)
    assert (held.sent, held.waiting, held.why) == (1, 1, "canary under way")
    world.go_on()
    world.work()
    assert world.steps(replay, 2).waiting == 0


# --------------------------------------------------------------------------- who sends it --


def test_a_worker_killed_just_after_sending_hands_on_and_every_letter_is_done_once(world: World) -> None:
    ids = world.die(40)
    replay = world.start(ids)
    for n in range(6):
        world.work()
        with world.dying():
            world.step(replay, by=f"w{n}")
        assert world.step(replay, by="next").sent <= 40
        world.pass_(seconds=LEASE.total_seconds())
    for _ in range(10):
        world.step(replay, by="last")
        world.work()
    ended = world.step(replay, by="last")
    assert (ended.state, ended.sent, ended.done) == (ReplayState.DONE, 40, 40)
    assert {letter.id for letter in world.sent} == set(ids)
    assert world.in_state(DeadLetterState.REPLAYED, ids) == ids


def test_a_letter_whose_sender_died_before_it_went_out_is_sent_by_the_next(world: World) -> None:
    replay = world.start(world.die(1))
    with world.dying(before=True):
        world.step(replay, by="w1")
    assert not world.sent
    world.pass_(seconds=LEASE.total_seconds())
    world.step(replay, by="w2")
    world.work()
    ended = world.step(replay, by="w2")
    assert (ended.state, ended.sent, ended.done) == (ReplayState.DONE, 1, 1)


def test_a_letter_done_while_its_sender_died_is_settled_and_not_sent_again(world: World) -> None:
    replay = world.start(world.die(1))
    with world.dying():
        world.step(replay, by="w1")
    world.work()
    assert len(world.sent) == 1
    world.pass_(seconds=LEASE.total_seconds())
    world.steps(replay, 2, by="w2")
    ended = world.ledger.replays.get(replay.id)
    letter = world.ledger.letters.get("m000")
    assert ended is not None
    assert letter is not None
    assert (ended.state, ended.done, letter.state) == (ReplayState.DONE, 1, DeadLetterState.REPLAYED)
    assert len(world.sent) == 1


def test_all_workers_away_for_long_only_delay_it(world: World) -> None:
    replay = world.start(world.die(2))
    with world.dying(before=True):
        world.step(replay, by="w1")
    world.pass_(hours=3)
    assert world.ledger.letters.count() == 2
    for _ in range(8):
        world.step(replay, by="w2")
        world.work()
    ended = world.step(replay, by="w2")
    assert (ended.state, ended.sent, ended.done) == (ReplayState.DONE, 2, 2)


@pytest.mark.parametrize("hours_away", [0.1, 1, 10])
@pytest.mark.parametrize("before", [True, False])
def test_a_letter_of_two_replays_whose_senders_die_is_replayed_only_by_being_sent(
    world: World, hours_away: float, before: bool
) -> None:
    """Found by the property of replays: the first replay settled what the second had only begun."""
    ids = world.die(25)
    first, second = world.start(ids), world.start(ids)
    for _ in range(2):
        with world.dying(before=True):
            world.step(first)
    world.pass_(hours=hours_away)
    assert world.ledger.letters.count() == 25, "its sender is gone, so the letter is dead again"
    with world.dying(before=before):
        world.step(second)

    world.step(first, by="w2", after=11)

    assert len(world.sent) == (0 if before else 1)
    assert world.in_state(DeadLetterState.REPLAYING, ids[:1]) == ids[:1]
    world.pass_(minutes=1)
    for _ in range(20):
        world.work()
        for replay in (first, second):
            world.step(replay, by="last")
    assert not world.ledger.replaying.running()
    assert world.in_state(DeadLetterState.REPLAYED, ids) == ids
    assert {message.id for message in world.sent} == set(ids)


def test_a_second_worker_does_nothing_while_the_first_holds_it(world: World) -> None:
    replay = world.start(world.die(3))
    world.step(replay, by="w1")
    world.work()
    assert world.steps(replay, 3, by="w2").sent == 1
    assert world.steps(replay, 2, by="w1").sent == 2


def test_two_replays_of_the_same_letters_run_each_once(world: World) -> None:
    ids = world.die(20)
    first, second = world.start(ids), world.start(reversed(ids))
    for _ in range(12):
        for replay in (first, second):
            world.step(replay)
        world.work()
    ends = [world.step(replay) for replay in (first, second)]
    assert [end.state for end in ends] == [ReplayState.DONE, ReplayState.DONE]
    assert sum(end.done for end in ends) == 20
    assert sum(end.skipped for end in ends) == 20
    assert sorted(letter.id for letter in world.sent) == ids


# ------------------------------------------------------------------------------ odd letters --


def test_what_is_no_message_is_skipped(world: World) -> None:
    world.ledger.letters.store(world.letter("bytes-1", "?", reason="unreadable", headers={}))
    replay = world.start(["bytes-1", *world.die(1)])
    world.step(replay)
    world.work()
    ended = world.steps(replay, 2)
    assert (ended.state, ended.skipped, ended.done) == (ReplayState.DONE, 1, 1)


def test_a_letter_the_ledger_cannot_read_holds_up_no_other(world: World) -> None:
    ids = world.die(2)
    store = world.ledger.letters._store
    store.client.hset(store.key("letter", "m000"), "headers", b"\xff")
    replay = world.start(ids)
    world.step(replay)
    assert [letter.id for letter in world.queue] == ["m001"]


def test_a_letter_no_broker_takes_has_failed(world: World) -> None:
    replay = world.start(world.die(2))
    world.dies = RuntimeError("cannot be encoded")
    world.step(replay)
    stopped = world.step(replay)
    assert (stopped.state, stopped.failed, stopped.sent) == (ReplayState.STOPPED, 1, 1)
    assert world.ledger.letters.count() == 2


@pytest.mark.parametrize("body", [b"\xff", b"7", b"[]", b"[[], 7, {}]", json.dumps("x").encode()])
def test_a_body_that_names_nothing_is_sent_like_any_other(world: World, body: bytes) -> None:
    replay = world.start(world.die(1, body=body))
    assert world.step(replay).sent == 1


def test_a_cancelled_replay_leaves_the_rest_dead(world: World) -> None:
    replay = world.start(world.die(40))
    world.step(replay)
    world.ledger.replays.cancel(replay.id, who="ada", note="wrong selection")
    world.work()
    gone = world.steps(replay, 3)
    assert (gone.state, gone.sent, gone.done) == (ReplayState.CANCELLED, 1, 1)
    assert world.ledger.letters.count() == 39
    assert world.ledger.replaying.running() == ()
