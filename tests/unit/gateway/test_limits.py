"""A source has a share, and who asks for more is told when to come again."""

import asyncio
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import BURST, BodyMemoryLimit, ConcurrencyLimit, SourceRateLimiter
from gateway.problem_details import Problem


def test_whoever_finds_no_room_is_told_so_and_room_that_is_left_is_free_again() -> None:
    room = ConcurrencyLimit(1)
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
    pace = SourceRateLimiter(rate, steady=lambda: now)
    for pause, count in asked:
        now += pause
        try:
            pace.spend("/crm", count)
        except Problem as problem:
            now += int(problem.headers["retry-after"])
            pace.spend("/crm", count)
        taken, largest = taken + count, max(largest, count)
        assert taken <= rate * (now + BURST) + largest + 1e-6


# ------------------------------------------------------------------------------------------ bodies --


async def slowly(bodies: BodyMemoryLimit, peer: str) -> str:
    """Send a body that never comes; give what is answered."""

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    request = Request({"type": "http", "headers": []}, receive)
    with bodies.held(peer) as body:
        try:
            await body.read(request, most=10, within=60)
        except Problem as problem:
            return f"{problem.status} {problem.detail}"
    raise AssertionError("a body that never comes was read")


def test_of_too_many_bodies_the_oldest_of_the_busiest_peer_is_given_up() -> None:
    async def story() -> list[str]:
        bodies = BodyMemoryLimit(4)
        peers = ["a", "b", "b", "b"]
        tasks = [asyncio.create_task(slowly(bodies, peer)) for peer in peers]
        await asyncio.sleep(0)
        with bodies.held("c"):
            done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert done == {tasks[1]}
            for one in waiting:
                one.cancel()
            return [one.result() for one in done]

    (answer,) = asyncio.run(story())
    assert answer.startswith("408 the body was slower than others")


def test_a_body_that_is_there_is_never_given_up_for_another() -> None:
    bodies = BodyMemoryLimit(1)
    with bodies.held("a"), pytest.raises(Problem) as caught, bodies.held("b"):
        pass
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "2")
    with bodies.held("b"):
        pass


@pytest.mark.parametrize(("size", "seconds"), [(0, 5.0), (10, 5.0005), (60_000, 8.0), (1_000_000, 10.0)])
def test_a_body_has_some_seconds_and_more_for_what_has_come(size: int, seconds: float) -> None:
    async def story() -> str:
        loop = asyncio.get_running_loop()
        begun, real = loop.time(), loop.time
        came = False

        async def receive() -> dict[str, Any]:
            nonlocal came
            if not came:
                came = True
                return {"type": "http.request", "body": b"x" * size, "more_body": True}
            assert body._ends is not None
            ends = body._ends.when()
            assert ends is not None
            assert ends - begun == pytest.approx(seconds, abs=0.5)
            loop.time = lambda: real() + 60  # type: ignore[method-assign]
            return await asyncio.Future()

        request = Request({"type": "http", "headers": []}, receive)
        with BodyMemoryLimit().held("a") as body, pytest.raises(Problem) as caught:
            await body.read(request, most=2_000_000, within=10)
        return str(caught.value.detail)

    assert f"after {seconds:g} s" in asyncio.run(story())
