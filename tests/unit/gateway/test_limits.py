"""A source has a share, and who asks for more is told when to come again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import BURST, Pace, Room
from gateway.problems import Problem


def test_whoever_finds_no_room_is_told_so_and_room_that_is_left_is_free_again() -> None:
    room = Room(1)
    with room.taken(), pytest.raises(Problem) as caught, room.taken():
        pass
    assert caught.value.status == 503
    with pytest.raises(RuntimeError), room.taken():
        raise RuntimeError
    with room.taken():
        pass


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 400)), max_size=40), st.floats(0.5, 500))
def test_nobody_sends_more_than_rate_and_burst_and_one_batch_and_all_come_through_in_time(
    asked: list[tuple[float, int]], rate: float
) -> None:
    now = taken = largest = 0.0
    pace = Pace(rate, steady=lambda: now)
    for pause, count in asked:
        now += pause
        try:
            pace.spend("/crm", count)
        except Problem as problem:
            now += int(problem.headers["retry-after"])
            pace.spend("/crm", count)
        taken, largest = taken + count, max(largest, count)
        assert taken <= rate * (now + BURST) + largest + 1e-6
