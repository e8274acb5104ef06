"""Whatever happens in whatever order, a message is in exactly one place, and an event is awaited or done with."""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from store import DeadLetter, DeadLetterFilter, DeadLetterState, DelayedMessage, MessageReservation
from store.dead_letters.tombstones import SETTLED
from store.queueing.inbox import MAX_WAIT
from tests.contract.store.making import START, Clock, delayed, envelope, fresh, letter

QUEUE = "apply"
STALE = dt.timedelta(minutes=5)
LEASE = dt.timedelta(seconds=30)
ALIVE = (DeadLetterState.DEAD, DeadLetterState.REPLAYING)
"""The states of a letter that still has to be settled; the others are history."""

pick = st.integers(0, 99)
minutes = st.integers(0, 8)
covers = st.sampled_from(["", "apply/x", "scan/x"])


class World:
    """A broker of one queue and one hash of what is held, in the Redis of a ledger."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client
        self.clock = Clock()
        self.ledger = fresh(client, self.clock)
        self.held_key = f"held:{self.ledger.letters._store.prefix}"
        self.numbers = 0
        self.bodies: dict[str, bytes] = {}
        """What letters carry that were edited."""
        client.delete(QUEUE)

    def publish(self, id_: str) -> None:
        self.client.lpush(QUEUE, payload_of(id_))

    def reserve(self) -> tuple[MessageReservation, str] | None:
        raw = self.client.lindex(QUEUE, -1)
        if raw is None:
            return None
        self.numbers += 1
        held = MessageReservation(self.held_key, str(self.numbers))
        self.client.hset(held.key, held.field, raw)
        self.client.rpop(QUEUE)
        return held, id_of(raw)

    def take_back(self, held: MessageReservation) -> None:
        self.client.rpush(QUEUE, self.client.hget(held.key, held.field))
        self.ack(held)

    def ack(self, held: MessageReservation) -> None:
        self.client.hdel(held.key, held.field)

    def entry(self, id_: str, after: int) -> DelayedMessage:
        due = self.clock() + dt.timedelta(minutes=after)
        return delayed(id_, due=due, parked_at=self.clock(), payload=payload_of(id_))

    def letter(self, id_: str, about: str, slot: int) -> DeadLetter:
        return letter(
            id_,
            body=body_of(id_),
            covers=about,
            slot=START + dt.timedelta(minutes=slot) if about else None,
            stored_at=self.clock(),
        )

    def edit(self, id_: str) -> bool:
        """Edit a letter as someone who has just looked at it, after one who has not."""
        seen = self.ledger.letters.get(id_)
        expects = 0 if seen is None else len(seen.edits)
        body = f"body of {id_}, edit {expects + 1}".encode()
        assert self.ledger.letters.edit(id_, body=b"", expects=expects + 1, who="bob", note="late") is None
        if self.ledger.letters.edit(id_, body=body, expects=expects, who="ada", note="wrong") is None:
            return False
        self.bodies[id_] = body
        return True

    def bury(self) -> set[str]:
        """Bury all that is settled; a message that fails later makes a new letter."""
        settled = {
            one.id for state in SETTLED for one in self.ledger.letters.page(DeadLetterFilter(state=state)).items
        }
        buried = self.ledger.letters.bury(self.clock() + dt.timedelta(days=1))
        assert sum(grave.count for grave in buried) == len(settled)
        for id_ in settled:
            assert self.ledger.letters.get(id_) is None
            self.bodies.pop(id_, None)
        return settled

    def places(self, ids: set[str]) -> dict[str, list[str]]:
        """Say for each message where it lives; empty for one that is done with."""
        found: dict[str, list[str]] = {id_: [] for id_ in ids}
        for raw in self.client.lrange(QUEUE, 0, -1):
            found[id_of(raw)].append("queue")
        for raw in self.client.hvals(self.held_key):
            found[id_of(raw)].append("held")
        for entry in self.ledger.delayed.page().items:
            found[entry.id].append("delayed")
        for state in DeadLetterState:
            listed = self.ledger.letters.page(DeadLetterFilter(state=state)).items
            assert len(listed) == self.ledger.letters.count(DeadLetterFilter(state=state))
            for kept in listed:
                assert (kept.state, kept.body) == (state, self.bodies.get(kept.id, body_of(kept.id)))
                assert kept.original == body_of(kept.id)
                if state in ALIVE:
                    found[kept.id].append(state)
        return found


def body_of(id_: str) -> bytes:
    return f"body of {id_}".encode()


def payload_of(id_: str) -> bytes:
    return envelope(body_of(id_), {"id": id_, "task": "apply"})


def id_of(raw: bytes) -> str:
    return str(json.loads(raw)["headers"]["id"])


# ------------------------------------------------------------- one Redis, one copy of each --


class OneCopy(RuleBasedStateMachine):
    """Broker and ledger share a Redis: each message is in exactly one place, and the one that the model says."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.place: dict[str, str] = {}
        self.due: dict[str, dt.datetime] = {}
        self.held: dict[str, MessageReservation] = {}
        self.lapsed: list[tuple[MessageReservation, str]] = []
        self.letters: dict[str, DeadLetter] = {}
        self.begun: dict[str, tuple[DeadLetter, dt.datetime]] = {}
        self.restorable: set[str] = set()
        """Settled, and neither carried out nor tried again."""

    def at(self, place: str) -> list[str]:
        return sorted(id_ for id_, where in self.place.items() if where == place)

    def one(self, place: str, number: int) -> str:
        """Choose a message of a place; where none is held yet, one is taken."""
        if place == "held" and not self.held:
            self.reserve()
        found = self.at(place)
        return found[number % len(found)]

    @rule()
    def send(self) -> None:
        id_ = f"m{len(self.place)}"
        self.world.publish(id_)
        self.place[id_] = "queue"

    @rule()
    def reserve(self) -> None:
        if not self.at("queue"):
            assert self.world.reserve() is None
            self.send()
        taken = self.world.reserve()
        assert taken is not None
        held, id_ = taken
        self.place[id_], self.held[id_] = "held", held

    @rule(number=pick)
    def done(self, number: int) -> None:
        id_ = self.one("held", number)
        self.world.ack(self.held.pop(id_))
        self.place[id_] = "done"

    @rule(number=pick)
    def its_worker_dies(self, number: int) -> None:
        id_ = self.one("held", number)
        held = self.held.pop(id_)
        self.world.take_back(held)
        self.place[id_] = "queue"
        self.lapsed.append((held, id_))

    @rule(number=pick, after=minutes)
    def park(self, number: int, after: int) -> None:
        id_ = self.one("held", number)
        entry = self.world.entry(id_, after)
        assert self.world.ledger.delayed.park(entry, settles=self.held.pop(id_)) is True
        self.place[id_], self.due[id_] = "delayed", entry.due

    @rule(number=pick, about=covers, slot=minutes, only_latest=st.booleans())
    def store(self, number: int, about: str, slot: int, only_latest: bool) -> None:
        id_ = self.one("held", number)
        kept = self.world.letter(id_, about, slot)
        settles = self.held.pop(id_)
        assert self.world.ledger.letters.store(kept, settles=settles, only_latest=only_latest) is True
        self.place[id_], self.letters[id_] = "dead", kept
        if not (only_latest and about):
            return
        rivals = [other for other in self.at("dead") if other != id_ and self.letters[other].covers == about]
        for other in rivals:
            loser = other if moment(self.letters[other]) <= moment(kept) else id_
            self.place[loser] = "done"
            self.restorable.add(loser)

    @precondition(lambda self: self.lapsed)
    @rule(number=pick, what=st.sampled_from(["park", "store"]))
    def a_dead_worker_comes_back(self, number: int, what: str) -> None:
        held, id_ = self.lapsed[number % len(self.lapsed)]
        if what == "park":
            assert self.world.ledger.delayed.park(self.world.entry(id_, 5), settles=held) is False
        else:
            assert self.world.ledger.letters.store(self.world.letter(id_, "scan/x", 99), settles=held) is False

    @rule(passing=minutes)
    def time_passes(self, passing: int) -> None:
        now = self.world.clock.pass_(minutes=passing)
        for id_, (_, at) in list(self.begun.items()):
            if at <= now - STALE:
                del self.begun[id_]
                self.place[id_] = "dead"

    @precondition(lambda self: self.at("delayed"))
    @rule(limit=st.integers(1, 3))
    def move(self, limit: int) -> None:
        due = [id_ for id_ in self.at("delayed") if self.due[id_] <= self.world.clock()]
        moved = sorted(due, key=lambda id_: (self.due[id_], id_))[:limit]
        assert self.world.ledger.delayed.move_due(limit=limit) == len(moved)
        for id_ in moved:
            self.place[id_] = "queue"

    @precondition(lambda self: self.at("delayed"))
    @rule()
    def move_to_another_broker(self) -> None:
        for entry in self.world.ledger.delayed.lend_due(lease=LEASE):
            assert entry.payload == payload_of(entry.id)
            self.world.publish(entry.id)
            assert self.world.ledger.delayed.sent(entry) is True
            self.place[entry.id] = "queue"

    @precondition(lambda self: self.at("delayed"))
    @rule(number=pick)
    def cancel(self, number: int) -> None:
        id_ = self.one("delayed", number)
        assert self.world.ledger.delayed.cancel([id_], who="ada", note="no") == (id_,)
        self.place[id_], self.letters[id_] = "done", self.world.letter(id_, "", 0)
        self.restorable.add(id_)

    @precondition(lambda self: self.at("delayed"))
    @rule(number=pick)
    def now(self, number: int) -> None:
        id_ = self.one("delayed", number)
        waits = self.due[id_] > self.world.clock()
        assert self.world.ledger.delayed.now([id_], who="ada", note="go") == ((id_,) if waits else ())
        self.due[id_] = min(self.due[id_], self.world.clock())

    @precondition(lambda self: self.at("dead"))
    @rule(number=pick)
    def begin_replay(self, number: int) -> None:
        id_ = self.one("dead", number)
        begun = self.world.ledger.letters.begin_replay(id_)
        assert begun is not None
        self.place[id_], self.begun[id_] = "replaying", (begun, self.world.clock())

    @precondition(lambda self: self.at("replaying"))
    @rule(number=pick, well=st.booleans())
    def end_replay(self, number: int, well: bool) -> None:
        id_ = self.one("replaying", number)
        begun, _ = self.begun.pop(id_)
        if well:
            self.world.publish(id_)
            assert self.world.ledger.letters.finish_replay(begun, who="ada", note="fixed") is True
        else:
            assert self.world.ledger.letters.abort_replay(begun) is True
        self.place[id_] = "queue" if well else "dead"

    @precondition(lambda self: self.at("dead"))
    @rule(number=pick)
    def discard(self, number: int) -> None:
        id_ = self.one("dead", number)
        assert self.world.ledger.letters.discard([id_], who="ada", note="no") == (id_,)
        self.place[id_] = "done"
        self.restorable.add(id_)

    @rule()
    def restore(self) -> None:
        """Ask for all there are: those come back that were settled, and no others."""
        restored = self.world.ledger.letters.restore(sorted(self.place), who="ada", note="after all")
        assert set(restored) == self.restorable
        for id_ in restored:
            self.place[id_] = "dead"
        self.restorable.clear()

    @precondition(lambda self: self.place)
    @rule(number=pick)
    def edit(self, number: int) -> None:
        id_ = sorted(self.place)[number % len(self.place)]
        assert self.world.edit(id_) is (self.place[id_] == "dead")

    @rule()
    def bury(self) -> None:
        assert self.restorable <= self.world.bury()
        self.restorable.clear()

    @precondition(lambda self: self.at("dead"))
    @rule(about=covers.filter(bool), before=minutes)
    def supersede(self, about: str, before: int) -> None:
        bound = START + dt.timedelta(minutes=before)
        older = {i for i in self.at("dead") if self.letters[i].covers == about and moment(self.letters[i]) < bound}
        assert set(self.world.ledger.letters.supersede(about, before=bound, by="a run")) == older
        for id_ in older:
            self.place[id_] = "done"
        self.restorable |= older

    @invariant()
    def each_message_is_in_the_one_place_where_it_should_be(self) -> None:
        expected = {id_: [] if where == "done" else [where] for id_, where in self.place.items()}
        assert self.world.places(set(self.place)) == expected


