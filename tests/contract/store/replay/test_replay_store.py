"""A replay is kept with all it has done: one holder at a time, each letter once, and nothing forgotten halfway."""

import datetime as dt
import json
from collections.abc import Iterator

import pytest

from purser.errors import ConfigurationError
from store import (
    Attempt,
    DeadLetter,
    DeadLetterState,
    InterruptedSend,
    Ledger,
    LetterOutcome,
    Replay,
    ReplayStage,
    ReplayState,
    TakeResult,
)
from store.replay.replay_store import RETENTION
from tests.contract.store.making import START, Clock, delayed, letter

LEASE = dt.timedelta(seconds=10)


def die(ledger: Ledger, *ids: str) -> None:
    for minute, id_ in enumerate(ids):
        ledger.letters.store(letter(id_, minute=minute))


def begin(ledger: Ledger, *ids: str, rate: float = 500.0, careful: bool = True, held_by: str = "w1") -> Replay:
    made = ledger.replays.create(ids, who="ada", note="mended", what="task=apply", rate=rate, careful=careful)
    assert ledger.replaying.hold(made.id, held_by, lease=LEASE)
    return made


def take(ledger: Ledger, replay: Replay, id_: str, *, by: str = "w1", quota: int = 100, out: int = 100) -> TakeResult:
    now, clock = ledger.replays.get(replay.id), ledger.replaying._store._now
    assert now is not None
    assert isinstance(clock, Clock)
    clock.pass_(milliseconds=2)  # as long as a letter takes at the fastest rate
    return ledger.replaying.take(replay.id, id_, by, stage=now.stage, quota=quota, most_out=out)


def send(ledger: Ledger, replay: Replay, id_: str) -> DeadLetter:
    """Send a letter as a holder does; give it as it was begun."""
    assert take(ledger, replay, id_) is TakeResult.TAKEN
    begun = ledger.letters.get(id_)
    assert begun is not None
    assert ledger.letters.finish_replay(begun, who="ada", note="mended")
    assert ledger.replaying.sent(replay.id, id_)
    return begun


def fail(ledger: Ledger, clock: Clock, id_: str, message: str = "sale.order 7 is locked") -> None:
    """Have a letter's message fail once more."""
    at = clock.pass_(seconds=1)
    attempts = (Attempt(at, f"Permanent: {message}"),)
    ledger.letters.store(letter(id_, message=message, attempts=attempts, stored_at=at))


def seen(ledger: Ledger, replay: Replay) -> Replay:
    return ledger.replaying.look(replay.id).replay


def actions(ledger: Ledger) -> list[tuple[str, str]]:
    return [(entry.who, entry.action) for entry in ledger.audit.tail()]


# ------------------------------------------------------------------------------ beginning --


def test_a_replay_begins_with_the_oldest_letter_and_names_what_they_failed_of(ledger: Ledger) -> None:
    die(ledger, "m1", "m2", "m3")
    ledger.letters.store(letter("m4", minute=9, message="something else"))

    made = begin(ledger, "m4", "m3", "m2", "m1", "m2")

    kinds = sorted({found.fingerprint for found in ledger.letters.page().items})
    assert made == ledger.replays.get(made.id)
    assert (made.total, made.state, made.stage, made.fingerprints) == (
        4,
        ReplayState.RUNNING,
        ReplayStage.CANARY,
        tuple(kinds),
    )
    assert (made.who, made.note, made.what, made.rate) == ("ada", "mended", "task=apply", 500.0)
    assert ledger.replaying.next_ids(made.id) == ["m1", "m2", "m3", "m4"]
    assert ledger.replaying.running() == (made.id,)
    entry = ledger.audit.tail()[-1]
    assert (entry.action, entry.what, entry.who, entry.note) == ("replay.start", made.id, "ada", "mended")
    assert entry.facts == {"letters": 4, "what": "task=apply", "rate": 500.0, "careful": True}


@pytest.mark.parametrize("rate", [0.0, 0.09, 501.0, -1.0, float("nan"), float("inf")])
def test_a_rate_out_of_bounds_is_a_mistake(ledger: Ledger, rate: float) -> None:
    die(ledger, "m1")
    with pytest.raises(ConfigurationError, match=r"0\.1 to 500"):
        begin(ledger, "m1", rate=rate)
    assert not ledger.replaying.running()


