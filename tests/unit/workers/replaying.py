"""A fleet without processes: a ledger in memory, a broker that is a list, and a clock that a test moves."""

import datetime as dt
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import fakeredis
import redis

from config.policy.loader import load_policies
from config.settings import Settings
from purser.engine.call_result import CallResult
from purser.errors import Transient
from store import (
    Attempt,
    DeadLetter,
    DeadLetterState,
    DelayedMessage,
    DelayKind,
    Ledger,
    LetterOutcome,
    LimiterPermit,
    PauseCache,
    Replay,
    fingerprint,
)
from tasks.discovery import load_registry
from workers.context import WorkerContext
from workers.dead_letters.replay_one import part_of
from workers.dead_letters.replay_runner import advance, start

START = dt.datetime(2026, 11, 16, 8, 0, tzinfo=dt.UTC)
LOCKED = "sale.order 7 is locked"

_numbers = itertools.count()

SETTINGS = Settings.load(
    need={"broker", "ledger", "odoo"},
    environ={
        "PURSER_BROKER_URL": "redis://localhost",
        "PURSER_ODOO_URL": "http://odoo.test",
        "PURSER_ODOO_DB": "firm",
        "PURSER_ODOO_LOGIN": "bot",
        "PURSER_ODOO_API_KEY": "key",
    },
)
CATALOGUE = load_registry()
POLICIES = load_policies(CATALOGUE, None)


class World:
    """Everything a replay meets."""

    def __init__(self, client: redis.Redis | None = None) -> None:
        self.moment = START
        client = client or fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.ledger = Ledger(client, prefix=f"world{next(_numbers)}", now=lambda: self.moment)
        self.queue: list[DeadLetter] = []
        self.sent: list[DeadLetter] = []
        self.waiting: dict[str, DeadLetter] = {}
        self.is_away = False
        self.dies: BaseException | None = None
        self.dies_before = False
        self.fleet = WorkerContext(SETTINGS, CATALOGUE, POLICIES, _publish, self._resend, now=lambda: self.moment)
        self.fleet.__dict__["ledger"] = self.ledger
        self.fleet.__dict__["pauses"] = PauseCache(self.ledger.pauses, max_age=0.0)

    def pass_(self, **span: float) -> None:
        self.moment += dt.timedelta(**span)

    def _resend(self, letter: DeadLetter) -> None:
        if self.is_away:
            raise Transient("the broker at redis://localhost did not take it")
        if self.dies_before:
            raise Killed
        self.queue.append(letter)
        self.sent.append(letter)
        if self.dies is not None:
            raise self.dies

    # -- letters

    def die(self, count: int, *, first: int = 0, message: str = LOCKED, **given: Any) -> list[str]:
        """Have so many messages fail; give their ids, the oldest first."""
        ids = [f"m{n:03}" for n in range(first, first + count)]
        for id_ in ids:
            self.pass_(milliseconds=1)
            self.ledger.letters.store(self.letter(id_, message, **given))
        return ids

    def letter(self, id_: str, message: str, **given: Any) -> DeadLetter:
        body = [[], {"automation": "open-project", "event": {"n": id_}}, {}]
        values: dict[str, Any] = {
            "task": "purser.react",
            "queue": "events",
            "body": json.dumps(body).encode(),
            "headers": {"id": id_, "task": "purser.react"},
            "reason": "permanent failure",
            "error": "Permanent",
        }
        return DeadLetter(
            id=id_,
            message=message,
            fingerprint=fingerprint(error="Permanent", message=message, task="purser.react"),
            attempts=(Attempt(self.moment, f"Permanent: {message}"),),
            first_at=self.moment,
            stored_at=self.moment,
            **(values | given),
        )

    def in_state(self, state: DeadLetterState, ids: Iterable[str]) -> list[str]:
        """Return those of these letters that are in a state."""
        found = [self.ledger.letters.get(id_) for id_ in ids]
        return [letter.id for letter in found if letter is not None and letter.state is state]

    # -- the replay

    def start(self, ids: Iterable[str], *, rate: float = 500.0, careful: bool = True) -> Replay:
        return start(self.fleet, ids, who="ada", note="mended", what="test", rate=rate, careful=careful)

    def step(self, replay: Replay, *, by: str = "w1", after: float = 0.5) -> Replay:
        """Let half a second pass and a worker look after it."""
        self.pass_(seconds=after)
        now = advance(self.fleet, replay.id, by, steady=lambda: 0.0)
        assert now is not None
        return now

    def steps(self, replay: Replay, count: int, *, by: str = "w1") -> Replay:
        for _ in range(count):
            replay = self.step(replay, by=by)
        return replay

    # -- the workers

    def end(self, message: DeadLetter, ending: LetterOutcome = LetterOutcome.DONE) -> None:
        """Have a task end well, as `FleetTask` tells of it."""
        told = part_of(message.headers)
        if told is not None:
            self.ledger.replaying.tell(told[0], message.id, told[1], ending)

    def fail(self, message: DeadLetter, text: str = LOCKED) -> None:
        self.pass_(milliseconds=1)
        self.ledger.letters.store(self.letter(message.id, text))

    def park(self, message: DeadLetter, minutes: float = 5) -> None:
        entry = DelayedMessage(
            id=message.id,
            queue=message.queue,
            task=message.task,
            label="",
            kind=DelayKind.SNOOZE,
            why="a reason",
            due=self.moment + dt.timedelta(minutes=minutes),
            attempt=0,
            payload=b"x",
            parked_at=self.moment,
        )
        self.ledger.delayed.park(entry)
        self.waiting[message.id] = message

    def go_on(self) -> None:
        """Have what waits on its queue again."""
        self.ledger.delayed.remove(list(self.waiting))
        self.queue += self.waiting.values()
        self.waiting.clear()

    def work(self) -> None:
        """Have all that is on the queue end well."""
        while self.queue:
            self.end(self.queue.pop(0))

    def open_breaker(self) -> None:
        for _ in range(5):
            ticket = self.fleet.gate.enter("k")
            assert isinstance(ticket, LimiterPermit)
            self.fleet.gate.leave(ticket, CallResult.FAILED, 0.1)

    @contextmanager
    def dying(self, *, before: bool = False) -> Iterator[None]:
        """Kill whoever sends the next letter, just after it went out or just before."""
        self.dies, self.dies_before = Killed(), before
        try:
            yield
        except Killed:
            pass
        finally:
            self.dies, self.dies_before = None, False


class Killed(BaseException):
    """The process is gone; nothing of ours runs after it."""


def _publish(task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
    raise AssertionError("nothing is published here")
