"""A test kit for controls and automations: values in, values out, no Odoo, no fleet. It ships for plug-ins."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from purser.declarations import Control
from purser.findings import Compliant, Exempt, Finding, Period, Ref
from purser.queries import OpenCaseRef, Read, Snapshot


def snapshot(
    as_of: dt.datetime, *rows: Any, reads: Sequence[Read] = (), watched: Sequence[OpenCaseRef] = ()
) -> Snapshot:
    """Build the snapshot that reading `rows` would give; `reads` names those that were read and found empty."""
    found: dict[Any, list[Any]] = {kind: [] for kind in reads}
    for row in rows:
        found.setdefault(type(row), []).append(row)
    return Snapshot(as_of, found, watched=watched)


@dataclass(frozen=True)
class ControlVerdicts:
    """What a control said of a snapshot, sorted by kind of verdict."""

    findings: tuple[Finding, ...]
    kept: tuple[Compliant, ...]
    exempt: tuple[Exempt, ...]

    def finding(self, subject: Ref, period: Period | None = None) -> Finding:
        """Return the one finding about a subject and period; AssertionError otherwise."""
        found = [f for f in self.findings if (f.subject, f.period) == (subject, period)]
        assert len(found) == 1, f"{len(found)} findings about {subject} {period}"
        return found[0]


def evaluate(control: Control, given: Snapshot, **tunables: Any) -> ControlVerdicts:
    """Run a control over a snapshot to its end.

    AssertionError when it judges one subject twice, or a case would stand where its declaration does not say.
    """
    verdicts = list(control(given, **tunables))
    keys = [(v.subject, v.period) for v in verdicts]
    assert len(keys) == len(set(keys)), "a subject and period was judged twice"
    for verdict in verdicts:
        problem = control.effects.finding_problem(verdict) if isinstance(verdict, Finding) else None
        assert problem is None, f"the declaration of {control.name} must name {problem}"
    return ControlVerdicts(
        findings=tuple(v for v in verdicts if isinstance(v, Finding)),
        kept=tuple(v for v in verdicts if isinstance(v, Compliant)),
        exempt=tuple(v for v in verdicts if isinstance(v, Exempt)),
    )
