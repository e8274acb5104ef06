"""An Odoo of a few records for the change feed: what was written comes to sight later, as transactions commit."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from config.policy.loader import load_policies, parse_policies
from config.settings import Settings
from odoo_client import RecordPage
from purser.errors import NotApplicable
from purser.findings import Ref
from purser.queries import Row
from store import Ledger
from tasks.discovery import load_registry
from workers.context import WorkerContext

START = dt.datetime(2026, 11, 26, 8, tzinfo=dt.UTC)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Written:
    """A record as it stands in the database, and from when on others see it so."""

    values: dict[str, Any]
    write_date: dt.datetime
    seen_from: dt.datetime


@dataclass
class Office:
    """The records of one model, the clock, and what reached the broker. The process may be killed at any step."""

    moment: dt.datetime = START
    records: dict[int, list[Written]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    """Task, values and id of each message."""
    lacks: str = ""
    unfit: set[int] = field(default_factory=set)
    steps_left: int | None = None
    pages: int = 0

    def write(self, id: int, *, commits_in: dt.timedelta = dt.timedelta(0), **values: Any) -> None:  # noqa: A002
        """Write a record now; others see it when the transaction commits."""
        versions = self.records.setdefault(id, [])
        before = versions[-1].values if versions else {"id": id}
        versions.append(Written({**before, **values}, self.moment, self.moment + commits_in))

    def step(self) -> None:
        """Do one more thing, unless the process is killed before."""
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Killed
            self.steps_left -= 1

    def now(self) -> dt.datetime:
        return self.moment

    def look(
        self,
        row: type[Row],
        conditions: Sequence[Any],
        *,
        as_of: dt.datetime,
        tunables: Any = None,
        after: int = 0,
        limit: int = 500,
    ) -> RecordPage:
        """Answer as the door to Odoo does."""
        self.step()
        if self.lacks:
            raise NotApplicable(self.lacks)
        self.pages += 1
        seen = {
            id_: next((one for one in reversed(versions) if one.seen_from <= self.moment), None)
            for id_, versions in self.records.items()
        }
        found = [
            (id_, one.values)
            for id_, one in sorted(seen.items())
            if one is not None and id_ > after and all(_meets(id_, one, leaf) for leaf in conditions)
        ][:limit]
        return RecordPage(
            rows=tuple(row.model_validate(values) for id_, values in found if id_ not in self.unfit),
            unfit={Ref(row.model, id_): "active: no bool" for id_, _ in found if id_ in self.unfit},
            last=found[-1][0] if found else 0,
            has_more=len(found) >= limit,
        )

    def publish(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        self.step()
        self.sent.append((task, kwargs, str(options.get("task_id", ""))))

    def identities(self, task: str = "purser.accept") -> list[str]:
        """Return the ids of the events that were sent."""
        return [kwargs["event"]["id"] for name, kwargs, _ in self.sent if name == task]


def _meets(id_: int, one: Written, leaf: Any) -> bool:
    match leaf:
        case ("write_date", ">=", moment):
            return bool(one.write_date >= moment)
        case ("write_date", "<", moment):
            return bool(one.write_date < moment)
        case ("id", "=", wanted):
            return bool(id_ == wanted)
    raise AssertionError(f"this office does not know {leaf}")


def fleet_of(office: Office, ledger: Ledger, policy: str = "") -> WorkerContext:
    """Return a fleet that reads this office and publishes to it."""
    environ = {
        "PURSER_ODOO_URL": "http://127.0.0.1:9",
        "PURSER_ODOO_DB": "firm",
        "PURSER_ODOO_LOGIN": "bot",
        "PURSER_ODOO_API_KEY": "none",
    }
    declared = load_registry()
    policies = parse_policies(declared, policy, source="test") if policy else load_policies(declared)
    fleet = WorkerContext(
        Settings.load(need={"odoo"}, environ=environ),
        declared,
        policies,
        publish=office.publish,
        resend=lambda letter: None,
        now=office.now,
    )
    fleet.__dict__["audit"] = office
    fleet.__dict__["ledger"] = ledger
    return fleet
