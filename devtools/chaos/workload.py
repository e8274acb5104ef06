"""Real work flows while a fault is injected: chunks of a control, won opportunities, hired people.

Half of the load waits on the queues when the fault begins, the rest follows at an even pace, and what is left when
the fault is over is sent at once. What the broker does not take is sent again, under the same id, until it does.
"""

import contextlib
import datetime as dt
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from devtools.chaos.verification import DeliveryCheck, SentMessage, check_delivery
from events.cloudevent import CloudEvent
from events.opportunity import OpportunityWon
from purser.changes import Ensure, PostNote, RecordLink
from purser.engine.reconcile import PlannedStep
from purser.errors import Permanent
from purser.findings import Ref
from tasks.automations.open_project import STEPS
from workers.controls.run import dump_steps

if TYPE_CHECKING:
    from devtools.chaos.environment import ChaosEnvironment
    from devtools.chaos.fault import Fault

CONTROL = "drill"
Prepared = tuple[SentMessage, Callable[[], None]]
"""A message, and what sends it."""

_SEND_FOR = 60.0
_PATIENT: Any = (KombuError, AMQPError, redis.RedisError, OSError)


class Load:
    """The messages of one fault, and what they must lead to."""

    def __init__(self, stage: "ChaosEnvironment", fault: "Fault", size: int) -> None:
        self._stage = stage
        self.name = f"{fault.name} {uuid.uuid4().hex[:6]}"
        self.sent: list[SentMessage] = []
        self._lasts = fault.lasts
        self._waiting: list[Prepared] = []
        self._deals: list[str] = []
        self._people: dict[int, str] = {}
        self._place = stage.office.place(self.name)
        self._released = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._flow, name="load", daemon=True)
        self._error: Exception | None = None
        size = max(4, round(size * fault.weight))
        events = 0 if stage.plan.stock else round(size * fault.mix.events)
        for deal in self._prepared(events):
            self._waiting.append(deal)
        for number in range(size - events if fault.mix.changes or stage.plan.stock else 0):
            self._waiting.append(self._change(f"{number}"))
        stage.rng.shuffle(self._waiting)
        self.hire(fault.mix.people)
        self._before = set(stage.letters())
        self._letters: list[set[str]] = []

    # -------------------------------------------------------------------------------- flow --

    def start(self) -> None:
        """Send the first half; the rest follows by itself."""
        half = len(self._waiting) // 2
        for _ in range(half):
            self._send_next()
        self._pause = self._lasts / max(1, len(self._waiting))
        self._thread.start()

    def finish(self) -> None:
        """Send what is left at once, and wait until all is sent."""
        self._released.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._released.set()
        if self._thread.is_alive():
            self._thread.join()

    def _flow(self) -> None:
        try:
            while self._waiting and not self._stopped.is_set():
                self._released.wait(self._pause)
                self._send_next()
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits for the load
            self._error = error

    def _send_next(self) -> None:
        sent, send = self._waiting.pop()
        self.sent.append(sent)
        self._insist(send)

    def _insist(self, send: Callable[[], None]) -> None:
        deadline = time.monotonic() + _SEND_FOR
        while True:
            try:
                return send()
            except _PATIENT:
                if time.monotonic() > deadline or self._stopped.is_set():
                    raise
                self._stopped.wait(0.2)

    # ----------------------------------------------------------------------------- messages --

    def _change(self, number: str, *, trouble: str = "", times: int = 0, dies: bool = False) -> Prepared:
        """Prepare a chunk with one task and one note, which comes into trouble `times` times."""
        name, note, message = f"{self.name} task {number}", f"{self.name} note {number}", str(uuid.uuid4())
        sent = SentMessage(id=message, effects=(f"task {name}", f"note {note}"), dies=dies)
        stage, place = self._stage, Ref("project.project", self._place)
        if stage.plan.stock:
            kwargs: dict[str, Any] = {"place": self._place, "name": name, "note": note}
            return sent, lambda: stage.send("drill.create", kwargs, id=message, queue="apply", label="")
        steps = (
            PlannedStep(
                Ensure(
                    model="project.task",
                    key=f"drill/{message}/task",
                    values={"name": name, "project_id": RecordLink(place)},
                ),
                None,
            ),
            PlannedStep(PostNote(on=place, key=f"drill/{message}/note", body=note), None),
        )
        now = dt.datetime.now(dt.UTC).isoformat()
        kwargs = {"control": CONTROL, "slot": now, "run": self.name, "steps": dump_steps(steps)}
        task = "purser.apply"
        if trouble:
            task = "drill.apply"
            kwargs |= {"trouble": trouble, "times": times, "counter": str(self._counter(message))}
        return sent, lambda: stage.send(task, kwargs, id=message, queue="apply", label=name)

    def _counter(self, message: str) -> Path:
        return self._stage.home / "trouble" / message

    def trouble(self, kind: str, *, count: int, times: int, dies: bool = False) -> list[str]:
        """Send messages that get into trouble, now; give their ids."""
        ids = []
        for number in range(count):
            sent, send = self._change(f"{kind} {number}", trouble=kind, times=times, dies=dies)
            self.sent.append(sent)
            self._insist(send)
            ids.append(sent.id)
        return ids

    def troubles(self, ids: Sequence[str]) -> int:
        """Return how often these messages have been begun."""
        return sum(path.stat().st_size for path in map(self._counter, ids) if path.exists())

    def _prepared(self, count: int) -> list[Prepared]:
        names = [f"{self.name} deal {number}" for number in range(count)]
        return [self.told(name, lead) for name, lead in self.deals(names).items()]

    def deals(self, names: Sequence[str], *, won: bool = True) -> dict[str, int]:
        """Make opportunities that are told of later."""
        leads = self._stage.office.deals(names, won=won) if names else []
        self._deals += names
        return dict(zip(names, leads, strict=True))

    def told(self, name: str, lead: int, *, event_id: str = "", expects: bool = True) -> Prepared:
        """Prepare the message that tells of a won opportunity."""
        message, stage = str(uuid.uuid4()), self._stage
        event = CloudEvent.wrap(
            OpportunityWon(opportunity_id=lead),
            id=event_id or message,
            source="drill",
            time=dt.datetime.now(dt.UTC),
        )
        told = {"event": event.model_dump(mode="json", exclude_none=True)}
        effects = (
            f"customer Customer {name}",
            f"project {name}",
            *(f"activity {summary} on {name}" for _, summary, _ in STEPS),
        )
        sent = SentMessage(id=message, effects=effects if expects else ())
        return sent, lambda: stage.send("purser.accept", told, id=message, queue="events", label=name)

    def add(self, prepared: Prepared) -> None:
        """Send one more message, now."""
        sent, send = prepared
        self.sent.append(sent)
        self._insist(send)

    def push(self, queue: str, raws: Sequence[bytes]) -> int:
        """Put bytes on a queue that must end as letters. Return how many the broker accepted."""
        accepted = 0
        for raw in raws:
            with contextlib.suppress(Permanent):  # RabbitMQ accepts no headers larger than a frame
                self._stage.broker.push(queue, raw)
                self.sent.append(SentMessage(id="", dies=True))
                accepted += 1
        return accepted

    def hire(self, count: int) -> None:
        """Hire people, whom scans are to ask."""
        names = [f"{self.name} person {len(self._people) + number}" for number in range(count)]
        if not names:
            return
        for number, name in zip(self._stage.office.people(names), names, strict=True):
            self._people[number] = name
            self.sent.append(SentMessage(id=f"scan of {name}", effects=(f"ask about {name}",)))

    # ----------------------------------------------------------------------------- counting --

    def count(self) -> DeliveryCheck:
        """Count what became of this load by now."""
        self._letters = [ids for id_, ids in self._stage.letters().items() if id_ not in self._before]
        return self.judged()

    def judged(self) -> DeliveryCheck:
        """Count the effects anew, with the letters as they were when last counted."""
        return check_delivery(self.sent, self.found(), self._letters)

    def found(self) -> Counter[str]:
        """Count what stands in Odoo of all this."""
        office = self._stage.office
        found = Counter(office.on_place(self._place))
        found.update(office.of_deals(self._deals))
        found.update(office.of_people(self._people))
        return found
