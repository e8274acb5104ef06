"""Killed before any step of accepting and delivering, and delivered again, everything ends as in a calm run."""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from purser.errors import Snooze
from store.redis_store import RedisStore
from tests.unit.workers.delivering import WANTS, Desk, posted
from workers.events import react
from workers.outbound.http import ReceiverResponse


class Killed(BaseException):
    """The process is gone; nothing of ours runs after it."""


class Steps:
    """Counts what is asked of the ledger, and kills whoever asks for the n-th time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done, self.kills_at, self.counts = 0, -1, False
        reach: Callable[..., AbstractContextManager[Any]] = RedisStore.reach

        def counted(store: RedisStore, about: str) -> AbstractContextManager[Any]:
            self.done += self.counts
            if self.counts and self.done == self.kills_at:
                raise Killed
            return reach(store, about)

        patch.setattr(RedisStore, "reach", counted)


class Run:
    """Three events, two of one subject, from the door to a receiver."""

    def __init__(self, steps: Steps, patch: pytest.MonkeyPatch) -> None:
        self.steps = steps
        self.desk = Desk(f"  n8n: {{to: 'http://127.0.0.1:1/', secret: n8n, {WANTS}}}\n")
        self.arrived: list[tuple[str, str]] = []
        self.events = [posted(1), posted(2, minute=1), posted(3, invoice=8, minute=2)]
        patch.setattr("workers.outbound.deliver.post", self._post)

    def _post(self, _: Any, message_id: str, event: dict[str, Any], *__: Any, **___: Any) -> ReceiverResponse:
        self.arrived.append((event["data"]["number"], message_id))
        return ReceiverResponse(status=200, seconds=0.01)

    def to_the_end(self) -> None:
        for event in self.events:
            self._until_done(lambda event=event: self.desk.accept(event))  # type: ignore[misc]
        for _ in range(10):
            while self.desk.queue:
                _, values, _ = self.desk.queue.pop()  # the last one first, which is the worst order
                self._until_done(lambda values=values: self.desk.deliver(values["event"]))  # type: ignore[misc]
            if not self.desk.ledger.inbox.count():
                return
            self.desk.moment += dt.timedelta(hours=7)
            self._until_done(self._send_stalled)
        raise AssertionError("it never ends")

    def _send_stalled(self) -> None:
        for entry in self.desk.ledger.inbox.lend_stalled():
            for name in entry.pending:
                react.enqueue_reaction(self.desk.fleet, name, entry.event)

    def _until_done(self, act: Callable[[], object]) -> None:
        """Do something; who is killed is delivered again, and who is held back is sent again by the inbox."""
        for _ in range(2):
            self.steps.counts = True
            try:
                act()
            except Killed:
                continue
            except Snooze:
                pass
            finally:
                self.steps.counts = False
            return


def test_killed_anywhere_it_ends_as_a_calm_run(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    calm = Run(steps, monkeypatch)
    calm.to_the_end()
    wanted, many = sorted(calm.arrived), steps.done
    assert [number for number, _ in wanted] == ["INV/1", "INV/2", "INV/3"]

    for kills_at in range(1, many + 1):
        run = Run(steps, monkeypatch)
        steps.done, steps.kills_at = 0, kills_at
        run.to_the_end()
        assert sorted(set(run.arrived)) == wanted, f"killed before step {kills_at}"
        assert len(run.arrived) <= len(wanted) + 1, "one kill, one double at most"
        firsts = [number for number, _ in dict.fromkeys(run.arrived)]
        assert firsts.index("INV/1") < firsts.index("INV/2"), f"killed before step {kills_at}"
        assert run.desk.ledger.outbound.pending("n8n") == (0, None)
        assert run.desk.ledger.inbox.count() == 0
