"""Live workers are killed, frozen and cut off: no task is lost, and the broker is left clean."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.contract.broker.crew import Crew, Worker, crew_of
from tests.contract.broker.house import House
from tests.contract.broker.proxy import standing_before
from tests.contract.broker.servers import Server, own_server
from tests.waiting import wait_until

KILLS = 5
TASKS = 4000
AT_ONCE = 4
"""How many messages a worker may hold: two processes, and one more for each."""


@pytest.fixture
def crew(tmp_path: Path, redis_server: Any, redis_url: str) -> Iterator[Crew]:
    with crew_of(tmp_path, broker=redis_url, effects=redis_server.url_of(5)) as made:
        yield made


@pytest.fixture
def house(redis_url: str) -> Iterator[House]:
    with redis.Redis.from_url(redis_url) as client:
        yield House(client)


def has_done(crew: Crew, count: int) -> bool:
    return len(crew.counts()) >= count


def all_done(crew: Crew, count: int) -> bool:
    return len(crew.counts()) == count


@pytest.mark.long
@pytest.mark.slow
def test_killing_whole_workers_under_load_loses_nothing(crew: Crew, house: House) -> None:
    crew.send(range(TASKS), seconds=0.002)
    sent = TASKS
    alive = [crew.ready(), crew.ready()]
    kills = 0
    before: dict[str, int] = {}
    while kills < KILLS:
        if len(house.waiting("a")) < 500:
            crew.send(range(sent, sent + 500), seconds=0.002)
            sent += 500
        victim = wait_until(partial(busy, crew, alive, before), within=60, what="a worker under load")
        assert victim
        victim.kill()
        kills += 1
        alive = [*(worker for worker in alive if worker is not victim), crew.start()]
    wait_until(lambda: all_done(crew, sent), within=60, what="every task to be done")
    wait_until(lambda: not house.held() and len(house.leases()) == 2, within=20, what="what the dead held to be done")
    crew.stop()

    again = sum(crew.counts().values()) - sent
    assert again <= kills * AT_ONCE
    assert house.is_clean()
    assert house.waiting("a") == []


def busy(crew: Crew, alive: list[Worker], before: dict[str, int]) -> Worker | None:
    """Return a worker that has done some work since somebody was killed last."""
    for worker in alive:
        count = crew.done_by(worker)
        if count - before.get(worker.name, 0) >= 60:
            before.update({one.name: crew.done_by(one) for one in alive})
            return worker
    return None


@pytest.mark.slow
def test_killing_a_process_of_the_pool_loses_nothing(crew: Crew, house: House) -> None:
    worker = crew.ready()
    crew.send(range(6), seconds=1.0)
    wait_until(lambda: len(crew.counts("begun")) >= 2, what="two tasks to run")

    os.kill(worker.children()[0], signal.SIGKILL)

    wait_until(lambda: all_done(crew, 6), within=30, what="every task to be done")
    assert max(crew.counts().values()) == 1
    wait_until(lambda: not house.held(), what="the acknowledgements")
    crew.stop()
    assert house.is_clean()


@pytest.mark.slow
def test_a_frozen_worker_loses_its_work_and_goes_on_afterwards(crew: Crew, house: House) -> None:
    frozen = crew.ready()
    crew.send([1], seconds=6.0)  # the other one is there before it ends
    wait_until(lambda: crew.counts("begun"), what="the task to run")
    other = crew.ready()

    frozen.signal_all(signal.SIGSTOP)
    wait_until(lambda: crew.counts("begun") == {1: 2}, within=20, what="somebody else to take it")
    wait_until(lambda: crew.counts() == {1: 1}, within=20, what="it to be done")
    frozen.signal_all(signal.SIGCONT)
    other.stop()
    crew.send(range(2, 8))

    wait_until(lambda: all_done(crew, 7), within=20, what="the worker to go on")
    assert crew.done_by(frozen) == 7
    wait_until(lambda: not house.held(), what="the acknowledgements")
    frozen.stop()
    assert house.is_clean()
    assert "lease lost" in frozen.said


@pytest.mark.slow
def test_a_broker_that_is_killed_and_restarted_repeats_no_running_task(tmp_path: Path, redis_server: Any) -> None:
    with (
        own_server(tmp_path / "broker", "--appendonly", "yes", "--appendfsync", "always") as server,
        crew_of(tmp_path, broker=server.url, effects=redis_server.url_of(6)) as crew,
    ):
        crew.effects.flushdb()
        crew.ready()
        crew.ready()
        crew.send(range(8), seconds=2.5)
        wait_until(lambda: len(crew.counts("begun")) == 4, what="four tasks to run")

        server.kill()
        server.start()

        wait_until(lambda: all_done(crew, 8), within=40, what="every task to be done")
        assert set(crew.counts("begun").values()) == {1}
        assert all(worker.lives for worker in crew.workers)
        left_clean(crew, server)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_that_only_waits_outlives_a_restart_of_its_broker(
    tmp_path: Path, redis_server: Any, pool: str
) -> None:
    with (
        own_server(tmp_path / "broker") as server,
        crew_of(tmp_path, broker=server.url, effects=redis_server.url_of(6)) as crew,
    ):
        crew.effects.flushdb()
        worker = crew.ready(pool=pool)

        server.kill()
        server.start()

        crew.send(range(3))
        crew.send(range(3, 6), queue="b")
        wait_until(lambda: all_done(crew, 6), within=40, what="every task to be done")
        assert worker.lives
        left_clean(crew, server)


@pytest.mark.slow
def test_lost_answers_lose_nothing_and_nothing_stays_behind(crew: Crew, house: House, redis_server: Any) -> None:
    thresholds = (1, 40, 80, 120, 160)
    with standing_before(redis_server.port) as proxy:
        worker = crew.start(broker=f"redis://127.0.0.1:{proxy.port}/0")
        crew.send(range(200), seconds=0.01)
        for count in thresholds:
            wait_until(partial(has_done, crew, count), within=40, what=f"{count} tasks")
            trick = proxy.lose_answer(rb"\d+:\d{13}:1:a")
            wait_until(trick.played.is_set, what="an answer to get lost")

        wait_until(lambda: all_done(crew, 200), within=40, what="every task to be done")
        # When it reconnects, Celery forgets what it was just handing to its pool, which may run all the same.
        assert sum(crew.counts("begun").values()) - 200 <= len(thresholds)
        assert worker.lives
        wait_until(lambda: not house.held(), what="the acknowledgements")
        crew.stop()
    assert house.is_clean()
    assert house.waiting("a") == []


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_every_pool_does_each_task_once_and_leaves_nothing(crew: Crew, house: House, pool: str) -> None:
    crew.send(range(150))
    crew.send(range(150, 160), queue="b")
    worker = crew.ready(pool=pool)
    wait_until(lambda: all_done(crew, 160), within=30, what="every task to be done")
    worker.stop()

    assert set(crew.counts().values()) == {1}
    assert house.is_clean()
    assert house.waiting("a") == house.waiting("b") == []


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_that_is_asked_to_end_finishes_and_hands_back(crew: Crew, house: House, pool: str) -> None:
    worker = crew.ready(pool=pool)
    crew.send(range(8), seconds=1.0)
    wait_until(lambda: crew.counts("begun"), what="a task to run")
    worker.stop()

    done = crew.counts()
    assert crew.counts("begun") == done
    assert set(done.values()) == {1}
    assert len(house.waiting("a")) == 8 - len(done)
    assert house.is_clean()


def left_clean(crew: Crew, server: Server) -> None:
    """Stop every worker; nothing may be left on its broker."""
    with redis.Redis.from_url(server.url) as client:
        house = House(client)
        wait_until(lambda: not house.held(), what="the acknowledgements")
        crew.stop()
        assert house.is_clean()
        assert house.waiting("a") == []
