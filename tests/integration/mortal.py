"""A process that dies after a chosen step: a call to Odoo was carried out or a message is out, and then nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from config.settings import BotRole
from odoo_client import OdooClient
from odoo_client.transport.json2 import Json2
from odoo_client.transport.request import Request, Transport, Version
from workers.context import WorkerContext, connection_for


class Killed(BaseException):
    """The process is gone; nothing of ours runs after it."""


class Life:
    """Counts the steps of one process, and ends it after the last one."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.steps = 0
        self.is_over = False
        self.writes: list[int] = []
        """Which of the steps changed something, or told something."""

    def step(self, *, writes: bool) -> None:
        self.steps += 1
        if writes:
            self.writes.append(self.steps)
        if self.steps == self.last:
            self.is_over = True
            raise Killed


class Mortal:
    """A transport whose user dies when its life is over."""

    def __init__(self, inner: Transport, life: Life) -> None:
        self.name = inner.name
        self._inner, self._life = inner, life

    def send(self, request: Request) -> Any:
        answer = self._inner.send(request)
        self._life.step(writes=not request.reads)
        return answer

    def version(self) -> Version:
        return self._inner.version()

    def close(self) -> None:
        """Leave the connection to the next process: to open one takes longer than what a test does with it."""


class Cradle:
    """Lets one process after the other live in a fleet. Each knows nothing of those before it."""

    def __init__(self, fleet: WorkerContext) -> None:
        self._fleet = fleet
        self._doors = {name: connection_for(fleet.settings, role) for name, role in _BOTS.items()}
        self._transports = {name: Json2(entrance) for name, entrance in self._doors.items()}

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()

    @contextmanager
    def process(self, life: Life) -> Iterator[None]:
        """Be one process for as long as its life lasts; whether it died shows there."""
        fleet = self._fleet
        publish = fleet.publish

        def told(task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
            publish(task, kwargs, label=label, **options)
            life.step(writes=True)

        known = {name: fleet.__dict__.pop(name, None) for name in _BOTS}
        for name, entrance in self._doors.items():
            fleet.__dict__[name] = OdooClient(entrance, Mortal(self._transports[name], life))
        fleet.publish = told
        try:
            yield
        except Killed:
            pass
        finally:
            fleet.publish = publish
            for name, earlier in known.items():
                fleet.__dict__.pop(name, None)
                if earlier is not None:
                    fleet.__dict__[name] = earlier


_BOTS = {"audit": BotRole.AUDIT, "change": BotRole.CHANGE, "billing": BotRole.BILLING}
