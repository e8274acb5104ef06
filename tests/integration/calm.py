"""A fleet without processes: what would travel on a queue is carried out at once, and the clock can be moved."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

from config.policy.loader import UnseenCompanies, load_policies
from config.settings import Settings
from purser.cases import Case, CaseKey, CaseState
from store import Ledger
from tasks.discovery import load_registry
from workers.context import WorkerContext
from workers.controls import apply_changes, run
from workers.events import react


class Calm:
    """One firm's fleet in one process, on a real ledger and a real door to Odoo."""

    def __init__(self, settings: Settings, policies: Path | None, now: dt.datetime) -> None:
        self.moment = now
        declared = load_registry()
        self.lost: set[str] = set()
        """Kinds of changes whose chunks get lost on their way."""
        self.fleet = WorkerContext(
            settings,
            declared,
            load_policies(declared, policies),
            publish=self._carry_out,
            resend=lambda letter: None,
            now=lambda: self.moment,
        )

    @property
    def ledger(self) -> Ledger:
        return self.fleet.ledger

    def use(self, policies: Path) -> None:
        """Change the policy, as a deployment would."""
        self.fleet.policies = load_policies(self.fleet.catalogue, policies)

    def scan(
        self,
        control: str,
        *,
        release_hold: bool = False,
        unseen_companies: UnseenCompanies = UnseenCompanies.JUDGE,
    ) -> run.ControlRunReport:
        """Run a control now, with its changes carried out. Other tests leave companies that the bot is not in."""
        self.moment += dt.timedelta(seconds=1)
        policy = replace(self.fleet.policies.control(control), unseen_companies=unseen_companies)
        run_id = f"run-{self.moment.timestamp()}"
        return run.run_now(
            self.fleet, policy, slot=self.moment, run_id=run_id, trigger="test", release_hold=release_hold
        )

    def case(self, key: CaseKey) -> Case | None:
        """Return a case as it stands now."""
        return run.see_cases(self.fleet, key.control, self.moment).get(key)

    def state(self, key: CaseKey) -> CaseState | None:
        found = self.case(key)
        return None if found is None else found.state

    def _carry_out(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        match task:
            case "purser.apply":
                if kwargs["steps"][0]["change"]["kind"] in self.lost:
                    return
                slot = dt.datetime.fromisoformat(kwargs["slot"])
                steps = run.load_steps(kwargs["steps"])
                apply_changes.apply_steps(self.fleet, control=kwargs["control"], slot=slot, steps=steps)
            case "purser.accept":
                react.accept(self.fleet, kwargs["event"], holder=options["task_id"])
            case "purser.react":
                react.react(self.fleet, kwargs["automation"], kwargs["event"])
            case _:
                raise AssertionError(f"nobody carries out {task}")
