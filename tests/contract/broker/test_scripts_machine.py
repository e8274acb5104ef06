"""Whatever consumers do in whatever order: each message is in exactly one place, and none vanishes."""

import itertools
from typing import ClassVar

import fakeredis
import hypothesis.strategies as st
import redis
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from tests.contract.broker.house import LEASE, House, Taker
from workers.broker.redis.leases import LeaseLost, LeaseManager

QUEUES = ("urgent", "q")
WHO = st.integers(min_value=0, max_value=2)
PICK = st.integers(min_value=0, max_value=50)


class Broker(RuleBasedStateMachine):
    """Three processes that consume two queues."""

    client: ClassVar[redis.Redis]

    def __init__(self) -> None:
        super().__init__()
        self.client.flushdb()
        self.house = House(self.client)
        self.names = itertools.count()
        self.sent: set[bytes] = set()
        self.acked: set[bytes] = set()
        self.keepers = [LeaseManager(self.client, lease=LEASE, heartbeat=3600) for _ in range(3)]
        self.takers = [Taker(keeper, *QUEUES) for keeper in self.keepers]
        self.has: list[dict[str, bytes]] = [{}, {}, {}]
        self.works_on: set[str] = set()

    def teardown(self) -> None:
        for keeper in self.keepers:
            keeper._stop.set()

    @rule(queue=st.sampled_from(QUEUES), binary=st.binary(max_size=20))
    def send(self, queue: str, binary: bytes) -> None:
        payload = b"%d:%b" % (next(self.names), binary)
        self.house.push(payload, queue=queue)
        self.sent.add(payload)

    @rule(who=WHO, answer_is_lost=st.booleans())
    def take(self, who: int, answer_is_lost: bool) -> None:
        taker = self.takers[who]
        try:
            if answer_is_lost:
                taker.keeper.reserve(taker.next_tag, taker.queues)
            elif taken := taker.take():
                self.has[who][taken[0]] = taken[1]
        except LeaseLost:
            self._begin_anew(who)

    @rule(who=WHO)
    def hang_up(self, who: int) -> None:
        taker = self.takers[who]
        taker.keeper.withdraw(taker.next_tag)
        taker.number += 1

    @precondition(lambda self: any(self.has))
    @rule(who=WHO, pick=PICK)
    def ack(self, who: int, pick: int) -> None:
        if picked := self._picked(who, pick):
            tag, payload = picked
            self.works_on.discard(tag)
            if self.keepers[who].ack(tag):
                assert payload not in self.acked, "done twice"
                self.acked.add(payload)

    @precondition(lambda self: any(self.has))
    @rule(who=WHO, pick=PICK, counted=st.booleans())
    def give_back(self, who: int, pick: int, counted: bool) -> None:
        if picked := self._picked(who, pick):
            self.works_on.discard(picked[0])
            self.keepers[who].give_back(picked[0], counted=counted)

    @rule(who=WHO)
    def freeze(self, who: int) -> None:
        self.house.frozen(self.takers[who].holder)

    @rule(who=WHO)
    def beat(self, who: int) -> None:
        self.keepers[who].beat()

    @rule(who=WHO, keeps=st.booleans())
    def reconnect(self, who: int, keeps: bool) -> None:
        if keeps:
            self.works_on |= set(self.has[who])
        self._begin_anew(who)

    @invariant()
    def everything_is_in_exactly_one_place(self) -> None:
        waiting = [payload for queue in QUEUES for payload in self.house.waiting(queue)]
        held = list(self.house.held().values())
        places = sorted([*waiting, *held, *self.acked])
        assert places == sorted(self.sent)

    def _picked(self, who: int, pick: int) -> tuple[str, bytes] | None:
        tags = sorted(self.has[who])
        return (tags[pick % len(tags)], self.has[who].pop(tags[pick % len(tags)])) if tags else None

    def _begin_anew(self, who: int) -> None:
        """As a worker reconnects: what is worked on is kept, all else goes back."""
        keeper, old = self.keepers[who], self.takers[who].holder
        keeper.retire(old, self._numbers)
        self.has[who] = {tag: payload for tag, payload in self.has[who].items() if tag in self.works_on}
        self.takers[who] = Taker(keeper, *QUEUES)

    def _numbers(self, holder: str) -> set[str]:
        return {tag.rpartition("/")[2] for tag in self.works_on if tag.startswith(f"{holder}/")}


def on(client: redis.Redis) -> type[Broker]:
    """Let the machine run on this server."""
    return type("BrokerHere", (Broker,), {"client": client})


def test_each_message_is_in_one_place_on_an_imitation() -> None:
    run(on(fakeredis.FakeRedis()), settings=settings(max_examples=40, stateful_step_count=40))


def test_each_message_is_in_one_place_on_a_server(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        run(on(client), settings=settings(max_examples=40, stateful_step_count=40))