def moment(kept: DeadLetter) -> dt.datetime:
    return kept.slot or kept.stored_at


# ---------------------------------------------------------------- copies of one message --


class Copies(RuleBasedStateMachine):
    """Copies of a message may live under one id: none is ever nowhere, nor both delayed and dead."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.sent: list[str] = []
        self.ended: set[str] = set()
        """A copy was carried out, or a person or something newer settled it."""
        self.held: list[tuple[MessageReservation, str]] = []
        self.lent: list[DelayedMessage] = []
        self.begun: list[DeadLetter] = []

    @rule()
    def send(self) -> None:
        id_ = f"m{len(self.sent)}"
        self.world.publish(id_)
        self.sent.append(id_)

    def one(self, number: int) -> str:
        """Choose a message among the latest: of few messages more becomes known than of many."""
        if not self.sent:
            self.send()
        return self.sent[-1 - number % min(len(self.sent), 3)]

    @rule()
    def reserve(self) -> None:
        if not self.world.client.exists(QUEUE):
            self.send()
        taken = self.world.reserve()
        assert taken is not None
        self.held.append(taken)

    @rule(number=pick, after=minutes, how=st.sampled_from(["done", "park", "park unheld", "store", "store unheld"]))
    def a_run_ends(self, number: int, after: int, how: str) -> None:
        if not self.held:
            self.reserve()
        held, id_ = self.held.pop(number % len(self.held))
        if how == "done":
            self.ended.add(id_)
        elif how == "park":
            assert self.world.ledger.delayed.park(self.world.entry(id_, after), settles=held) is True
        elif how == "store":
            assert self.world.ledger.letters.store(self.world.letter(id_, "", 0), settles=held) is True
        elif how == "park unheld":
            self.world.ledger.delayed.park(self.world.entry(id_, after))
        else:
            self.world.ledger.letters.store(self.world.letter(id_, "", 0))
        self.world.ack(held)

    @rule(passing=minutes)
    def time_passes(self, passing: int) -> None:
        self.world.clock.pass_(minutes=passing)

    @rule(passing=minutes)
    def move(self, passing: int) -> None:
        self.world.clock.pass_(minutes=passing)
        self.world.ledger.delayed.move_due()

    @rule(passing=minutes, fails_at_once=st.booleans())
    def lend_and_publish(self, passing: int, fails_at_once: bool) -> None:
        """Publish what is due; a quick worker may have parked it anew before its lender says `sent`."""
        self.world.clock.pass_(minutes=passing)
        for entry in self.world.ledger.delayed.lend_due(lease=LEASE):
            if fails_at_once:
                self.world.ledger.delayed.park(self.world.entry(entry.id, 5))
            else:
                self.world.publish(entry.id)
            self.lent.append(entry)

    @precondition(lambda self: self.lent)
    @rule(number=pick)
    def say_sent(self, number: int) -> None:
        self.world.ledger.delayed.sent(self.lent.pop(number % len(self.lent)))

    @rule(number=pick, act=st.sampled_from(["cancel", "now", "discard", "restore"]))
    def a_person_acts(self, number: int, act: str) -> None:
        of_delayed, letters = self.world.ledger.delayed, self.world.ledger.letters
        does = {
            "cancel": of_delayed.cancel,
            "now": of_delayed.now,
            "discard": letters.discard,
            "restore": letters.restore,
        }[act]
        gone = does([self.one(number)], who="ada", note="why")
        if act in ("cancel", "discard"):
            self.ended.update(gone)

    @rule(number=pick)
    def a_person_edits(self, number: int) -> None:
        self.world.edit(self.one(number))

    @rule()
    def what_is_settled_is_buried(self) -> None:
        self.world.bury()

    @rule(number=pick, published=st.booleans())
    def begin_replay(self, number: int, published: bool) -> None:
        if begun := self.world.ledger.letters.begin_replay(self.one(number)):
            if published:
                self.world.publish(begun.id)
            self.begun.append(begun)

    @precondition(lambda self: self.begun)
    @rule(number=pick, well=st.booleans())
    def end_replay(self, number: int, well: bool) -> None:
        """End one, rightly or as someone who was away too long: whoever finishes has published."""
        begun = self.begun.pop(number % len(self.begun))
        if well:
            self.world.publish(begun.id)
            self.world.ledger.letters.finish_replay(begun, who="ada", note="fixed")
        else:
            self.world.ledger.letters.abort_replay(begun)

    @invariant()
    def none_is_nowhere_nor_both_delayed_and_dead(self) -> None:
        for id_, found in self.world.places(set(self.sent)).items():
            assert found or id_ in self.ended, id_
            assert not ("delayed" in found and set(found) & set(ALIVE)), (id_, found)
            assert sum(place in ("delayed", *ALIVE) for place in found) <= 1


# ------------------------------------------------------------------------------ the inbox --


@dataclasses.dataclass
class Awaited:
    """What the model knows of one event."""

    quiet: dict[str, dt.datetime | None]
    wait: dt.timedelta
    look: dt.datetime
    emitted: int = 0


events = st.integers(0, 1)
automations = st.sampled_from(["a", "b"])


class Mail(RuleBasedStateMachine):
    """The inbox against a plain model: what is accepted is lent until it is done, and never before its time."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.clock = Clock()
        self.inbox = fresh(client, self.clock).inbox
        self.model: dict[str, Awaited] = {}

    @rule(number=events, names=st.sets(automations), wait=st.integers(1, 10))
    def accept(self, number: int, names: set[str], wait: int) -> None:
        again_after = dt.timedelta(minutes=wait)
        id_ = f"e{number}"
        is_new = bool(names) and id_ not in self.model
        assert self.inbox.accept("crm", id_, {"n": number}, sorted(names), again_after=again_after) is is_new
        if is_new:
            self.model[id_] = Awaited(dict.fromkeys(names), again_after, self.clock() + again_after)

    @rule(number=events, name=automations)
    def done(self, number: int, name: str) -> None:
        known = self.model.get(f"e{number}")
        assert self.inbox.done("crm", f"e{number}", name) is (known is not None and name in known.quiet)
        if known is not None:
            known.quiet.pop(name, None)
            if not known.quiet:
                del self.model[f"e{number}"]

    @rule(number=events, name=automations, after=st.integers(0, 60))
    def progress(self, number: int, name: str, after: int) -> None:
        until = self.clock() + dt.timedelta(minutes=after)
        known = self.model.get(f"e{number}")
        is_awaited = known is not None and name in known.quiet
        assert self.inbox.progress("crm", f"e{number}", name, quiet_until=until) is is_awaited
        if known is not None and is_awaited:
            known.quiet[name] = until

    @rule(passing=st.integers(0, 60))
    def lend(self, passing: int) -> None:
        now = self.clock.pass_(minutes=passing)
        expected = {}
        for id_, known in self.model.items():
            if known.look > now:
                continue
            ready = {name: (until + known.wait if until else now) for name, until in known.quiet.items()}
            stalled = {name for name, at in ready.items() if at <= now}
            if stalled:
                known.wait = min(known.wait * 2, MAX_WAIT)
                known.look = now + known.wait
                known.emitted += 1
                expected[id_] = (stalled, known.emitted)
            else:
                known.look = min(ready.values())
        found = self.inbox.lend_stalled(knows_queues=True)
        assert {entry.id: (set(entry.pending), entry.emitted) for entry in found} == expected

    @invariant()
    def what_is_awaited_is_what_the_model_awaits(self) -> None:
        found = {entry.id: (set(entry.pending), entry.emitted) for entry in self.inbox.page().items}
        assert found == {id_: (set(known.quiet), known.emitted) for id_, known in self.model.items()}
        assert self.inbox.count() == len(self.model)


# ------------------------------------------------------------------------------- the runs --

RUNS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def run(machine: Callable[[], RuleBasedStateMachine], runs: settings = RUNS) -> None:
    run_state_machine_as_test(machine, settings=runs)  # type: ignore[arg-type] # whatever makes a machine will do


on_a_server = pytest.mark.parametrize("client", ["server"], indirect=True)
"""An imitation is ten times as slow, and the suite asks it all else."""


@on_a_server
def test_a_message_is_in_exactly_one_place_whatever_happens(client: redis.Redis) -> None:
    run(lambda: OneCopy(World(client)))


@on_a_server
def test_copies_of_a_message_are_never_all_gone_nor_both_delayed_and_dead(client: redis.Redis) -> None:
    run(lambda: Copies(World(client)))


@on_a_server
def test_an_event_is_awaited_until_it_is_done_with_whatever_happens(client: redis.Redis) -> None:
    run(lambda: Mail(client), settings(RUNS, max_examples=150))