def test_a_replay_of_nothing_is_a_mistake(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="nothing to replay"):
        begin(ledger)


def test_many_letters_are_chosen_from_whatever_yields_them(ledger: Ledger) -> None:
    made = ledger.replays.create(
        (f"m{n}" for n in range(2100)), who="ada", note="n", what="all", rate=1.0, careful=False
    )
    assert (made.total, made.stage) == (2100, ReplayStage.REST)


def test_pages_list_every_replay_once_the_newest_first(ledger: Ledger, clock: Clock) -> None:
    made = []
    for _ in range(5):
        made.append(begin(ledger, "m1").id)
        clock.pass_(seconds=1)

    first = ledger.replays.page(limit=3)
    second = ledger.replays.page(limit=3, after=first.next)

    assert [one.id for one in first.items + second.items] == made[::-1]
    assert second.next is None


# --------------------------------------------------------------------------------- sending --


def test_a_letter_that_is_taken_is_being_replayed_and_counts_as_sent(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")

    assert take(ledger, replay, "m1") is TakeResult.TAKEN

    begun = ledger.letters.get("m1")
    assert begun is not None
    assert (begun.state, begun.replays) == (DeadLetterState.REPLAYING, 1)
    now = seen(ledger, replay)
    assert (now.sent, now.out, now.done) == (1, 1, 0)
    assert ledger.replaying.next_ids(replay.id) == ["m2"]
    assert [found.id for found in ledger.letters.page().items] == ["m2"]


def test_only_one_letter_is_being_sent_at_a_time(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    take(ledger, replay, "m1")

    assert take(ledger, replay, "m2") is TakeResult.LOST


def test_a_stage_sends_no_more_than_its_letters_and_no_more_are_out_than_may_be(ledger: Ledger) -> None:
    die(ledger, "m1", "m2", "m3")
    replay = begin(ledger, "m1", "m2", "m3")
    send(ledger, replay, "m1")

    assert take(ledger, replay, "m2", quota=1) is TakeResult.FULL
    assert take(ledger, replay, "m2", out=1) is TakeResult.FULL
    assert take(ledger, replay, "m2", quota=2, out=2) is TakeResult.TAKEN


def test_who_asks_for_another_stage_gets_nothing(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    answer = ledger.replaying.take(replay.id, "m1", "w1", stage=ReplayStage.REST, quota=9, most_out=9)
    assert answer is TakeResult.LOST


def test_a_letter_that_is_not_dead_any_more_is_skipped(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2", "never-was")
    ledger.letters.discard(["m1"], who="bob", note="test data")

    assert [take(ledger, replay, id_) for id_ in ("m1", "never-was")] == [TakeResult.GONE, TakeResult.GONE]

    assert seen(ledger, replay).skipped == 2
    assert ledger.replaying.next_ids(replay.id) == ["m2"]


def test_a_letter_that_cannot_be_sent_is_taken_off_the_list(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    assert [ledger.replaying.skip(replay.id, "m1") for _ in range(2)] == [True, False]
    assert seen(ledger, replay).skipped == 1


def test_a_letter_goes_back_to_its_place_when_it_could_not_be_sent(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    take(ledger, replay, "m1")
    begun = ledger.letters.get("m1")
    assert begun is not None
    ledger.letters.abort_replay(begun)

    assert ledger.replaying.put_back(replay.id, "m1")

    assert ledger.replaying.next_ids(replay.id) == ["m1", "m2"]
    assert (seen(ledger, replay).sent, seen(ledger, replay).out) == (0, 0)
    assert take(ledger, replay, "m1") is TakeResult.TAKEN


def test_no_more_goes_out_than_the_rate_allows(ledger: Ledger, clock: Clock) -> None:
    die(ledger, *(f"m{n:02}" for n in range(40)))
    replay = begin(ledger, *(f"m{n:02}" for n in range(40)), rate=4.0, careful=False)

    def sent_now() -> int:
        count = 0
        assert ledger.replaying.hold(replay.id, "w1", lease=LEASE)
        for id_ in ledger.replaying.next_ids(replay.id):
            took = ledger.replaying.take(replay.id, id_, "w1", stage=ReplayStage.REST, quota=40, most_out=40)
            if took is not TakeResult.TAKEN:
                assert took is TakeResult.LATER
                break
            ledger.replaying.sent(replay.id, id_)
            count += 1
        return count

    assert sent_now() == 1
    counts = []
    for _ in range(4):
        clock.pass_(seconds=0.5)
        counts.append(sent_now())
    assert counts == [2, 2, 2, 2]
    clock.pass_(hours=1)
    assert sent_now() == 5, "after a long wait one second is caught up with, not the hour"


# ---------------------------------------------------------------------------- the holders --


def test_one_holder_works_on_a_replay_until_its_lease_ends(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1", held_by="w1")

    assert not ledger.replaying.hold(replay.id, "w2", lease=LEASE)
    assert take(ledger, replay, "m1", by="w2") is TakeResult.LOST
    clock.pass_(seconds=8)
    assert ledger.replaying.hold(replay.id, "w1", lease=LEASE)
    clock.pass_(seconds=8)
    assert not ledger.replaying.hold(replay.id, "w2", lease=LEASE)
    clock.pass_(seconds=2)
    assert take(ledger, replay, "m1", by="w1") is TakeResult.LOST, "its lease has ended"
    assert ledger.replaying.hold(replay.id, "w2", lease=LEASE)
    assert take(ledger, replay, "m1", by="w1") is TakeResult.LOST
    assert take(ledger, replay, "m1", by="w2") is TakeResult.TAKEN


def test_a_holder_that_stops_lets_others_go_on_at_once(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1", held_by="w1")
    assert not ledger.replaying.release(replay.id, "w2")
    assert ledger.replaying.release(replay.id, "w1")
    assert ledger.replaying.hold(replay.id, "w2", lease=LEASE)


def test_nobody_holds_what_is_not_there(ledger: Ledger) -> None:
    assert not ledger.replaying.hold("nothing", "w1", lease=LEASE)
    assert ledger.replays.get("nothing") is None


def test_a_letter_whose_sender_died_is_to_be_sent_again(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.NONE, "")
    take(ledger, replay, "m1")
    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.BEGUN, "m1")


def test_a_letter_whose_sender_died_after_sending_it_is_out(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    take(ledger, replay, "m1")
    begun = ledger.letters.get("m1")
    assert begun is not None
    ledger.letters.finish_replay(begun, who="ada", note="mended")

    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.OUT, "m1")
    assert ledger.replaying.sent(replay.id, "m1")
    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.NONE, "")
    assert seen(ledger, replay).out == 1


def test_a_letter_that_ended_before_its_sender_could_tell_is_not_sent_again(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    take(ledger, replay, "m1")
    assert ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.DONE)

    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.OUT, "m1")


def test_a_letter_that_woke_up_dead_as_before_is_on_the_list_again(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    take(ledger, replay, "m1")
    clock.pass_(minutes=6)
    assert ledger.letters.count() == 2

    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.BACK, "m1")

    assert ledger.replaying.next_ids(replay.id) == ["m1", "m2"]
    assert (seen(ledger, replay).sent, seen(ledger, replay).failed) == (0, 0)


def test_a_letter_that_another_replay_has_begun_meanwhile_is_that_replay_s_to_settle(
    ledger: Ledger, clock: Clock
) -> None:
    die(ledger, "m1")
    first, second = begin(ledger, "m1"), begin(ledger, "m1")
    take(ledger, first, "m1")
    clock.pass_(minutes=6)
    assert ledger.letters.count() == 1, "its sender is gone, so it is dead again"
    assert ledger.replaying.hold(second.id, "w1", lease=LEASE)
    assert take(ledger, second, "m1") is TakeResult.TAKEN

    assert ledger.replaying.left_over(first.id) == (InterruptedSend.ELSEWHERE, "m1")
    assert ledger.replaying.left_over(second.id) == (InterruptedSend.BEGUN, "m1")

    assert ledger.replaying.sent(first.id, "m1")
    assert (seen(ledger, first).out, seen(ledger, first).skipped, seen(ledger, first).failed) == (0, 1, 0)
    assert ledger.replaying.end(first.id)


def test_a_letter_that_ended_here_and_was_begun_by_another_replay_is_that_replay_s_to_settle(
    ledger: Ledger, clock: Clock
) -> None:
    die(ledger, "m1")
    first, second = begin(ledger, "m1"), begin(ledger, "m1")
    take(ledger, first, "m1")
    assert ledger.replaying.tell(first.id, "m1", 1, LetterOutcome.DONE)
    fail(ledger, clock, "m1")
    assert take(ledger, second, "m1") is TakeResult.TAKEN

    assert ledger.replaying.left_over(first.id) == (InterruptedSend.ELSEWHERE, "m1")


def test_a_letter_that_failed_again_while_its_sender_died_has_failed(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    take(ledger, replay, "m1")
    fail(ledger, clock, "m1")

    assert ledger.replaying.left_over(replay.id) == (InterruptedSend.OUT, "m1")
    assert ledger.replaying.sent(replay.id, "m1")
    assert seen(ledger, replay).failed == 1


# ----------------------------------------------------------------------------- the endings --


def test_an_ending_is_told_once_and_only_of_this_replay_of_the_letter(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    send(ledger, replay, "m1")

    tell = ledger.replaying.tell
    assert not tell(replay.id, "m1", 2, LetterOutcome.DONE)
    assert not tell(replay.id, "m2", 1, LetterOutcome.DONE)
    assert tell(replay.id, "m1", 1, LetterOutcome.DONE)
    assert not tell(replay.id, "m1", 1, LetterOutcome.REFUSED)

    now = seen(ledger, replay)
    assert (now.sent, now.done, now.refused, now.out) == (1, 1, 0, 0)


def test_a_refused_letter_is_counted_apart(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    send(ledger, replay, "m1")
    ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.REFUSED)
    assert (seen(ledger, replay).done, seen(ledger, replay).refused) == (0, 1)


def test_a_letter_that_is_dead_again_has_failed_and_is_named(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    send(ledger, replay, "m1")
    send(ledger, replay, "m2")
    fail(ledger, clock, "m1", "another fault altogether")

    progress = ledger.replaying.look(replay.id)

    assert (progress.replay.failed, progress.replay.out) == (1, 1)
    assert (progress.last_failed, progress.returned, progress.counted_failed) == ("m1", "", 1)
    assert ledger.replays.failed(replay.id) == ("m1",)


def test_a_letter_that_fails_as_the_chosen_ones_had_is_told_apart(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    ledger.letters.store(letter("m2", message="connection lost"))
    replay = begin(ledger, "m1", "m2")
    send(ledger, replay, "m1")
    fail(ledger, clock, "m1", "connection lost")

    assert ledger.replaying.look(replay.id).returned == "m1"


def test_a_letter_that_waits_is_out_and_waiting_until_it_ends(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    send(ledger, replay, "m1")
    ledger.delayed.park(delayed("m1"))

    now = seen(ledger, replay)
    assert (now.out, now.waiting, now.failed) == (1, 1, 0)
    clock.pass_(minutes=2)
    ledger.delayed.move_due()
    assert (seen(ledger, replay).out, seen(ledger, replay).waiting) == (1, 0)
    ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.DONE)
    assert (seen(ledger, replay).out, seen(ledger, replay).done) == (0, 1)


def test_a_letter_that_is_cancelled_while_it_waits_counts_as_skipped(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    send(ledger, replay, "m1")
    ledger.delayed.park(delayed("m1"))
    ledger.delayed.cancel(["m1"], who="bob", note="no more")

    now = seen(ledger, replay)
    assert (now.out, now.skipped, now.failed) == (0, 1, 0)


def test_a_letter_that_is_dead_without_having_failed_counts_as_skipped(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    assert take(ledger, replay, "m1") is TakeResult.TAKEN
    ledger.replaying.sent(replay.id, "m1")
    clock.pass_(minutes=6)  # its sender was stopped for so long that the mark went stale
    assert ledger.letters.count() == 2

    now = seen(ledger, replay)
    assert (now.out, now.skipped, now.failed) == (0, 1, 0)


def test_a_letter_that_somebody_replays_anew_has_failed_for_the_first(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    send(ledger, replay, "m1")
    fail(ledger, clock, "m1")
    assert ledger.letters.begin_replay("m1") is not None

    assert seen(ledger, replay).failed == 1


def test_of_two_replays_of_one_letter_one_sends_it_and_the_other_skips_it(ledger: Ledger) -> None:
    die(ledger, "m1")
    first, second = begin(ledger, "m1"), begin(ledger, "m1")

    assert [take(ledger, one, "m1") for one in (first, second)] == [TakeResult.TAKEN, TakeResult.GONE]

    assert (seen(ledger, first).sent, seen(ledger, second).sent, seen(ledger, second).skipped) == (1, 0, 1)
    assert not ledger.replaying.tell(second.id, "m1", 1, LetterOutcome.DONE)
    assert ledger.replaying.end(second.id)


# ------------------------------------------------------------------ stages, stops and ends --


def test_the_next_stage_begins_when_every_letter_of_the_one_before_has_ended(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    take(ledger, replay, "m1")
    enter = ledger.replaying.enter
    assert not enter(replay.id, ReplayStage.SAMPLE, after=ReplayStage.CANARY), "it is being sent"
    ledger.replaying.sent(replay.id, "m1")
    assert not enter(replay.id, ReplayStage.SAMPLE, after=ReplayStage.CANARY), "it is out"
    ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.DONE)
    assert enter(replay.id, ReplayStage.SAMPLE, after=ReplayStage.CANARY)
    assert not enter(replay.id, ReplayStage.SAMPLE, after=ReplayStage.CANARY)
    assert seen(ledger, replay).stage is ReplayStage.SAMPLE
    assert take(ledger, replay, "m2", quota=1) is TakeResult.TAKEN, "each stage counts its own"


def test_a_replay_is_done_when_all_its_letters_have_ended(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    assert not ledger.replaying.end(replay.id)
    send(ledger, replay, "m1")
    assert not ledger.replaying.end(replay.id)
    ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.DONE)
    assert ledger.replaying.end(replay.id)

    done = ledger.replays.get(replay.id)
    assert done is not None
    assert (done.state, done.ended, done.why) == (ReplayState.DONE, clock(), "")
    assert not ledger.replaying.running()
    assert actions(ledger)[-1] == ("purser", "replay.done")
    assert not ledger.replays.cancel(replay.id, who="ada", note="too late")


def test_a_paused_replay_sends_nothing_and_goes_on_where_it_was(ledger: Ledger) -> None:
    die(ledger, "m1", "m2")
    replay = begin(ledger, "m1", "m2")
    send(ledger, replay, "m1")

    assert ledger.replays.pause(replay.id, who="bob", note="lunch")
    assert not ledger.replays.pause(replay.id, who="bob", note="lunch")

    assert take(ledger, replay, "m2") is TakeResult.LOST
    paused = seen(ledger, replay)
    assert (paused.state, paused.why, paused.out) == (ReplayState.PAUSED, "paused by bob: lunch", 1)
    assert ledger.replaying.running() == (replay.id,), "the letter that is out is still watched"
    ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.DONE)
    seen(ledger, replay)
    assert not ledger.replaying.running()
    assert ledger.replays.resume(replay.id, who="bob", note="back")
    assert ledger.replaying.running() == (replay.id,)
    assert take(ledger, replay, "m2", quota=1) is TakeResult.FULL, "its canary was sent before"
    acts = [action for _, action in actions(ledger) if action.startswith("replay.")]
    assert acts == ["replay.start", "replay.pause", "replay.resume"]


def test_a_cancelled_replay_leaves_the_rest_dead(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1", "m2", "m3")
    replay = begin(ledger, "m1", "m2", "m3")
    send(ledger, replay, "m1")

    ended = clock()
    assert ledger.replays.cancel(replay.id, who="bob", note="wrong ones")

    assert take(ledger, replay, "m2") is TakeResult.LOST
    assert ledger.letters.count() == 2
    gone = seen(ledger, replay)
    assert (gone.state, gone.why, gone.ended) == (ReplayState.CANCELLED, "cancelled by bob: wrong ones", ended)
    assert ledger.replaying.running() == (replay.id,), "what is out still counts"
    ledger.replaying.tell(replay.id, "m1", 1, LetterOutcome.DONE)
    assert seen(ledger, replay).done == 1
    assert not ledger.replaying.running()
    assert not ledger.replays.resume(replay.id, who="bob", note="no")
    assert not ledger.replays.cancel(replay.id, who="bob", note="no")


def test_after_a_stop_what_failed_is_left_alone_and_a_canary_goes_first_again(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1", "m2", "m3")
    replay = begin(ledger, "m1", "m2", "m3")
    for id_ in ("m1", "m2"):
        send(ledger, replay, id_)
    fail(ledger, clock, "m1")
    assert ledger.replaying.look(replay.id).returned == "m1"
    assert ledger.replaying.stop(replay.id, "letter m1 failed again")
    assert not ledger.replaying.stop(replay.id, "letter m1 failed again")
    stopped = ledger.replays.get(replay.id)
    assert stopped is not None
    assert (stopped.state, stopped.why) == (ReplayState.STOPPED, "letter m1 failed again")
    assert actions(ledger)[-1] == ("purser", "replay.stop")

    assert ledger.replays.resume(replay.id, who="ada", note="mended now")
    fail(ledger, clock, "m2")  # it was sent before the stop

    progress = ledger.replaying.look(replay.id)
    assert (progress.replay.state, progress.replay.ended) == (ReplayState.RUNNING, None)
    assert (progress.replay.stage, progress.stage_sent) == (ReplayStage.CANARY, 0)
    assert (progress.replay.failed, progress.counted_failed, progress.returned) == (2, 0, "")
    assert (progress.replay.sent, progress.counted_sent) == (2, 0)
    assert ledger.replaying.next_ids(replay.id) == ["m3"]


def test_what_it_waits_for_can_be_read_while_it_runs(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    assert replay.why == "waits for a worker"
    ledger.replaying.say(replay.id, "paused: all")
    assert seen(ledger, replay).why == "paused: all"
    ledger.replays.pause(replay.id, who="bob", note="n")
    ledger.replaying.say(replay.id, "breaker open")
    assert seen(ledger, replay).why == "paused by bob: n"


def test_acts_without_a_name_or_a_reason_are_refused(ledger: Ledger) -> None:
    die(ledger, "m1")
    replay = begin(ledger, "m1")
    for act in (ledger.replays.pause, ledger.replays.resume, ledger.replays.cancel):
        with pytest.raises(ValueError, match="who"):
            act(replay.id, who=" ", note="n")
        with pytest.raises(ValueError, match="why"):
            act(replay.id, who="ada", note="")
        assert act("nothing", who="ada", note="n") is False


def test_a_replay_is_kept_ninety_days_after_its_end(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1")
    old, running = begin(ledger, "m1"), begin(ledger, "m1")
    ledger.replays.cancel(old.id, who="ada", note="n")
    clock.pass_(seconds=RETENTION.total_seconds() - 1)
    assert ledger.replays.forget_old() == 0
    clock.pass_(seconds=2)
    assert ledger.replays.forget_old() == 1
    assert ledger.replays.get(old.id) is None
    assert [one.id for one in ledger.replays.page().items] == [running.id]
    assert ledger.replaying.running() == (running.id,)


def test_a_replay_that_was_not_begun_to_its_end_is_forgotten(ledger: Ledger, clock: Clock) -> None:
    def cut_off() -> Iterator[str]:
        yield from (f"m{n}" for n in range(600))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.replays.create(cut_off(), who="ada", note="n", what="all", rate=1.0)
    assert ledger.replays.page().items == ()
    clock.pass_(seconds=RETENTION.total_seconds() + 1)
    assert ledger.replays.forget_old() == 1


def test_words_of_any_kind_survive(ledger: Ledger) -> None:
    die(ledger, "m1")
    note = json.dumps({"a": "ü\n"})
    made = ledger.replays.create(["m1"], who="zoë", note=note, what="text=größer", rate=0.1)
    assert (made.who, made.note, made.what, made.rate) == ("zoë", note, "text=größer", 0.1)
    assert made.created == START


def test_a_replay_that_was_sent_by_a_clock_a_day_ahead_goes_on(ledger: Ledger, clock: Clock) -> None:
    die(ledger, "m1", "m2")
    clock.pass_(days=1)
    replay = begin(ledger, "m1", "m2")
    send(ledger, replay, "m1")
    clock.pass_(days=-1)
    assert ledger.replaying.hold(replay.id, "w2", lease=LEASE)
    assert take(ledger, replay, "m2", by="w2") is TakeResult.TAKEN
