"""A message that takes along whoever begins it, until it is cured. Its worker runs the app of the drill."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from purser.changes import Ensure
from purser.engine.reconcile import PlannedStep
from tests.e2e.running import RunningFleet
from workers.controls.run import dump_steps
from workers.runtime.task import MAX_DELIVERIES

if TYPE_CHECKING:
    from devtools.chaos.faulty_tasks import Trouble

APP = "devtools.chaos.faulty_tasks"
CURED = "Made by a message that was poison"


class Poison:
    """One such message. Once it is cured, it makes a project."""

    def __init__(self, counter: Path, *, trouble: "Trouble") -> None:
        self._counter, self._trouble = counter, trouble

    def tell(self, fleet: RunningFleet, queue: str) -> None:
        """Put it on a queue. It is cured when it has been begun as often as anybody lets it."""
        project = Ensure(model="project.project", key="test/cured", values={"name": CURED})
        values = {
            "trouble": self._trouble,
            "times": MAX_DELIVERIES,
            "counter": str(self._counter),
            "control": "test",
            "slot": dt.datetime.now(dt.UTC).isoformat(),
            "run": "test",
            "steps": dump_steps((PlannedStep(project, None),)),
        }
        fleet.app.send_task("drill.apply", kwargs=values, queue=queue)

    @property
    def begun(self) -> int:
        """Return how often it has been begun so far."""
        return self._counter.stat().st_size if self._counter.exists() else 0

    def is_begun(self, times: int) -> bool:
        """Return whether it has been begun so often."""
        return self.begun >= times
