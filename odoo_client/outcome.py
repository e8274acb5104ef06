"""What became of one change."""

import enum
from dataclasses import dataclass

from purser.changes import Change
from purser.findings import Ref


class ChangeStatus(enum.StrEnum):
    """How a change ended."""

    DONE = "done"
    ALREADY = "already"
    REFUSED = "refused"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """One change and how it ended; `reason` says why, where it did not end well."""

    change: Change
    status: ChangeStatus
    ref: Ref | None = None
    reason: str = ""
