"""A replay risks one letter, then a few, then the rest, and knows when to stop."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import Replay, ReplayProgress, ReplayStage, ReplayState
from tests.unit.workers.replaying import START
from workers.dead_letters.replay_stages import (
    MAX_IN_FLIGHT,
    AdvanceStage,
    FinishReplay,
    Hold,
    SendLetters,
    StopReplay,
    next_action,
    stage_quota,
)


def progress(
    *,
    stage: ReplayStage = ReplayStage.CANARY,
    state: ReplayState = ReplayState.RUNNING,
    total: int = 100,
    left: int = 100,
    out: int = 0,
    stage_sent: int = 0,
    sent: int = 0,
    failed: int = 0,
    returned: str = "",
) -> ReplayProgress:
    replay = Replay(
        id="r1",
        who="ada",
        note="mended",
        what="test",
        created=START,
        state=state,
        why="because",
        stage=stage,
        careful=True,
        rate=10.0,
        total=total,
        sent=sent,
        done=0,
        refused=0,
        failed=failed,
        waiting=0,
        skipped=0,
        out=out,
        fingerprints=("f",),
        ended=None,
    )
    return ReplayProgress(
        replay=replay,
        left=left,
        stage_sent=stage_sent,
        counted_sent=sent,
        counted_failed=failed,
        last_failed="m7" if failed else "",
        returned=returned,
    )


def test_the_canary_is_one_letter_and_is_waited_for() -> None:
    assert next_action(progress()) == SendLetters(1)
    assert next_action(progress(stage_sent=1, out=1, sent=1)) == Hold("canary under way")
    assert next_action(progress(stage_sent=1, sent=1)) == AdvanceStage(ReplayStage.SAMPLE)


@pytest.mark.parametrize(("total", "few"), [(1, 1), (20, 1), (21, 2), (40, 2), (100, 5), (100_000, 5000)])
def test_the_sample_is_five_in_a_hundred_and_at_least_one(total: int, few: int) -> None:
    assert next_action(progress(stage=ReplayStage.SAMPLE, total=total)) == SendLetters(few)
    assert next_action(progress(stage=ReplayStage.SAMPLE, total=total, stage_sent=few, out=1)) == Hold(
        "sample under way"
    )
    assert next_action(progress(stage=ReplayStage.SAMPLE, total=total, stage_sent=few)) == AdvanceStage(
        ReplayStage.REST
    )


def test_the_rest_is_sent_whatever_is_still_under_way_up_to_a_bound() -> None:
    rest = progress(stage=ReplayStage.REST, out=300, stage_sent=300, total=5000)
    assert next_action(rest) == SendLetters(5000)
    full = progress(stage=ReplayStage.REST, out=MAX_IN_FLIGHT, stage_sent=1000, total=5000)
    assert next_action(full) == Hold("1000 letters are under way")


def test_it_ends_when_nothing_is_left_and_nothing_under_way() -> None:
    assert next_action(progress(left=0, out=1, stage_sent=1)) == Hold("the last 1 letter is under way")
    assert next_action(progress(left=0, stage_sent=1)) == FinishReplay()
    assert next_action(progress(left=0)) == FinishReplay(), "all were skipped"


def test_a_canary_that_fails_stops_it_whatever_it_failed_of() -> None:
    move = next_action(progress(stage_sent=1, sent=1, failed=1))
    assert move == StopReplay("the canary failed again: letter m7. Mend the cause, then resume, or cancel")


def test_a_letter_that_comes_back_as_before_stops_it_in_any_stage() -> None:
    for stage in (ReplayStage.SAMPLE, ReplayStage.REST):
        move = next_action(progress(stage=stage, sent=90, failed=1, returned="m9"))
        assert move == StopReplay("letter m9 failed again as before. Mend the cause, then resume, or cancel")


@pytest.mark.parametrize(
    ("sent", "failed", "stops"), [(5, 3, False), (5, 4, True), (200, 10, False), (200, 11, True)]
)
def test_a_few_other_failures_are_let_pass_and_many_are_not(sent: int, failed: int, stops: bool) -> None:
    move = next_action(progress(stage=ReplayStage.REST, sent=sent, failed=failed))
    assert isinstance(move, StopReplay) is stops
    if isinstance(move, StopReplay):
        assert f"{failed} of {sent} letters" in move.why


@pytest.mark.parametrize("state", [state for state in ReplayState if state is not ReplayState.RUNNING])
def test_what_does_not_run_makes_no_move(state: ReplayState) -> None:
    assert next_action(progress(state=state, failed=9, sent=9)) == Hold("because")


@given(
    stage=st.sampled_from(ReplayStage),
    total=st.integers(1, 100_000),
    left=st.integers(0, 10),
    out=st.integers(0, 1200),
    stage_sent=st.integers(0, 6000),
    failed=st.integers(0, 10),
)
def test_letters_go_out_only_within_the_stage_and_never_after_a_failed_canary(
    stage: ReplayStage, total: int, left: int, out: int, stage_sent: int, failed: int
) -> None:
    asked = progress(stage=stage, total=total, left=left, out=out, stage_sent=stage_sent, sent=total, failed=failed)
    move = next_action(asked)
    if isinstance(move, SendLetters):
        assert stage_sent < move.quota == stage_quota(stage, total)
        assert left > 0
        assert out < MAX_IN_FLIGHT
        assert not (failed and stage is ReplayStage.CANARY)
    if isinstance(move, AdvanceStage | FinishReplay):
        assert out == 0
    if stage is ReplayStage.SAMPLE:
        assert stage_quota(stage, total) == max(1, math.ceil(total / 20))
