"""What every control did, slot by slot: when it ran, what it saw, what it changed, and where nobody ran."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from config.policy.loader import ControlPolicy, Policies
from console.pages.base_handler import BasePageHandler
from schedules.slots import latest_slot, slots_between, stagger
from store import ControlRun, Ledger, Page, RunStatus

LIMIT = 50
STRIP = 24
"""So many runs of a control are seen at a glance."""
GRACE = dt.timedelta(minutes=2)
"""So much later than due is no gap yet: the message may be under way."""


@dataclass(frozen=True, slots=True)
class ControlRunsRow:
    """One control at a glance."""

    name: str
    title: str
    every: str
    enabled: bool
    recent: tuple[ControlRun, ...]
    """The latest runs, the oldest first."""
    due: dt.datetime | None
    """The slot that should have run by now and did not."""
    missed: int
    """How many slots nobody ran since the latest run, this one included."""

    @property
    def last(self) -> ControlRun | None:
        """The latest run."""
        return self.recent[-1] if self.recent else None


@dataclass(frozen=True, slots=True)
class ControlRunsView:
    """One look at the runs."""

    controls: tuple[ControlRunsRow, ...]
    page: Page[ControlRun]

    def of(self, outcome: RunStatus) -> tuple[ControlRunsRow, ...]:
        """Return the controls whose latest run ended so."""
        return tuple(row for row in self.controls if row.last is not None and row.last.outcome is outcome)


def build_view(ledger: Ledger, policies: Policies, now: dt.datetime, wanted: Mapping[str, str]) -> ControlRunsView:
    """Read the latest runs of every control, and a page of all or of one."""
    control = wanted.get("control")
    if control is not None:
        policies.control(control)
    rows = [
        row_of(policy, ledger.runs.page(name, limit=STRIP).items[::-1], now, policies)
        for name, policy in policies.controls.items()
    ]
    return ControlRunsView(tuple(rows), ledger.runs.page(control, after=wanted.get("after"), limit=LIMIT))


def row_of(
    policy: ControlPolicy, recent: tuple[ControlRun, ...], now: dt.datetime, policies: Policies
) -> ControlRunsRow:
    """Return what a control did, and whether a slot was left out."""
    name = policy.control.name
    slots = [run.slot for run in recent if run.slot is not None]
    due, missed = None, 0
    if policy.enabled and slots:
        offset = stagger(name, policy.every)
        latest = latest_slot(policy.every, now - GRACE, policies.timezone, offset)
        if latest > max(slots):
            due = latest
            missed = slots_between(policy.every, max(slots), latest, policies.timezone) + 1
    return ControlRunsRow(name, policy.control.title, str(policy.every), policy.enabled, recent, due, missed)


class ControlRunsPage(BasePageHandler):
    """The runs."""

    tab = "runs"

    async def get(self) -> None:
        """Show them."""
        wanted = self.words("control", "after")
        now = await self.aside(self.ledger.now)
        view = await self.aside(build_view, self.ledger, self.fleet.policies, now, wanted)
        self.show("runs.html", view=view, wanted=wanted, RunStatus=RunStatus, strip=STRIP)
